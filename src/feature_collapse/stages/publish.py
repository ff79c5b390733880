"""Add finished runs to those that are published.

The numbers and checksums of each RUN, by default of every finished run in results/, go to docs/, from where tables can
be made without training. A run that is published already stays as it is. One whose training gave other bytes than the
published is refused, as is one that was trained on a GPU or without AVX2, whose bytes are its machine's own.

\b
Reads:    results/RUN/, docs/runs/, docs/checksums.csv
Writes:   docs/runs/[SCALE/]EXPERIMENT.jsonl   one line per run
          docs/checksums.csv                   SHA-256 of its files
Example:  python -m feature_collapse publish quick/fig4b/seed0
"""

import math
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from feature_collapse.workflow import artifacts
from feature_collapse.workflow.artifacts import ArtifactError
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.progress import track
from feature_collapse.workflow.published import FILES, TRAINED, Published, cpu_seconds, local, made_here
from feature_collapse.workflow.run import Run

RECORDED = ("code", "machine", "threads", "seconds", "peak_memory_mb")  # of run.json


class Refused(Exception):
    """A run that cannot be published, in one line."""


def make(runs: Sequence[Run], config: Config, quiet: bool = False) -> None:
    """Publish runs, or all that are finished. Those that cannot be are named on standard error, with exit status 1."""
    published, done, refused = Published(), Counter[str](), 0
    for run in track(list(runs) or made_here(config), "publish", "run", quiet):
        try:
            done[add(run, published)] += 1
        except (ArtifactError, Refused) as error:
            print(f"not published: {run.name}: {error}", file=sys.stderr)
            refused += 1
    published.write()
    print(", ".join(f"{n} {what}" for what, n in sorted(done.items())) or "no finished run")
    if refused:
        raise SystemExit(1)


def add(run: Run, published: Published) -> str:
    """Publish a run, and say in a word what that meant. Raises ArtifactError for one that is not whole and as it is
    configured now, and Refused where its bytes are not those that others get."""
    record = artifacts.read_json(run.folder / "run.json", run)
    if reason := local(run, record):
        raise Refused(f"{reason}, so its bytes are not those of other machines")
    for name in TRAINED:
        artifacts.covered(run.folder / name, run)
    artifacts.read_arrays(run.folder / "features.safetensors", run)
    metrics = artifacts.read_json(run.folder / "metrics.json", run)
    checksums = {name: artifacts.checksum(run.folder / name) for name in FILES}
    known = run.name in published and published.obstacle(run) is None
    if known:
        there = published.checksums[run.name]
        if all(there[name] == checksum for name, checksum in checksums.items()):
            return "published before"
        if other := [name for name in TRAINED if there[name] != checksums[name]]:
            raise Refused(
                f"{', '.join(other)} would have to have the published bytes; where they cannot have them any more, "
                "raise ARITHMETIC"
            )
    made: dict[str, Any] = {key: record[key] for key in RECORDED}
    seconds = cpu_seconds(run.name)
    published.add(metrics, made | {"cpu_seconds": None if math.isnan(seconds) else seconds}, checksums)
    return "measured anew" if known else "added"
