"""The configuration: what an experiment is, and which experiment the name of a run stands for.

A run is named `[scale/]experiment[+key=value...]/seedN`, for instance `fig4b/seed0`, `quick/fig4b/seed0` or
`fig4b+n_spl=10/seed3`. The name is also the path of its folder below `results/`.
"""

import re
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from ruamel.yaml import YAML

from feature_collapse.model.experiment import Experiment
from feature_collapse.workflow.run import ConfigError, Run
from feature_collapse.workflow.studies import Claim, Seed, Study

CONFIG_FILE = Path("config/experiments.yaml")
CLAIMS_FILE = Path("config/claims.yaml")
RUN_NAME = re.compile(r"(?:(\w+)/)?(\w+)((?:\+\w+=[\w.-]+)*)/seed(\d{1,9})", re.ASCII)


Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$")]


class _Scale(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    leave_out: list[str]
    override: dict[str, Any]
    thin_studies: bool = False  # of each axis of a study the first and the last value, and of its seeds the first two


class _File(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    seeds: list[Seed] = Field(min_length=1)
    defaults: dict[str, Any]
    experiments: Annotated[dict[Name, dict[str, Any]], Field(min_length=1)]
    scales: dict[Name, _Scale]

    @model_validator(mode="after")
    def _left_out_are_there(self) -> Self:
        for name, scale in self.scales.items():
            for experiment in scale.leave_out:
                if experiment not in self.experiments:
                    raise ValueError(f"scales.{name}.leave_out: no experiment {experiment!r}")
        return self


def read_yaml(path: Path, shape: Any) -> Any:
    """A file of plain YAML, checked against a pydantic type. Raises ConfigError naming the file, the key and what
    would be right."""
    try:
        content = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({_one_line(error)})") from None
    except Exception as error:  # the parser lets many kinds through: YAMLError, ValueError, KeyError, IndexError ...
        raise ConfigError(f"{path}: not plain YAML ({_one_line(error)})") from None
    try:
        return TypeAdapter(shape).validate_python(content)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first_error(error)}") from None


def read_claims(path: Path = CLAIMS_FILE) -> dict[str, Claim]:
    """The claims by their ids. Raises ConfigError naming the file, the key and what would be right."""
    claims: dict[str, Claim] = read_yaml(path, dict[Name, Claim])
    return claims


class Config:
    """The experiments of `config/experiments.yaml` and the studies of `config/studies/`, all of them checked when they
    are read."""

    def __init__(self, path: Path = CONFIG_FILE):
        """Read `path`. Raises ConfigError naming the file, the key and what would be right."""
        self.path = path
        self._file = read_yaml(path, _File)
        for scale in ("", *self.scales):
            for name in self.experiments(scale):
                self._resolve(scale, name, {})
        files = sorted((path.parent / "studies").glob("*.yaml"))
        for file in files:
            if not re.fullmatch(r"\w+", file.stem, re.ASCII):
                raise ConfigError(f"{file}: a study is named by its file, of letters, digits and underscores")
        self._studies: dict[str, Study] = {file.stem: read_yaml(file, Study) for file in files}
        for file in files:
            try:
                for scale in ("", *(name for name in self.scales if self._file.scales[name].thin_studies)):
                    self.study(file.stem, scale)
                self._studies[file.stem].check([run.settings for run in self.study(file.stem)])
            except ValueError as error:  # ConfigError is one
                raise ConfigError(f"{file}: {error}") from None

    @property
    def seeds(self) -> list[int]:
        return list(self._file.seeds)

    @property
    def scales(self) -> list[str]:
        """The named scales; full size has no name."""
        return list(self._file.scales)

    def experiments(self, scale: str = "") -> list[str]:
        """Names of the experiments that are run at a scale ('' is full size)."""
        if scale and scale not in self.scales:
            raise ConfigError(f"{self.path}: scales: no {scale!r}; there are {', '.join(self.scales)}")
        left_out = self._file.scales[scale].leave_out if scale else []
        return [name for name in self._file.experiments if name not in left_out]

    def runs(self, scale: str = "") -> dict[tuple[str, int], Run]:
        """The runs of a scale, by experiment and seed."""
        return {
            (experiment, seed): self.run(f"{scale}/{experiment}/seed{seed}".lstrip("/"))
            for seed in self.seeds
            for experiment in self.experiments(scale)
        }

    def shown(self, scale: str = "") -> dict[str, Run]:
        """The runs that figures show, by experiment: those of the first seed."""
        return {experiment: run for (experiment, seed), run in self.runs(scale).items() if seed == self.seeds[0]}

    def run(self, name: str) -> Run:
        """The run that a name stands for. Raises ConfigError for a name that stands for none."""
        match = RUN_NAME.fullmatch(name)
        if not match:
            raise ConfigError(f"{name!r}: not the name of a run; write [scale/]experiment/seedN, as in fig4b/seed0")
        scale, experiment, changes, seed = match.groups(default="")
        known = self.experiments(scale)
        if experiment not in known:
            raise ConfigError(f"{self.path}: experiments: no {experiment!r}; there are {', '.join(known)}")
        override = {}
        for key, value in re.findall(r"\+(\w+)=([\w.-]+)", changes):
            if key in override:
                raise ConfigError(f"{name!r}: {key}: given twice")
            try:
                override[key] = YAML(typ="safe", pure=True).load(value)
            except Exception:  # as in read_yaml
                raise ConfigError(f"{name!r}: {key}: cannot read {value!r}") from None
        return Run(name, scale, self._resolve(scale, experiment, override), int(seed))

    def study(self, name: str, scale: str = "") -> list[Run]:
        """The runs of a study, at the scales that its bases name, or all at `scale`.

        A run takes as many steps as its base, to the nearest whole epoch, unless it is told its epochs. A value that is
        the base's own leaves no trace in a run's name, so that studies share the runs they have in common. Raises
        ConfigError for a study that is not there.
        """
        study = self.question(name)
        self.experiments(scale)  # refuses a scale that is not there
        thin = bool(scale) and self._file.scales[scale].thin_studies
        experiments: dict[str, Experiment] = {}
        for grid in study.runs:
            axes = [[values[0], values[-1]] if thin else values for values in grid.vary.values()]
            for base in grid.base:
                for values in product(*axes):
                    settings: dict[str, Any] = {}
                    for keys, value in zip(grid.vary, values, strict=True):
                        settings |= dict.fromkeys(keys.split("="), value)
                    run, experiment = self._varied(base, settings, scale)
                    experiments[run] = experiment
        seeds = study.seeds[:2] if thin else study.seeds
        return [Run(f"{run}/seed{s}", run.rpartition("/")[0], e, s) for run, e in experiments.items() for s in seeds]

    def _varied(self, base: str, settings: dict[str, Any], scale: str) -> tuple[str, Experiment]:
        """A base with other settings, at another scale if one is given: its name without the seed, and its
        experiment."""
        own_scale, _, rest = base.rpartition("/")
        experiment, *given = rest.split("+")
        place = f"{scale or own_scale}/".lstrip("/")
        bare = self.run(f"{place}{experiment}/seed0").experiment
        plain = self.run(f"{place}{rest}/seed0").experiment if given else bare
        changed = self._resolve(scale or own_scale, experiment, _differences(plain, bare) | settings)
        if "epochs" not in settings and changed.steps_per_epoch != plain.steps_per_epoch:
            changed = changed.model_copy(update={"epochs": max(1, round(plain.steps / changed.steps_per_epoch))})
        changes = sorted(_differences(changed, bare).items())
        return place + "+".join([experiment, *(f"{key}={_written(value)}" for key, value in changes)]), changed

    def question(self, name: str) -> Study:
        """A study as it is configured. Raises ConfigError for one that is not there."""
        if name not in self._studies:
            raise ConfigError(f"{self.path.parent / 'studies'}: no {name!r}; there are {', '.join(self._studies)}")
        return self._studies[name]

    @property
    def studies(self) -> list[str]:
        """The names of the studies, which are those of their files."""
        return list(self._studies)

    def _resolve(self, scale: str, name: str, override: dict[str, Any]) -> Experiment:
        settings = self._file.defaults | self._file.experiments[name]
        if scale:
            settings |= self._file.scales[scale].override
        try:
            return Experiment.model_validate(settings | override)
        except ValidationError as error:
            where = f"experiments.{name}" + (f" at scale {scale}" if scale else "")
            raise ConfigError(f"{self.path}: {where}: {_first_error(error)}") from None


def _first_error(error: ValidationError) -> str:
    """The first of pydantic's complaints as one line: key, what would be right, what was given."""
    first = error.errors(include_url=False)[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        known = f"; the keys are {', '.join(Experiment.model_fields)}" if error.title == "Experiment" else ""
        return f"{_one_line(key)}: unknown key{known}"
    if first["type"] == "missing":
        return f"{key}: missing key"
    message = first["msg"].removeprefix("Value error, ")
    whole = first["type"] == "value_error"  # of a whole entry, which is not shown
    given = "" if whole and isinstance(first["input"], dict) else f", not {_one_line(first['input'])}"
    return f"{_one_line(key)}: {message}{given}" if key else message


def _differences(experiment: Experiment, other: Experiment) -> dict[str, Any]:
    """The settings of an experiment that are not those of the other."""
    theirs = other.model_dump()
    return {key: value for key, value in experiment.model_dump().items() if value != theirs[key]}


def _written(value: Any) -> str:
    """A setting as it stands in a run's name: true and 1, not True and 1.0."""
    return str(value).lower().removesuffix(".0")


def _one_line(thing: object) -> str:
    try:
        text = " ".join(str(thing).split())
    except ValueError:  # an integer too long to be written out
        text = "a number of too many digits"
    return text if len(text) <= 200 else text[:200] + "..."
