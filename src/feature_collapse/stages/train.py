"""Train the network of a run on its data.

A checkpoint is written beside the data every minute and on SIGTERM. The next call resumes from it and ends with the
same bytes as an uninterrupted training; the checkpoint is deleted at the end. Progress, with loss and accuracies, is
reported at each row of history.csv.

\b
Reads:    config/experiments.yaml, results/RUN/data.safetensors
Writes:   results/RUN/weights.safetensors     the last weights
          results/RUN/history.csv             losses, accuracies, collapse
          results/RUN/snapshots.safetensors   words and u_kl over training
          results/RUN/run.json                settings, versions, time
Example:  python -m feature_collapse train fig4b/seed0 --threads 2
"""

import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import torch

from feature_collapse.model.training import Training
from feature_collapse.workflow import artifacts, provenance
from feature_collapse.workflow.progress import Progress
from feature_collapse.workflow.run import Run

CHECKPOINT_SECONDS = 60


def make(run: Run, threads: int = 1, quiet: bool = False) -> None:
    """Train a run on its `data.safetensors` and write `weights.safetensors`, `history.csv`, `snapshots.safetensors`
    and `run.json`.

    Every minute, and on SIGTERM and SIGINT, a checkpoint is left beside them; the next call goes on from it and ends
    with the same bytes. Raises TrainingError when the loss or a weight is not finite, leaving the last checkpoint.
    """
    begun, code = time.monotonic(), provenance.checkout()
    torch.set_num_threads(threads)
    data_file, checkpoint = run.folder / "data.safetensors", run.folder / "checkpoint.safetensors"
    arrays, _ = artifacts.read_arrays(data_file, run)
    made_from = _made_from(data_file)
    training = Training(run.experiment, run.seed, {k: torch.from_numpy(v) for k, v in arrays.items()})
    earlier = _resume(training, checkpoint, run, made_from)
    saved = time.monotonic()
    progress = Progress(run.name, run.experiment.steps, "step", quiet, training.steps)
    with _stop_signals() as received:
        while not training.done:
            recorded = len(training.history)
            training.step()
            training.check_weights()
            progress.update()
            if len(training.history) > recorded:
                progress.state(_state(training))
            if received or (time.monotonic() - saved > CHECKPOINT_SECONDS and not training.done):
                tensors, notes = training.state()
                notes |= {"made_from": made_from, "seconds": earlier + time.monotonic() - begun}
                try:
                    artifacts.write_arrays(checkpoint, run, {k: v.numpy() for k, v in tensors.items()}, **notes)
                except OSError as error:
                    if received:
                        raise
                    progress.say(f"no checkpoint: {error}")  # a full disk may have room again when training ends
                saved = time.monotonic()
            if received:
                raise SystemExit(f"{run.name}: terminated at epoch {training.epoch:.2f}; a rerun goes on from there")
    progress.close()

    outputs = {name: run.folder / name for name in ("weights.safetensors", "snapshots.safetensors", "history.csv")}
    weights = {name: tensor.numpy() for name, tensor in training.network.weights().items()}
    artifacts.write_arrays(outputs["weights.safetensors"], run, weights)
    snapshots = {name: torch.stack(s).numpy() for name, s in training.snapshots.items() if s}
    artifacts.write_arrays(outputs["snapshots.safetensors"], run, snapshots)
    with artifacts.atomic(outputs["history.csv"]) as temporary:
        pd.DataFrame(training.history).to_csv(temporary, index=False)
    artifacts.write_json(
        run.folder / "run.json",
        run,
        {
            "seconds": round(earlier + time.monotonic() - begun, 2),
            "peak_memory_mb": round(provenance.peak_memory_mb(), 1),
            "threads": threads,
            "machine": provenance.versions(),
            "code": code,
            "inputs": {data_file.name: artifacts.checksum(data_file)},
            "outputs": {name: artifacts.checksum(path) for name, path in outputs.items()},
        },
    )
    checkpoint.unlink(missing_ok=True)


def _state(training: Training) -> str:
    """The last row of history in a few words."""
    row = training.history[-1]
    return (
        f"epoch {row['epoch']:g} of {training.experiment.epochs}, loss {row['train_loss']:.4g}, "
        f"train {row['train_accuracy']:.1%}, test {row['test_accuracy']:.1%}"
    )


def _made_from(data_file: Path) -> dict[str, str]:
    """Checksums of what a training depends on beside its configuration: its data, and the modules it imports."""
    loaded = {name: module.__file__ for name, module in sys.modules.items() if name.startswith("feature_collapse.")}
    modules = {name: artifacts.checksum(Path(file)) for name, file in sorted(loaded.items()) if file}
    return {data_file.name: artifacts.checksum(data_file), **modules}


def _resume(training: Training, checkpoint: Path, run: Run, made_from: dict[str, str]) -> float:
    """Take up a checkpoint of the same run, data and code, if there is one. Returns the seconds spent before it."""
    if not checkpoint.exists():
        return 0.0
    try:
        arrays, notes = artifacts.read_arrays(checkpoint, run)
    except artifacts.ArtifactError as error:
        print(f"starting anew: {error}", file=sys.stderr)
        return 0.0
    if notes.get("made_from") != made_from:
        print(f"starting anew: {checkpoint}: was made from other data or by other code", file=sys.stderr)
        return 0.0
    training.resume({name: torch.from_numpy(array) for name, array in arrays.items()}, notes)
    print(f"{run.name}: going on from epoch {training.epoch:.2f}", file=sys.stderr, flush=True)
    return float(notes["seconds"])


@contextmanager
def _stop_signals() -> Iterator[list[int]]:
    """A list that is empty until SIGTERM or SIGINT has come; what they did before comes back at the end."""
    received: list[int] = []
    numbers = (signal.SIGTERM, signal.SIGINT)
    before = {number: signal.signal(number, lambda number, _: received.append(number)) for number in numbers}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
