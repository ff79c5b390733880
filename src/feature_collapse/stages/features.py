"""Measure the features and the collapse of a run.

The word embeddings and the vectors u_kl are projected on their principal axes. Spectra, norms and measures of collapse
follow, and the risk on fresh sentences.

\b
Reads:    results/RUN/data.safetensors, weights.safetensors, history.csv
          and run.json
Writes:   results/RUN/features.safetensors   the principal components
          results/RUN/metrics.json           every number
Example:  python -m feature_collapse features fig4b/seed0
"""

import pandas as pd
import torch

from feature_collapse.model.features import extract, half_way, losses_within, windows
from feature_collapse.model.networks import Network
from feature_collapse.theory.certificate import optimality_gap
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Run


def make(run: Run) -> None:
    """Write `features.safetensors`, the arrays of `model.features.extract`, and `metrics.json`, its numbers with those
    of the history at the end of training and at the highest test accuracy, and how far the weights can be from the
    global minimum (`theory.certificate`)."""
    torch.set_num_threads(1)  # sums over many vectors would otherwise depend on the number of threads
    read, words = artifacts.read_arrays(run.folder / "data.safetensors", run)
    data = {k: torch.from_numpy(v) for k, v in read.items()}
    weights, _ = artifacts.read_arrays(run.folder / "weights.safetensors", run)
    history = pd.read_csv(artifacts.covered(run.folder / "history.csv", run))
    network = Network(run.experiment, run.seed).load({name: torch.from_numpy(w) for name, w in weights.items()}).eval()

    arrays, numbers = extract(run.experiment, network, data, run.seed)
    artifacts.write_arrays(run.folder / "features.safetensors", run, {k: v.numpy() for k, v in arrays.items()}, **words)
    last, peak = history.iloc[-1], history.loc[history["test_accuracy"].idxmax()]
    epochs, losses = history["epoch"].to_numpy(), history["train_loss"].to_numpy()
    training = {
        **{name: float(last[name]) for name in ("epoch", "train_loss", "train_accuracy", "test_accuracy")},
        "peak_test_accuracy": float(peak["test_accuracy"]),
        "peak_epoch": float(peak["epoch"]),
        "half_way_epoch": half_way(windows(epochs), losses_within(epochs, losses), run.experiment.K),
    }
    gap = {"optimality_gap": optimality_gap(run.experiment, network.W.detach(), network.u().detach(), data)}
    artifacts.write_json(run.folder / "metrics.json", run, {"training": training, **numbers, **gap})
