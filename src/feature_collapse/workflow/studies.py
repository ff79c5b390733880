"""What is asked: the shape of a study (`config/studies/NAME.yaml`) and of a claim (`config/claims.yaml`), whose
hypotheses have one grammar. `evidence.hypotheses` decides them.

A hypothesis names a column, the rows it is about (`of`), and either a bound (`at_least`, `at_most`, `within`) or the
rows it is compared with (`above`, `below`): those of the same setting but for what is given there. With `each` it is
decided at every setting of those columns. Rows are picked by `column: value`, `column: [values]` or `column: {above:
value}`."""

import ast
import datetime
import operator
import string
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from feature_collapse.model.experiment import Experiment
from feature_collapse.workflow.measures import known

Verdict = Literal["supported", "contradicted", "undecided"]
Seed = Annotated[int, Field(ge=0, le=999_999_999)]
Value = bool | int | float | str
Bounds = dict[Literal["above", "below", "at_least", "at_most"], float]
Where = dict[str, Value | list[Value] | Bounds]

OF_A_RUN = {"run", "seed", "experiment", *Experiment.model_fields}  # what a row has besides its measures
COMPARED = {"above": operator.gt, "below": operator.lt, "at_least": operator.ge, "at_most": operator.le}
DRAWN = Path(__file__).parents[1] / "show" / "studies.py"


class Entry(BaseModel):
    """Part of a file of ours. A key that it does not have is named, with those that it has."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def _keys(cls, content: Any) -> Any:
        for key in content if isinstance(content, dict) else ():
            if key not in cls.model_fields:
                raise ValueError(f"unknown key {key!r}; the keys are {', '.join(cls.model_fields)}")
        return content


class Quantity(Entry):
    """A number of a table: the mean of a column over seeds or, with `against`, its rank correlation with another."""

    column: str
    of: Where = {}
    each: list[str] = []
    against: str | None = None  # Spearman's rank correlation with this column over the rows of each seed
    absolute: bool = False  # of absolute values

    def keys(self) -> set[str]:
        """The columns that it needs."""
        return {self.column, *self.of, *self.each, *([self.against] if self.against else [])}


class Hypothesis(Quantity):
    """A quantity and what is expected of it."""

    says: str = ""
    at_least: float | None = None
    at_most: float | None = None
    within: float | None = Field(None, gt=0)  # of zero, on both sides
    above: Where | None = None
    below: Where | None = None
    times: float = Field(1, gt=0)  # above or below so many times the other
    by: float = 0  # above or below by so much, at least
    needs: Literal["all", "any"] = "all"  # of the settings of `each`

    @model_validator(mode="after")
    def _one(self) -> Self:
        bounds = (self.at_least, self.at_most, self.within, self.above, self.below)
        if sum(bound is not None for bound in bounds) != 1:
            raise ValueError("give one of at_least, at_most, within, above, below")
        if self.other is None and (self.times, self.by) != (1, 0):
            raise ValueError("times and by are of a comparison: above or below")
        return self

    @property
    def other(self) -> Where | None:
        """What `of` is compared with, if anything."""
        return self.above if self.above is not None else self.below

    def keys(self) -> set[str]:
        return super().keys() | set(self.other or ())

    def bound(self) -> str:
        """`≥ 0.99`, or what it is compared with."""
        if self.other is None:
            number = next(x for x in (self.at_least, self.at_most, self.within) if x is not None)
            return f"{'≥' if self.at_least is not None else '≤' if self.at_most is not None else 'within ±'} {number:g}"
        times, by = f"{self.times:g} × " if self.times != 1 else "", f" by {self.by:g}" if self.by else ""
        return f"{'above' if self.above is not None else 'below'} {times}that of {named(self.other)}{by}"


class Answer(Entry):
    """What a person has written in answer: shown while the verdicts are those of `when`. In the text `{id.of}` is what
    a hypothesis measured, `{id.other}` what it compared that with, `{id.difference}` their difference over seeds and
    `{id.exceptions}` the settings at which it is contradicted; `{name}` is one of `values`."""

    when: dict[str, Verdict]
    values: dict[str, Quantity] = {}
    text: str

    def slots(self) -> list[str]:
        return [name for _, name, _, _ in string.Formatter().parse(self.text) if name is not None]


class Picture(Entry):
    """The figure of a study: a sweep over one setting, or what a function of `show/studies.py` draws."""

    sweep: str | None = None
    label: str | None = None  # of the axis
    scale: Literal["linear", "log", "symlog"] = "linear"
    across: str | None = None  # a column of panels for each value of this setting
    draw: str | None = None
    needs: Literal["features", "paper"] | None = (
        None  # what else it is drawn from: features.safetensors of every run, paper.yaml
    )

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.sweep is None) == (self.draw is None):
            raise ValueError("give one of sweep and draw")
        if self.draw is not None and self.draw not in drawable():
            raise ValueError(f"draw: show/studies.py has no function {self.draw!r}; it has {', '.join(drawable())}")
        return self


class Grid(Entry):
    """Every base experiment with every combination of what varies."""

    base: list[str] = Field(min_length=1)  # runs without their seeds: [scale/]experiment[+key=value...]
    vary: dict[str, Annotated[list[Any], Field(min_length=1)]] = {}  # key -> values; "a=b": two keys, the same value
    seeds: list[Seed] | None = Field(None, min_length=1)  # in place of the study's, for runs that take long


class Study(Entry):
    """A question, the runs that answer it, and what is expected, shown and answered."""

    question: str
    runs: list[Grid] = Field(min_length=1)
    seeds: list[Seed] = Field(min_length=1)
    on_request: bool = False  # not one of those that the target `studies` makes
    title: str = ""
    caption: str = ""
    hypotheses: dict[str, Hypothesis] = {}
    answer: Answer | None = None
    columns: list[str] = ["train_accuracy", "test_accuracy", "words_weighted_by_mu_cdnv", "u_cdnv"]
    figure: Picture | None = None

    @property
    def picture(self) -> Picture:
        """The figure as it is configured, or a sweep over the first setting that varies."""
        axes = [axis.partition("=")[0] for grid in self.runs for axis in grid.vary]
        return self.figure or Picture(sweep=[*axes, "experiment"][0])

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        keys = {f"hypotheses.{name}": h.keys() for name, h in self.hypotheses.items()}
        keys["columns"] = set(self.columns)
        keys["figure"] = {key for key in (self.picture.sweep, self.picture.across) if key}
        if self.answer:
            keys |= {f"answer.values.{name}": q.keys() for name, q in self.answer.values.items()}
            for name in self.answer.when:
                if name not in self.hypotheses:
                    raise ValueError(f"answer.when: no hypothesis {name!r}; there are {', '.join(self.hypotheses)}")
            for slot in self.answer.slots():
                name, _, part = slot.partition(".")
                known_slot = part in ("of", "other", "difference", "exceptions") if part else name in self.answer.values
                if not known_slot or (part and name not in self.hypotheses):
                    raise ValueError(f"answer.text: {{{slot}}} is no hypothesis's and no value's")
        for where, names in keys.items():
            for name in sorted(names):
                _known(name, where)
        return self

    def check(self, rows: list[dict[str, Any]]) -> None:
        """Raises ValueError if a hypothesis is about none of the runs, given by their settings."""
        parts: list[tuple[str, Where]] = []
        for name, h in self.hypotheses.items():
            parts += [(f"hypotheses.{name}", {**h.of, **(h.other or {})}), (f"hypotheses.{name}", h.of)]
        if self.answer:
            parts += [(f"answer.values.{name}", q.of) for name, q in self.answer.values.items()]
        for place, where in parts:
            settings = {key: value for key, value in where.items() if key in OF_A_RUN}
            if not any(matches(row, settings) for row in rows):
                raise ValueError(f"{place}: no run has {named(settings)}")


class OfTable(Hypothesis):
    """A hypothesis about the runs of a scale, or about another table below results/."""

    table: str = "runs"


class Amendment(Entry):
    """Hypotheses of a later date, in place of a claim's first ones."""

    date: datetime.date
    why: str
    hypotheses: list[OfTable] = Field(min_length=1)


