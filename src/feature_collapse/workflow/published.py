"""Published runs: the numbers of finished runs, kept in the project with the checksums of the files they come from.

`docs/runs/[SCALE/]EXPERIMENT.jsonl` has one line per run, sorted by name: the content of its `metrics.json` (settings,
seed, version of the arithmetic, every measure) and, under `made`, commit, machine and cost from its `run.json`.
`docs/checksums.csv` has one row per run: the version of the arithmetic and the SHA-256 of each of its files. A line is
used only if the `metrics.json` it stands for has the checksum in that table. Several people can publish at the same
time: git merges both files line by line (`.gitattributes`), and neither the order of lines nor a repeated line matters.
"""

import csv
import hashlib
import json
import math
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from feature_collapse.workflow import artifacts
from feature_collapse.workflow.artifacts import NOT_OURS, ArtifactError
from feature_collapse.workflow.config import RUN_NAME, Config, ConfigError
from feature_collapse.workflow.run import Run

ROWS = Path("docs/runs")
CHECKSUMS = Path("docs/checksums.csv")
TRAINED = ("data.safetensors", "weights.safetensors", "snapshots.safetensors", "history.csv")
FILES = (*TRAINED, "features.safetensors", "metrics.json")  # of a run: all but run.json, which tells time and machine
COLUMNS = ["run", "arithmetic", *FILES]
HERE, TAKEN = "here", "published"  # where the metrics in a row of a table come from


