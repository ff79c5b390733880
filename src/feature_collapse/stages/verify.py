"""Compare runs with those that are published.

Each RUN, by default each that is in results/ or published, has the same bytes as the published one, the same numbers
within rounding or within the spread of seeds, or is different. Runs that are missing here, that are not published, or
that are published for other settings or another arithmetic are named, and not counted. A run trained on a GPU or
without AVX2 has bytes of its own: its numbers are compared. Exit status 1 if a run is different or damaged.

\b
Reads:    results/RUN/, docs/runs/, docs/checksums.csv
Example:  python -m feature_collapse verify quick/fig4b/seed0
"""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import Enum
from functools import partial
from typing import Any

from feature_collapse.evidence import agreement
from feature_collapse.model.arithmetic import ARITHMETIC
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.artifacts import ArtifactError, ForeignError
from feature_collapse.workflow.config import Config, ConfigError
from feature_collapse.workflow.published import FILES, TRAINED, Published, local, made_here
from feature_collapse.workflow.run import Run

PROMISED = (*TRAINED, "metrics.json")  # the same bytes on every processor


class Verdict(Enum):
    """What became of a run. The last three are not counted."""

    BYTES = "same bytes"
    NUMBERS = "same numbers within rounding"
    SEEDS = "same numbers within the spread of seeds"
    DIFFERENT = "different"
    DAMAGED = "damaged"
    MISSING = "missing here"
    UNPUBLISHED = "not published"
    OTHER = "of other settings or another arithmetic"


FAILED = (Verdict.DIFFERENT, Verdict.DAMAGED)
NOT_COUNTED = (Verdict.MISSING, Verdict.UNPUBLISHED, Verdict.OTHER)


@dataclass(frozen=True)
class Finding:
    """The verdict on a run, the reason in words, and which of its files have the published bytes."""

    run: Run
    verdict: Verdict
    detail: str = ""
    same: frozenset[str] = frozenset()

    def __str__(self) -> str:
        return f"{self.run.name}: {self.verdict.value}" + (f" ({self.detail})" if self.detail else "")


def make(runs: Sequence[Run], scale: str | None, config: Config) -> None:
    """Print what became of the runs, of those of a scale, or of all that are made or published. Raises SystemExit, with
    status 1 if one is different or damaged, 2 if one that was named could not be compared; and ArtifactError where what
    is published is damaged."""
    published = Published()
    of_scale = [] if scale is None else config.runs(scale).values()
    findings = look([*runs, *of_scale] or every(config, published), published)
    print(report(findings, [run.name for run in runs]))
    if any(finding.verdict in FAILED for finding in findings):
        raise SystemExit(1)
    if runs and any(finding.verdict in NOT_COUNTED for finding in findings):
        raise SystemExit(2)


def every(config: Config, published: Published) -> list[Run]:
    """All configured runs that are made here or published."""
    runs = {run.name: run for run in made_here(config)}
    for name in published.names:
        with suppress(ConfigError):  # of an experiment that is not configured any more
            runs.setdefault(name, config.run(name))
    return list(runs.values())


def look(runs: Sequence[Run], published: Published) -> list[Finding]:
    """What became of each run. Checksums are taken on all cores."""
    with ThreadPoolExecutor() as pool:
        return list(pool.map(partial(finding, published=published), runs))


def report(findings: Sequence[Finding], named: Sequence[str] = ()) -> str:
    """A line for each run that was named or whose bytes are not the published ones, then one or two for all of them."""
    plain = (Verdict.BYTES, *NOT_COUNTED)
    lines = [str(f) for f in findings if f.verdict not in plain or f.run.name in named]
    counts = Counter(f.verdict for f in findings)
    counted = [f"{counts[v]} {v.value}" for v in Verdict if v not in NOT_COUNTED and counts[v]]
    others = [f"{counts[v]} {v.value}" for v in NOT_COUNTED if counts[v]]
    lines.append(f"Compared with the published runs: {', '.join(counted) or 'none'}.")
    if others:
        lines.append(f"Not counted: {', '.join(others)}.")
    return "\n".join(lines)


def finding(run: Run, published: Published) -> Finding:
    """What became of a run. Raises ArtifactError where its published row is damaged."""
    if run.name not in published:
        return Finding(run, Verdict.UNPUBLISHED)
    on_cpu = run.experiment.model_copy(update={"device": "cpu"})  # as everything that is published
    if obstacle := published.obstacle(replace(run, experiment=on_cpu)):
        return Finding(run, Verdict.OTHER, obstacle)
    if missing := [name for name in (*FILES, "run.json") if not (run.folder / name).exists()]:
        return Finding(run, Verdict.MISSING, ", ".join(missing))
    there = published.checksums[run.name]
    same = frozenset(name for name in FILES if artifacts.checksum(run.folder / name) == there[name])
    try:
        reason = local(run, artifacts.read_json(run.folder / "run.json", run))
        metrics = artifacts.read_json(run.folder / "metrics.json", run)
        for name in FILES:
            if name not in same:
                _check(name, run)
    except ForeignError as error:
        return Finding(run, Verdict.OTHER, str(error))
    except ArtifactError as error:
        return Finding(run, Verdict.DAMAGED, str(error))
    if same.issuperset(PROMISED):
        return Finding(run, Verdict.BYTES, same=same)
    least = agreement.compare(metrics, published.metrics(run.name), _seeds(run, published))
    verdict = Verdict.NUMBERS if least.rounding else Verdict.SEEDS if least.seeds else Verdict.DIFFERENT
    other = f"other bytes: {', '.join(name for name in PROMISED if name not in same)}"
    return Finding(run, verdict, f"{least}; {f'{reason}: bytes cannot be the same' if reason else other}", same)


def _seeds(run: Run, published: Published) -> list[dict[str, Any]]:
    """What is published of a run and of those that differ from it in their seed only, however they were recorded: the
    metrics of each seed once."""
    settings, seeds = agreement.trained(run.experiment), {}
    for metrics in map(published.metrics, published.names):
        if agreement.trained(metrics["experiment"]) == settings and metrics["arithmetic"] == ARITHMETIC:
            seeds.setdefault(metrics["seed"], metrics)
    return list(seeds.values())


def _check(name: str, run: Run) -> None:
    """Raises ArtifactError unless a file is as it was written."""
    if name in TRAINED:
        artifacts.covered(run.folder / name, run)
    elif name == "features.safetensors":
        artifacts.read_arrays(run.folder / name, run)
