"""Artifacts: written whole or not at all, the same bytes for the same content, and no damaged or foreign one read."""

import ast
import json
import math
import os
import pickle
import resource
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from feature_collapse.workflow import artifacts
from feature_collapse.workflow.artifacts import ArtifactError
from feature_collapse.workflow.run import Run

ARRAYS = {"W": np.arange(12, dtype=np.float32).reshape(4, 3), "z": np.array([0, 2, 1], dtype=np.uint8)}
CONTENT = {"loss": 0.1, "tiny": 1e-05, "sigma": [3.0, 2.5], "name": "h*", "nothing": None}

# In the same temporary folder again and again: each example writes its file anew.
again = settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def weights(run: Run) -> Path:
    """An array artifact of the run."""
    path = run.folder / "weights.safetensors"
    artifacts.write_arrays(path, run, ARRAYS, seconds=1.5, tiny=1e-05)
    return path


@pytest.fixture
def metrics(run: Run) -> Path:
    """A JSON artifact of the run."""
    path = run.folder / "metrics.json"
    artifacts.write_json(path, run, CONTENT)
    return path


def read(path: Path, run: Run) -> Any:
    """The content of an artifact of either kind, as plain values with their types."""
    if path.suffix == ".json":
        return artifacts.read_json(path, run)
    arrays, notes = artifacts.read_arrays(path, run)
    return {name: (array.dtype.str, array.tolist()) for name, array in arrays.items()}, notes


def refused(path: Path, run: Run, wrong: str = "") -> None:
    """Assert that an artifact is refused in one line: the file, what is wrong, the command that rebuilds it."""
    with pytest.raises(ArtifactError) as caught:
        read(path, run)
    message = str(caught.value)
    assert message.splitlines() == [message]
    assert message.startswith(f"{path}: ") and wrong in message
    assert message.endswith(f"snakemake --cores all --force {path}")


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    arrays=st.dictionaries(
        st.text(st.characters(codec="ascii", categories=["L", "N", "P"]), min_size=1, max_size=8).filter(
            lambda name: name != "__metadata__"
        ),
        arrays_of.arrays(
            st.sampled_from(["u1", "i2", "i4", "i8", "f2", "f4", "f8", "?"]),
            arrays_of.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=4),
        ),
        max_size=4,
    ),
    notes=st.dictionaries(
        st.sampled_from(["steps", "losses", "b"]),
        st.integers() | st.lists(st.floats(allow_nan=False, allow_infinity=False)),
    ),
)
def test_arrays_and_notes_are_read_as_they_were_written(run: Run, arrays: dict, notes: dict) -> None:
    path = run.folder / "weights.safetensors"
    artifacts.write_arrays(path, run, arrays, **notes)
    found, found_notes = artifacts.read_arrays(path, run)
    assert found.keys() == arrays.keys()
    for name, array in arrays.items():
        assert found[name].dtype == array.dtype and found[name].shape == array.shape
        assert found[name].tobytes() == array.tobytes()
    assert found_notes == notes


def test_notes_keep_their_order(run: Run) -> None:
    rows = [{"epoch": 1, "train_loss": 0.5, "accuracy": 1.0}]
    artifacts.write_arrays(run.folder / "checkpoint.safetensors", run, ARRAYS, history=rows)
    _, notes = artifacts.read_arrays(run.folder / "checkpoint.safetensors", run)
    assert list(notes["history"][0]) == list(rows[0])


def test_arrays_of_any_memory_layout_are_written(run: Run) -> None:
    path = run.folder / "weights.safetensors"
    transposed = ARRAYS["W"].T
    artifacts.write_arrays(path, run, {"U": transposed, "strided": ARRAYS["W"][::2, ::2]})
    arrays, _ = artifacts.read_arrays(path, run)
    assert arrays["U"].tolist() == transposed.tolist()
    assert arrays["strided"].tolist() == [[0, 2], [6, 8]]


def test_json_is_read_as_it_was_written_with_the_run_it_belongs_to(run: Run, metrics: Path) -> None:
    content = artifacts.read_json(metrics, run)
    assert content.items() >= CONTENT.items()
    assert (content["run"], content["seed"]) == ("tiny/seed0", 0)
    assert content["experiment"] == run.experiment.model_dump()
    assert json.loads(metrics.read_text(encoding="utf-8"))["loss"] == 0.1


def test_array_file_says_what_it_belongs_to(run: Run, weights: Path) -> None:
    with safetensors.safe_open(weights, framework="numpy") as file:
        label = json.loads(file.metadata()["label"])
    assert (label["artifact"], label["run"], label["seed"]) == ("weights", "tiny/seed0", 0)
    assert label["experiment"] == run.experiment.model_dump()


