"""The figures of the studies: named axes, a legend for every mark, intervals, the theory, the same bytes each time."""

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
from feature_collapse.evidence.hypotheses import interval
from feature_collapse.show import studies as study_figures
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.studies import Picture

CONFIG = Config(Path(__file__).parents[1] / "config/experiments.yaml")
PAPER = reproduction.read_paper(Path(__file__).parents[1] / "config/paper.yaml")
STUDIES = CONFIG.studies


def sizes(rows: pd.DataFrame) -> dict[str, dict[str, np.ndarray]]:
    """Sizes of the words met and of the u_kl for each run, the second following the first."""
    met = np.random.default_rng(0).uniform(0.5, 1.5, 60)
    return {name: {"met_norm": met, "u_norm": met**2, "z": np.arange(60) % 3} for name in rows["run"]}


def draw(study: str, scale: str = "smoke") -> Figure:
    """The figure of a study, from numbers that are made up."""
    rows, picture = tables.table(CONFIG, study, scale), CONFIG.question(study).picture
    if picture.draw is None:
        return study_figures.sweep(rows, picture)
    needs = {None: [], "paper": [PAPER], "features": [sizes(rows)]}[picture.needs]
    return vars(study_figures)[picture.draw](rows, *needs)


@cache
def drawn(study: str) -> Figure:
    """The same, laid out, and not to be changed."""
    figure = draw(study)
    FigureCanvasAgg(figure)
    with warnings.catch_warnings(action="error"):  # for instance of text that does not fit
        figure.draw_without_rendering()
    return figure


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
        others = [(other, other.get_subplotspec()) for other in figure.axes if other.get_subplotspec()]
        if not place:  # a colour bar
            continue
        below = [o for o, at in others if at.colspan == place.colspan and at.rowspan.start >= place.rowspan.start]
        left = [o for o, at in others if at.rowspan == place.rowspan and at.colspan.start <= place.colspan.start]
        assert figure.get_supxlabel() or any(named(other, "x") for other in below)
        assert any(named(other, "y") and other.get_ylim() == axes.get_ylim() for other in left)


@pytest.mark.parametrize("study", STUDIES)
def test_names_are_words_not_columns(study: str) -> None:
    texts = [text for axes in drawn(study).axes for text in (axes.xaxis.label, axes.yaxis.label, axes.title)]
    shown = [text.get_text() for text in texts if text.get_visible()]
    assert [text for text in shown if re.search(r"\w{2}_\w|\w_\w{2}", text)] == []


@pytest.mark.parametrize("study", [study for study in STUDIES if study not in ("seeds", "mechanism")])
def test_every_mark_is_explained_in_one_legend(study: str) -> None:
    figure = drawn(study)
    (legend,) = figure.legends
    texts = [text.get_text() for text in legend.get_texts()]
    labels = {label for axes in figure.axes for label in axes.get_legend_handles_labels()[1]}
    assert labels
    for label in labels:
        assert any(text.endswith(label) for text in texts)  # of two laws that share a network the legend has both


def test_each_seed_is_a_dot_beside_its_tolerance() -> None:
    figure = drawn("seeds")
    assert "grey: within" in figure.axes[-1].get_xlabel()
    dots = sum(
        len(line.get_xdata()) for axes in figure.axes for line in axes.get_lines() if line.get_marker() != "None"
    )
    assert dots == 2 * sum(len(axes.get_yticks()) for axes in figure.axes)  # toy size has two seeds


def test_a_seed_that_gives_classes_the_same_latent_is_set_apart() -> None:
    rows = tables.table(CONFIG, "seeds", "")
    assert not study_figures.seeds(rows, PAPER).legends
    rows = rows.assign(distinct_share=[0.9 if seed == 2 else 1.0 for seed in rows["seed"]])
    figure = study_figures.seeds(rows, PAPER)
    assert figure.legends
    numbers = reproduction.by_seed(PAPER, rows)
    of = numbers[(numbers["seed"] == 2) & (numbers["figure"] == "3")]["off"]
    np.testing.assert_allclose(sorted(figure.axes[0].get_lines()[-1].get_xdata()), sorted(of))


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
    rows = rows.assign(error=100 * (1 - rows["test_accuracy"]))
    for axes, measure in zip(drawn("tail").axes, ("error", "u_cdnv"), strict=True):
        expected = []
        for (exponent, _), part in rows.groupby(["zipf_exponent", "normalisation"]):
            low, high = interval(part[measure])
            expected.append((exponent, float(low), float(high)))
            assert (exponent, part[measure].mean()) in [pytest.approx(point) for point in points(axes)]
        np.testing.assert_allclose(bars(axes), sorted(expected))


def test_predictions_are_drawn_beside_the_norms() -> None:
    rows = tables.table(CONFIG, "task", "")
    figure = draw("task", "")
    norms, errors = (figure.axes[i] for i in (2, 6))  # over K
    assert errors.get_xlabel() == "classes $K$"
    base = {key: rows[key].mode()[0] for key in ("n_c", "L", "d", "eps")}
    at = rows[(rows["normalisation"] == "none") & np.all([rows[key] == value for key, value in base.items()], axis=0)]
    predicted = at.groupby("K")["predicted_u_norm_mean"].mean()
    curves = [line.get_xydata() for line in norms.get_lines() if line.get_linestyle() == "-" and len(line.get_xdata())]
    assert any(len(curve) == len(predicted) and np.allclose(curve, predicted.reset_index()) for curve in curves)
    off = (100 * at["u_norm_error"]).groupby(at["K"]).mean().reset_index()
    lines = [line.get_xydata() for line in errors.get_lines()]
    assert any(len(line) == len(off) and np.allclose(line, off) for line in lines)


def test_norms_of_classes_that_share_a_latent_are_empty_marks() -> None:
    rows = tables.table(CONFIG, "task", "")
    capped = rows["K"].where(rows["L"] < 8).notna()
    assert capped.any()
    norms = study_figures.task(rows).axes[1]  # over L
    empty = [line for line in norms.get_lines() if line.get_markerfacecolor() == "white" and len(line.get_xdata())]
    assert [list(line.get_xdata()) for line in empty] == [[5]] * 4


def test_a_sweep_draws_a_line_for_each_combination_of_what_else_varies() -> None:
    rows = tables.table(CONFIG, "label_noise", "")
    figure = study_figures.sweep(rows, Picture(sweep="label_noise", across="n_spl"))
    assert len(figure.axes) == 4
    figure = study_figures.sweep(rows, Picture(sweep="label_noise"))
    names = {text.get_text() for text in figure.legends[0].get_texts()}
    assert {"plain network (h), n_spl 5", "with LayerNorm (h*), n_spl 20"} <= names


def test_what_is_no_number_is_swept_without_lines() -> None:
    figure = study_figures.sweep(tables.table(CONFIG, "normalisation", ""), Picture(sweep="normalisation"))
    assert all(line.get_linestyle() == "None" for line in figure.axes[0].get_lines() if len(line.get_xdata()))


@pytest.mark.parametrize("study", STUDIES)
def test_no_small_difference_is_blown_up(study: str) -> None:
    for axes in drawn(study).axes:
        for which, label in (("x", axes.get_xlabel()), ("y", axes.get_ylabel())):
            low, high = getattr(axes, f"get_{which}lim")()
            if "misclassified" in label:
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
        artifacts.write_figure(tmp_path / attempt / study, draw(study))
    for suffix in (".pdf", ".png"):
        first, second = (
            (tmp_path / attempt / study).with_suffix(suffix).read_bytes() for attempt in ("first", "second")
        )
        assert first == second
