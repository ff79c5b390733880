"""What every stage needs to know of a run, and the error of settings that cannot be run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feature_collapse.model.experiment import Experiment


class ConfigError(ValueError):
    """A configuration that cannot be run. Its message is one line: file, key, and what would be right."""


@dataclass(frozen=True)
class Run:
    """One experiment with one seed, resolved: `name` is also its folder below `results/`."""

    name: str
    scale: str
    experiment: Experiment
    seed: int

    @property
    def folder(self) -> Path:
        return Path("results") / self.name

    @property
    def settings(self) -> dict[str, Any]:
        """What a row of a table has of a run: its name, its seed, the experiment it is a variant of, every setting."""
        base = self.name.split("/")[-2].partition("+")[0]
        return {"run": self.name, "seed": self.seed, "experiment": base, **self.experiment.model_dump()}
