"""The figures of the studies: each function takes the rows of a study, one a run, and returns a matplotlib Figure.

Points are means over seeds, bars their 95 % intervals (see `evidence.summaries`).
"""

from collections.abc import Callable

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator, StrMethodFormatter

from feature_collapse.evidence import reproduction
from feature_collapse.evidence.answers import (
    ARCHITECTURES,
    NAMES,
    TEST,
    TRAIN,
    WORDS,
    U,
    coinciding,
    correlation,
    onset,
    paper_numbers,
    pick,
    trained,
)
from feature_collapse.evidence.summaries import interval
from feature_collapse.model.experiment import Experiment
from feature_collapse.show.style import COLOURS, MARKERS, WIDTH, concept_colour, legend_below
from feature_collapse.theory import predictions
from feature_collapse.theory import theorems as theory

PLAIN, NORMED = "plain network (h)", "with LayerNorm (h*)"
NETWORKS = {"none": PLAIN, "layernorm": NORMED}
LAWS = {0: "uniform words", 1: "Zipf words"}
COLOUR = {PLAIN: COLOURS[1], NORMED: COLOURS[0]}
MARKER = {PLAIN: MARKERS[1], NORMED: MARKERS[0]}
SIZE = {PLAIN: 6.5, NORMED: 4}  # a mark that lies on another does not hide it
MEANS = {"errorbar": interval, "err_style": "bars", "err_kws": {"capsize": 2, "elinewidth": 1}}
ACCURACY, COLLAPSE_U = "test accuracy (%)", "spread of $u_{k,\\ell}$ in a concept\n(CDNV; 0: collapsed)"
PERCENT = (-3, 103)
BARS = "mean over seeds, 95% interval"
COLLAPSE_WORDS = "spread of words in a concept\n(CDNV; 0: collapsed)"