class Published:
    """What `docs/` holds when it is read. Raises ArtifactError for a file that is not as `write` leaves it."""

    def __init__(self) -> None:
        self.checksums: dict[str, dict[str, str]] = {}  # run -> column -> value
        self.made: dict[str, dict[str, Any]] = {}  # run -> commit, machine and cost
        self._metrics: dict[str, dict[str, Any]] = {}
        self._whole: set[str] = set()  # runs whose row has been found to have its checksum
        for row in _table(CHECKSUMS) if CHECKSUMS.exists() else []:
            if self.checksums.setdefault(row["run"], row) != row:
                raise _damaged(CHECKSUMS, f"has two different rows of {row['run']}")
        for path in sorted(ROWS.rglob("*.jsonl")):
            for name, metrics, made in _lines(path):
                if path != file_of(name):
                    raise _damaged(path, f"has a row of {name}, which belongs to {file_of(name)}")
                if self._metrics.setdefault(name, metrics) != metrics:
                    raise _damaged(path, f"has two different rows of {name}")
                self.made.setdefault(name, made)
        for name in sorted(self.checksums.keys() ^ self._metrics.keys()):
            raise _damaged(CHECKSUMS, f"does not fit {file_of(name)}: {name} is in one of them only")

    def __contains__(self, name: str) -> bool:
        return name in self._metrics

    @property
    def names(self) -> list[str]:
        """The published runs, in the order of their files."""
        return sorted(self._metrics, key=_place)

    def metrics(self, name: str) -> dict[str, Any]:
        """The content of a run's `metrics.json`, whatever it was configured as. Raises ArtifactError unless it is what
        `docs/checksums.csv` says."""
        content, recorded = self._metrics[name], self.checksums[name]
        if name not in self._whole:
            with suppress(*NOT_OURS):
                text = artifacts.json_text(content)
                if hashlib.sha256(text.encode()).hexdigest() == recorded["metrics.json"]:
                    self._whole.add(name)
            if name not in self._whole or str(content["arithmetic"]) != recorded["arithmetic"]:
                raise _damaged(file_of(name), f"the row of {name} does not have the checksum in {CHECKSUMS}")
        return content

    def obstacle(self, run: Run) -> str | None:
        """Why the published row of a run says nothing of it as it is configured now; None if it does. Raises
        ArtifactError for a damaged row."""
        if run.name not in self:
            return "is not published"
        label, row = artifacts.label_of(Path("metrics.json"), run), self.metrics(run.name)
        if row["arithmetic"] != label["arithmetic"]:
            return f"is published with arithmetic {row['arithmetic']}, not {label['arithmetic']}"
        if differ := differing(row["experiment"], label["experiment"]):
            return f"is published for other settings ({', '.join(differ)})"
        return None if row.items() >= label.items() else "is published under another's name"

    def add(self, metrics: dict[str, Any], made: dict[str, Any], checksums: dict[str, str]) -> None:
        """Take up a finished run, in the place of its earlier row: the content of its `metrics.json`, commit, machine
        and cost, and the checksums of FILES."""
        name = metrics["run"]
        self._metrics[name], self.made[name] = metrics, made
        self.checksums[name] = {"run": name, "arithmetic": str(metrics["arithmetic"]), **checksums}

    def write(self) -> None:
        """Write all rows to `docs/`: the same bytes for the same rows."""
        lines: dict[Path, list[str]] = {}
        for name in self.names:
            row = {**self._metrics[name], "made": self.made[name]}
            text = json.dumps(row, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
            lines.setdefault(file_of(name), []).append(text)
        for path, of_file in lines.items():
            with artifacts.atomic(path) as temporary:
                temporary.write_text("\n".join(of_file) + "\n", encoding="utf-8")
        with artifacts.atomic(CHECKSUMS) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            table.writeheader()
            table.writerows(self.checksums[name] for name in self.names)


def metrics(run: Run, published: Published | None) -> tuple[dict[str, Any], str]:
    """The metrics of a run, and where they come from: HERE, of the run in `results/`; or TAKEN, if `published` is given
    and the run is not made here. Raises ArtifactError where neither is there."""
    if published and taken(run, published):
        return published.metrics(run.name), TAKEN
    return artifacts.read_json(run.folder / "metrics.json", run), HERE


def taken(run: Run, published: Published) -> bool:
    """Whether the published row stands for a run: it is of the same settings and arithmetic, and `results/` has no
    metrics of them."""
    try:
        artifacts.read_json(run.folder / "metrics.json", run)
    except ArtifactError:
        return published.obstacle(run) is None
    return False


def sources(runs: Iterable[Run], published: Published | None) -> list[Path]:
    """The files that `metrics` reads of each of the runs, every file once."""
    files = [file_of(r.name) if published and taken(r, published) else r.folder / "metrics.json" for r in runs]
    return list(dict.fromkeys(files))


def made_here(config: Config) -> list[Run]:
    """The configured runs of which `results/` has metrics, in the order of their names."""
    folders = [path.parent for path in Path("results").glob("**/seed*/metrics.json")]
    runs = []
    for name in sorted((str(folder.relative_to("results")) for folder in folders), key=_place):
        with suppress(ConfigError):  # of an experiment that is not configured any more
            runs.append(config.run(name))
    return runs


def cpu_seconds(name: str, published: Published | None = None) -> float:
    """The processor's seconds in training a run, by Snakemake's account; if it has none, as published. Not a number
    where nobody has counted them."""
    account = Path("results") / name / "log" / "train.benchmark.tsv"
    if account.exists():
        with open(account, encoding="utf-8", newline="") as file:
            return float(next(csv.DictReader(file, delimiter="\t"))["cpu_time"])
    counted = published.made[name]["cpu_seconds"] if published and name in published else None
    return math.nan if counted is None else float(counted)


def local(run: Run, record: dict[str, Any]) -> str | None:
    """Why the bytes of a run, of which `record` is the `run.json`, are those of its machine only; None if they are
    those of every machine."""
    if run.experiment.device != "cpu":
        return f"trained on {run.experiment.device}"
    return None if record["machine"]["cpu_capability"].startswith("AVX") else "trained without AVX2"


def counts(table: Path, published: bool) -> bool:
    """Whether a table exists and may be used: one that has rows TAKEN only where published runs are asked for."""
    if not table.exists():
        return False
    with open(table, encoding="utf-8", newline="") as file:
        return published or all(row.get("source") != TAKEN for row in csv.DictReader(file))


def differing(settings: dict[str, Any], others: dict[str, Any]) -> list[str]:
    """The keys in which two experiments differ, those that only one of them has among them."""
    return [key for key in {**settings, **others} if settings.get(key, ...) != others.get(key, ...)]


def file_of(name: str) -> Path:
    """Where the row of a run stands. Raises ArtifactError for what is no name of a run."""
    match = RUN_NAME.fullmatch(name)
    if not match:
        raise _damaged(ROWS, f"{name!r} is not the name of a run")
    scale, experiment, *_ = match.groups(default="")
    return ROWS / scale / f"{experiment}.jsonl"


def _place(name: str) -> tuple[str, str, int]:
    configuration, _, seed = name.rpartition("/seed")
    return str(file_of(name)), configuration, int(seed)


def _table(path: Path) -> list[dict[str, str]]:
    try:
        with open(path, encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file, strict=True)
        if header != COLUMNS:
            raise ValueError(header)
        return [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    except (OSError, csv.Error, *NOT_OURS):
        raise _damaged(path, f"is not a table of {', '.join(COLUMNS)}") from None


def _lines(path: Path) -> Iterable[tuple[str, dict[str, Any], dict[str, Any]]]:
    try:
        for line in path.read_text(encoding="utf-8").splitlines():
            content = json.loads(line)
            made = content.pop("made")
            yield content["run"] + "", content, made
    except (OSError, *NOT_OURS):
        raise _damaged(path, "has a line that is no row of a run") from None


def _damaged(path: Path, wrong: str) -> ArtifactError:
    return ArtifactError(path, wrong, "restore it, for instance with: git checkout -- docs")
