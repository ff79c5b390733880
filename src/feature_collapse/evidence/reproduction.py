"""Every number of the paper beside ours: within its tolerance, and within what seeds do to it."""

import math
from pathlib import Path
from typing import Annotated

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from feature_collapse.evidence.hypotheses import prediction_interval
from feature_collapse.workflow.config import Config, read_yaml
from feature_collapse.workflow.measures import known, measure

PAPER_FILE = Path("config/paper.yaml")
ROUNDING = 1 + 1e-9  # a number at the limit is within it


class Tolerance(BaseModel):
    """How far ours may be from the paper's number, in one of three ways, and why."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    absolute: float | None = Field(None, gt=0)
    relative: float | None = Field(None, gt=0)
    factor: float | None = Field(None, gt=1)
    reason: str

    @model_validator(mode="after")
    def _one(self) -> "Tolerance":
        if sum(way is not None for way in (self.absolute, self.relative, self.factor)) != 1:
            raise ValueError("give one of absolute, relative, factor")
        return self

    def holds(self, paper: float, ours: float) -> bool:
        if self.absolute is not None:
            return abs(ours - paper) <= self.absolute * ROUNDING
        if self.relative is not None:
            return abs(ours - paper) <= self.relative * abs(paper) * ROUNDING
        return paper / self.factor <= ours <= paper * self.factor

    def units(self, paper: float, ours: float) -> float:
        """How far ours is from the paper's number, the limits being -1 and 1."""
        if self.absolute is not None:
            return (ours - paper) / self.absolute
        if self.relative is not None:
            return (ours / paper - 1) / self.relative
        return math.log(ours / paper) / math.log(self.factor)

    def __str__(self) -> str:
        if self.absolute is not None:
            return f"± {self.absolute:g}"
        return f"± {self.relative:.0%}" if self.relative is not None else f"× or ÷ {self.factor:g}"


class Paper(BaseModel):
    """`config/paper.yaml`: experiment -> column of a table of runs -> [the paper's number, name of its tolerance]."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    tolerances: dict[str, Tolerance]
    experiments: dict[str, dict[str, tuple[Annotated[float, Field(gt=0)], str]]]

    @model_validator(mode="after")
    def _names_are_there(self) -> "Paper":
        for experiment, numbers in self.experiments.items():
            for column, (_, tolerance) in numbers.items():
                if not known(column):
                    raise ValueError(f"experiments.{experiment}.{column}: no such measure (workflow/measures.py)")
                if tolerance not in self.tolerances:
                    raise ValueError(f"experiments.{experiment}.{column}: no tolerance {tolerance!r}")
        return self


def read_paper(path: Path = PAPER_FILE, config: Config | None = None) -> Paper:
    """Raises ConfigError naming the file, the key and what would be right; with `config` also for an experiment that it
    does not have."""
    paper: Paper = read_yaml(path, Paper)
    if config:
        config.refuse_unknown(path, "experiments", paper.experiments)
    return paper


def by_seed(paper: Paper, rows: pd.DataFrame) -> pd.DataFrame:
    """Each number of the paper for each run of its experiment: `figure`, `id` and `quantity` (its column and label),
    `paper`, `ours`, `tolerance`, `reason`, `seed`, `off` (in units of the tolerance), `within`, `distinct_share`."""
    found = []
    for row in rows.to_dict("records"):
        for column, (number, name) in paper.experiments.get(row["experiment"], {}).items():
            tolerance, ours = paper.tolerances[name], row[column]
            found.append(
                {
                    "figure": row["experiment"].removeprefix("fig").replace("_k50", " (K = 50)"),
                    "id": column,
                    "quantity": measure(column).label,
                    "paper": number,
                    "ours": ours,
                    "tolerance": str(tolerance),
                    "reason": tolerance.reason,
                    "seed": row["seed"],
                    "off": tolerance.units(number, ours),
                    "within": tolerance.holds(number, ours),
                    "distinct_share": row.get("distinct_share", math.nan),
                }
            )
    return pd.DataFrame(found)


def table(paper: Paper, rows: pd.DataFrame, full_size: bool) -> pd.DataFrame:
    """One row for each number of the paper: that of the first seed with its verdict by the tolerance, how many of the
    seeds are within it, and the interval in which one more run would lie (Student's t), given the seeds, with whether
    the paper's number, which is such a run, lies in it."""
    found = []
    for (figure, column), part in by_seed(paper, rows).groupby(["figure", "id"], sort=False):
        first, n = part.iloc[0], len(part)
        low, high = prediction_interval(part["ours"])
        if measure(str(column)).form == "percent":
            low, high = max(low, 0.0), min(high, 1.0)
        number = first["paper"]
        found.append(
            {
                "figure": figure,
                "id": column,
                "quantity": first["quantity"],
                "paper": number,
                "ours": first["ours"],
                "deviation": first["ours"] / number - 1,
                "tolerance": first["tolerance"],
                "verdict": ("within" if first["within"] else "OUT") if full_size else "not comparable",
                "seeds": n,
                "seeds_within": int(part["within"].sum()),
                "low": low,
                "high": high,
                "inside": "" if n < 2 or low == high or not full_size else "yes" if low <= number <= high else "no",
                "reason": first["reason"],
            }
        )
    return pd.DataFrame(found)


def markdown(rows: pd.DataFrame) -> str:
    """The table for reading, with the reasons of the tolerances below it."""
    comparable = rows[rows["verdict"] != "not comparable"]
    parts = ["# The paper's numbers and ours"]
    if len(comparable):
        inside = (comparable["verdict"] == "within").sum()
        parts.append(f"{inside} of {len(rows)} numbers are within their tolerance of the paper's.")
        spread = comparable[comparable["inside"] != ""]
        if len(spread):
            parts[-1] += (
                f" {(spread['inside'] == 'yes').sum()} of the {len(spread)} that move with the seed lie in their 95 % "
                f"prediction interval, given {spread['seeds'].min()} seeds, which is the stronger statement."
            )
    else:
        parts.append("These runs are smaller than the paper's: their numbers are not comparable, only their kind is.")
    shown = rows.assign(
        paper=rows["paper"].map("{:.4g}".format),
        ours=rows["ours"].map("{:.4g}".format),
        deviation=rows["deviation"].map("{:+.1%}".format),
    )
    shown["seeds within"] = [f"{w} of {n}" for w, n in zip(rows["seeds_within"], rows["seeds"], strict=True)]
    shown["95 % of runs"] = [
        "" if math.isnan(low) else f"{low:.4g} to {high:.4g}"
        for low, high in zip(rows["low"], rows["high"], strict=True)
    ]
    shown["the paper's"] = rows["inside"].map({"yes": "inside", "no": "OUTSIDE", "": ""})
    shown = shown.drop(columns=["id", "reason", "seeds", "seeds_within", "low", "high", "inside"])
    reasons = rows.groupby("tolerance", sort=False)["reason"].unique()
    lines = [f"- {tolerance}: {'; '.join(why)}." for tolerance, why in reasons.items()]
    parts += [
        shown.to_markdown(index=False, disable_numparse=True),
        "Why each tolerance is what it is:",
        "\n".join(lines),
    ]
    return "\n\n".join(parts) + "\n"
