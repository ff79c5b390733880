"""What each figure and table is, by `config/figures.yaml`: the runs it shows, the files it reads, and its caption.

A study is a figure and a table of its own, and an experiment that no entry shows has a figure of its own name.
"""

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from feature_collapse.workflow.config import Config, read_yaml
from feature_collapse.workflow.run import ConfigError, Run

SHOW = Path(__file__).parents[1] / "show"
DRAWN_IN = ("paper.py", "diagrams.py")

File = Literal[
    "data.safetensors", "features.safetensors", "snapshots.safetensors", "metrics.json", "history.csv", "run.json"
]


class Entry(BaseModel):
    """What the report and the README say of a figure or a table."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    title: str
    theme: str
    category: str = "Tables"
    shows: str
    expected: str
    seen: str = "{answer}"
    numbers: dict[str, list[str]] = {}


class Figure(Entry):
    """A figure: also the function that draws it, the experiments it shows, by their titles in it, and which files of
    their runs it is drawn from."""

    category: str
    draw: str | None = None
    of: dict[str, str] = {}
    reads: list[File] = []

    @model_validator(mode="after")
    def _drawn(self) -> Self:
        if self.draw is not None and self.draw not in drawings():
            raise ValueError(f"draw: no {self.draw!r} in show/; there are {', '.join(drawings())}")
        return self


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    figures: dict[str, Figure]
    tables: dict[str, Entry]


def drawings() -> list[str]:
    """The functions that draw a figure, found without importing what draws: those that return one."""
    parsed = [ast.parse((SHOW / name).read_text(encoding="utf-8")) for name in DRAWN_IN]
    functions = [node for tree in parsed for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [f.name for f in functions if isinstance(f.returns, ast.Name) and f.returns.id == "Figure"]


class Figures:
    """All figures and tables, in the order of the file."""

    def __init__(self, config: Config):
        """Read `figures.yaml` beside the experiments. Raises ConfigError naming the file, the key and what would be
        right."""
        self.config, path = config, config.path.with_name("figures.yaml")
        content = read_yaml(path, _File)
        self.figures: dict[str, Figure] = dict(content.figures)
        self.tables: dict[str, Entry] = content.tables
        for name, figure in self.figures.items():
            config.refuse_unknown(path, f"figures.{name}.of", figure.of)
        shown = {experiment for figure in self.figures.values() for experiment in figure.of}
        self.figures |= {
            experiment: own_figure(experiment) for experiment in config.experiments() if experiment not in shown
        }

    @property
    def drawn(self) -> dict[str, Figure]:
        """Those that the stage `figure` draws."""
        return {name: figure for name, figure in self.figures.items() if figure.draw}

    def runs(self, name: str, scale: str) -> dict[str, Run]:
        """The runs that a figure shows, by experiment, as far as the scale has them and they keep what it reads. Raises
        ConfigError where there are none."""
        shown = self._runs(name, scale)
        if not shown and self.figures[name].of:
            which = ", ".join(self.figures[name].of)
            raise ConfigError(f"{name}: {scale or 'full size'} leaves out {which}, or they keep no snapshots")
        return shown

    def at(self, scale: str) -> list[str]:
        """The names of the figures that show something at a scale."""
        return [name for name, figure in self.figures.items() if not figure.of or self._runs(name, scale)]

    def _runs(self, name: str, scale: str) -> dict[str, Run]:
        figure, there = self.figures[name], self.config.shown(scale)
        moves = "snapshots.safetensors" in figure.reads
        shown = {experiment: there[experiment] for experiment in figure.of if experiment in there}
        return {key: run for key, run in shown.items() if run.experiment.snapshot_classes or not moves}

    def entries(self) -> dict[str, Entry]:
        """By name below figures/ or results/, those of studies too."""
        found: dict[str, Entry] = {**self.figures, **self.tables}
        for study in self.config.studies:
            table = study_entry(study, self.config)
            own = {"title": f"{table.title} (figure)", "theme": f"{table.theme} (figure)"}
            found |= {f"studies/{study}": table, f"study_{study}": table.model_copy(update=own)}
        return found

    def name_and_scale(self, paths: Iterable[str]) -> tuple[str, str]:
        """Which entry the files of a job belong to, and the scale they are made at ('' is full size)."""
        entries = self.entries()
        for path in map(Path, paths):
            _, *folders = path.with_suffix("").parts  # without figures/ or results/
            scale = folders.pop(0) if folders[0] in self.config.scales else ""
            if "/".join(folders) in entries:
                return "/".join(folders), scale
        raise ConfigError(f"config/figures.yaml: no entry for {', '.join(map(str, paths))}")

    def unknown(self, name: str) -> ConfigError:
        """For a figure that there is not."""
        known = f"{', '.join(self.drawn)}, each also as SCALE/figure for {', '.join(self.config.scales)}"
        return ConfigError(f"{name}: no such figure; there are {known}")


def own_figure(experiment: str) -> Figure:
    """The figure of an experiment that no other shows."""
    return Figure(
        draw="scatter",
        of={experiment: experiment},
        reads=["features.safetensors", "metrics.json"],
        title=experiment,
        theme=f"experiment {experiment}",
        category="Further figures",
        shows=f"words and u_kl of {experiment}",
        expected="An entry of config/figures.yaml says what is expected of an experiment.",
        seen=f"CDNV {{{experiment}[words][cdnv]:.2g}} of the words and {{{experiment}[u][cdnv]:.2g}} of the u_kl; "
        f"test accuracy {{{experiment}[training][test_accuracy]:.1%}}.",
    )


def study_entry(name: str, config: Config) -> Entry:
    """What the report says of a study's table."""
    study = config.question(name)
    expected = " ".join(h.says for h in study.hypotheses.values()) or "Nothing was expected of it."
    title = study.title or f"Study: {name}"
    return Entry(title=title, theme=name, category="Studies", shows=study.caption or study.question, expected=expected)


def labels(name: str, entry: Entry) -> Mapping[str, str]:
    """The columns of the report's lists. No two results have one in common: of exactly two results the report would
    turn a column, were it the only one that differs, into a switch."""
    return {"result": entry.title, "theme": entry.theme, "name": name}
