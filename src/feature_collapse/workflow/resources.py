"""What a job asks a cluster for: memory, minutes and threads of a training run as functions of its experiment.

Fitted to the measurements in `docs/costs.csv` and `docs/runs.csv`, on the slower of the machines and with room to
spare: a job asks for no less than it used, and for no more than twice that plus `FLOOR_MB` or `FLOOR_MINUTES`.
"""

import heapq
from collections.abc import Iterable

from feature_collapse.model.experiment import Experiment

FLOOR_MB, FLOOR_MINUTES = 500, 10
OTHER_MINUTES = 5  # of data and of features, which take seconds
PROCESS_MB = 700  # Python with torch, and the two Snakemakes that a cluster's job starts around it
RATE = 90e9  # operations of the matrix products a second on one core
TWO_THREADS = 1.5  # times as fast as one, at the least
LONG = 5  # minutes of products on one core from which a second is worth it: the longest run is the critical path


def makespan(seconds: Iterable[float], cores: int) -> float:
    """Seconds until jobs of so many seconds are done on so many cores, the longest begun first, one core a job. Never
    less than the longest: it is the critical path, as no run waits for another."""
    busy = [0.0] * cores
    for job in sorted(seconds, reverse=True):
        heapq.heapreplace(busy, busy[0] + job)
    return max(busy)


def products(e: Experiment) -> float:
    """Operations of the matrix products of a whole training, see `training`."""
    return 6 * e.steps * e.batch_size * e.L * e.d * e.K


def threads(e: Experiment) -> int:
    """Two for the runs that everything else waits for. More than two have not been measured."""
    return 2 if products(e) / RATE > 60 * LONG else 1


def minutes(e: Experiment, threads: int = 1) -> int:
    """Wall time of the training."""
    per_word = {"linear": 0, "mlp1": 1, "mlp2": 2, "transformer": 6}[e.architecture] * 6 * e.d**2 + 70 * e.d
    step = 0.5e-3 + 6 * e.batch_size * e.L * e.d * e.K / RATE + e.batch_size * e.L * per_word / 20e9
    record = 0.1 + e.K * e.n_test * e.L * e.d * e.K * 2 / RATE + 15 * e.K * e.L * e.d * 8 / 1e9
    seconds = e.steps * step + e.records * record
    return FLOOR_MINUTES + int(seconds / 60 / (TWO_THREADS if threads > 1 else 1))


def memory_mb(e: Experiment) -> int:
    """Peak of all processes of the job. Arrays that grow with the experiment: the weights as float32, several times
    over; double-precision copies of the u_kl while their collapse is measured; snapshots, half precision, also several
    times over; sentences."""
    U, W = e.K * e.L * e.d, e.n_w * e.d
    snapshots = (e.records + 2) * (W + min(e.snapshot_classes, e.K) * e.L * e.d) * bool(e.snapshot_classes)
    sentences = e.K * (e.n_spl + e.n_test + 20) * e.L
    return PROCESS_MB + round((60 * (U + W) + 6 * snapshots + 10 * sentences) / 1e6)
