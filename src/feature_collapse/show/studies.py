"""The figures of the studies. `sweep` draws any study over one of its settings; each other public function draws the
study that names it in its file, from the table of its runs. Points are means over seeds, bars their 95 % intervals."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.axis import Axis
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, NullLocator, StrMethodFormatter

from feature_collapse.evidence import reproduction
from feature_collapse.evidence.hypotheses import interval, pick
from feature_collapse.evidence.rows import FOLLOWS, varying
from feature_collapse.evidence.studies import NAMES
from feature_collapse.model.experiment import Experiment
from feature_collapse.show.style import COLOURS, WIDTH, legend_below
from feature_collapse.theory import predictions
from feature_collapse.theory import theorems as theory
from feature_collapse.workflow.studies import Picture, named

PLAIN, NORMED = "plain network (h)", "with LayerNorm (h*)"
NETWORKS = {"none": PLAIN, "layernorm": NORMED}
ARCHITECTURES = {
    "linear": "no hidden layer",
    "mlp1": "one hidden layer",
    "mlp2": "two hidden layers",
    "transformer": "Transformer block",
}
LAWS = {0: "uniform words", 1: "Zipf words"}
STYLE = {PLAIN: (COLOURS[1], "o", 6.5), NORMED: (COLOURS[0], "s", 4)}  # a mark that lies on another does not hide it
MORE = [(COLOURS[2], "^", 5), ("#8c6bb1", "D", 4.5), ("#bf812d", "v", 5), ("#737373", "P", 5), ("#3690c0", "X", 5)]
WORDS, U = "words_weighted_by_mu_cdnv", "u_cdnv"
ERROR = "fresh sentences\nmisclassified (%)"
CDNV_U, CDNV_WORDS = "CDNV of the $u_{k,\\ell}$", "CDNV of the words"
BARS = "mean over seeds, 95 % interval"
Styles = dict[str, tuple[str, str, float]]


def sweep(rows: pd.DataFrame, picture: Picture) -> Figure:
    """Test error and collapse over one setting, a line for each combination of the others; with `across` a column of
    panels for each value of one of them."""
    x, across = picture.sweep or "experiment", picture.across
    others = [key for key in varying(rows) if key not in (x, across, *FOLLOWS)]
    rows = _with_error(rows).assign(series=_series(rows, others))
    styles = _styles(rows["series"])
    parts = list(rows.groupby(across)) if across else [(None, rows)]
    figure = Figure(figsize=(WIDTH, 4.6 if across else 3.0), layout="constrained")
    grid = figure.subplots(2, len(parts), sharex=True, sharey="row").reshape(2, -1) if across else None
    columns = grid.T if grid is not None else [figure.subplots(1, 2)]
    for (value, part), (errors, spreads) in zip(parts, columns, strict=True):
        for axes, y in ((errors, "error"), (spreads, U)):
            _lines(axes, part, x, y, styles)
            _values(axes, part[x], picture.scale, (picture.label or x) if axes is spreads or not across else "")
        if across:
            errors.set_title(f"{_symbol(across)} = {value:g}")
    _error_axis(columns[0][0], rows)
    _collapse_axis(columns[0][1].yaxis, CDNV_U)
    _legend(figure, columns[0][0], rows)
    return figure


def transition(rows: pd.DataFrame) -> Figure:
    """Mean norm of the words, and test error, over lambda relative to the theory's threshold, with the theory's
    curve."""
    figure = Figure(figsize=(WIDTH, 3.2), layout="constrained")
    norms, errors = figure.subplots(1, 2)
    titles = {"uniform": "uniform words (Theorem 1)", "zipf": "Zipf words (Theorem 2)"}
    rows = _with_error(rows)
    for (law, part), (colour, marker, _) in zip(rows.groupby("mu", sort=False), STYLE.values(), strict=False):
        e = _experiment(part.iloc[0])
        threshold = theory.type_iii_threshold(e.n_c, e.L, e.K, predictions.law(e))
        share = part["lambda_U"] / threshold
        even = np.geomspace(min(0.9, share.min()), max(1.1, share.max()), 60)
        shares = np.sort([*even, *(1 - np.geomspace(0.3, 1e-4, 30)), 1.0])  # the curve falls to zero as a root does
        curve = [
            predictions.predict(
                e.model_copy(update=dict.fromkeys(("lambda_W", "lambda_U"), s * threshold))
            ).mean_norm_words
            for s in shares.tolist()
        ]
        norms.plot(shares, curve, color=colour, lw=1, label=f"{titles[law]}, predicted")
        marks = {"color": colour, "marker": marker, "ls": "", "ms": 5, "mfc": "none"}
        norms.plot(share, part["words_norm_mean"], **marks, label=f"{titles[law].split(' (')[0]}, trained")
        errors.plot(share, part["error"], **marks)
    for axes in (norms, errors):
        axes.axvline(1, color="0.5", lw=0.8, ls=":", label="threshold" if axes is norms else None)
        axes.set(xscale="log", xlabel=r"weight decay $\lambda$ over its threshold")
        _plain_ticks(axes.xaxis)
    norms.set_ylabel("mean norm of the words")
    norms.set_ylim(bottom=-0.02)
    _error_axis(errors, rows)
    legend_below(figure, norms, columns=3)
    return figure


def seeds(rows: pd.DataFrame, paper: reproduction.Paper) -> Figure:
    """Every number of the paper, as far off as each seed is, in units of its tolerance. A seed that gives some classes
    the same latent is set apart."""
    numbers = reproduction.by_seed(paper, rows)
    numbers["quantity"] = numbers["quantity"].str.replace("u_kl", r"$u_{k,\ell}$", regex=False)
    same = numbers["distinct_share"] < 1
    panels = list(numbers.groupby("figure", sort=False))
    heights = [part["quantity"].nunique() for _, part in panels]
    figure = Figure(figsize=(WIDTH, 0.9 + 0.17 * sum(heights)), layout="constrained")
    grid = figure.subplots(len(panels), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    for axes, (name, part) in zip(grid, panels, strict=True):
        axes.axvspan(-1, 1, color="0.92", lw=0)
        axes.axvline(0, color="0.6", lw=0.8)
        names = list(dict.fromkeys(part["quantity"]))
        for of, (colour, marker, _) in zip((~same, same), STYLE.values(), strict=False):
            shown = part[of[part.index]]
            places = [len(names) - 1 - names.index(quantity) for quantity in shown["quantity"]]
            axes.plot(shown["off"], places, color=colour, marker=marker, ls="", ms=3.5, alpha=0.7, mew=0)
        axes.set_yticks(range(len(names)), names[::-1])
        axes.set(ylim=(-0.7, len(names) - 0.3))
        axes.set_title(f"Figure {name}", loc="left")
    grid[-1].set_xscale("symlog", linthresh=1, linscale=2)  # what is within is to be seen, however far off another is
    grid[-1].xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    grid[-1].xaxis.set_minor_locator(NullLocator())
    grid[-1].set_xlabel(
        "difference from the paper's number, in units of its tolerance\n"
        "(grey: within; linear up to 1, logarithmic beyond)"
    )
    if same.any():
        labels = ("a seed", "a seed that gives some classes the same latent")
        for label, (colour, marker, _) in zip(labels, STYLE.values(), strict=False):
            grid[-1].plot([], [], color=colour, marker=marker, ls="", ms=3.5, label=label)
        legend_below(figure, grid[-1])
    return figure


def sample_size(rows: pd.DataFrame) -> Figure:
    """Error and collapse over n_spl, by law, with fresh sentences at the right end; and error against collapse, a mark
    a run."""
    rows = _with_error(rows).assign(series=rows["normalisation"].replace(NETWORKS))
    sizes = sorted(set(rows.loc[~rows["fresh"].astype(bool), "n_spl"]))
    end = 2.5 * sizes[-1]  # where the limit is drawn
    figure = Figure(figsize=(WIDTH, 4.8), layout="constrained")
    panels = figure.subplot_mosaic([["0", "1", "all"], ["0u", "1u", "all"]], width_ratios=[1, 1, 1.1])
    for exponent, law in LAWS.items():
        part = pick(rows, {"zipf_exponent": exponent})
        for axes, y in ((panels[f"{exponent}"], "error"), (panels[f"{exponent}u"], U)):
            _lines(axes, pick(part, {"fresh": False}), "n_spl", y, STYLE)
            _lines(axes, pick(part, {"fresh": True}).assign(n_spl=end), "n_spl", y, STYLE)
            _values(axes, sizes, "log", "")
            axes.set_xticks([*sizes, end], [*map(str, sizes), "∞"])
        panels[f"{exponent}"].set(title=law)
        panels[f"{exponent}u"].set(xlabel="training sentences per class\n(∞: fresh ones at every step)")
    for kind in ("", "u"):
        panels[f"1{kind}"].sharey(panels[f"0{kind}"])
        panels[f"1{kind}"].tick_params(labelleft=False)
    _error_axis(panels["0"], rows)
    _collapse_axis(panels["0u"].yaxis, CDNV_U)
    for (network, exponent), part in rows.groupby(["series", "zipf_exponent"], sort=False):
        colour, marker, _ = STYLE[network]
        style = {
            "ls": "",
            "marker": marker,
            "ms": 4,
            "color": colour,
            "alpha": 0.8,
            "mfc": colour if exponent else "none",
        }
        panels["all"].plot(part[U], part["error"], **style, label=f"{LAWS[exponent]}, {network}")
    panels["all"].set(xscale="log")
    panels["all"].set_title("all runs")
    _collapse_axis(panels["all"].xaxis, CDNV_U)
    _error_axis(panels["all"], rows)
    _legend(figure, panels["all"], rows, columns=2)
    return figure


def normalisation(rows: pd.DataFrame) -> Figure:
    """Error and collapse with each normalisation: every seed, and the mean with its interval."""
    figure = Figure(figsize=(WIDTH, 2.9), layout="constrained")
    panels = figure.subplots(1, 3, sharey=True)
    names = NAMES | {"none": "none (plain network)"}
    rows = _with_error(rows)
    kinds = list(dict.fromkeys(rows["normalisation"]))[::-1]
    for axes, x in zip(panels, ("error", WORDS, U), strict=True):
        for y, kind in enumerate(kinds):
            values = pick(rows, {"normalisation": kind})[x].to_numpy()
            axes.plot(values, [y] * len(values), color=COLOURS[1], marker="o", ls="", ms=4, alpha=0.6, mew=0)
            low, high = interval(values)
            mean = values.mean()
            axes.errorbar(
                mean, y, xerr=[[mean - low], [high - mean]], color=COLOURS[0], marker="|", ms=9, capsize=2, lw=1
            )
        axes.set_ylim(-0.6, len(kinds) - 0.4)
    panels[0].set_yticks(range(len(kinds)), [names[kind] for kind in kinds])
    _error_scale(panels[0], "x", rows)
    panels[0].set_xlabel(ERROR.replace("\n", " "))
    for axes, label in zip(panels[1:], (CDNV_WORDS, CDNV_U), strict=True):
        axes.set(xscale="log")
        _collapse_axis(axes.xaxis, label)
    panels[0].plot([], [], color=COLOURS[1], marker="o", ls="", ms=4, alpha=0.6, label="one seed")
    panels[0].errorbar([], [], xerr=[], color=COLOURS[0], marker="|", ls="", capsize=3, elinewidth=1, label=BARS)
    legend_below(figure, panels[0])
    return figure


def task(rows: pd.DataFrame) -> Figure:
    """Norms, predicted (lines) and measured, over each setting that varies, and how far apart they are. Where some
    classes have the same latent the mark is empty: no network can tell them apart."""
    labels = {"n_c": "concepts $n_c$", "L": "words in a sentence $L$", "K": "classes $K$", "d": "dimension $d$"}
    series = {
        ("none", "words"): (f"words, {PLAIN}", *MORE[0]),
        ("none", "u"): (f"$u_{{k,\\ell}}$, {PLAIN}", *STYLE[PLAIN]),
        ("layernorm", "words"): (f"words, {NORMED}", *MORE[1]),
        ("layernorm", "u"): (f"$u_{{k,\\ell}}$, {NORMED}", *STYLE[NORMED]),
    }
    usual = rows["eps"].mode()[0]
    base = {key: rows[key].mode()[0] for key in labels}
    figure = Figure(figsize=(WIDTH, 4.6), layout="constrained")
    widths = [rows[key].nunique() + 2 for key in labels]  # room for the numbers below the ticks
    grid = figure.subplots(2, len(labels), sharex="col", sharey="row", width_ratios=widths)
    for (norms, errors), (key, label) in zip(grid.T, labels.items(), strict=True):
        at = pick(rows, {"eps": usual, **{other: value for other, value in base.items() if other != key}})
        for (network, what), (name, colour, marker, size) in series.items():
            part = pick(at, {"normalisation": network}).assign(series=name)
            part["percent"] = 100 * part[f"{what}_norm_error"]
            theory_curve = part.groupby(key)[f"predicted_{what}_norm_mean"].mean()
            norms.plot(theory_curve.index, theory_curve, color=colour, lw=1)
            style = {name: (colour, marker, size)}
            _lines(norms, part, key, f"{what}_norm_mean", style, ls="")
            _lines(errors, part, key, "percent", style, lw=0.8)
            capped = part[part["distinct_share"] < 0.99]
            for axes, y in ((norms, f"{what}_norm_mean"), (errors, "percent")):
                means = capped.groupby(key)[y].mean()
                axes.plot(means.index, means, color=colour, marker=marker, ms=size, mfc="white", ls="")
        errors.axhline(0, color="0.6", lw=0.8)
        _values(errors, at[key], "log", label)
        norms.set(yscale="log")
    grid[0, 0].set_ylabel("mean norm")
    grid[1, 0].set_ylabel("measured over predicted\n(% off)")
    _plain_ticks(grid[0, 0].yaxis)
    grid[0, 0].plot([], [], color="0.3", lw=1, label="predicted")
    grid[0, 0].plot([], [], color="0.3", marker="o", mfc="white", ls="", label="latents coincide")
    _legend(figure, grid[0, 0], rows, columns=3)
    return figure


def depth(rows: pd.DataFrame) -> Figure:
    """Collapse from the words through the layers to the u_kl, and the test error, one column an architecture: five
    sentences per class (filled) and fresh ones at every step (empty)."""
    stages = {WORDS: "words", "layer1_cdnv": "layer 1", "layer2_cdnv": "layer 2", U: "$u_{k,\\ell}$"}
    rows = _with_error(rows)
    small = rows["init_scale_W"] == rows["init_scale_W"].min()
    shown = [(name, rows[small & (rows["architecture"] == kind)]) for kind, name in ARCHITECTURES.items()]
    shown.insert(1, ("no hidden layer,\nPyTorch's scale", rows[~small]))
    shown = [(name, part) for name, part in shown if len(part)]
    figure = Figure(figsize=(WIDTH, 4.4), layout="constrained")
    grid = figure.subplots(2, len(shown), sharey="row", squeeze=False, height_ratios=[1.5, 1])
    for (spreads, errors), (name, part) in zip(grid.T, shown, strict=True):
        columns = {key: label for key, label in stages.items() if key in part and part[key].notna().any()}
        for (network, fresh), of in part.groupby(["normalisation", "fresh"], sort=False):
            colour, marker, size = STYLE[NETWORKS[network]]
            kind = "fresh sentences" if fresh else "five sentences"
            style = {"color": colour, "marker": marker, "ms": size, "ls": "", "mfc": "white" if fresh else colour}
            style |= {"capsize": 2, "elinewidth": 1, "label": f"{NETWORKS[network]}, {kind}"}
            shift = (0.12 if network == "layernorm" else -0.12) + (0.06 if fresh else -0.06)
            for x, column in enumerate(columns):
                _mean(spreads, x + shift, of[column], style)
            _mean(errors, shift, of["error"], style)
        spreads.set_xticks(range(len(columns)), columns.values(), rotation=45, ha="right", rotation_mode="anchor")
        spreads.set_xlim(-0.5, len(columns) - 0.5)
        spreads.set_title(name, fontsize="small")
        errors.set_xlim(-0.4, 0.4)
        errors.set_xticks([-0.12, 0.12], ["plain", "LayerNorm"], rotation=45, ha="right", rotation_mode="anchor")
    grid[0, 0].set(yscale="log")
    _collapse_axis(grid[0, 0].yaxis, "CDNV")
    _error_axis(grid[1, 0], rows)
    handles, names = [], []
    for axes in grid[0]:
        for handle, name in zip(*axes.get_legend_handles_labels(), strict=True):
            if name not in names:
                handles, names = [*handles, handle], [*names, name]
    figure.legend(handles, names, loc="outside lower center", ncols=2)
    return figure


def initial_scale(rows: pd.DataFrame) -> Figure:
    """Test error and collapse over the initial scale, of words and classifier together and of the words alone."""
    titles = {"fig3": "plain, uniform words", "fig4b": "plain, Zipf words", "fig4c": "LayerNorm, Zipf words"}
    rows = _with_error(rows)
    names = [
        titles.get(name, name) + (f", eps {eps:g}" if name == "fig4c" else "")
        for name, eps in zip(rows["experiment"], rows["eps"], strict=True)
    ]
    rows = rows.assign(series=names)
    styles = dict(zip(dict.fromkeys(names), [MORE[0], STYLE[PLAIN], MORE[1], STYLE[NORMED], MORE[4]], strict=False))
    paper = rows["init_scale_U"].mode()[0]
    figure = Figure(figsize=(WIDTH, 4.8), layout="constrained")
    grid = figure.subplots(2, 2, sharex=True, sharey="row")
    shown = {
        "words and classifier": rows[rows["init_scale_U"] == rows["init_scale_W"]],
        f"words alone (classifier {paper:g})": rows[rows["init_scale_U"] == paper],
    }
    for (errors, spreads), (name, part) in zip(grid.T, shown.items(), strict=True):
        for axes, y in ((errors, "error"), (spreads, U)):
            _lines(axes, part, "init_scale_W", y, styles)
            _values(axes, rows["init_scale_W"], "log", "")
        errors.set_title(name)
        spreads.set_xlabel("initial scale (1: PyTorch's, 0.001: the paper's)")
    _error_axis(grid[0, 0], rows)
    _collapse_axis(grid[1, 0].yaxis, CDNV_U)
    _legend(figure, grid[0, 0], rows, columns=2)
    return figure


def mechanism(rows: pd.DataFrame, features: dict[str, dict[str, np.ndarray]]) -> Figure:
    """Norm of each u_kl against the mean norm of the words that it met in training, both relative to their means, and
    the medians of tenths. `features` holds `met_norm` and `u_norm` (K L,) of the run of each row, by its name; of
    several seeds the first is drawn."""
    rows = rows.drop_duplicates("normalisation")
    figure = Figure(figsize=(WIDTH, 3.4), layout="constrained")
    panels = figure.subplots(1, len(rows), sharex=True, sharey=True, squeeze=False)[0]
    pairs = []
    for _, row in rows.iterrows():
        pairs.append(
            [features[row["run"]][key] / np.nanmean(features[row["run"]][key]) for key in ("met_norm", "u_norm")]
        )
    extent = [bound for i in (0, 1) for bound in (min(p[i].min() for p in pairs), max(p[i].max() for p in pairs))]
    for axes, (met, u), (_, row) in zip(panels, pairs, rows.iterrows(), strict=True):
        style = {"gridsize": 50, "bins": "log", "cmap": "Blues", "mincnt": 1, "linewidths": 0, "rasterized": True}
        hexagons = axes.hexbin(met, u, extent=extent, **style)
        tenths = pd.DataFrame({"met": met, "u": u}).groupby(pd.qcut(met, 10, labels=False, duplicates="drop")).median()
        axes.plot(tenths["met"], tenths["u"], color="black", marker="o", ms=3, lw=1, label="medians of tenths")
        axes.set_title(f"{NETWORKS[row['normalisation']]}: rank correlation {row['u_norm_follows_met']:.2f}")
        axes.set_xlabel("mean norm of the words met, over its mean")
    figure.colorbar(hexagons, ax=panels, label="number of $u_{k,\\ell}$", pad=0.01)
    panels[0].set_ylabel("norm of $u_{k,\\ell}$, over its mean")
    panels[0].legend(loc="upper left")
    return figure


# What figures have in common


def _with_error(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.assign(error=100 * (1 - rows["test_accuracy"]))


def _series(rows: pd.DataFrame, keys: Sequence[str]) -> list[str]:
    """The name of each row's line: the network in words, other settings as they are."""
    found = []
    for row in rows[list(keys)].to_dict("records"):
        network = row.pop("normalisation", None)
        names = [NETWORKS.get(network, NAMES.get(network, network))] if network else []
        found.append(", ".join([*names, *([named(row)] if row else [])]) or "all runs")
    return found


