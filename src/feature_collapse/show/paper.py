"""The figures: each function takes data in and returns a matplotlib Figure; `make` reads, draws and saves."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter

from feature_collapse.model.experiment import Experiment
from feature_collapse.show import diagrams
from feature_collapse.show.diagrams import COLOURS, MARKERS, WIDTH
from feature_collapse.theory import predictions
from feature_collapse.theory import theorems as theory
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Config, ConfigError, Run

PANELS = {"fig3": "Figure 3", "fig4a": "Figure 4a", "fig4b": "Figure 4b", "fig4c": "Figure 4c"}

matplotlib.rcParams.update(
    {
        "font.family": "DejaVu Sans",
        "font.size": 8,
        "axes.titlesize": 8.5,
        "axes.labelsize": 8,
        "xtick.labelsize": 7,
        "ytick.labelsize": 7,
        "legend.fontsize": 7.5,
        "figure.titlesize": 9.5,
        "lines.linewidth": 1.2,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "legend.frameon": False,
        "pdf.fonttype": 42,
        "savefig.dpi": 220,
    }
)


def save(figure: Figure, stem: Path) -> None:
    """Write `stem.pdf` and `stem.png`, the same bytes for the same figure: no dates and no program names in them."""
    undated = {".pdf": {"CreationDate": None, "Producer": None, "Creator": None}, ".png": {"Software": None}}
    for suffix, metadata in undated.items():
        with artifacts.atomic(stem.with_suffix(suffix)) as temporary:
            figure.savefig(temporary, metadata=metadata)


def caption(experiment: Experiment) -> str:
    """What sets an experiment apart, in words."""
    law = "uniform" if experiment.mu == "uniform" else "Zipf"
    norm = ", LayerNorm" if experiment.normalisation == "layernorm" else ""
    return rf"{law} words{norm}, $n_{{\mathrm{{spl}}}}$ = {experiment.n_spl}"


def scatter(name: str, experiment: Experiment, features: dict[str, np.ndarray], metrics: dict[str, Any]) -> Figure:
    """Words and u_kl on their first two principal components, coloured by concept (Figures 3 and 4 of the paper)."""
    e = experiment
    phi = r"LayerNorm$(w_{(\alpha,\beta)})$" if e.normalisation == "layernorm" else r"$w_{(\alpha,\beta)}$"
    figure = Figure(figsize=(WIDTH, 3.7), layout="constrained")
    left, right = figure.subplots(1, 2)
    _plane(left, features["words_plane"], features["concepts"], metrics["words"]["sigma"])
    _plane(right, features["u_plane"], features["z"], metrics["u"]["sigma"])
    left.set_title(f"{e.n_w} word embeddings {phi}\n{left.get_title()}")
    right.set_title(rf"{e.K * e.L} classifier vectors $u_{{k,\ell}}$" + f"\n{right.get_title()}")
    legend_below(figure, left)
    figure.suptitle(f"{name}: {caption(e)}, test accuracy {metrics['training']['test_accuracy']:.1%}")
    return figure


def _plane(axes: Axes, plane: np.ndarray, concepts: np.ndarray, sigma: list[float]) -> None:
    for g in np.unique(concepts):
        axes.scatter(
            *plane[concepts == g, :2].T,
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


def legend_below(figure: Figure, axes: Axes, columns: int | None = None) -> None:
    """One legend for the whole figure, with marks large and opaque enough to be read."""
    handles, labels = axes.get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=columns or len(handles))
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):
            handle.set(alpha=1, sizes=[24])


def concept_colour(g: int) -> Any:
    """The colour of a concept; beyond the paper's three, one of a map that also falls in grey."""
    return COLOURS[g] if g < len(COLOURS) else matplotlib.colormaps["cividis"](g * 0.37 % 1)


def learning_curves(histories: dict[str, pd.DataFrame]) -> Figure:
    """Loss, accuracies and collapse over the epochs; the experiments, by their titles, side by side."""
    figure = Figure(figsize=(WIDTH, 6.4), layout="constrained")
    grid = figure.subplots(4, len(histories), sharex="col", sharey="row", squeeze=False)
    for column, (title, history) in zip(grid.T, histories.items(), strict=True):
        loss, accuracy, collapse, directions = column
        epoch = history["epoch"]
        loss.plot(epoch, history["train_loss"], color="black")
        loss.set(title=title, yscale="log")
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


