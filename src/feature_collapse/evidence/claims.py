"""The paper's claims, one by one, with the measures that decide them."""

from pathlib import Path
from typing import Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from feature_collapse.evidence.reproduction import quantity
from feature_collapse.workflow.config import ConfigError, read_yaml

CLAIMS_FILE = Path("config/claims.yaml")
REDUCTIONS = {
    "max": pd.Series.max,
    "min": pd.Series.min,
    "sum": pd.Series.sum,
    "max_abs": lambda column: column.abs().max(),
}


class Measure(BaseModel):
    """One number and the threshold it is held against: of a run's metrics, or of a column of a table."""

    model_config = ConfigDict(extra="forbid", strict=True)

    run: str | None = None
    quantity: str = ""
    table: str | None = None
    where: dict[str, str | bool] = {}
    column: str = ""
    reduce: Literal["max", "min", "sum", "max_abs"] = "max"
    at_most: float | None = None
    at_least: float | None = None

    @model_validator(mode="after")
    def _one(self) -> "Measure":
        if (self.run is None) == (self.table is None) or (self.at_most is None) == (self.at_least is None):
            raise ValueError("a measure has one of run and table, and one of at_most and at_least")
        return self

    def holds(self, value: float) -> bool:
        """False also for a value that is not a number."""
        return value <= self.at_most if self.at_most is not None else value >= self.at_least

    def __str__(self) -> str:
        bound = f"≤ {self.at_most:g}" if self.at_most is not None else f"≥ {self.at_least:g}"
        if self.run:
            return f"{self.run}: {self.quantity} {bound}"
        where = ", ".join(f"{key} {value}" for key, value in self.where.items())
        return f"{self.table}{f' ({where})' if where else ''}: {self.reduce} {self.column} {bound}"


class Claim(BaseModel):
    """A sentence of the paper, where it stands, and the measures that decide it. `target` makes evidence that is not
    part of the default target; `remark` is what is to be said of the outcome."""

    model_config = ConfigDict(extra="forbid", strict=True)

    claim: str
    source: str
    target: str | None = None
    remark: str = ""
    amended: dict[str, Any] = {}  # measures of a later date, decided on seeds that had not been trained by then
    measures: list[Measure] = Field(min_length=1)


def read_claims(path: Path = CLAIMS_FILE) -> list[Claim]:
    """Raises ConfigError naming the file, the key and what would be right."""
    return read_yaml(path, list[Claim])


def evaluate(claims: list[Claim], runs: dict[str, dict[str, Any]], tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """One row for each claim. `runs` holds metrics by experiment; `tables` those tables that exist, by name."""
    rows = []
    for claim in claims:
        if any((m.table and m.table not in tables) or (m.run and m.run not in runs) for m in claim.measures):
            verdict = f"not run: snakemake --cores all {claim.target}" if claim.target else "not run at this scale"
            values = [None] * len(claim.measures)
        else:
            values = [_value(m, runs, tables) for m in claim.measures]
            held = [m.holds(value) for m, value in zip(claim.measures, values, strict=True)]
            verdict = "holds" if all(held) else f"DOES NOT HOLD ({held.count(False)} of {len(held)} measures)"
        rows.append(
            {
                "claim": claim.claim,
                "source": claim.source,
                "decided by": "; ".join(map(str, claim.measures)),
                "measured": "; ".join("" if value is None else f"{value:.4g}" for value in values),
                "verdict": verdict,
                "remark": claim.remark,
            }
        )
    return pd.DataFrame(rows)


def _value(measure: Measure, runs: dict[str, dict[str, Any]], tables: dict[str, pd.DataFrame]) -> float:
    if measure.run:
        return quantity(runs[measure.run], measure.quantity)
    rows = tables[measure.table]
    for column, value in measure.where.items():
        rows = rows[rows[column] == value]
    if rows.empty:
        raise ConfigError(f"{CLAIMS_FILE}: no row of {measure.table} matches {measure.where}")
    return float(REDUCTIONS[measure.reduce](rows[measure.column]))


def markdown(rows: pd.DataFrame) -> str:
    """The table for reading: each claim with its measures one below the other."""
    parts = ["# The paper's claims", f"{(rows['verdict'] == 'holds').sum()} of {len(rows)} hold."]
    for row in rows.to_dict("records"):
        table = pd.DataFrame(
            {"decided by": row["decided by"].split("; "), "measured": row["measured"].split("; ")}
        ).to_markdown(index=False, disable_numparse=True)
        parts.append(f"**{row['claim']}** ({row['source']}) — {row['verdict']}")
        parts += [table, row["remark"]] if row["remark"] else [table]
    return "\n\n".join(parts) + "\n"
