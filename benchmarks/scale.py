"""What the workflow costs, and how far it scales: measurements kept under `docs/`, and `docs/scale.md` made from them.

`make scale` makes the page; `python benchmarks/scale.py --measure` measures anew first.

Two tables are measured. `docs/costs.csv` has a row for each shape of experiment in the default target and the studies:
seconds of one core a training step, a record, the data and the features, memory, and the size of its folder.
`docs/scale.csv` has what belongs to no experiment: how long Snakemake takes to look at so many runs, and what a job
takes on a cluster besides the work. Both say on what kind of machine.
"""

import os
import platform
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import pandas as pd
import torch
from ruamel.yaml import YAML

from feature_collapse.model.experiment import Experiment
from feature_collapse.model.training import Training, record_steps
from feature_collapse.stages import data, features, train
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import CONFIG_FILE, Config
from feature_collapse.workflow.progress import track
from feature_collapse.workflow.resources import makespan
from feature_collapse.workflow.run import ConfigError, Run

COSTS, SCALE, PAGE = Path("docs/costs.csv"), Path("docs/scale.csv"), Path("docs/scale.md")
SHAPE = (
    *("n_w", "L", "K", "d", "fresh", "normalisation", "architecture"),
    *("batch_size", "records", "snapshot_classes"),
)  # the settings that the cost of a step depends on; the others change what is learned, or how often a step is taken
CHUNKS, CHUNK_SECONDS = 8, 0.1  # of training steps that are timed; the fastest counts, as others may be at work
DRY_RUNS = (100, 1_000, 10_000)  # runs of a study
STUDY = "sample_size"  # the study that is given so many seeds
SEEDS = (5, 20)
CORES = (2, 16, 128, 1_024)
INT16 = 2  # bytes of a word or a label in the sentences


def machine() -> str:
    """The kind of processor and how many of it, as the operating system calls them."""
    names = re.findall(r"^model name\s*: (.*)$", _read("/proc/cpuinfo"), re.MULTILINE) or [platform.machine()]
    return f"{os.cpu_count()} x {names[0]}"


def _read(path: str) -> str:
    return Path(path).read_text(encoding="utf-8") if Path(path).exists() else ""


def without_seed(name: str) -> str:
    return name.rpartition("/")[0]


def shape(e: Experiment) -> tuple:
    return tuple(getattr(e, key) for key in SHAPE)


