"""Say which numbers tell a wrong implementation.

\b
Reads:    config/paper.yaml, metrics.json of quick runs with five seeds, and
          results/quick/mutants/
Writes:   results/quick/mutants.csv, .md and .html
Example:  python -m feature_collapse mutants
"""

from pathlib import Path

import pandas as pd

from feature_collapse.evidence.mutants import REFERENCE, SCALE, compare, markdown
from feature_collapse.evidence.reproduction import read_paper
from feature_collapse.evidence.rows import row
from feature_collapse.workflow import artifacts, tables
from feature_collapse.workflow.config import Config


def make(config: Config) -> None:
    """Write the table of mutants. Raises ArtifactError where a file is not as it should be."""
    folder, experiments = Path("results") / SCALE, config.experiments(SCALE)
    runs = [config.run(f"{SCALE}/{experiment}/seed{seed}") for experiment in experiments for seed in REFERENCE]
    right = pd.DataFrame(row(run, artifacts.read_json(run.folder / "metrics.json", run)) for run in runs)
    wrong = pd.concat([artifacts.read_csv(folder / "mutants" / f"{name}.csv") for name in experiments])
    rows = compare(read_paper(), right, wrong)
    tables.write_table(folder / "mutants", rows, markdown(rows))
