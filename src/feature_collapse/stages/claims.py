"""Decide the paper's claims, one by one.

\b
Reads:    config/claims.yaml, metrics.json of every run, and the tables that
          claims name, those of studies if they have been made (of published
          runs: with --published)
Writes:   results/[SCALE/]claims.csv, .md and .html
Example:  python -m feature_collapse claims
"""

from pathlib import Path

from feature_collapse.evidence import rows
from feature_collapse.evidence.claims import evaluate, markdown
from feature_collapse.workflow import artifacts, tables
from feature_collapse.workflow.config import Config, read_claims
from feature_collapse.workflow.published import counts


def make(scale: str, config: Config, published: bool = False) -> None:
    """Write the table of claims; with `published`, by studies of published runs too. Raises ArtifactError where a file
    is not as it should be."""
    folder, claims = Path("results") / scale, read_claims(config=config)
    names = {table for claim in claims.values() for table in claim.tables()} - {"runs"}
    paths = {name: folder / f"{name}.csv" for name in sorted(names)}
    found = {name: artifacts.read_csv(path) for name, path in paths.items() if counts(path, published)}
    found = {"runs": rows.of_scale(scale, config, published), **found}
    table = evaluate(claims, found)
    notes = [f"Of the table {name}: {note}" for name, of_table in found.items() if (note := rows.note(of_table))]
    tables.write_table(folder / "claims", table, "\n".join([markdown(table), *notes]))