def representatives(config: Config) -> list[Run]:
    """For each shape in the default target, the studies and the toy size the run with the most sentences."""
    runs = [*config.runs().values(), *config.runs("smoke").values()]
    runs += [run for study in config.studies for run in config.study(study)]
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
    steps. The peak of memory is that of data and training.
    """
    torch.set_num_threads(1)
    e = run.experiment
    short = Run(run.name, run.scale, e.model_copy(update={"epochs": -(-e.records // e.steps_per_epoch)}), run.seed)
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        seconds = {}
        for verb in (data, train, features):
            begun = time.process_time()
            verb.make(short, quiet=True) if verb is train else verb.make(short)
            seconds[verb.__name__.rpartition(".")[2]] = time.process_time() - begun
        peak = artifacts.read_json(short.folder / "run.json", short)["peak_memory_mb"]
        storage = sum(path.stat().st_size for path in short.folder.iterdir()) / 1e6
        arrays, _ = artifacts.read_arrays(short.folder / "data.safetensors", short)
        os.chdir("/")
    training = Training(e, run.seed, {name: torch.from_numpy(array) for name, array in arrays.items()})
    step = _seconds_a_step(training)
    records = len(record_steps(short.experiment))
    return {
        "step_ms": 1e3 * step,
        "record_ms": 1e3 * max(0, seconds["train"] - short.experiment.steps * step) / records,
        "data_s": seconds["data"],
        "features_s": seconds["features"],
        "sentences": e.N,
        "peak_memory_mb": peak,
        "storage_mb": storage,
    }


def _seconds_a_step(training: Training) -> float:
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


def measure_dry_run(runs: int) -> dict[str, float]:
    """What `snakemake --dry-run` takes for a study of at least so many runs, in a copy of the workflow that has made
    nothing yet: seconds on the clock and of the processor, and the jobs it finds."""
    with tempfile.TemporaryDirectory() as folder:
        for name in ("Snakefile", "environment.yml", "environment.post-deploy.sh"):
            shutil.copy(name, folder)
        for name in ("config", "profiles", "report", "rules", "src"):
            shutil.copytree(name, Path(folder, name))
        yaml, settings = YAML(), Path(folder) / CONFIG_FILE
        study = settings.parent / f"studies/{STUDY}.yaml"
        content = yaml.load(study)
        content["seeds"] = list(
            range(-(-runs // len({without_seed(run.name) for run in Config(settings).study(STUDY)})))
        )
        yaml.dump(content, study)
        command = [sys.executable, "-m", "snakemake", "--dry-run", "--quiet", "all", "--", f"study_{STUDY}"]
        environment = os.environ | {"PYTHONPATH": str(Path(folder, "src"))}
        begun, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
        seconds, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    jobs = int(re.search(r"^total +(\d+)$", done.stdout + done.stderr, re.MULTILINE)[1])
    return {"dry_run_seconds": seconds, "dry_run_cpu_seconds": cpu, "dry_run_jobs": jobs}


def keep(measured: Iterable[tuple[str, int, float]]) -> None:
    """Put measurements of this machine, each with the number of runs it was made with, into `docs/scale.csv` in the
    place of earlier ones."""
    new = pd.DataFrame([(*row, machine()) for row in measured], columns=["measure", "runs", "value", "machine"])
    old = pd.read_csv(SCALE) if SCALE.exists() else new.iloc[:0]
    rows = pd.concat([old[~old["measure"].isin(new["measure"])], new]).round({"value": 3})
    with artifacts.atomic(SCALE) as temporary:
        rows.to_csv(temporary, index=False)


def measure(config: Config, quiet: bool = False) -> None:
    """Measure everything but the cluster anew, on a machine that is best left alone."""
    with artifacts.atomic(COSTS) as temporary:
        measure_costs(config, quiet).to_csv(temporary, index=False)
    keep([(name, runs, value) for runs in DRY_RUNS for name, value in measure_dry_run(runs).items()])


class Costs:
    """What runs cost by `docs/costs.csv`."""

    def __init__(self, table: pd.DataFrame, config: Config):
        self._of = {shape(config.run(row.run).experiment): row for row in table.itertuples()}

    def of(self, e: Experiment):
        """The row of an experiment's shape. Raises ConfigError for a shape that has not been measured."""
        if shape(e) not in self._of:
            raise ConfigError(f"{COSTS}: nothing was measured like {e!r}; `python benchmarks/scale.py --measure` does")
        return self._of[shape(e)]

    def seconds(self, e: Experiment) -> float:
        """Of one core, for data, training and features."""
        row = self.of(e)
        return (e.steps * row.step_ms + min(e.records, e.steps) * row.record_ms) / 1e3 + row.data_s + row.features_s

    def storage_mb(self, e: Experiment) -> float:
        """All files of a run. The sentences are what may be more or fewer in another experiment of the same shape."""
        row = self.of(e)
        return row.storage_mb + (e.N - row.sentences) * (e.L + 1) * INT16 / 1e6


def targets(config: Config) -> dict[str, list[Run]]:
    """What can be asked for, with its runs; runs that studies share are there once in all studies."""
    studies = {study: config.study(study) for study in config.studies}
    asked = [run for study, runs in studies.items() if not config.question(study).on_request for run in runs]
    return {
        "the default target": list(config.runs().values()),
        "`studies`": list({run.name: run for run in asked}.values()),
        **{f"`study_{study}`": runs for study, runs in studies.items()},
    }


def with_seeds(runs: list[Run], seeds: int | None) -> list[Experiment]:
    """The experiments of runs with as many seeds as configured, or with another number of them."""
    if seeds is None:
        return [run.experiment for run in runs]
    return [e for e in {without_seed(run.name): run.experiment for run in runs}.values() for _ in range(seeds)]


def _duration(seconds: float) -> str:
    if seconds < 30:
        return "< 1 min"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 360_000 else f"{seconds / 3600:.0f} h"


def _hours(seconds: float) -> str:
    return f"{seconds / 3600:.3g}"


def _size(megabytes: float) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"


