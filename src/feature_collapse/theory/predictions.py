"""What the theorems predict of an experiment, beside what training gave."""

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd

from feature_collapse.model.data import draw_latents, generator
from feature_collapse.model.experiment import Experiment
from feature_collapse.model.features import half_way, windows
from feature_collapse.model.training import record_steps
from feature_collapse.theory import theorems as theory
from feature_collapse.theory.curves import is_normalised, law, learning_curve
from feature_collapse.theory.latents import WithLatents, type_i_with_latents, type_ii_with_latents

HALF_WAY = "epoch at which the training loss is half-way"
GAP = "share of the objective by which it can be above its global minimum"
POINTS = 8  # of the learning curve within what a record adds
TOLERANCE = 0.03  # of the epoch at which the loss is half-way
SAMPLING_NOISE = 0.1  # of the mean size of the words that one position of a class meets; more, and the limit is far


def predict(experiment: Experiment) -> theory.Prediction:
    """The theorem for the experiment's network and law, at its sizes. The penalty is that on U, and for h the one on W
    is to be equal. Raises ValueError if it is not, and for all that the theorems do not speak of: other networks, wrong
    labels, no penalty, more classes than there are sequences, too few dimensions."""
    e = experiment
    normalised = is_normalised(e)
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


def with_latents(experiment: Experiment, seed: int) -> WithLatents | None:
    """What `predict` says, with the latents that the run of this seed has drawn in the place of the symmetry
    assumption, and for h* with words as long as LayerNorm's eps lets them become in the run's epochs. None for type
    III, whose risk is a mean over the words drawn as well. Raises ValueError as `predict`."""
    e, theorem = experiment, predict(experiment).theorem
    Z = draw_latents(e.n_c, e.L, e.K, generator(seed, "latents"), e.distinct_latents).long().numpy()
    if theorem == "Theorem 1":
        return type_i_with_latents(Z, e.n_c, e.n_w, e.lambda_U)
    if theorem == "Theorem 3":
        norms = learning_curve(e, np.array([e.epochs])).norm_words[0]  # (s_c,)
        found = type_ii_with_latents(Z, e.n_c, e.n_w, float(law(e) @ norms), e.lambda_U)
        lengthened = np.sqrt((norms**2).mean()) / found.norm_words[0]
        return replace(found, norm_words=norms, sigma_words=found.sigma_words * lengthened)
    return None


def half_way_epoch(experiment: Experiment) -> float | None:
    """The epoch at which the predicted loss has fallen to half of log K, read from the run's records as that of the run
    is; None if it does not, and where the theory does not speak of it."""
    e = experiment
    ends = windows(np.array(sorted(record_steps(e))) / e.steps_per_epoch)
    within = np.arange(POINTS) + 0.5
    points = ends[:, :1] + (ends[:, 1:] - ends[:, :1]) * within / POINTS
    try:
        losses = learning_curve(e, points.ravel()).loss.reshape(points.shape).mean(1)
    except ValueError:
        return None
    return half_way(ends, losses, e.K)


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


def compare(experiment: Experiment, metrics: dict[str, Any], seed: int) -> list[dict[str, Any]]:
    """One row for each predicted quantity: prediction, the same with the latents of this seed, measured mean and
    standard deviation, relative errors of both. Then the epoch at which the loss is half-way, and how far the run's
    objective can be above its global minimum, a share that is 0 at the minimum."""
    p = predict(experiment)
    known = with_latents(experiment, seed)
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
    drawn = [None] * len(rows)
    if known:
        sigma = (*known.sigma_words[:2], *known.sigma_u[:2])
        losses = known.cross_entropy, known.cross_entropy, known.value
        drawn = [known.norm_words.mean(), known.norm_u.mean(), *sigma, *losses]
    rows = [(*row, value) for row, value in zip(rows, drawn, strict=True)]
    half_way, measured = half_way_epoch(experiment), metrics["training"]["half_way_epoch"]
    if half_way and measured:
        rows.append((HALF_WAY, half_way, measured, None, None))
    if metrics["optimality_gap"]:
        rows.append((GAP, 0.0, metrics["optimality_gap"]["gap"], None, None))
    held = assumptions(experiment, p)
    return [
        {
            "theorem": p.theorem,
            "quantity": quantity,
            "predicted": float(predicted),
            "with_latents": None if with_these is None else float(with_these),
            "measured": measured,
            "spread": spread,
            "relative_error": measured / predicted - 1 if predicted else None,
            "relative_error_with_latents": measured / with_these - 1 if with_these else None,
            "assumptions": held,
        }
        for quantity, predicted, measured, spread, with_these in rows
    ]


def markdown(rows: pd.DataFrame) -> str:
    """The table for reading: half-way epochs of all runs, then experiment by experiment."""

    def percent(column: pd.Series) -> pd.Series:
        return column.map(lambda s: "" if pd.isna(s) else f"{s:+.2%}")

    def number(column: pd.Series) -> pd.Series:
        return column.map(lambda s: "" if pd.isna(s) else f"{s:.5g}")

    parts = [
        "# What the theorems predict and what training gave",
        "The spread is the standard deviation over words or u_kl; on fresh sentences it is the standard error. "
        "A third singular value is predicted to be 0. *With these latents* replaces the symmetry assumption by the "
        "latents that the run has drawn. How far the objective can be above its global minimum is a bound by duality "
        "([proof](proof.md)).",
    ]
    times = rows[rows["quantity"] == HALF_WAY]
    if len(times):
        within = times["relative_error"].abs() <= TOLERANCE
        early = times["predicted"] < 1
        verdict = within.map({True: "yes", False: "no"}).where(~early, "the transition is within the first epoch")
        shown = times[["experiment", "seed"]].assign(
            predicted=number(times["predicted"]),
            seen=number(times["measured"]),
            error=percent(times["relative_error"]),
            **{f"within {TOLERANCE:.0%}": verdict},
        )
        parts += [
            "## Half-way epoch, predicted and seen",
            "The epoch at which the training loss has fallen to half of log K. It is predicted by the gradient flow of "
            "the theorems' configurations from the random start, with nothing fitted (`theory.dynamics`). Where the "
            "transition is over within the first epoch, SGD has not met most sentences and is no flow.",
            shown.to_markdown(index=False, disable_numparse=True),
        ]
    keys = ["experiment", "seed", "theorem", "assumptions"]
    for (experiment, seed, theorem, held), part in rows.groupby(keys, sort=False):
        shown = part[["quantity"]].assign(
            predicted=number(part["predicted"]),
            **{"with these latents": number(part["with_latents"])},
            measured=number(part["measured"]),
            spread=part["spread"].map(lambda s: "" if pd.isna(s) else f"{s:.2g}"),
            error=percent(part["relative_error"]),
            **{"error with these latents": percent(part["relative_error_with_latents"])},
        )
        title = f"## {experiment}, seed {seed}: {theorem}\n\nIts assumptions {held}."
        parts += [title, shown.to_markdown(index=False, disable_numparse=True)]
    return "\n\n".join(parts) + "\n"
