"""What the workflow costs, and how far it scales: measurements kept under `docs/`, and `docs/scale.md` made from them.

Two tables are measured. `docs/costs.csv` has a row for each shape of experiment in the default target and the studies:
seconds of one core a training step, a record, the data and the features, memory, and the size of its folder.
`docs/scale.csv` has what belongs to no experiment: how long Snakemake takes to look at so many runs, and what a job
takes on a cluster besides the work. Both say on what kind of machine.
"""

import os
import platform
import re
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd

from feature_collapse import artifacts
from feature_collapse.config import Config, Experiment, Run
from feature_collapse.progress import track

COSTS, SCALE, PAGE = Path("docs/costs.csv"), Path("docs/scale.csv"), Path("docs/scale.md")
CHUNKS, CHUNK_SECONDS = 8, 0.1  # of training steps that are timed; the fastest counts, as others may be at work
SHAPE = (
    *("n_w", "L", "K", "d", "fresh", "normalisation", "architecture"),
    *("batch_size", "records", "snapshot_classes"),
)  # the settings that the cost of a step depends on; the others change what is learned, or how often a step is taken


def machine() -> str:
    """The kind of processor and how many of it, as the operating system calls them."""
    names = re.findall(r"^model name\s*: (.*)$", _read("/proc/cpuinfo"), re.MULTILINE) or [platform.machine()]
    return f"{os.cpu_count()} x {names[0]}"


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""


def shape(e: Experiment) -> tuple:
    return tuple(getattr(e, key) for key in SHAPE)


def representatives(config: Config) -> list[Run]:
    """For each shape in the default target and the studies the run with the most sentences."""
    runs = [*config.runs().values(), *(run for study in config.studies for run in config.study(study))]
    return list({shape(run.experiment): run for run in sorted(runs, key=lambda run: run.experiment.N)}.values())


def measure_costs(config: Config, quiet: bool = False) -> pd.DataFrame:
    """A row for each shape, each measured in a process and a folder of its own."""
    rows = []
    with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
        for run in track(representatives(config), "costs", "shape", quiet):
            rows.append({"run": run.name, **pool.submit(cost, run).result(), "machine": machine()})
    return pd.DataFrame(rows).round(4)


def cost(run: Run) -> dict[str, float]:
    """Make all files of a run that is cut short after as many steps as it has records, and time steps without records.

    Seconds are those of the process on one core. Memory and files are those of the whole run: neither grows with the
    steps. The peak of memory is of this process, and so of the greediest of data, training and features.
    """
    import torch

    from feature_collapse import data, features, training

    torch.set_num_threads(1)
    e = run.experiment
    short = Run(run.name, run.scale, e.model_copy(update={"epochs": -(-e.records // e.steps_per_epoch)}), run.seed)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        seconds = {}
        for verb in (data, training, features):
            begun = time.process_time()
            verb.make(short, quiet=True) if verb is training else verb.make(short)
            seconds[verb.__name__.rpartition(".")[2]] = time.process_time() - begun
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
        storage = sum(path.stat().st_size for path in short.folder.iterdir()) / 1e6
        arrays, _ = artifacts.read_arrays(short.folder / "data.safetensors", short)
        os.chdir("/")
    trained = training.Training(e, run.seed, {name: torch.from_numpy(array) for name, array in arrays.items()})
    step = _seconds_a_step(trained)
    records = len(training.record_steps(short.experiment))
    return {
        "step_ms": 1e3 * step,
        "record_ms": 1e3 * max(0, seconds["training"] - short.experiment.steps * step) / records,
        "data_s": seconds["data"],
        "features_s": seconds["features"],
        "peak_memory_mb": peak,
        "storage_mb": storage,
    }


def _seconds_a_step(training) -> float:
    """Of the fastest of several chunks of steps, so that a record within one of them does not count."""
    fastest, size = float("inf"), 1
    for _ in range(CHUNKS):
        begun = time.process_time()
        for _ in range(size):
            training.step()
            training.check_weights()
        spent = time.process_time() - begun
        fastest = min(fastest, spent / size) if size > 1 else spent
        size = max(2, round(CHUNK_SECONDS / fastest))
        if training.steps + size > training.experiment.steps:
            break
    return fastest