def word_frequencies(data: dict[str, dict[str, np.ndarray]]) -> Figure:
    """The law `mu_beta` of each experiment in `data`, one for all of its concepts, and how often the words occur in its
    training sentences."""
    figure = Figure(figsize=(WIDTH, 3.1), layout="constrained")
    panels = figure.subplots(1, len(data), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (title, arrays) in zip(panels, data.items(), strict=True):
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


def theory_norms(words: dict[str, tuple[Experiment, np.ndarray]]) -> Figure:
    """Norm of every word against its frequency, with what the theorems predict: a curve for type III, else flat.

    `words` holds the experiment and the norms (n_w,) of its words (after LayerNorm where there is one), by title.
    """
    figure = Figure(figsize=(WIDTH, 4.0), layout="constrained")
    axes = figure.subplots()
    for i, (title, (e, norms)) in enumerate(words.items()):
        mu, prediction = predictions.law(e), predictions.predict(e)
        axes.scatter(
            np.tile(mu, e.n_c), norms, s=8, alpha=0.5, color=COLOURS[i], marker=MARKERS[i], linewidths=0, label=title
        )
        # A law that is the same for every word is one point of the axis: draw its prediction a little to both sides.
        flat = np.ptp(mu) == 0
        x, y = (mu[0] * np.array([0.7, 1.4]), prediction.norm_words[:2]) if flat else (mu, prediction.norm_words)
        axes.plot(x, y, color="black", lw=1, label="predicted" if i == len(words) - 1 else None)
        beside = {"xytext": (-4, 0), "ha": "right"} if flat else {"xytext": (4, 0), "ha": "left"}
        axes.annotate(prediction.theorem, (x[0], y[0]), textcoords="offset points", fontsize=7.5, va="center", **beside)
    axes.set(xscale="log", yscale="log", xlabel=r"frequency $\mu_\beta$ of the word in its concept")
    axes.set_ylabel("norm of the word embedding")
    axes.margins(x=0.09)
    legend_below(figure, axes, columns=2)
    return figure


def theory_risk(trained: list[tuple[str, Experiment, dict[str, float]]]) -> Figure:
    """H or H* over its variable, its minimiser, and where the trained network is, whose true risk plus penalty is
    estimated on fresh sentences. `trained` holds titles, experiments and the `objective` of their metrics."""
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    panels = figure.subplots(1, len(trained), squeeze=False)[0]
    for axes, (title, e, objective) in zip(panels, trained, strict=True):
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
        axes.set(title=title, ylim=(0, None))
    panels[0].set_ylabel("true risk plus penalty")
    legend_below(figure, panels[0])
    return figure


def _theory_norms(scale: str, config: Config) -> Figure:
    words = {}
    for panel in ("fig4a", "fig3", "fig4c"):
        run = shown_run(scale, panel, config)
        features, _ = artifacts.read_arrays(run.folder / "features.safetensors", run)
        words[f"{PANELS[panel]}: {caption(run.experiment)}"] = run.experiment, features["words_norm"]
    return theory_norms(words)


def _theory_risk(scale: str, config: Config) -> Figure:
    trained = []
    for experiment, name in {
        "fig3": "Figure 3",
        "fig3_k50": "Figure 3 with fewer classes",
        "fig4c": "Figure 4c",
    }.items():
        if experiment in config.experiments(scale):
            run = shown_run(scale, experiment, config)
            metrics = artifacts.read_json(run.folder / "metrics.json", run)
            trained.append((f"{name}: $K$ = {run.experiment.K}", run.experiment, metrics["objective"]))
    return theory_risk(trained)


def _scatter(panel: str) -> Callable[[str, Config], Figure]:
    def draw(scale: str, config: Config) -> Figure:
        run = shown_run(scale, panel, config)
        features, _ = artifacts.read_arrays(run.folder / "features.safetensors", run)
        metrics = artifacts.read_json(run.folder / "metrics.json", run)
        return scatter(PANELS[panel], run.experiment, features, metrics)

    return draw


def _learning_curves(scale: str, config: Config) -> Figure:
    return learning_curves(
        {
            f"{PANELS[panel]}\n{caption(run.experiment).replace(', $', chr(10) + '$')}": pd.read_csv(
                artifacts.covered(run.folder / "history.csv", run)
            )
            for panel, run in shown_runs(scale, config).items()
        }
    )


def _word_frequencies(scale: str, config: Config) -> Figure:
    runs = [(PANELS[panel], shown_run(scale, panel, config)) for panel in ("fig3", "fig4a", "fig4b")]
    data = {
        f"{title}\n{caption(run.experiment)}": artifacts.read_arrays(run.folder / "data.safetensors", run)[0]
        for title, run in runs
    }
    return word_frequencies(data)


FIGURES: dict[str, Callable[[str, Config], Figure]] = {
    "figure1": lambda scale, config: diagrams.data_model(),
    "figure2": lambda scale, config: diagrams.networks(),
    "figure3": _scatter("fig3"),
    "figure4a": _scatter("fig4a"),
    "figure4b": _scatter("fig4b"),
    "figure4c": _scatter("fig4c"),
    "word_frequencies": _word_frequencies,
    "learning_curves": _learning_curves,
    "theory_norms": _theory_norms,
    "theory_risk": _theory_risk,
}


def shown_run(scale: str, experiment: str, config: Config) -> Run:
    """The run of an experiment that figures show: that of the first seed."""
    return config.runs(scale)[experiment, config.seeds[0]]


def shown_runs(scale: str, config: Config) -> dict[str, Run]:
    """The runs that are shown side by side, by experiment: those of Figures 3 and 4, as far as the scale has them."""
    return {panel: shown_run(scale, panel, config) for panel in PANELS if panel in config.experiments(scale)}


def make(name: str, config: Config) -> None:
    """Draw the figure named `[scale/]figure` and write it as PDF and PNG below `figures/`. Raises ConfigError for a
    figure that is not there."""
    scale, _, figure = name.rpartition("/")
    if figure not in FIGURES or scale not in ("", *config.scales) or name.startswith("/"):
        known = f"{', '.join(FIGURES)}, each also as SCALE/figure for {', '.join(config.scales)}"
        raise ConfigError(f"{name}: no such figure; there are {known}")
    save(FIGURES[figure](scale, config), Path("figures") / name)
