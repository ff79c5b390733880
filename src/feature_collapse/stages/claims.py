"""Decide the paper's claims, one by one.

\b
Reads:    config/claims.yaml, the tables theory and enumeration,
          metrics.json of every run, and the tables of studies that exist
Writes:   results/[SCALE/]claims.csv, .md and .html
Example:  python -m feature_collapse claims
"""

from pathlib import Path

from feature_collapse.evidence.claims import evaluate, markdown, read_claims
from feature_collapse.workflow import artifacts, tables
from feature_collapse.workflow.config import Config


def make(scale: str, config: Config) -> None:
    """Write the table of claims. Raises ArtifactError where a file is not as it should be."""
    folder, claims = Path("results") / scale, read_claims()
    runs = {
        experiment: artifacts.read_json(run.folder / "metrics.json", run)
        for experiment, run in config.shown(scale).items()
    }
    names = {m.table for claim in claims for m in claim.measures if m.table}
    found = {name: artifacts.read_csv(folder / f"{name}.csv") for name in names if (folder / f"{name}.csv").exists()}
    rows = evaluate(claims, runs, found)
    tables.write_table(folder / "claims", rows, markdown(rows))
