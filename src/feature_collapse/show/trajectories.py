"""The snapshots of a run as points that move: its words and u_{k,l} on their final principal axes, record by record."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from feature_collapse.model.experiment import Experiment


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


def trajectory(experiment: Experiment, files: Mapping[str, Any]) -> Trajectory:
    """The trajectory of a run from the arrays of its `snapshots` and `features`, and its `history`."""
    snapshots, features = files["snapshots"], files["features"]
    x = {name: snapshots[name].astype(np.float32) for name in ("words", "u")}
    x["u"] = x["u"].reshape(len(x["u"]), -1, experiment.d)  # of (T, classes, L, d)
    axes = {name: features[f"{name}_axes"].astype(np.float32) for name in x}
    axes = {name: np.pad(a, ((0, 0), (0, 3 - a.shape[1]))) for name, a in axes.items()}  # where d < 3
    return Trajectory(
        experiment,
        {name: vectors @ axes[name] for name, vectors in x.items()},
        {name: np.linalg.norm(vectors, axis=2) for name, vectors in x.items()},
        {"words": features["concepts"].astype(int), "u": features["z"][: x["u"].shape[1]].astype(int)},
        features["mu"],
        pd.concat([pd.DataFrame({"epoch": [0.0]}), files["history"]], ignore_index=True),
    )
