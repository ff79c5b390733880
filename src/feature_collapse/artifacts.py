"""Reading and writing artifacts: whole or not at all, and never trusted without a look.

Every file is written under another name, flushed and renamed, so that a reader never sees half of one. Arrays
(safetensors) and JSON carry the run they belong to, its resolved experiment and a checksum of their content;
CSV files of a run are covered by the checksums in its `run.json`. Nothing is pickled.
"""

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import safetensors
import safetensors.numpy

from feature_collapse.config import Run

# What parsing and digesting raise on content that this project has not written.
NOT_OURS = (ValueError, KeyError, TypeError, AttributeError, RecursionError)


class ArtifactError(Exception):
    """A file that is missing, damaged or another's. Its message is one line: the file, what is wrong with it,
    and the command that rebuilds it."""

    def __init__(self, path: Path, wrong: str):
        super().__init__(f"{path}: {wrong}; rebuild it with: snakemake --cores all --force {path}")


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`, which takes its place once the block has ended without an exception."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


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


def write_table(stem: Path, rows: pd.DataFrame, markdown: str) -> None:
    """Write a table as `stem.csv`, for programs, and as `stem.md`, for readers."""
    with atomic(stem.with_suffix(".csv")) as temporary:
        rows.to_csv(temporary, index=False)
    with atomic(stem.with_suffix(".md")) as temporary:
        temporary.write_text(markdown, encoding="utf-8")


def write_json(path: Path, run: Run, content: Mapping[str, Any]) -> None:
    """Write a JSON object with the run it belongs to and a checksum of it all. A number that is not finite, for
    instance the direction of vectors that have vanished, becomes null."""
    whole = _label(path, run) | _finite(dict(content))
    whole["sha256"] = _digest(whole, {})
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(whole, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def read_json(path: Path, run: Run) -> dict[str, Any]:
    """The content of a JSON artifact. Raises ArtifactError unless it is whole and made for `run` as configured."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        whole = content.pop("sha256") == _digest(content, {})
    except FileNotFoundError:
        raise ArtifactError(path, "is missing") from None
    except (OSError, *NOT_OURS):
        raise ArtifactError(path, "is damaged or not an artifact of this project") from None
    _check(path, run, content, whole)
    return content


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


def _label(path: Path, run: Run) -> dict[str, Any]:
    return {"artifact": path.stem, "run": run.name, "seed": run.seed, "experiment": run.experiment.model_dump()}


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


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
