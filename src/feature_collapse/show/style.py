"""How all figures look: fonts, colours and marks of the concepts, and the legend below a figure."""

from pathlib import Path
from typing import Any

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure

from feature_collapse.model.experiment import Experiment

# What the user's matplotlibrc says, or the one of the folder, is not how these look.
matplotlib.style.use(["default", Path(__file__).with_name("paper.mplstyle")])

WIDTH = 7.0  # inches, the text width of a two-column page
# Three concepts told apart by a colour-blind reader and in grey print: dark, middle, light; and each by its own mark.
COLOURS = ("#1f2f6f", "#d1495b", "#66c2a5")
MARKERS = ("s", "o", "^")


def concept_colour(g: int) -> Any:
    """The colour of a concept; beyond the paper's three, one of a map that also falls in grey."""
    return COLOURS[g] if g < len(COLOURS) else matplotlib.colormaps["cividis"](g * 0.37 % 1)


def describe(experiment: Experiment) -> str:
    """What sets an experiment apart, in words."""
    law = "uniform" if experiment.mu == "uniform" else "Zipf"
    norm = ", LayerNorm" if experiment.normalisation == "layernorm" else ""
    return rf"{law} words{norm}, $n_{{\mathrm{{spl}}}}$ = {experiment.n_spl}"


def legend_below(figure: Figure, axes: Axes, columns: int | None = None) -> None:
    """One legend for the whole figure, with marks large and opaque enough to be read."""
    handles, labels = axes.get_legend_handles_labels()
    legend = figure.legend(handles, labels, loc="outside lower center", ncols=columns or len(handles))
    for handle in legend.legend_handles:
        if isinstance(handle, PathCollection):
            handle.set(alpha=1, sizes=[24])
