"""Say which runs are still to be trained.

With the time they take: that of the matrix products, measured for a moment on this machine. It goes to standard output.

\b
Reads:    config/experiments.yaml, and which runs have a run.json
Example:  python -m feature_collapse plan --scale quick --cores 4
"""

import os
import time

import torch

from feature_collapse.model import products
from feature_collapse.model.experiment import Experiment
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.resources import makespan
from feature_collapse.workflow.run import Run

OVERHEAD = 1.3  # a step with all that is recorded, relative to its three matrix products alone


def make(scale: str, config: Config, cores: int | None = None) -> None:
    """Print the estimate, for all cores of this machine unless a number is given."""
    print(estimate(config, scale, cores or available_cores()))


def estimate(config: Config, scale: str, cores: int) -> str:
    """A line for each run that has not been trained yet, and the minutes on so many cores."""
    runs = config.runs(scale).values()
    missing = [run for run in runs if not (run.folder / "run.json").exists()]
    if not missing:
        return f"All {len(runs)} runs are trained; only what is out of date is made again."
    seconds = [run_seconds(run) for run in missing]
    lines = [
        f"  {run.name}: {run.experiment.steps} steps, {_minutes(s)}" for run, s in zip(missing, seconds, strict=True)
    ]
    return "\n".join(
        ["To be trained:", *lines, f"Together about {_minutes(makespan(seconds, cores))} on {cores} core(s)."]
    )


def run_seconds(run: Run) -> float:
    """Seconds a run takes on one core, from the measured time of its matrix products."""
    return run.experiment.steps * products_seconds(run.experiment) * OVERHEAD


def products_seconds(experiment: Experiment, seconds: float = 0.3) -> float:
    """Seconds the three matrix products of one step take on one core, measured for about so many `seconds`."""
    e = experiment
    torch.set_num_threads(1)
    X, U_T = (
        torch.ones(e.batch_size, e.L * e.d),
        [u.T.contiguous() for u in products.parts(torch.ones(e.K, e.L * e.d), 0)],
    )
    G = products.scores(X, U_T)
    steps, begun = 0, time.perf_counter()
    while time.perf_counter() - begun < seconds:
        products.scores(X, U_T)
        products.gradient_to_features(G, U_T)
        products.descend(U_T, X, G, lr=0, decay=1)
        steps += 1
    return (time.perf_counter() - begun) / steps


def available_cores() -> int:
    """Processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _minutes(seconds: float) -> str:
    return f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
