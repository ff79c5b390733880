"""The figures of the paper and of its theory: each function takes the runs it shows and returns a matplotlib Figure."""

import functools
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from feature_collapse.model.experiment import Experiment
from feature_collapse.show.style import COLOURS, MARKERS, WIDTH, concept_colour, describe, legend_below
from feature_collapse.theory import curves, predictions
from feature_collapse.theory import theorems as theory


class Shown(NamedTuple):
    """A run as a figure shows it: `files` holds those of its files that the entry in `config/figures.yaml` names, as
    `artifacts.read` gives them."""

    title: str
    experiment: Experiment
    files: dict[str, Any]


def scatter(run: Shown) -> Figure:
    """Words and u_kl on their first two principal components, coloured by concept (Figures 3 and 4 of the paper)."""
    e, features, metrics = run.experiment, run.files["features"], run.files["metrics"]
    phi = r"LayerNorm$(w_{(\alpha,\beta)})$" if e.normalisation == "layernorm" else r"$w_{(\alpha,\beta)}$"
    figure = Figure(figsize=(WIDTH, 3.7), layout="constrained")
    left, right = figure.subplots(1, 2)
    _plane(left, features["words_plane"], features["concepts"], metrics["words"]["sigma"])
    _plane(right, features["u_plane"], features["z"], metrics["u"]["sigma"])
    left.set_title(f"{e.n_w} word embeddings {phi}\n{left.get_title()}")
    right.set_title(rf"{e.K * e.L} classifier vectors $u_{{k,\ell}}$" + f"\n{right.get_title()}")
    legend_below(figure, left)
    figure.suptitle(f"{run.title}: {describe(e)}, test accuracy {metrics['training']['test_accuracy']:.1%}")
    return figure


def _plane(axes: Axes, plane: np.ndarray, concepts: np.ndarray, sigma: list[float]) -> None:
    for g in np.unique(concepts):
        across, up, *_ = plane[concepts == g].T
        axes.scatter(
            across,
            up,
            s=9,
            alpha=0.35,
            color=concept_colour(g),
            marker=MARKERS[g % len(MARKERS)],
            linewidths=0,
            label=f"concept {g + 1}",
            rasterized=len(plane) > 2000,
        )
    axes.set_title("singular values " + ", ".join(f"{s:.3g}" if s < 1 else f"{s:.4g}" for s in sigma[:3]))
    axes.set(xlabel="principal plane, across", ylabel="principal plane, towards concept 1")
    axes.set_aspect("equal", adjustable="datalim")
    axes.margins(0.08)


def learning_curves(*runs: Shown) -> Figure:
    """Loss, accuracies and collapse over the epochs; the runs side by side."""
    figure = Figure(figsize=(WIDTH, 6.4), layout="constrained")
    grid = figure.subplots(4, len(runs), sharex="col", sharey="row", squeeze=False)
    for column, run in zip(grid.T, runs, strict=True):
        loss, accuracy, collapse, directions = column
        history = run.files["history"]
        epoch = history["epoch"]
        loss.plot(epoch, history["train_loss"], color="black")
        loss.set(title=f"{run.title}\n{describe(run.experiment)}".replace(", $", "\n$"), yscale="log")
        accuracy.plot(epoch, 100 * history["train_accuracy"], color="0.6", label="train")
        accuracy.plot(epoch, 100 * history["test_accuracy"], color="black", label="test")
        collapse.plot(epoch, history["words_cdnv"], color=COLOURS[0], label="words")
        collapse.plot(epoch, history["u_cdnv"], color=COLOURS[1], ls="--", label=r"$u_{k,\ell}$")
        collapse.set(yscale="log")
        directions.plot(epoch, history["words_direction_spread"], color=COLOURS[0])
        directions.plot(epoch, history["u_direction_spread"], color=COLOURS[1], ls="--")
        directions.set(yscale="log", xlabel="epoch")
    grid[0, 0].set_ylabel("train loss\n(cross-entropy)")
    grid[1, 0].set_ylabel("accuracy (%)")
    grid[2, 0].set_ylabel("spread in a concept\n(CDNV)")
    grid[3, 0].set_ylabel("spread of directions\n(1 − mean cosine)")
    grid[1, 0].legend(loc="lower right")
    grid[2, 0].legend(loc="upper right")
    return figure


