"""What the report and the README say of each figure and table: `config/captions.yaml`, with numbers filled in."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Config, ConfigError, read_yaml

CAPTIONS_FILE = Path("config/captions.yaml")


class Caption(BaseModel):
    """One entry of the file."""

    model_config = ConfigDict(extra="forbid", strict=True)

    title: str
    theme: str
    category: str
    shows: str
    expected: str
    seen: str = "{answer}"
    numbers: dict[str, list[str]] = {}


class _Numbers(dict):
    """Numbers by name; those of what has not been run say so, at any depth."""

    def __missing__(self, key: Any) -> "_Numbers":
        return _Numbers()

    def __format__(self, spec: str) -> str:
        return "(not run)"


def read(path: Path = CAPTIONS_FILE) -> dict[str, Caption]:
    """Captions by figure or table, a study's for both of its own. Raises ConfigError naming the file and the key."""
    captions = read_yaml(path, dict[str, Caption])
    for name, table in list(captions.items()):
        if name.startswith("studies/"):
            own = {"title": f"{table.title} (figure)", "theme": f"{table.theme} (figure)"}
            captions[name.replace("studies/", "study_")] = table.model_copy(update=own)
    return captions


def name_and_scale(paths: Iterable[str], captions: dict[str, Caption], scales: Iterable[str]) -> tuple[str, str]:
    """Which caption belongs to the files of a job, and the scale they are made at ('' is full size)."""
    for path in map(Path, paths):
        _, *folders = path.with_suffix("").parts  # without figures/ or results/
        scale = folders.pop(0) if folders[0] in scales else ""
        if "/".join(folders) in captions:
            return "/".join(folders), scale
    raise ConfigError(f"{CAPTIONS_FILE}: no caption for {', '.join(map(str, paths))}")


def labels(name: str, captions: dict[str, Caption]) -> dict[str, str]:
    """The columns of the report's lists. No two results have one in common: of exactly two results the report would
    turn a column, were it the only one that differs, into a switch."""
    return {"result": captions[name].title, "theme": captions[name].theme, "name": name}


def caption(paths: list[str], captions: dict[str, Caption], config: Config) -> dict[str, str]:
    """The caption of the result among `paths`, the output of a job, with the numbers as they now are on disk."""
    name, scale = name_and_scale(paths, captions, config.scales)
    entry = captions[name]
    seen = entry.seen.format_map(_numbers(entry.seen, name, scale, config))
    shows = f"{entry.shows[0].upper()}{entry.shows[1:]}."
    return {"shows": shows, "expected": entry.expected, "seen": seen, "scale": scale}


def _numbers(seen: str, name: str, scale: str, config: Config) -> dict[str, Any]:
    """The metrics of the experiments that `seen` speaks of, first seed; a table's rows by verdict; a study's answer."""
    numbers = _Numbers()
    for (experiment, seed), run in config.runs(scale).items():
        path = run.folder / "metrics.json"
        if f"{{{experiment}[" in seen and seed == config.seeds[0] and path.exists():
            numbers[experiment] = artifacts.read_json(path, run)
    table = Path("results") / scale / f"{name}.csv"
    if table.exists():
        rows = artifacts.read_csv(table)
        numbers[name] = Counter(rows.get("verdict", ()), rows=len(rows))
    answer = Path("results") / scale / "studies" / f"{name.removeprefix('studies/').removeprefix('study_')}.md"
    if answer.exists():
        numbers["answer"] = answer.read_text(encoding="utf-8").split("\n\n")[1]
    return numbers
