"""The snapshots of a run as points that move: its words and u_{k,l} on their final principal axes, record by record."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from feature_collapse.model.experiment import Experiment
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import ConfigError, Run


@dataclass(frozen=True)
class Trajectory:
    """Where a run's vectors were at each of its T records, the first of them before training.

    `plane` holds coordinates on the first three principal axes of the trained network, two in the plane of the figures
    and one out of it, and `norm` whole lengths, of the `words` after phi, (T, n_w, 3) and (T, n_w), and of the `u` of
    the first classes, (T, n, 3) and (T, n). The origin is the zero vector at every record: nothing is centred.
    `concepts` holds the concept of each of these vectors, `mu` (n_w,) the frequency of each word in its concept, and
    `history` T rows, the first empty but for its epoch. `names` are those of the words, where they are words of a text.
    """

    experiment: Experiment
    plane: dict[str, np.ndarray]
    norm: dict[str, np.ndarray]
    concepts: dict[str, np.ndarray]
    mu: np.ndarray
    history: pd.DataFrame
    names: list[str] | None = None

    @property
    def epoch(self) -> np.ndarray:
        return self.history["epoch"].to_numpy()


def read(run: Run) -> Trajectory:
    """The trajectory of a run from its `snapshots.safetensors`, `features.safetensors` and `history.csv`.

    Raises ConfigError where the run is configured to keep no snapshots, ArtifactError where a file is not right.
    """
    if not run.experiment.snapshot_classes:
        raise ConfigError(f"{run.name}: snapshot_classes: 0 keeps no snapshots, and nothing moves without them")
    snapshots, _ = artifacts.read_arrays(run.folder / "snapshots.safetensors", run)
    features, _ = artifacts.read_arrays(run.folder / "features.safetensors", run)
    history = pd.read_csv(artifacts.covered(run.folder / "history.csv", run))
    x = {name: snapshots[name].astype(np.float32) for name in ("words", "u")}
    x["u"] = x["u"].reshape(len(x["u"]), -1, run.experiment.d)  # of (T, classes, L, d)
    axes = {name: features[f"{name}_axes"].astype(np.float32) for name in x}
    axes = {name: np.pad(a, ((0, 0), (0, 3 - a.shape[1]))) for name, a in axes.items()}  # where d < 3
    return Trajectory(
        run.experiment,
        {name: vectors @ axes[name] for name, vectors in x.items()},
        {name: np.linalg.norm(vectors, axis=2) for name, vectors in x.items()},
        {"words": features["concepts"].astype(int), "u": features["z"][: x["u"].shape[1]].astype(int)},
        features["mu"],
        pd.concat([pd.DataFrame({"epoch": [0.0]}), history], ignore_index=True),
    )
