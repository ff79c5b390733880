"""The caption of each figure and table in the report: `config/figures.yaml` and the studies, with numbers filled in."""

from collections import Counter
from pathlib import Path
from typing import Any

from feature_collapse.evidence import studies
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.figures import Figures


class _Numbers(dict[str, Any]):
    """Numbers by name; those of what has not been run say so, at any depth."""

    def __missing__(self, key: Any) -> "_Numbers":
        return _Numbers()

    def __format__(self, spec: str) -> str:
        return "(not run)"


def caption(paths: list[str]) -> dict[str, str]:
    """The caption of the result among `paths`, the output of a job, with the numbers as they now are on disk: what
    report/caption.rst fills in."""
    config = Config()
    figures = Figures(config)
    name, scale = figures.name_and_scale(paths)
    entry = figures.entries()[name]
    seen = entry.seen.format_map(_numbers(entry.seen, name, scale, config))
    shows = f"{entry.shows[0].upper()}{entry.shows[1:]}".rstrip(".") + "."
    return {"shows": shows, "expected": entry.expected, "seen": seen, "scale": scale}


def _numbers(seen: str, name: str, scale: str, config: Config) -> dict[str, Any]:
    """The metrics of the experiments that `seen` speaks of, first seed; a table's rows by verdict; a study's answer."""
    numbers = _Numbers()
    for experiment, run in config.shown(scale).items():
        path = run.folder / "metrics.json"
        if f"{{{experiment}[" in seen and path.exists():
            numbers[experiment] = artifacts.read_json(path, run)
    table = Path("results") / scale / f"{name}.csv"
    if table.exists():
        rows = artifacts.read_csv(table)
        numbers[name] = Counter({"rows": len(rows)}) + Counter(map(str, rows.get("verdict", [])))
    study = name.removeprefix("studies/").removeprefix("study_")
    of_runs = Path("results") / scale / "studies" / f"{study}.csv"
    if of_runs.exists():
        numbers["answer"] = studies.summary(config.question(study), artifacts.read_csv(of_runs))
    return numbers