def _symbol(setting: str) -> str:
    """n_spl with a subscript."""
    name, _, index = setting.partition("_")
    return rf"${name}_\mathrm{{{index}}}$" if index else f"${name}$"


def _styles(series: pd.Series) -> Styles:
    """A colour, mark and size for each name."""
    rest = iter(MORE * (1 + series.nunique() // len(MORE)))
    return {name: STYLE.get(name) or next(rest) for name in dict.fromkeys(series)}


def _lines(axes: Axes, rows: pd.DataFrame, x: str, y: str, styles: Styles, **more: Any) -> None:
    """Mean of y over x with its interval, a line for each of `series`; marks alone where x is not a number."""
    for name, part in rows.groupby("series", sort=False):
        colour, marker, size = styles[str(name)]
        means = part.groupby(x, sort=pd.api.types.is_numeric_dtype(part[x]))[y]
        ends = np.array([interval(values) for _, values in means])  # (values of x, 2)
        centre = means.mean()
        style = {"color": colour, "marker": marker, "ms": size, "mew": 0, "capsize": 2, "elinewidth": 1, "label": name}
        style |= {"ls": "-" if pd.api.types.is_numeric_dtype(part[x]) else ""} | more
        reach = np.abs(ends - centre.to_numpy()[:, None]).T if np.isfinite(ends).all() else None
        axes.errorbar(centre.index, centre, yerr=reach, **style)


def _mean(axes: Axes, x: float, values: pd.Series, style: dict[str, Any]) -> None:
    low, high = interval(values)
    mean = values.mean()
    axes.errorbar(x, mean, yerr=None if np.isnan(low) else [[mean - low], [high - mean]], **style)


def _values(axes: Axes, values: Sequence[float] | pd.Series, scale: str, label: str) -> None:
    """The x axis: a tick at each value that was run, and its name."""
    there = list(dict.fromkeys(values))
    if all(isinstance(value, int | float | np.number) and not isinstance(value, bool | np.bool_) for value in there):
        there = sorted(there)
        least = min((value for value in there if value > 0), default=1)
        axes.set_xscale(scale, **({"linthresh": least, "linscale": 0.5} if scale == "symlog" else {}))
        axes.set_xticks(there, [f"{value:g}" for value in there])
        axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel(label)


def _error_axis(axes: Axes, rows: pd.DataFrame) -> None:
    _error_scale(axes, "y", rows)
    axes.set_ylabel(ERROR)


def _error_scale(axes: Axes, which: str, rows: pd.DataFrame) -> None:
    """Per cent on a logarithmic axis that ends in a zero, one sentence of a seed's test set above which it begins."""
    least = 100 / (rows["K"] * rows["n_test"]).max()
    getattr(axes, f"set_{which}scale")("symlog", linthresh=least, linscale=0.4)
    getattr(axes, f"set_{which}lim")(-0.15 * least, 130)
    axis: Axis = getattr(axes, f"{which}axis")
    ticks = [tick for tick in (0.01, 0.1, 1, 10, 100) if tick >= least]
    axis.set_ticks([0, *ticks], ["0", *(f"{tick:g}" for tick in ticks)])
    axis.set_minor_locator(NullLocator())


def _collapse_axis(axis: Axis, label: str) -> None:
    """A logarithmic axis; 0 would be complete collapse."""
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    axis.set_label_text(label)
    _plain_ticks(axis)


def _plain_ticks(axis: Axis) -> None:
    """A logarithmic axis with plain numbers, of one decade at least: small differences look small."""
    low, high = axis.get_view_interval()
    if (room := 10 * low / high) > 1:
        low, high = low / room**0.5, high * room**0.5
        axis.axes.set(**{f"{axis.axis_name}lim": (low, high)})
    axis.set_major_locator(LogLocator(subs=[1] if high / low > 50 else [1, 2, 5]))
    axis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axis.set_minor_formatter(NullFormatter())


def _legend(figure: Figure, axes: Axes, rows: pd.DataFrame, columns: int | None = None) -> None:
    """The legend of a panel below the figure, with what the bars are if there are any."""
    if rows["seed"].nunique() > 1:
        axes.errorbar([], [], [], color="0.3", marker="", ls="", capsize=2, elinewidth=1, label=BARS)
    handles = dict(zip(*axes.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=columns or len(handles))


def _experiment(row: pd.Series) -> Experiment:
    """The experiment of a row of a study's table."""
    plain = {key: row[key].item() if hasattr(row[key], "item") else row[key] for key in Experiment.model_fields}
    return Experiment.model_validate(plain, strict=False)
