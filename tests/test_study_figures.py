"""The figures of the studies: named axes, a legend for every mark, intervals, the theory, the same bytes each time.

That of lambda is among those of `test_figures`.
"""

import re
import warnings
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
import tables
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from feature_collapse.evidence import reproduction
from feature_collapse.evidence.answers import TEST, Estimate, U, onset, paper_numbers, pick
from feature_collapse.show import paper as figures
from feature_collapse.show import studies as study_figures
from feature_collapse.workflow.config import Config

CONFIG = Config(Path(__file__).parents[1] / "config/experiments.yaml")
STUDIES = [study for study in [*study_figures.FIGURES, "mechanism"] if study != "lambda"]
ONE_SEED = ["depth_search", "mechanism"]


def sizes(rows: pd.DataFrame) -> dict[str, dict[str, np.ndarray]]:
    """Sizes of the words met and of the u_kl for each run, the second following the first."""
    met = np.random.default_rng(0).uniform(0.5, 1.5, 60)
    return {name: {"met_norm": met, "u_norm": met**2, "z": np.arange(60) % 3} for name in rows["run"]}


def draw(study: str) -> Figure:
    """The figure of a study at toy size, from numbers that are made up."""
    rows = tables.table(CONFIG, study, "smoke")
    return study_figures.mechanism(rows, sizes(rows)) if study == "mechanism" else study_figures.FIGURES[study](rows)


@cache
def drawn(study: str) -> Figure:
    """The same, laid out, and not to be changed."""
    figure = draw(study)
    FigureCanvasAgg(figure)
    with warnings.catch_warnings(action="error"):  # for instance of text that does not fit
        figure.draw_without_rendering()
    return figure


