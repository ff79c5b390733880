"""How the metrics of a run agree with those of the same run made elsewhere, where their bytes do not.

Differences are relative. A number below 0.001 is taken relative to 0.001, and one of a spectrum relative to the largest
of that spectrum: what training brings down to nearly nothing is known to no more digits than what it is a part of.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from feature_collapse.model.experiment import Experiment

LABEL = ("artifact", "run", "seed", "arithmetic", "experiment")
RECORDING = ("records", "snapshot_classes", "device")  # settings that do not change what is trained
UNSTABLE = ("training.peak_epoch",)  # where a curve is highest, which its last digits decide
SMALL = 1e-3
ROUNDING = 1e-4


@dataclass(frozen=True)
class Agreement:
    """The number that agrees least, by how much it differs, and what bounds the difference."""

    name: str
    difference: float
    spread: float | None  # of the seeds, for the same number; None where there is one seed only

    @property
    def rounding(self) -> bool:
        """Whether all numbers are the same within rounding."""
        return self.difference <= ROUNDING

    @property
    def seeds(self) -> bool:
        """Whether all numbers are the same within rounding or the spread of seeds."""
        return self.difference <= max(ROUNDING, self.spread or 0)

    def __str__(self) -> str:
        if not self.difference:
            return "no number differs"
        said = f"largest relative difference {self.difference:.1e}, of {self.name}"
        if self.rounding:
            return said
        return said + (", of which one seed is published" if self.spread is None else f"; of seeds {self.spread:.1e}")


def compare(here: Mapping[str, Any], there: Mapping[str, Any], seeds: Iterable[Mapping[str, Any]] = ()) -> Agreement:
    """The metrics of a run against those of the same run made elsewhere. `seeds` are the metrics of that run and of
    others that differ from it in their seed only. A measure that is new here is not compared."""
    ours, theirs = dict(_numbers(here)), dict(_numbers(there))
    spectra = [dict(_numbers(metrics)) for metrics in seeds]
    agreements = []
    for name, (value, scale) in theirs.items():
        if name in UNSTABLE:
            continue
        values = [numbers[name][0] for numbers in spectra if name in numbers]
        spread = max(_difference(a, b, scale) for a in values for b in values) if len(values) > 1 else None
        agreements.append(Agreement(name, _difference(ours.get(name, (None, 0))[0], value, scale), spread))
    return max(agreements, key=lambda a: (not a.seeds, not a.rounding, a.difference))


def trained(experiment: Experiment | Mapping[str, Any]) -> dict[str, Any]:
    """The settings that decide what is trained. Of two runs that share them and their seed, weights are the same."""
    settings = experiment.model_dump() if isinstance(experiment, Experiment) else experiment
    return {key: value for key, value in settings.items() if key not in RECORDING}


def _numbers(metrics: Mapping[str, Any]) -> Iterator[tuple[str, tuple[float | None, float]]]:
    """Every number by its path, `words.sigma.2`, with the size that a difference is relative to."""
    return _leaves("", {key: value for key, value in metrics.items() if key not in LABEL}, None)


def _leaves(path: str, content: Any, scale: float | None) -> Iterator[tuple[str, tuple[float | None, float]]]:
    if isinstance(content, dict):
        for key, value in content.items():
            yield from _leaves(f"{path}.{key}", value, scale)
    elif isinstance(content, list):
        sizes = [abs(x) for x in content if isinstance(x, int | float)]
        for i, value in enumerate(content):
            yield from _leaves(f"{path}.{i}", value, max(sizes, default=None))
    elif content is None or isinstance(content, int | float):
        yield path.removeprefix("."), (content, max(SMALL, scale or abs(content or 0)))


def _difference(a: float | None, b: float | None, scale: float) -> float:
    """Relative to a size; null, of a measure that is not defined, differs from every number."""
    if a is None or b is None:
        return 0.0 if a is b else float("inf")
    return abs(a - b) / scale
