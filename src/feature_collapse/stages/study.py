"""Gather the runs of a study and answer its question.

The table has one row for each run, with its settings, its metrics and what the theory predicts; the summary has means
over seeds with their 95 % intervals; the page has the question, the answer, the verdicts and the columns that matter.

\b
Reads:    config/studies/NAME.yaml, metrics.json of every run of the study
Writes:   results/[SCALE/]studies/NAME.csv, .md and .html, NAME_summary.csv
Example:  python -m feature_collapse study lambda
"""

from pathlib import Path

import pandas as pd

from feature_collapse.evidence.rows import row, summarise
from feature_collapse.evidence.studies import markdown
from feature_collapse.workflow import artifacts, tables
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.progress import track


def make(name: str, scale: str, config: Config, quiet: bool = False) -> None:
    """Write the tables of a study. Raises ConfigError for an unknown study, ArtifactError where a file is not as it
    should be."""
    runs, stem = config.study(name, scale), Path("results") / scale / "studies" / name
    tracked = track(runs, f"study {name}", "run", quiet)
    rows = pd.DataFrame(row(run, artifacts.read_json(run.folder / "metrics.json", run)) for run in tracked)
    artifacts.write_csv(stem.with_name(f"{name}_summary.csv"), summarise(rows))
    tables.write_table(stem, rows, markdown(config.question(name), rows))
