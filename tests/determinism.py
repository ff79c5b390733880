"""Is what the workflow makes the same on other threads, cores, in another order and folder? `make determinism`.

The toy workflow, and one epoch at full size, are made anew under each of these circumstances. The checksums of all that
was made, and what differs if anything does, are printed and written to results/determinism.md.
"""

import hashlib
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import pandas as pd
import workflow
from workflow import AWKWARD_NAME, PROJECT

from feature_collapse.workflow import artifacts

FULL_SIZE = "results/fig4b+epochs=1+records=1/seed0/metrics.json"
LAST_FIRST = [f"results/{run}/metrics.json" for run in reversed(workflow.smoke_runs())]
CIRCUMSTANCES = {
    "2 cores, 1 thread": ("--cores", "2", "--set-threads", "train=1", "--"),
    "2 cores, 2 threads": ("--cores", "2", "--set-threads", "train=2", "--"),
    "4 cores, 4 threads": ("--cores", "4", "--set-threads", "train=4", "--"),
    "1 core, jobs in another order": ("--cores", "1", "--prioritize", *LAST_FIRST, "--", *LAST_FIRST),
    "another folder": ("--cores", "2", "--"),
}


def made(folder: Path) -> dict[str, str]:
    """The checksum of every artifact and figure in a finished folder; of run.json without times and threads."""
    files = [path for name in ("results", "figures") for path in sorted((folder / name).rglob("*")) if path.is_file()]
    names = [path.relative_to(folder) for path in files]
    return {
        str(name): hashlib.sha256(workflow.timeless(folder / name)).hexdigest()
        for name in names
        if name.parent.name != "log" and name.name != "README.md"
    }


def compare(folders: dict[str, Path]) -> pd.DataFrame:
    """A row for each file made in any of the folders: its checksum in the first, and the folders where it differs."""
    checksums = {name: made(folder) for name, folder in folders.items()}
    first, *others = checksums
    files = sorted({file for of_folder in checksums.values() for file in of_folder})
    return pd.DataFrame(
        {
            "file": files,
            "sha256": [checksums[first].get(file, "missing") for file in files],
            "differs": [
                ", ".join(name for name in others if checksums[name].get(file) != checksums[first].get(file))
                for file in files
            ],
        }
    )


def differing_keys(folders: dict[str, Path]) -> set[str]:
    """The keys of the run.json files that do not have the same value in all folders."""
    records: dict[str, list[dict[str, Any]]] = {}
    for folder in folders.values():
        for path in folder.glob("results/**/run.json"):
            records.setdefault(str(path.relative_to(folder)), []).append(json.loads(path.read_text("utf-8")))
    return {key for first, *others in records.values() for key in first for other in others if other[key] != first[key]}


def report(folders: dict[str, Path]) -> tuple[str, bool]:
    """The comparison for reading, and whether all is the same."""
    rows = compare(folders)
    same = not rows["differs"].any()
    verdict = f"{len(rows)} files" + (" are the same in all." if same else f", {(rows['differs'] != '').sum()} differ.")
    parts = [
        "# Determinism",
        f"Made under each of these circumstances: {'; '.join(folders)}. {verdict}",
        f"Left out are logs, and in `run.json` the keys that differ: {', '.join(sorted(differing_keys(folders)))}.",
        rows.to_markdown(index=False),
    ]
    return "\n\n".join(parts) + "\n", same


def main() -> int:
    """Make everything under all circumstances, one after the other."""
    with tempfile.TemporaryDirectory() as base:
        folders = {name: Path(base, str(i), "project") for i, name in enumerate(CIRCUMSTANCES)}
        folders["another folder"] = Path(base, "elsewhere", AWKWARD_NAME)
        for name, arguments in CIRCUMSTANCES.items():
            done = workflow.snakemake(workflow.copy_project(folders[name]), *arguments, "smoke", FULL_SIZE)
            assert done.returncode == 0, done.stderr
            print(f"made: {name}", file=sys.stderr, flush=True)
        text, same = report(folders)
    print(text)
    with artifacts.atomic(PROJECT / "results/determinism.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