def _named(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows with the network in words, accuracies in per cent, and NaN for a setting that is not shown."""
    percent = {key: 100 * rows[key] for key in (TEST, TRAIN)}
    return rows.assign(network=rows["normalisation"].replace(NETWORKS), **percent)


def _lines(axes: Axes, rows: pd.DataFrame, x: str, y: str, **more: object) -> None:
    """Mean of y over x with its interval, one line a network. Scales are set afterwards, so that means are of y and not
    of its logarithm."""
    for network, part in rows.groupby("network", sort=False):
        style = {"color": COLOUR[network], "marker": MARKER[network], "markersize": SIZE[network], "mew": 0}
        sns.lineplot(part, x=x, y=y, ax=axes, label=network, legend=False, **style, **MEANS, **more)


def _legend(figure: Figure, axes: Axes, rows: pd.DataFrame, columns: int | None = None) -> None:
    """The legend of a panel below the figure, with what the bars are if there are any."""
    if rows["seed"].nunique() > 1:
        axes.errorbar([], [], [], color="0.3", marker="", ls="", capsize=2, elinewidth=1, label=BARS)
    legend_below(figure, axes, columns)


def _accuracy(axes: Axes) -> None:
    axes.set(ylabel=ACCURACY, ylim=PERCENT)


def _collapse(axes: Axes, label: str = COLLAPSE_U) -> None:
    axes.set(ylabel=label, yscale="log")
    _decades(axes.yaxis)


def _decades(axis: Axis) -> None:
    """A logarithmic axis with plain numbers, of one decade at least: small differences look small."""
    low, high = axis.get_view_interval()
    if (room := 10 * low / high) > 1:
        low, high = low / room**0.5, high * room**0.5
        axis.axes.set(**{f"{axis.axis_name}lim": (low, high)})
    axis.set_major_locator(LogLocator(subs=[1] if high / low > 50 else [1, 2, 5]))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def _values(axes: Axes, values: list[float], scale: str, label: str, **more: float) -> None:
    """The x axis: a tick at each value that was run, and its name."""
    axes.set_xscale(scale, **more)
    axes.set_xticks(values, [f"{value:g}" for value in values])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(label)


def _pair(height: float = 3.0) -> tuple[Figure, Axes, Axes]:
    figure = Figure(figsize=(WIDTH, height), layout="constrained")
    left, right = figure.subplots(1, 2)
    return figure, left, right


def sweep(rows: pd.DataFrame, x: str, scale: str, label: str, **more: float) -> Figure:
    """Test accuracy and collapse of both networks over one setting."""
    figure, left, right = _pair()
    for axes, y in ((left, TEST), (right, U)):
        _lines(axes, _named(rows), x, y)
        _values(axes, sorted(set(rows[x])), scale, label, **more)
    _accuracy(left)
    _collapse(right)
    _legend(figure, left, rows)
    return figure


def tail(rows: pd.DataFrame) -> Figure:
    return sweep(rows, "zipf_exponent", "linear", "exponent of Zipf's law (0: all words alike)")


def weight_decay(rows: pd.DataFrame) -> Figure:
    least = rows.loc[rows["lambda_U"] > 0, "lambda_U"].min()
    return sweep(rows, "lambda_U", "symlog", r"weight decay $\lambda$", linthresh=least, linscale=0.5)


def lambda_transition(rows: pd.DataFrame) -> Figure:
    """Mean norm of the words over lambda: trained networks, and the theory's curve, zero above its threshold."""
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    axes = figure.subplots()
    titles = {"uniform": "uniform words (Theorem 1)", "zipf": "Zipf words (type III)"}
    even = np.geomspace(rows["lambda_U"].min(), rows["lambda_U"].max(), 60)
    for i, (law, part) in enumerate(rows.groupby("mu", sort=False)):
        e = experiment(part.iloc[0])
        threshold = theory.type_iii_threshold(e.n_c, e.L, e.K, predictions.law(e))
        steep = threshold * (1 - np.geomspace(0.3, 1e-4, 30))  # the curve falls to zero as a square root does
        values = np.sort([*even, *steep, threshold]).tolist()
        predicted = [
            predictions.predict(e.model_copy(update={"lambda_W": value, "lambda_U": value})).mean_norm_words
            for value in values
        ]
        axes.plot(values, predicted, color=COLOURS[i], label=f"{titles[law]}, predicted")
        axes.axvline(threshold, color=COLOURS[i], lw=0.8, ls=":", label="threshold, by theory")
        axes.plot(
            *(part["lambda_U"], part["words_norm_mean"]),
            **{"marker": MARKERS[i], "ls": "", "ms": 5, "mfc": "none", "color": COLOURS[i]},
            label=f"{titles[law].split(' (')[0]}, trained",
        )
    axes.set(xscale="log", xlabel=r"weight decay $\lambda$ of words and classifier")
    axes.set_ylabel("mean norm of the word embeddings")
    axes.set_ylim(bottom=-0.02)
    legend_below(figure, axes, columns=rows["mu"].nunique())
    return figure


def experiment(row: pd.Series) -> Experiment:
    """The experiment of a row of a study's table."""
    plain = {key: row[key].item() if hasattr(row[key], "item") else row[key] for key in Experiment.model_fields}
    return Experiment.model_validate(plain, strict=False)


def seeds(rows: pd.DataFrame) -> Figure:
    """Every number of the paper, as far off as each seed is, in units of its tolerance. A seed that gives some classes
    the same latent is set apart."""
    numbers = paper_numbers(rows, reproduction.read_paper())
    same = numbers["seed"].isin(coinciding(rows))
    numbers["quantity"] = numbers["quantity"].str.replace("u_kl", r"$u_{k,\ell}$", regex=False)
    panels = list(numbers.groupby("figure", sort=False))
    heights = [part["quantity"].nunique() for _, part in panels]
    figure = Figure(figsize=(WIDTH, 0.9 + 0.17 * sum(heights)), layout="constrained")
    grid = figure.subplots(len(panels), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    for axes, (name, part) in zip(grid, panels, strict=True):
        axes.axvspan(-1, 1, color="0.92", lw=0)
        axes.axvline(0, color="0.6", lw=0.8)
        for of, colour, marker in zip((~same, same), COLOURS, MARKERS, strict=False):
            style = {"color": colour, "marker": marker, "size": 3.5, "alpha": 0.7, "jitter": False}
            sns.stripplot(part[of[part.index]], x="off", y="quantity", ax=axes, **style)
        axes.set(title=f"Figure {name}", ylabel="", xlabel="")
        axes.title.set_position((0, 1))
        axes.title.set_horizontalalignment("left")
    axes.set_xscale("symlog", linthresh=1, linscale=2)  # what is within is to be seen, however far off another is
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("difference from the paper's number, in units of its tolerance (grey: within)")
    if same.any():
        labels = ("a seed", "a seed that gives some classes the same latent")
        for label, colour, marker in zip(labels, COLOURS, MARKERS, strict=False):
            axes.plot([], [], color=colour, marker=marker, ls="", ms=3.5, label=label)
        legend_below(figure, axes)
    return figure


def sample_size(rows: pd.DataFrame) -> Figure:
    """Accuracy and collapse over n_spl, by law, with fresh sentences at the right end and the fitted onset; and over
    all runs accuracy against collapse."""
    rows = _named(rows)
    sizes = sorted(set(rows.loc[~rows["fresh"], "n_spl"]))
    end = 2.5 * sizes[-1]  # where the limit is drawn
    figure = Figure(figsize=(WIDTH, 5.2), layout="constrained")
    panels = figure.subplot_mosaic([["0", "1", "all"], ["0u", "1u", "all"]], width_ratios=[1, 1, 1.1])
    for exponent, law in LAWS.items():
        part = pick(rows, zipf_exponent=exponent)
        above, below = panels[f"{exponent}"], panels[f"{exponent}u"]
        for axes, y in ((above, TEST), (below, U)):
            _lines(axes, pick(part, fresh=False), "n_spl", y, ls="" if y == U else "-")
            _lines(axes, pick(part, fresh=True).assign(n_spl=end), "n_spl", y)
            _values(axes, sizes, "log", "")
            axes.set_xticks([*sizes, end], [*map(str, sizes), "∞"])
        for network, of in part.groupby("network", sort=False):
            fit, n = onset(of), np.geomspace(sizes[0], sizes[-1])
            below.plot(n, fit.limit + fit.factor * n**-fit.rate, color=COLOUR[network], lw=0.8, ls="--")
        above.set(title=law)
        below.set(xlabel="training sentences a class\n(∞: fresh ones at every step)")
    for kind, finish in (("", _accuracy), ("u", _collapse)):
        panels[f"1{kind}"].sharey(panels[f"0{kind}"])
        finish(panels[f"0{kind}"])
        panels[f"1{kind}"].tick_params(labelleft=False)
        panels[f"1{kind}"].set_ylabel("")
    _against(panels["all"], rows)
    panels["all"].plot([], [], color="0.3", lw=0.8, ls="--", label="power of the number of sentences, fitted")
    _legend(figure, panels["all"], rows, columns=2)
    return figure


def _against(axes: Axes, rows: pd.DataFrame) -> None:
    """Test accuracy against collapse, one mark a run: colour and shape by network, filled for Zipf words."""
    for (network, exponent), part in rows.groupby(["network", "zipf_exponent"], sort=False):
        colour = COLOUR[network]
        axes.plot(
            *(part[U], part[TEST]),
            **{"ls": "", "marker": MARKER[network], "ms": 4, "color": colour, "alpha": 0.8},
            mfc=colour if exponent else "none",
            label=f"{LAWS[exponent]}, {network}",
        )
    axes.set(xscale="log", xlabel=COLLAPSE_U, ylabel=ACCURACY, ylim=PERCENT)
    _decades(axes.xaxis)
    axes.set_title(f"all runs: rank correlation {correlation(rows):.2f}")


def normalisation(rows: pd.DataFrame) -> Figure:
    """Accuracy and collapse with each normalisation: every seed, and the mean with its interval."""
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    names = NAMES | {"none": "none (plain network)"}
    rows = _named(rows).assign(normalisation=rows["normalisation"].replace(names))
    shown = ((TEST, ACCURACY), (WORDS, COLLAPSE_WORDS), (U, COLLAPSE_U))
    for axes, (x, label) in zip(panels, shown, strict=True):
        points = {"x": x, "y": "normalisation", "ax": axes}
        sns.stripplot(rows, **points, color=COLOURS[1], size=4, alpha=0.6, jitter=False)
        bars = {"errorbar": interval, "capsize": 0.25, "err_kws": {"linewidth": 1}}
        sns.pointplot(rows, **points, **bars, color=COLOURS[0], ls="", marker="|", markersize=9)
        axes.set(xlabel=label, ylabel="")
        if x == TEST:
            axes.set(xlim=PERCENT)
        else:
            axes.set(xscale="log")
            _decades(axes.xaxis)
    panels[0].plot([], [], color=COLOURS[1], marker="o", ls="", ms=4, alpha=0.6, label="one seed")
    panels[0].errorbar([], [], xerr=[], color=COLOURS[0], marker="|", ls="", capsize=3, elinewidth=1, label=BARS)
    legend_below(figure, panels[0])
    return figure


def task(rows: pd.DataFrame) -> Figure:
    """Norms, predicted (lines) and measured, over each setting that varies, and how far apart they are. What has not
    trained is crossed out."""
    labels = {"n_c": "concepts $n_c$", "L": "words in a sentence $L$", "K": "latents $K$", "d": "dimension $d$"}
    series = [
        (*("none", "words_norm_mean", "predicted_words_norm_mean"), f"words, {PLAIN}", COLOURS[2], MARKERS[2]),
        (*("none", "u_norm_mean", "predicted_u_norm_mean"), f"$u_{{k,\\ell}}$, {PLAIN}", COLOURS[1], MARKERS[1]),
        (*("layernorm", "u_norm_mean", "predicted_u_norm_mean"), f"$u_{{k,\\ell}}$, {NORMED}", COLOURS[0], MARKERS[0]),
    ]
    crossed = {"color": "black", "marker": "x", "markersize": 8, "mew": 1, "ls": ""}
    base = {key: rows[key].mode()[0] for key in labels}
    rows = rows.assign(trained=trained(rows, ["normalisation", *labels]))
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    widths = [rows[key].nunique() + 2 for key in labels]  # room for the numbers below the ticks
    grid = figure.subplots(2, len(labels), sharex="col", sharey="row", width_ratios=widths)
    for (norms, errors), (key, label) in zip(grid.T, labels.items(), strict=True):
        at = pick(rows, **{other: value for other, value in base.items() if other != key})
        for n, measured, predicted, name, colour, marker in series:
            part = pick(at, normalisation=n).sort_values(key)
            style = {"color": colour, "marker": marker, "markersize": 5, "mew": 0, "legend": False, **MEANS}
            theory_curve = part.groupby(key)[predicted].mean()
            norms.plot(theory_curve.index, theory_curve, color=colour, lw=1)
            sns.lineplot(part, x=key, y=measured, ax=norms, ls="", label=name, **style)
            part = part.assign(error=100 * (part[measured] / part[predicted] - 1))
            sns.lineplot(part, x=key, y="error", ax=errors, lw=0.8, **style)
            missed = part[~part["trained"]]
            for axes, y in ((norms, measured), (errors, "error")):
                means = missed.groupby(key)[y].mean()
                axes.plot(means.index, means, **crossed)
        errors.axhline(0, color="0.6", lw=0.8)
        _values(errors, sorted(set(at[key])), "log", label)
        norms.set(yscale="log", ylabel="mean norm")
        errors.set(ylabel="measured against predicted\n(% off)")
    for axes in grid[0]:
        _decades(axes.yaxis)
    grid[0, 0].plot([], [], color="0.3", lw=1, label="predicted")
    if not rows["trained"].all():
        grid[0, 0].plot([], [], **crossed, label="has not trained")
    _legend(figure, grid[0, 0], rows, columns=3)
    return figure


def depth(rows: pd.DataFrame) -> Figure:
    """Collapse from the words through the layers to the u_kl, and accuracies, one column an architecture."""
    stages = {WORDS: "words", "layer1_cdnv": "behind\nlayer 1", "layer2_cdnv": "behind\nlayer 2", U: "$u_{k,\\ell}$"}
    accuracies = {TRAIN: "train", TEST: "test"}
    rows = _named(rows)
    shown = [name for name in ARCHITECTURES if name in set(rows["architecture"])]
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    grid = figure.subplots(2, len(shown), sharey="row", squeeze=False)
    for (collapse, accuracy), architecture in zip(grid.T, shown, strict=True):
        part = pick(rows, architecture=architecture)
        for axes, columns in ((collapse, stages), (accuracy, accuracies)):
            measured = {key: name for key, name in columns.items() if key in part and part[key].notna().any()}
            long = part.rename(columns=measured).melt("network", list(measured.values()), "stage", "value")
            _lines(axes, long, "stage", "value")
            axes.set_xlabel("")
            axes.margins(x=0.15)
        collapse.set(title=ARCHITECTURES[architecture])
    _collapse(grid[0, 0], "spread in a concept\n(CDNV; 0: collapsed)")
    grid[1, 0].set(ylabel="accuracy (%)", ylim=PERCENT)
    _legend(figure, grid[0, 0], rows)
    return figure


def depth_search(rows: pd.DataFrame) -> Figure:
    """Train and test accuracy of both networks at each learning rate and initial scale, one column an architecture."""
    rows = _named(rows)
    rows["setting"] = [f"{lr:g}, {scale:g}" for lr, scale in zip(rows["lr"], rows["init_scale_W"], strict=True)]
    shown = [name for name in ARCHITECTURES if name in set(rows["architecture"])]
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    grid = figure.subplots(2, len(shown), sharex=True, sharey=True, squeeze=False)
    for column, architecture in zip(grid.T, shown, strict=True):
        for axes, measure in zip(column, (TRAIN, TEST), strict=True):
            _lines(axes, pick(rows, architecture=architecture), "setting", measure, ls="")
            axes.set(xlabel="", ylabel="")
            axes.margins(x=0.15)
        column[0].set(title=ARCHITECTURES[architecture])
        column[1].set(xlabel="learning rate, initial scale")
    _accuracy(grid[1, 0])
    grid[0, 0].set(ylabel="train accuracy (%)")
    _legend(figure, grid[0, 0], rows)
    return figure


def label_noise(rows: pd.DataFrame) -> Figure:
    """Test accuracy and collapse of both networks over the share of wrong labels, one column an n_spl."""
    rows = _named(rows).assign(label_noise=100 * rows["label_noise"])
    sizes = sorted(set(rows["n_spl"]))
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    grid = figure.subplots(2, len(sizes), sharex=True, sharey="row", squeeze=False)
    for column, n_spl in zip(grid.T, sizes, strict=True):
        for axes, y in zip(column, (TEST, U), strict=True):
            _lines(axes, pick(rows, n_spl=n_spl), "label_noise", y)
            _values(axes, sorted(set(rows["label_noise"])), "linear", "")
        column[0].set(title=f"{n_spl} training sentences a class")
        column[1].set(xlabel="wrong training labels (%)")
    _accuracy(grid[0, 0])
    _collapse(grid[1, 0])
    _legend(figure, grid[0, 0], rows)
    return figure


def mechanism(rows: pd.DataFrame, features: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Norm of each u_kl against the mean norm of the words that it met in training, both relative to their means, and
    the medians of tenths. `features` holds `met_norm`, `u_norm` and `z` (K L,) of the run of each row, by its name."""
    figure = Figure(figsize=(WIDTH, 3.6), layout="constrained")
    panels = figure.subplots(1, len(rows), sharex=True, sharey=True, squeeze=False)[0]
    for axes, (_, row) in zip(panels, _named(rows).iterrows(), strict=True):
        arrays = features[row["run"]]
        met, u = (arrays[key] / arrays[key].mean() for key in ("met_norm", "u_norm"))
        for g in np.unique(arrays["z"]):
            axes.scatter(
                *(met[arrays["z"] == g], u[arrays["z"] == g]),
                **{"s": 4, "alpha": 0.2, "color": concept_colour(g), "marker": MARKERS[g % len(MARKERS)]},
                **{"linewidths": 0, "rasterized": True, "label": f"concept {g + 1}"},
            )
        tenths = pd.DataFrame({"met": met, "u": u}).groupby(pd.qcut(met, 10, labels=False, duplicates="drop")).median()
        axes.plot(tenths["met"], tenths["u"], color="black", marker="o", ms=3, lw=1, label="medians of tenths")
        axes.set_title(f"{row['network']}: rank correlation {row['u_norm_follows_met']:.2f}")
        axes.set_xlabel("mean norm of the words met, over its mean")
    panels[0].set_ylabel("norm of $u_{k,\\ell}$, over its mean")
    legend_below(figure, panels[0])
    return figure


FIGURES: dict[str, Callable[[pd.DataFrame], Figure]] = {
    "lambda": lambda_transition,
    "seeds": seeds,
    "sample_size": sample_size,
    "normalisation": normalisation,
    "tail": tail,
    "weight_decay": weight_decay,
    "task": task,
    "depth": depth,
    "depth_search": depth_search,
    "label_noise": label_noise,
}
