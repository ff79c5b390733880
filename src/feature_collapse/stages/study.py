"""Gather the runs of a study and answer its question.

The table has one row for each run, with its settings, its metrics and what the theory predicts; the summary has means
over seeds with their 95 % intervals; the page has the question, the answer, the verdicts and the columns that matter.
With --published, runs that have not been trained here are taken from docs/; the column `source` and the page say which.

\b
Reads:    config/studies/NAME.yaml, metrics.json of every run of the study;
          with --published, docs/runs/ and docs/checksums.csv
Writes:   results/[SCALE/]studies/NAME.csv, .md and .html, NAME_summary.csv
Example:  python -m feature_collapse study lambda
"""

from pathlib import Path

import pandas as pd

from feature_collapse.evidence.rows import note, row, summarise
from feature_collapse.evidence.studies import markdown
from feature_collapse.workflow import artifacts, tables
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.progress import track
from feature_collapse.workflow.published import Published, metrics


def make(name: str, scale: str, config: Config, published: bool = False, quiet: bool = False) -> None:
    """Write the tables of a study; with `published`, from published metrics where a run has not been trained here.
    Raises ConfigError for an unknown study, ArtifactError where a file is not as it should be."""
    runs, stem = config.study(name, scale), Path("results") / scale / "studies" / name
    tracked = track(runs, f"study {name}", "run", quiet)
    known = Published() if published else None
    found = ((run, *metrics(run, known)) for run in tracked)
    rows = pd.DataFrame(row(run, content) | {"source": source} for run, content, source in found)
    artifacts.write_csv(stem.with_name(f"{name}_summary.csv"), summarise(rows))
    page = markdown(config.question(name), rows)
    tables.write_table(stem, rows, f"{page}\n{said}\n" if (said := note(rows)) else page)
