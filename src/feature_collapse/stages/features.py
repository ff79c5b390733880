"""Measure the features and the collapse of a run.

The word embeddings and the vectors u_kl are projected on their principal axes. Spectra, norms and measures of collapse
follow, and the risk on fresh sentences.

\b
Reads:    results/RUN/data.safetensors, weights.safetensors, history.csv,
          snapshots.safetensors and run.json
Writes:   results/RUN/features.safetensors   the principal components
          results/RUN/metrics.json           every number
Example:  python -m feature_collapse features fig4b/seed0
"""

from collections.abc import Mapping

import numpy as np
import pandas as pd
import torch

from feature_collapse.model.features import extract, half_way, losses_within, principal_components, windows
from feature_collapse.model.networks import Network
from feature_collapse.theory.certificate import optimality_gap
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.run import Run


def make(run: Run) -> None:
    """Write `features.safetensors`, the arrays of `model.features.extract`, and `metrics.json`, its numbers with those
    of the history at the end of training and at the highest test accuracy, what still changed in the last fifth of
    training, and how far the weights can be from the global minimum (`theory.certificate`)."""
    torch.set_num_threads(1)  # sums over many vectors would otherwise depend on the number of threads
    read, words = artifacts.read_arrays(run.folder / "data.safetensors", run)
    data = {k: torch.from_numpy(v) for k, v in read.items()}
    weights, _ = artifacts.read_arrays(run.folder / "weights.safetensors", run)
    history = pd.read_csv(artifacts.covered(run.folder / "history.csv", run))
    network = Network(run.experiment, run.seed).load({name: torch.from_numpy(w) for name, w in weights.items()}).eval()

    arrays, numbers = extract(run.experiment, network, data, run.seed)
    artifacts.write_arrays(run.folder / "features.safetensors", run, {k: v.numpy() for k, v in arrays.items()}, **words)
    last, peak = history.iloc[-1], history.iloc[int(history["test_accuracy"].to_numpy().argmax())]
    epochs, losses = history["epoch"].to_numpy(), history["train_loss"].to_numpy()
    snapshots, _ = artifacts.read_arrays(run.folder / "snapshots.safetensors", run)
    training = {
        **{name: float(last[name]) for name in ("epoch", "train_loss", "train_accuracy", "test_accuracy")},
        "peak_test_accuracy": float(peak["test_accuracy"]),
        "peak_epoch": float(peak["epoch"]),
        "half_way_epoch": half_way(windows(epochs), losses_within(epochs, losses), run.experiment.K),
        **changes(history, snapshots),
    }
    gap = {"optimality_gap": optimality_gap(run.experiment, network.W.detach(), network.u().detach(), data)}
    artifacts.write_json(run.folder / "metrics.json", run, {"training": training, **numbers, **gap})


def changes(history: pd.DataFrame, snapshots: Mapping[str, np.ndarray]) -> dict[str, float]:
    """What still changes over the last fifth of training: test accuracy, by how much; CDNV of words and u_kl and, where
    there are snapshots, the third singular value of the words, by what share of what it was."""
    then, last = _last_fifth(history["epoch"].to_numpy())
    found = {"test_accuracy_change": float(history["test_accuracy"][last] - history["test_accuracy"][then])}
    for name in ("words_cdnv", "u_cdnv"):
        found[f"{name}_change"] = float(history[name][last] / history[name][then] - 1)
    if "words" in snapshots:
        ends = [torch.from_numpy(snapshots["words"][i]) for i in _last_fifth(snapshots["epoch"])]
        before, after = (principal_components(words)[0][2:3] for words in ends)
        if len(before):
            found["words_sigma_3_change"] = float(after / before - 1)
    return found


def _last_fifth(epochs: np.ndarray) -> tuple[int, int]:
    """Where the record nearest to four fifths of training is, and the last."""
    return int(np.abs(epochs - 0.8 * epochs[-1]).argmin()), len(epochs) - 1