def test_same_content_gives_the_same_bytes(run: Run, weights: Path, metrics: Path) -> None:
    before = weights.read_bytes(), metrics.read_bytes()
    for _ in range(5):
        artifacts.write_arrays(weights, run, dict(reversed(ARRAYS.items())), seconds=1.5, tiny=1e-05)
        artifacts.write_json(metrics, run, CONTENT)
        assert (weights.read_bytes(), metrics.read_bytes()) == before


@pytest.mark.parametrize("kind", ["weights", "metrics"])
@given(data=st.data())
@again
def test_truncated_artifact_is_refused(
    run: Run, request: pytest.FixtureRequest, kind: str, data: st.DataObject
) -> None:
    path: Path = request.getfixturevalue(kind)
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[: data.draw(st.integers(0, len(whole.rstrip()) - 1))])
        refused(path, run, "damaged")
    finally:
        path.write_bytes(whole)


@pytest.mark.parametrize("kind", ["weights", "metrics"])
@given(data=st.data())
@again
def test_artifact_with_a_byte_changed_is_refused_or_says_the_same(
    run: Run, request: pytest.FixtureRequest, kind: str, data: st.DataObject
) -> None:
    path: Path = request.getfixturevalue(kind)
    whole, content = path.read_bytes(), read(path, run)
    changed = bytearray(whole)
    changed[data.draw(st.integers(0, len(whole) - 1), "offset")] ^= data.draw(st.integers(1, 255), "flipped bits")
    try:
        path.write_bytes(changed)
        try:
            found = read(path, run)
        except ArtifactError:
            refused(path, run)
        else:  # one white space for another between the values, or 1E-05 for 1e-05
            assert json.dumps(found) == json.dumps(content)
    finally:
        path.write_bytes(whole)


def test_every_byte_of_the_arrays_counts(run: Run, weights: Path) -> None:
    whole = weights.read_bytes()
    for offset in range(1, 1 + sum(array.nbytes for array in ARRAYS.values())):
        changed = bytearray(whole)
        changed[-offset] ^= 1
        weights.write_bytes(changed)
        refused(weights, run, "checksum")


@pytest.mark.parametrize(
    ("written", "changed"), [(b'"F32"', b'"I32"'), (b"[4,3]", b"[3,4]"), (b'"W":{', b'"V":{'), (b"1.5", b"2.5")]
)
def test_type_shape_name_and_notes_count(run: Run, weights: Path, written: bytes, changed: bytes) -> None:
    whole = weights.read_bytes()
    assert whole.count(written) == 1
    weights.write_bytes(whole.replace(written, changed))
    refused(weights, run, "checksum")


@pytest.mark.parametrize("name", ["weights.safetensors", "metrics.json"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0" * 100,
        b"\xff" * 100,
        b"PK\x03\x04",
        b"[]",
        b"{}",
        b"null",
        b'"text"',
        b"3",
        b'{"sha256": "0"}',
        b'{"sha256": null, "loss": NaN}',
        b'{"sha256": null, "loss": 1e999}',
        b'{"sha256": null, "loss": ' + 5000 * b"9" + b"}",
        100_000 * b"[",
        b"\x02\0\0\0\0\0\0\0{}",
        b"\xff\xff\xff\xff\xff\xff\xff\x7f{}",
        "epoch,loss\n1,0.5\n".encode("utf-16"),
    ],
    ids=lambda content: repr(content[:32]),
)
def test_file_of_another_kind_is_refused(run: Run, name: str, content: bytes) -> None:
    path = run.folder / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    refused(path, run, "damaged")


@pytest.mark.parametrize("name", ["weights.safetensors", "metrics.json"])
def test_missing_artifact_or_folder_is_refused(run: Run, name: str) -> None:
    refused(run.folder / name, run, "is missing")
    (run.folder / name).mkdir(parents=True)
    refused(run.folder / name, run, "damaged")


@pytest.mark.parametrize(
    "label",
    [None, "", "{}", "[]", "3", '{"sha256": 3}', '{"sha256": "", "notes": NaN}', 100_000 * "["],
    ids=lambda label: str(label)[:20],
)
def test_plain_safetensors_file_is_refused(run: Run, label: str | None) -> None:
    path = run.folder / "weights.safetensors"
    path.parent.mkdir(parents=True)
    safetensors.numpy.save_file(ARRAYS, path, metadata=None if label is None else {"label": label})
    refused(path, run, "damaged")


