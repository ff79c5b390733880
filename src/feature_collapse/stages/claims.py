"""Decide the paper's claims, one by one.

\b
Reads:    config/claims.yaml, metrics.json of every run, and the tables that
          claims name, those of studies if they have been made
Writes:   results/[SCALE/]claims.csv, .md and .html
Example:  python -m feature_collapse claims
"""

from pathlib import Path

from feature_collapse.evidence import rows
from feature_collapse.evidence.claims import evaluate, markdown
from feature_collapse.workflow import artifacts, tables
from feature_collapse.workflow.config import Config, read_claims


def make(scale: str, config: Config) -> None:
    """Write the table of claims. Raises ArtifactError where a file is not as it should be."""
    folder, claims = Path("results") / scale, read_claims(config=config)
    names = {table for claim in claims.values() for table in claim.tables()} - {"runs"}
    found = {name: artifacts.read_csv(folder / f"{name}.csv") for name in names if (folder / f"{name}.csv").exists()}
    table = evaluate(claims, {"runs": rows.of_scale(scale, config), **found})
    tables.write_table(folder / "claims", table, markdown(table))