class Claim(Entry):
    """A sentence of the paper, where it stands, and the hypotheses that decide it; `remark` is what is to be said of
    the outcome."""

    claim: str
    source: str
    remark: str = ""
    hypotheses: list[OfTable] = Field(min_length=1)
    amended: Amendment | None = None

    def tables(self) -> set[str]:
        """The tables that decide it."""
        return {h.table for h in self.all}

    def experiments(self) -> list[str]:
        """The experiments of the runs that decide it."""
        named = [where.get("experiment", []) for h in self.all for where in (h.of, h.other or {})]
        return [str(name) for names in named for name in (names if isinstance(names, list) else [names])]

    @property
    def all(self) -> list[OfTable]:
        """Its hypotheses, first and amended."""
        return [*self.hypotheses, *(self.amended.hypotheses if self.amended else ())]

    @model_validator(mode="after")
    def _names_are_known(self) -> Self:
        for hypothesis in self.all:
            if hypothesis.table == "runs" or hypothesis.table.startswith("studies/"):
                for name in sorted(hypothesis.keys()):
                    _known(name, "hypotheses")
        return self


def _known(name: str, where: str) -> None:
    if name not in OF_A_RUN and not known(name):
        raise ValueError(f"{where}: {name!r} is neither a setting nor a measure (workflow/measures.py)")


def matches(row: Mapping[str, Any], where: Where) -> bool:
    """Whether a row has what is asked for."""
    return all(meets(row[key], asked) for key, asked in where.items())


def meets(value: Any, asked: Value | list[Value] | Bounds) -> bool:
    """Whether a value is the one asked for, one of a list, or inside of bounds. What is not a number meets no bound."""
    if isinstance(asked, dict):
        return all(COMPARED[name](value, bound) for name, bound in asked.items())
    return bool(value in asked if isinstance(asked, list) else value == asked)


def named(where: Mapping[str, Any]) -> str:
    """`normalisation none, n_spl 5`."""
    parts = []
    for key, value in where.items():
        if isinstance(value, dict):
            words = {"above": ">", "below": "<", "at_least": "≥", "at_most": "≤"}
            parts += [f"{key} {words[name]} {bound:g}" for name, bound in value.items()]
        else:
            parts.append(f"{key} {' or '.join(map(_short, value if isinstance(value, list) else [value]))}")
    return ", ".join(parts)


def _short(value: Any) -> str:
    return f"{value:g}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


def drawable() -> list[str]:
    """The public functions of `show/studies.py`, found without importing it."""
    body: Iterable[ast.stmt] = ast.parse(DRAWN.read_text(encoding="utf-8")).body
    functions = [f.name for f in body if isinstance(f, ast.FunctionDef)]
    return [name for name in functions if not name.startswith("_") and name != "sweep"]
