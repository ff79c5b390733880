"""Every number of the paper beside ours."""

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import pandas as pd
from pydantic import BaseModel, ConfigDict, Field, model_validator

from feature_collapse.workflow.config import read_yaml

PAPER_FILE = Path("config/paper.yaml")


ROUNDING = 1 + 1e-9  # a number at the limit is within it
NAMES = {
    "training.train_loss": "train loss",
    "training.train_accuracy": "train accuracy",
    "training.test_accuracy": "test accuracy",
    "training.peak_test_accuracy": "highest test accuracy",
    "words.norm_mean": "mean norm of the words",
    "words.norm_std": "standard deviation of the norm of the words",
    **{f"words.sigma.{i}": f"singular value {i + 1} of the words" for i in range(3)},
    **{f"u.sigma.{i}": f"singular value {i + 1} of the u_kl" for i in range(3)},
}


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
    """`config/paper.yaml`: experiment -> quantity -> [the paper's number, name of its tolerance]."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    tolerances: dict[str, Tolerance]
    experiments: dict[str, dict[Literal[tuple(NAMES)], tuple[Annotated[float, Field(gt=0)], str]]]

    @model_validator(mode="after")
    def _tolerances_are_there(self) -> "Paper":
        for experiment, numbers in self.experiments.items():
            for path, (_, tolerance) in numbers.items():
                if tolerance not in self.tolerances:
                    raise ValueError(f"experiments.{experiment}.{path}: no tolerance {tolerance!r}")
        return self


def read_paper(path: Path = PAPER_FILE) -> Paper:
    """Raises ConfigError naming the file, the key and what would be right."""
    return read_yaml(path, Paper)


def quantity(metrics: dict[str, Any], path: str) -> float:
    """The number at a path such as `words.sigma.0`."""
    found: Any = metrics
    for part in path.split("."):
        found = found[int(part)] if isinstance(found, list) else found[part]
    return float(found)


def table(paper: Paper, metrics: dict[tuple[str, int], dict[str, Any]], full_size: bool) -> pd.DataFrame:
    """One row for each number of the paper and seed. `metrics` are those of (experiment, seed)."""
    rows = []
    for (experiment, seed), measured in metrics.items():
        for path, (number, tolerance) in paper.experiments.get(experiment, {}).items():
            ours = quantity(measured, path)
            within = paper.tolerances[tolerance].holds(number, ours)
            rows.append(
                {
                    "figure": experiment.removeprefix("fig").replace("_k50", " (K = 50)"),
                    "quantity": NAMES[path],
                    "paper": number,
                    "ours": ours,
                    "deviation": ours / number - 1,
                    "tolerance": str(paper.tolerances[tolerance]),
                    "verdict": ("within" if within else "OUT") if full_size else "not comparable",
                    "seed": seed,
                    "reason": paper.tolerances[tolerance].reason,
                }
            )
    return pd.DataFrame(rows)


def markdown(rows: pd.DataFrame) -> str:
    """The table for reading, with the reasons of the tolerances below it."""
    shown = rows.assign(
        paper=rows["paper"].map("{:.4g}".format),
        ours=rows["ours"].map("{:.4g}".format),
        deviation=rows["deviation"].map("{:+.1%}".format),
    ).drop(columns="reason")
    comparable = rows[rows["verdict"] != "not comparable"]
    inside = (comparable["verdict"] == "within").sum()
    if len(comparable):
        summary = f"{inside} of {len(rows)} numbers are within their tolerance of the paper's."
    else:
        summary = "These runs are smaller than the paper's: their numbers are not comparable, only their kind is."
    reasons = rows.groupby("tolerance", sort=False)["reason"].unique()
    lines = [f"- {tolerance}: {'; '.join(why)}." for tolerance, why in reasons.items()]
    table = shown.to_markdown(index=False, disable_numparse=True)
    parts = ["# The paper's numbers and ours", summary, table, "Why each tolerance is what it is:", "\n".join(lines)]
    return "\n\n".join(parts) + "\n"
