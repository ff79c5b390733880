"""Reading and writing artifacts: whole or not at all, and never trusted without a look.

Every file is written under another name, flushed and renamed, so that a reader never sees half of one. Arrays
(safetensors) and JSON carry the run they belong to, its resolved experiment, the version of the arithmetic and a
checksum of their content; the `history.csv` of a run is covered by the checksums in its `run.json`, any other table by
the `.csv.sha256` beside it. Nothing is pickled.
"""

import fcntl
import hashlib
import json
import math
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import safetensors
import safetensors.numpy

from feature_collapse.model.arithmetic import ARITHMETIC
from feature_collapse.workflow.run import Run

if TYPE_CHECKING:  # most of what reads and writes artifacts draws nothing
    from matplotlib.figure import Figure

# What parsing and digesting raise on content that this project has not written.
NOT_OURS = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


class ArtifactError(Exception):
    """A file that is missing, damaged or another's. Its message is one line: the file, what is wrong with it,
    and the command that rebuilds it."""

    def __init__(self, path: Path, wrong: str):
        super().__init__(f"{path}: {wrong}; rebuild it with: snakemake --cores all --force {path}")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, which takes its place once the block has ended without an exception. Raises
    OSError, with the name of the file, when the disk is full or the folder cannot be written.

    The temporary name is always the same: what a killed process leaves there is taken by the next that writes the file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.part{path.suffix}")
    try:
        with _alone(temporary):
            try:
                yield temporary
                with open(temporary, "rb+") as file:
                    os.fsync(file.fileno())
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise
    except OSError as error:
        if error.errno is None or error.filename not in (None, str(temporary)):
            raise
        raise type(error)(error.errno, error.strerror, str(path)) from error


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold `path` as an empty file, so that of two processes that write it the second waits for the first."""
    held = False
    while not held:
        with open(path, "ab") as file:
            with suppress(OSError):  # a file system without locks
                fcntl.flock(file, fcntl.LOCK_EX)
            with suppress(FileNotFoundError):  # the first has moved it away
                held = os.path.samestat(os.fstat(file.fileno()), path.stat())
            if held:
                file.truncate(0)
                yield


def write_arrays(path: Path, run: Run, arrays: Mapping[str, np.ndarray], **notes: Any) -> None:
    """Write named arrays with the run they belong to. `notes` are JSON values kept beside them."""
    arrays = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    label = _label(path, run) | {"notes": notes}
    label["sha256"] = _digest(label, arrays)
    # One entry only: safetensors keeps several in no fixed order, and files are to be byte-equal.
    content = safetensors.numpy.save(arrays, metadata={"label": json.dumps(label, allow_nan=False)})
    with atomic(path) as temporary:
        temporary.write_bytes(content)


def read_arrays(path: Path, run: Run) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Arrays and notes of `path`. Raises ArtifactError unless it is whole and made for `run` as configured."""
    try:
        with safetensors.safe_open(path, framework="numpy") as file:
            label = json.loads((file.metadata() or {})["label"])
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        whole = label.pop("sha256") == _digest(label, arrays)
    except FileNotFoundError:
        raise ArtifactError(path, "is missing") from None
    except (OSError, safetensors.SafetensorError, *NOT_OURS):
        raise ArtifactError(path, "is damaged or not an artifact of this project") from None
    _check(path, run, label, whole)
    return arrays, label["notes"]


def write_csv(path: Path, rows: pd.DataFrame) -> None:
    """Write a table, and its checksum beside it as `sha256sum --check` reads it."""
    with atomic(path) as temporary:
        rows.to_csv(temporary, index=False)
    write_text(_beside(path), f"{checksum(path)}  {path}\n")


def read_csv(path: Path) -> pd.DataFrame:
    """A table of `write_csv`. Raises ArtifactError unless it is the one that was written there."""
    try:
        whole = f"{checksum(path)}  {path}\n" == _beside(path).read_text(encoding="utf-8")
    except FileNotFoundError as error:
        wrong = "is missing" if error.filename == str(path) else "has no checksum beside it"
        raise ArtifactError(path, wrong) from None
    except (OSError, *NOT_OURS):
        whole = False
    if not whole:
        raise ArtifactError(path, "is not the file whose checksum is beside it")
    return pd.read_csv(path)


def write_text(path: Path, text: str) -> None:
    """Write a text file."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_figure(stem: Path, figure: "Figure") -> None:
    """Write `stem.pdf` and `stem.png`, the same bytes for the same figure: without dates or names of programs."""
    undated = {".pdf": {"CreationDate": None, "Producer": None, "Creator": None}, ".png": {"Software": None}}
    for suffix, metadata in undated.items():
        with atomic(stem.with_suffix(suffix)) as temporary:
            figure.savefig(temporary, metadata=metadata)


def write_json(path: Path, run: Run, content: Mapping[str, Any]) -> None:
    """Write a JSON object with the run it belongs to and a checksum of it all. A number that is not finite, for
    instance the direction of vectors that have vanished, becomes null."""
    write_text(path, json_text(_label(path, run) | _finite(dict(content))))


def json_text(content: Mapping[str, Any]) -> str:
    """The text of the JSON artifact that `read_json` reads as `content`."""
    return json.dumps({**content, "sha256": _digest(content, {})}, indent=1, allow_nan=False) + "\n"


def read_json(path: Path, run: Run) -> dict[str, Any]:
    """The content of a JSON artifact. Raises ArtifactError unless it is whole and made for `run` as configured."""
    try:
        content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        whole = content.pop("sha256") == _digest(content, {})
    except FileNotFoundError:
        raise ArtifactError(path, "is missing") from None
    except (OSError, *NOT_OURS):
        raise ArtifactError(path, "is damaged or not an artifact of this project") from None
    _check(path, run, content, whole)
    return content


def read(run: Run, names: Iterable[str]) -> dict[str, Any]:
    """Files of a run by their stems: arrays of a `.safetensors`, the object of a `.json`, the table `history.csv`.
    Raises ArtifactError unless each is whole and made for `run` as configured."""
    readers: dict[str, Callable[[Path], Any]] = {
        ".safetensors": lambda path: read_arrays(path, run)[0],
        ".json": lambda path: read_json(path, run),
        ".csv": lambda path: pd.read_csv(covered(path, run)),
    }
    paths = [run.folder / name for name in names]
    return {path.stem: readers[path.suffix](path) for path in paths}


def checksum(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def covered(path: Path, run: Run) -> Path:
    """`path`, once its bytes are known to be those that the run's `run.json` recorded. Raises ArtifactError."""
    recorded = read_json(run.folder / "run.json", run)["outputs"].get(path.name)
    if not path.exists():
        raise ArtifactError(path, "is missing")
    if checksum(path) != recorded:
        raise ArtifactError(path, "is not the file that run.json recorded")
    return path


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.sha256")


def _label(path: Path, run: Run) -> dict[str, Any]:
    return {
        "artifact": path.stem,
        "run": run.name,
        "seed": run.seed,
        "arithmetic": ARITHMETIC,
        "experiment": run.experiment.model_dump(),
    }


def _check(path: Path, run: Run, label: dict[str, Any], whole: bool) -> None:
    if not whole:
        raise ArtifactError(path, "is damaged: its checksum does not fit its content")
    for key, expected in _label(path, run).items():
        if label.get(key) != expected:
            raise ArtifactError(path, f"was not made for {run.name} as it is configured now ({key} differs)")


def _digest(label: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> str:
    digest = hashlib.sha256(_dumps(label).encode())
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(arrays[name].data if arrays[name].size else b"")
    return digest.hexdigest()


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def _dumps(content: Any) -> str:
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)