def test_artifact_of_another_run_seed_or_experiment_is_refused(run: Run, tiny: Callable) -> None:
    others = {
        "run": Run("other/seed0", "", run.experiment, 0),
        "seed": Run(run.name, "", run.experiment, 1),
        "experiment": Run(run.name, "", tiny(lr=0.5), 0),
    }
    for key, other in others.items():
        artifacts.write_arrays(run.folder / "weights.safetensors", other, ARRAYS)
        artifacts.write_json(run.folder / "metrics.json", other, CONTENT)
        for name in ("weights.safetensors", "metrics.json"):
            refused(run.folder / name, run, f"was not made for tiny/seed0 as it is configured now ({key} differs)")


def test_artifact_of_another_arithmetic_is_refused(
    run: Run, weights: Path, metrics: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(artifacts, "ARITHMETIC", artifacts.ARITHMETIC + 1)
    for path in (weights, metrics):
        refused(path, run, "arithmetic differs")


def test_artifact_under_another_s_name_is_refused(run: Run, weights: Path, metrics: Path) -> None:
    refused(weights.rename(run.folder / "features.safetensors"), run, "artifact differs")
    refused(metrics.rename(run.folder / "run.json"), run, "artifact differs")


@pytest.mark.parametrize("key", ["lr", "lambda_W", "n_spl"])
def test_artifact_of_an_earlier_configuration_is_refused(run: Run, weights: Path, tiny: Callable, key: str) -> None:
    now = Run(run.name, "", tiny(**{key: getattr(run.experiment, key) + 1}), 0)
    refused(weights, now, "experiment differs")


def test_pickle_is_refused_and_not_run(run: Run, tmp_path: Path) -> None:
    proof = tmp_path / "proof"

    class Payload:
        def __reduce__(self) -> tuple:
            return Path.touch, (proof,)

    pickle.loads(pickle.dumps(Payload()))
    assert proof.exists()  # that is what unpickling does
    proof.unlink()
    for name in ("weights.safetensors", "metrics.json"):
        path = run.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pickle.dumps(Payload()))
        refused(path, run, "damaged")
    assert not proof.exists()


def test_nothing_is_read_or_written_with_pickle(root: Path) -> None:
    for module in (root / "src/feature_collapse").glob("*.py"):
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {getattr(node, "module", None)}
                assert not names & {"pickle", "cPickle", "dill", "joblib", "shelve", "marshal"}, module
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                call = f"{node.value.id}.{node.attr}"
                assert call not in {"torch.load", "torch.save", "np.load", "np.save", "pd.read_pickle"}, module


def test_numbers_that_are_not_finite_become_null_in_json(run: Run) -> None:
    path = run.folder / "metrics.json"
    artifacts.write_json(path, run, {"a": math.nan, "b": {"c": [1.0, math.inf, -math.inf]}, "d": np.float64("nan")})
    text = path.read_text(encoding="utf-8")
    assert "NaN" not in text and "Infinity" not in text
    assert {k: v for k, v in artifacts.read_json(path, run).items() if k in "abd"} == {
        "a": None,
        "b": {"c": [1.0, None, None]},
        "d": None,
    }


def test_notes_that_are_not_finite_are_not_written(run: Run) -> None:
    path = run.folder / "weights.safetensors"
    with pytest.raises(ValueError, match="not JSON compliant"):
        artifacts.write_arrays(path, run, ARRAYS, loss=math.nan)
    assert not path.exists()


def test_atomic_makes_folders_and_puts_the_file_in_place_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a/b/file.txt"
    with artifacts.atomic(path) as temporary:
        temporary.write_text("new")
        assert temporary.parent == path.parent and temporary.suffix == ".txt"
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt, SystemExit])
def test_exception_while_writing_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(error), artifacts.atomic(path) as temporary:
        temporary.write_text("half")
        raise error
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_failed_write_leaves_the_old_artifact(run: Run, weights: Path, metrics: Path) -> None:
    with pytest.raises(TypeError):
        artifacts.write_json(metrics, run, {"loss": object()})
    with pytest.raises((TypeError, ValueError, KeyError, safetensors.SafetensorError)):
        artifacts.write_arrays(weights, run, {"W": np.array([object()])})
    assert read(metrics, run)["loss"] == 0.1
    assert "W" in read(weights, run)[0]
    assert sorted(run.folder.iterdir()) == [metrics, weights]


def test_file_has_the_permissions_of_any_new_file(tmp_path: Path) -> None:
    mask = os.umask(0o027)
    try:
        with artifacts.atomic(tmp_path / "file.txt") as temporary:
            temporary.write_text("new")
    finally:
        os.umask(mask)
    assert (tmp_path / "file.txt").stat().st_mode & 0o777 == 0o640


