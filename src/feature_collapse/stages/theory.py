"""Compare the runs with what the theorems predict.

Theorems 1 and 3, and type III in the place of Theorem 2, predict norms, singular values and losses of a run. The flow
from the start predicts when its loss falls, and duality bounds how far it can be above the global minimum.

\b
Reads:    metrics.json of every run
Writes:   results/[SCALE/]theory.csv, .md and .html
Example:  python -m feature_collapse theory
"""

from pathlib import Path

import pandas as pd

from feature_collapse.theory.predictions import compare, markdown
from feature_collapse.workflow import artifacts, tables
from feature_collapse.workflow.config import Config


def make(scale: str, config: Config) -> None:
    """Write the table of all seeds. Raises ArtifactError where a file is not as it should be."""
    rows = []
    for (experiment, seed), run in config.runs(scale).items():
        metrics = artifacts.read_json(run.folder / "metrics.json", run)
        rows += [{"experiment": experiment, "seed": seed, **row} for row in compare(run.experiment, metrics, seed)]
    table = pd.DataFrame(rows)
    tables.write_table(Path("results") / scale / "theory", table, markdown(table))