def page(config: Config) -> str:
    """`docs/scale.md` from the tables that have been measured."""
    table, scale = pd.read_csv(COSTS), pd.read_csv(SCALE)
    costs, of = Costs(table, config), targets(config)
    measured = {(row.measure, row.runs): row.value for row in scale.itertuples()}
    of_slurm = scale.set_index("measure")["value"]
    overhead = of_slurm["slurm_overhead_seconds"]

    core_hours, times = [], []
    for name, runs in of.items():
        as_configured = with_seeds(runs, None)
        seconds = list(map(costs.seconds, as_configured))
        core_hours.append(
            {
                "target": name,
                "runs": len(runs),
                "core-hours": _hours(sum(seconds)),
                **{f"{n} seeds": _hours(sum(map(costs.seconds, with_seeds(runs, n)))) for n in SEEDS},
                "longest run": _duration(max(seconds)),
                "storage": _size(sum(map(costs.storage_mb, as_configured))),
                f"storage, {max(SEEDS)} seeds": _size(sum(map(costs.storage_mb, with_seeds(runs, max(SEEDS))))),
            }
        )
    for name in ("the default target", "`studies`"):
        for n in (None, *SEEDS):
            jobs = [costs.seconds(e) + overhead for e in with_seeds(of[name], n)]
            ends = {f"{cores:,} cores": _duration(makespan(jobs, cores)) for cores in CORES}
            seeds = "as configured" if n is None else str(n)
            times.append(
                {"target": name, "seeds": seeds, "runs": len(jobs), **ends, "critical path": _duration(max(jobs))}
            )
    dry_runs = [
        {
            "runs": f"{runs:,}",
            "jobs": f"{measured['dry_run_jobs', runs]:,.0f}",
            "seconds": f"{measured['dry_run_seconds', runs]:.0f}",
            "processor seconds": f"{measured['dry_run_cpu_seconds', runs]:.0f}",
        }
        for runs in DRY_RUNS
    ]
    storage = [costs.storage_mb(run.experiment) for runs in of.values() for run in runs]
    whole = len(of["`studies`"])
    return f"""\
# What it costs, and how far it scales

Made by `make scale` from [costs.csv](costs.csv) and [scale.csv](scale.csv), measured on {_machines(table, scale)}.
Seconds of training are those of one core; another machine takes others in proportion to its matrix products.

## Core-hours and storage

{_table(core_hours)}

*{SEEDS[0]} seeds*, *{SEEDS[1]} seeds*: the same with so many seeds of each experiment. What several studies share is in
`studies` once. A run's folder takes between {_size(min(storage))} and {_size(max(storage))}.

## On how many cores

{_table(times)}

The longest runs begin first, one core a run; no run waits for another, so that the longest is the critical path. Each
job also takes {overhead:.0f} s for Slurm, two Snakemakes and three Pythons, counted in: measured on a cluster of one
node. On a cluster the runs of full size have two cores, and end sooner than is said here.

## Through Slurm

`snakemake --profile profiles/slurm studies` submits one job a run: data, training and features of it one after the
other, {whole:,} jobs in the place of {3 * whole:,}. Tables and figures are made where the command is typed. A job asks
for memory, minutes and threads by its experiment (`src/feature_collapse/workflow/resources.py`). One that is
cancelled, or runs
over what it asked for, comes again, asks for that much more each time, and goes on from its checkpoint. An account or a
partition of your own belongs beside the other `default-resources` in `profiles/slurm/config.yaml`, as
`slurm_account=...` and `slurm_partition=...`. `make cluster` tries all of it on one machine.

## Where the workflow itself becomes the limit

`snakemake --dry-run` for the study of {STUDY} with so many seeds that it has as many runs, three jobs each:

{_table(dry_runs)}

On the clock, and of the processor. It grows in proportion to the runs. What it takes to get there: an experiment is
resolved once for all its seeds rather than whenever Snakemake asks about a job, and Python does not look over and over
whether the jobs can be forgotten. What is left is Snakemake's own, much of it for saying what it would do.

## On a cloud or Kubernetes

Another executor plugin and shared storage are all that is needed. The two lines, not tested here:

```
pip install snakemake-executor-plugin-kubernetes snakemake-storage-plugin-s3
snakemake --executor kubernetes --jobs 500 --default-storage-provider s3 --default-storage-prefix s3://BUCKET studies
```
"""


def _machines(*tables: pd.DataFrame) -> str:
    return " and ".join(sorted({name for table in tables for name in table["machine"]}))


def _table(rows: list[dict[str, object]]) -> str:
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def make(config: Config) -> None:
    """Write `docs/scale.md`."""
    artifacts.write_text(PAGE, page(config))


if __name__ == "__main__":
    if "--measure" in sys.argv[1:]:
        measure(Config())
    make(Config())