def test_what_a_killed_process_has_left_half_written_is_taken_by_the_next(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    for _ in range(3):
        if not os.fork():
            with artifacts.atomic(path) as temporary:
                temporary.write_text("half, and longer than the whole")
                os.kill(os.getpid(), 9)
        os.wait()
    assert not path.exists() and len(list(tmp_path.iterdir())) == 1
    with artifacts.atomic(path) as temporary:
        assert temporary.read_text() == ""
        temporary.write_text("whole")
    assert path.read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_of_many_who_write_one_file_at_once_each_writes_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"

    def write(letter: str) -> str:
        with artifacts.atomic(path) as temporary, open(temporary, "w") as file:
            for _ in range(10):
                file.write(letter * 1000)
                file.flush()
                time.sleep(0.0005)
        return path.read_text()

    with ThreadPoolExecutor(8) as pool:
        seen = list(pool.map(write, "abcdefgh" * 3))
    assert {len(text) for text in seen} == {10_000}
    assert all(len(set(text)) == 1 for text in seen)
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_leaves_the_old_file_and_is_told_with_the_name_of_the_file(run: Run, weights: Path) -> None:
    """What is written stops at a limit, as it would where the disk ends."""
    before, limit = weights.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))
    try:
        with pytest.raises(OSError, match=r"weights\.safetensors'$"):
            artifacts.write_arrays(weights, run, {"W": np.zeros(10_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert weights.read_bytes() == before
    assert list(run.folder.iterdir()) == [weights]


def test_checksum_is_sha256_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert artifacts.checksum(tmp_path / "abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.fixture
def history(run: Run) -> Path:
    """A table of the run with its checksum in run.json."""
    path = run.folder / "history.csv"
    path.parent.mkdir(parents=True)
    path.write_text("epoch,loss\n1,0.5\n")
    artifacts.write_json(run.folder / "run.json", run, {"inputs": {}, "outputs": {path.name: artifacts.checksum(path)}})
    return path


def test_table_is_covered_by_its_checksum_in_run_json(run: Run, history: Path) -> None:
    assert artifacts.covered(history, run) == history
    whole = history.read_bytes()
    for changed in (b"", whole[:-1], whole + b"\n", whole.replace(b"0.5", b"0.4")):
        history.write_bytes(changed)
        with pytest.raises(ArtifactError, match=r"history\.csv: is not the file that run\.json recorded"):
            artifacts.covered(history, run)
    history.unlink()
    with pytest.raises(ArtifactError, match=r"history\.csv: is missing"):
        artifacts.covered(history, run)


def test_table_without_its_record_is_refused(run: Run, history: Path) -> None:
    with pytest.raises(ArtifactError, match=r"other\.csv: "):
        artifacts.covered(history.rename(run.folder / "other.csv"), run)
    (run.folder / "run.json").unlink()
    with pytest.raises(ArtifactError, match=r"run\.json: is missing"):
        artifacts.covered(run.folder / "history.csv", run)


TABLE = pd.DataFrame({"name": ["a", "é"], "value": [0.1, None]})


@pytest.fixture
def table(run: Run) -> Path:
    """A table of several runs, with its checksum beside it."""
    path = Path("results/theory.csv")
    artifacts.write_csv(path, TABLE)
    return path


def test_table_is_read_as_it_was_written(table: Path) -> None:
    pd.testing.assert_frame_equal(artifacts.read_csv(table), TABLE)
    assert subprocess.run(["sha256sum", "--check", "results/theory.csv.sha256"], check=True)


def table_is_refused(path: Path, wrong: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        artifacts.read_csv(path)
    assert str(caught.value) == f"{path}: {wrong}; rebuild it with: snakemake --cores all --force {path}"


def test_table_that_is_damaged_foreign_or_alone_is_refused(table: Path) -> None:
    whole, beside = table.read_bytes(), Path(f"{table}.sha256")
    for changed in (b"", whole[:-1], whole + b"\n", whole.replace(b"0.1", b"0.2"), b"\xff"):
        table.write_bytes(changed)
        table_is_refused(table, "is not the file whose checksum is beside it")
    table.write_bytes(whole)
    checksum = beside.read_bytes()
    for changed in (b"", checksum[1:], checksum.replace(b"theory", b"claims"), b"\xff"):
        beside.write_bytes(changed)
        table_is_refused(table, "is not the file whose checksum is beside it")
    other = Path("results/smoke/theory.csv")
    artifacts.write_csv(other, TABLE)
    other.replace(table)
    Path(f"{other}.sha256").replace(beside)
    table_is_refused(table, "is not the file whose checksum is beside it")
    beside.unlink()
    table_is_refused(table, "has no checksum beside it")
    table.unlink()
    table_is_refused(table, "is missing")
