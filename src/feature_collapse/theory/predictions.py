"""What the theorems predict of an experiment, beside what training gave."""

from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from feature_collapse.model.experiment import Experiment
from feature_collapse.theory import theorems as theory

SAMPLING_NOISE = 0.1  # of the mean size of the words that one position of a class meets; more, and the limit is far


def law(experiment: Experiment) -> np.ndarray:
    """mu (s_c,) of an experiment."""
    weights = np.arange(1.0, experiment.s_c + 1) ** -(experiment.zipf_exponent if experiment.mu == "zipf" else 0)
    return weights / weights.sum()


def predict(experiment: Experiment) -> theory.Prediction:
    """The theorem for the experiment's network and law, at its sizes. The penalty is that on U, and for h the one on W
    is to be equal. Raises ValueError if it is not, and for all that the theorems do not speak of: other networks, wrong
    labels, no penalty, more classes than there are sequences, too few dimensions."""
    e = experiment
    normalised = e.normalisation == "layernorm"
    for key, known in {
        "data": ["model"],
        "architecture": ["linear"],
        "normalisation": ["none", "layernorm"],
        "label_noise": [0],
    }.items():
        if getattr(e, key) not in known:
            raise ValueError(f"{key}: the theorems do not speak of {getattr(e, key)}")
    if not e.lambda_U:
        raise ValueError("lambda_U: without a penalty nothing is minimal")
    if e.lambda_W != (0 if normalised else e.lambda_U):
        raise ValueError(f"lambda_W: {e.lambda_W}; the theorems have lambda_U for h and 0 for h*")
    return _solved(e.n_c, e.n_w, e.L, e.K, e.d, tuple(law(e)), e.lambda_U, normalised)


@cache  # seeds, numbers of sentences and schedules of training do not change a prediction
def _solved(
    n_c: int, n_w: int, L: int, K: int, d: int, mu: tuple[float, ...], lam: float, normalised: bool
) -> theory.Prediction:
    return theory.predict(n_c, n_w, L, K, d, mu, lam, normalised)


def assumptions(experiment: Experiment, prediction: theory.Prediction) -> str:
    """'hold approximately', or which of the theorem's assumptions the run is far from."""
    # All theorems are about the true risk. Position l of class k meets n_spl words; their sizes average out only if
    # the spread of sizes under mu is small against sqrt(n_spl) (§2.3: this is why Figure 4b fails).
    mu, r = law(experiment), prediction.norm_words
    mean = mu @ r
    noise = np.sqrt(mu @ (r - mean) ** 2) / mean / np.sqrt(experiment.n_spl) if mean else 0.0
    if noise > SAMPLING_NOISE:
        return (
            f"do not hold: with n_spl = {experiment.n_spl} the sizes of the words that a position meets "
            f"vary by {noise:.0%} from one position to another, and the theorem is about the limit of many sentences"
        )
    return "hold approximately: K latents drawn at random are not quite symmetric, and sentences are finitely many"


def compare(experiment: Experiment, metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """One row for each predicted quantity: prediction, measured mean and standard deviation, relative error."""
    p = predict(experiment)
    w, u = metrics["words"], metrics["u"]
    rows = [
        ("mean norm of the words", p.mean_norm_words, w["norm_mean"], w["norm_std"]),
        ("mean norm of the u_kl", p.norm_u, u["norm_mean"], u["norm_std"]),
        *((f"singular value {i + 1} of the words", p.sigma_words[i], w["sigma"][i], None) for i in range(2)),
        *((f"singular value {i + 1} of the u_kl", p.sigma_u[i], u["sigma"][i], None) for i in range(2)),
        ("cross-entropy on the training sentences", p.cross_entropy, metrics["training"]["train_loss"], None),
        (
            "cross-entropy on fresh sentences",
            p.cross_entropy,
            metrics["objective"]["cross_entropy"],
            metrics["objective"]["standard_error"],
        ),
        ("true risk plus penalty", p.value, metrics["objective"]["value"], metrics["objective"]["standard_error"]),
    ]
    held = assumptions(experiment, p)
    return [
        {
            "theorem": p.theorem,
            "quantity": quantity,
            "predicted": float(predicted),
            "measured": measured,
            "spread": spread,
            "relative_error": measured / predicted - 1 if predicted else None,
            "assumptions": held,
        }
        for quantity, predicted, measured, spread in rows
    ]


def markdown(rows: pd.DataFrame) -> str:
    """The table for reading, experiment by experiment."""
    parts = [
        "# What the theorems predict and what training gave",
        "The spread is the standard deviation over words or u_kl; on fresh sentences it is the standard error. "
        "A third singular value is predicted to be 0.",
    ]
    keys = ["experiment", "seed", "theorem", "assumptions"]
    for (experiment, seed, theorem, held), part in rows.groupby(keys, sort=False):
        shown = part[["quantity"]].assign(
            predicted=part["predicted"].map("{:.5g}".format),
            measured=part["measured"].map("{:.5g}".format),
            spread=part["spread"].map(lambda s: "" if pd.isna(s) else f"{s:.2g}"),
            error=part["relative_error"].map(lambda s: "" if pd.isna(s) else f"{s:+.2%}"),
        )
        title = f"## {experiment}, seed {seed}: {theorem}\n\nIts assumptions {held}."
        parts += [title, shown.to_markdown(index=False, disable_numparse=True)]
    return "\n\n".join(parts) + "\n"