def word_frequencies(*runs: Shown) -> Figure:
    """The law `mu_beta` of each run, one for all of its concepts, and how often the words occur in its training
    sentences."""
    figure = Figure(figsize=(WIDTH, 3.1), layout="constrained")
    panels = figure.subplots(1, len(runs), sharex=True, sharey=True, squeeze=False)[0]
    for axes, run in zip(panels, runs, strict=True):
        title, arrays = f"{run.title}\n{describe(run.experiment)}", run.files["data"]
        concepts, mu = arrays["concepts"], arrays["mu"]
        counts = np.bincount(arrays["train_sentences"].ravel(), minlength=len(mu))
        rank = np.arange(1, np.sum(concepts == 0) + 1)
        for g in np.unique(concepts):
            count = counts[concepts == g]
            shown = count > 0
            axes.scatter(
                rank[shown],
                (count / count.sum())[shown],
                s=5,
                color=concept_colour(g),
                marker=MARKERS[g % len(MARKERS)],
                linewidths=0,
                label=f"concept {g + 1}, as met in training",
            )
        axes.plot(rank, mu[concepts == 0], color="black", label=r"law $\mu_\beta$")
        axes.set(title=title, xscale="log", yscale="log", xlabel=r"rank $\beta$ of the word in its concept")
        axes.yaxis.set_minor_formatter(NullFormatter())
    panels[0].set_ylabel("frequency inside the concept")
    legend_below(figure, panels[0])
    return figure


def theory_norms(*runs: Shown) -> Figure:
    """Norm of every word (after LayerNorm where there is one) against its frequency, with what the theorems predict: a
    curve for type III, else flat."""
    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    axes = figure.subplots()
    for i, run in enumerate(runs):
        e, norms = run.experiment, run.files["features"]["words_norm"]
        title = f"{run.title}: {describe(e)}"
        mu, prediction = curves.law(e), predictions.predict(e)
        axes.scatter(
            np.tile(mu, e.n_c), norms, s=8, alpha=0.5, color=COLOURS[i], marker=MARKERS[i], linewidths=0, label=title
        )
        # A law that is the same for every word is one point of the axis: draw its prediction a little to both sides.
        flat = np.ptp(mu) == 0
        x, y = (mu[0] * np.array([0.7, 1.4]), prediction.norm_words[:2]) if flat else (mu, prediction.norm_words)
        axes.plot(x, y, color="black", lw=1, label="predicted" if i == len(runs) - 1 else None)
        style: dict[str, Any] = {"textcoords": "offset points", "fontsize": 7.5, "va": "center"}
        style |= {"xytext": (-4, 0), "ha": "right"} if flat else {"xytext": (4, 0), "ha": "left"}
        axes.annotate(prediction.theorem, (x[0], y[0]), **style)
    axes.set(xscale="log", yscale="log", xlabel=r"frequency $\mu_\beta$ of the word in its concept")
    axes.set_ylabel("norm of the word embedding")
    axes.margins(x=0.09)
    legend_below(figure, axes, columns=2)
    return figure


def theory_risk(*runs: Shown) -> Figure:
    """H or H* over its variable, its minimiser, and where the trained network is, whose true risk plus penalty is
    estimated on fresh sentences."""
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    panels = figure.subplots(1, len(runs), squeeze=False)[0]
    for axes, run in zip(panels, runs, strict=True):
        e, objective = run.experiment, run.files["metrics"]["objective"]
        if e.normalisation == "layernorm":
            tau, measured = theory.theorem3(e.n_c, e.L, e.K, e.d, e.lambda_U).tau, objective["norm_U"]
            risk = functools.partial(theory.risk_h_star, n_c=e.n_c, L=e.L, K=e.K, d=e.d, lam=e.lambda_U)
            axes.set_xlabel(r"$t = \|U\|_F$")
        else:
            tau = theory.theorem1(e.n_c, e.n_w, e.L, e.K, e.lambda_U).tau
            measured = objective["norm_W"] * objective["norm_U"]
            risk = functools.partial(theory.risk_h, n_c=e.n_c, n_w=e.n_w, L=e.L, K=e.K, lam=e.lambda_U)
            axes.set_xlabel(r"$t = \|W\|_F\, \|U\|_F$")
        t = np.linspace(0, 2 * max(tau, measured), 400)
        axes.plot(t, risk(t), color="black", label="theorem: $H$ or $H^*$")
        # A cross inside a ring: neither hides the other where they meet, nor does the axis near zero.
        ring, cross = {"ms": 10, "mfc": "none", "mew": 1.5}, {"ms": 5, "mew": 1.5}
        axes.plot(tau, risk(tau), "o", color=COLOURS[0], **ring, clip_on=False, label="its minimiser")
        axes.plot(measured, objective["value"], "x", color=COLOURS[1], **cross, clip_on=False, label="trained network")
        axes.set(title=f"{run.title}: $K$ = {e.K}", ylim=(0, None))
    panels[0].set_ylabel("true risk plus penalty")
    legend_below(figure, panels[0])
    return figure