@pytest.fixture(autouse=True)
def top(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the paper's numbers are."""
    monkeypatch.chdir(root)


def named(axes: Axes, which: str) -> bool:
    """Whether an axis has a name, or ticks that are words."""
    ticks = axes.get_xticklabels() if which == "x" else axes.get_yticklabels()
    return bool(getattr(axes, f"get_{which}label")()) or any(re.search(r"\b[a-zA-Z]{4}", t.get_text()) for t in ticks)


@pytest.mark.parametrize("study", STUDIES)
def test_every_axis_is_named(study: str) -> None:
    """By the panel itself or, in the same units, by one below it or left of it."""
    figure = drawn(study)
    for axes in figure.axes:
        place = axes.get_subplotspec()
        others = [(other, other.get_subplotspec()) for other in figure.axes]
        below = [o for o, at in others if at.colspan == place.colspan and at.rowspan.start >= place.rowspan.start]
        left = [o for o, at in others if at.rowspan == place.rowspan and at.colspan.start <= place.colspan.start]
        assert figure.get_supxlabel() or any(named(other, "x") for other in below)
        assert any(named(other, "y") and other.get_ylim() == axes.get_ylim() for other in left)


@pytest.mark.parametrize("study", STUDIES)
def test_names_are_words_not_columns(study: str) -> None:
    texts = [text for axes in drawn(study).axes for text in (axes.xaxis.label, axes.yaxis.label, axes.title)]
    shown = [text.get_text() for text in texts if text.get_visible()]
    assert [text for text in shown if re.search(r"\w{2}_\w|\w_\w{2}", text)] == []


@pytest.mark.parametrize("study", [study for study in STUDIES if study != "seeds"])
def test_every_mark_is_explained_in_one_legend(study: str) -> None:
    figure = drawn(study)
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    labels = {label for axes in figure.axes for label in axes.get_legend_handles_labels()[1]}
    assert labels
    for label in labels:
        assert any(text.endswith(label) for text in texts)  # of two laws that share a network the legend has both
    assert (study_figures.BARS in texts) == (study not in ONE_SEED)


def test_each_seed_is_a_dot_beside_its_tolerance() -> None:
    figure = drawn("seeds")
    assert "grey: within" in figure.axes[-1].get_xlabel()
    dots = sum(len(collection.get_offsets()) for axes in figure.axes for collection in axes.collections)
    paper = sum(len(axes.get_yticks()) for axes in figure.axes)
    assert dots == 2 * paper  # toy size has two seeds


def test_a_seed_that_gives_classes_the_same_latent_is_set_apart(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    rows = tables.table(CONFIG, "seeds", "")
    alone = [collection.get_offsets() for collection in study_figures.FIGURES["seeds"](rows).axes[0].collections]
    paper = paper_numbers(rows, reproduction.read_paper())
    of = paper[(paper["seed"] == 2) & (paper["figure"] == "3")]["off"]
    np.testing.assert_allclose([x for offsets in alone[-len(of) :] for x, _ in offsets], of)
    assert study_figures.FIGURES["seeds"](rows).legends
    assert not study_figures.FIGURES["seeds"](rows[rows["seed"] != 2]).legends


def bars(axes: Axes) -> np.ndarray:
    """x, low and high of every interval, in order."""
    found = [
        (segment[0, 0], *segment[:, 1])
        for container in axes.containers
        for collection in container[2]
        for segment in collection.get_segments()
        if len(segment)
    ]
    return np.array(sorted(found))


def points(axes: Axes) -> np.ndarray:
    """All points of all lines, in order."""
    return np.array(sorted(tuple(point) for line in axes.get_lines() for point in line.get_xydata()))


def test_points_are_means_and_bars_their_intervals() -> None:
    rows = tables.table(CONFIG, "tail", "smoke")
    for axes, measure, unit in zip(drawn("tail").axes, (TEST, U), (100, 1), strict=True):
        means = [
            (exponent, Estimate.of(unit * part[measure]))
            for (exponent, _), part in rows.groupby(["zipf_exponent", "normalisation"])
        ]
        np.testing.assert_allclose(bars(axes), sorted((x, e.low, e.high) for x, e in means))
        marks = {tuple(point) for point in np.round(points(axes), 9)}
        assert {(x, round(e.mean, 9)) for x, e in means} <= marks
    assert len(bars(axes)) == 4


def test_predictions_are_drawn_beside_the_norms() -> None:
    rows = tables.table(CONFIG, "task", "smoke")
    norms, errors = (drawn("task").axes[i] for i in (2, 6))  # over K
    assert errors.get_xlabel() == "latents $K$"
    at = rows[(rows["K"] != 40) & (rows["normalisation"] == "none")]
    predicted = at.groupby("K")["predicted_u_norm_mean"].mean()
    curves = [line.get_xydata() for line in norms.get_lines() if line.get_linestyle() == "-" and len(line.get_xdata())]
    assert any(np.allclose(curve, predicted.reset_index()) for curve in curves)
    off = 100 * (at["u_norm_mean"] / at["predicted_u_norm_mean"] - 1).groupby(at["K"]).mean()
    assert any(
        np.allclose(line.get_xydata(), off.reset_index()) for line in errors.get_lines() if len(line.get_xdata())
    )


def test_norms_of_what_has_not_trained_are_crossed_out() -> None:
    rows = tables.table(CONFIG, "task", "smoke").assign(training_train_accuracy=1.0)
    short = (rows["K"] == rows["K"].max()) & (rows["normalisation"] == "none")
    rows.loc[short, "training_train_accuracy"] = 0.98
    for trained, count in ((rows[~short], 0), (rows, 2)):  # the words, and the u_kl
        norms, errors = (study_figures.FIGURES["task"](trained).axes[i] for i in (2, 6))  # over K
        for axes in (norms, errors):
            crosses = [line for line in axes.get_lines() if line.get_marker() == "x" and len(line.get_xdata())]
            assert [list(line.get_xdata()) for line in crosses] == [[rows["K"].max()]] * count


def test_the_fitted_onset_is_drawn_through_the_means() -> None:
    rows = tables.table(CONFIG, "sample_size", "smoke")
    part = pick(rows, normalisation="none", zipf_exponent=1)
    fit = onset(part)
    dashed = [line for axes in drawn("sample_size").axes for line in axes.get_lines() if line.get_linestyle() == "--"]
    expected = fit.limit + fit.factor * 2.0**-fit.rate
    assert any(line.get_xydata()[0] == pytest.approx((2, expected)) for line in dashed if len(line.get_xdata()))
    means = pick(part, fresh=False).groupby("n_spl")[U].mean()
    assert expected == pytest.approx(means[2], rel=1e-3)


@pytest.mark.parametrize("study", STUDIES)
def test_no_small_difference_is_blown_up(study: str) -> None:
    for axes in drawn(study).axes:
        for which, label in (("x", axes.get_xlabel()), ("y", axes.get_ylabel())):
            low, high = getattr(axes, f"get_{which}lim")()
            if "accuracy" in label:
                assert low <= 0
                assert high >= 100
            if "CDNV" in label:
                assert high / low > 9.99


@pytest.mark.parametrize("study", STUDIES)
def test_no_text_lies_on_another_or_outside(study: str) -> None:
    figure = drawn(study)
    texts = [text for axes in figure.axes for text in (axes.xaxis.label, axes.yaxis.label, axes.title)]
    for axes in figure.axes:
        for axis, limits in ((axes.xaxis, axes.get_xlim()), (axes.yaxis, axes.get_ylim())):
            texts += [tick.label1 for tick in axis.get_major_ticks() if limits[0] <= tick.get_loc() <= limits[1]]
    boxes = [text.get_window_extent() for text in texts if text.get_text() and text.get_visible()]
    boxes += [legend.get_window_extent() for legend in figure.legends]
    whole = figure.bbox.padded(1)
    for i, box in enumerate(boxes):
        assert whole.x0 <= box.x0 <= box.x1 <= whole.x1
        assert whole.y0 <= box.y0 <= box.y1 <= whole.y1
        assert not any(box.padded(-1).overlaps(other.padded(-1)) for other in boxes[:i])


@pytest.mark.parametrize("study", ["sample_size", "normalisation", "mechanism"])
def test_same_rows_give_the_same_bytes(study: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(matplotlib.rcParams, "savefig.dpi", 50)  # small, to be quick
    for attempt in ("first", "second"):
        figures.save(draw(study), tmp_path / attempt / study)
    for suffix in (".pdf", ".png"):
        first, second = (
            (tmp_path / attempt / study).with_suffix(suffix).read_bytes() for attempt in ("first", "second")
        )
        assert first == second
