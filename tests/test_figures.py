"""Figures: axes with names and equal units, colours that can be told apart, the same bytes each time."""

from collections.abc import Callable, Iterator
from pathlib import Path

import matplotlib
import numpy as np
import pandas as pd
import pytest
from matplotlib.axes import Axes
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from feature_collapse.model import data
from feature_collapse.model.experiment import Experiment
from feature_collapse.show import diagrams
from feature_collapse.show import paper as figures
from feature_collapse.show import studies as study_figures
from feature_collapse.show.paper import Shown
from feature_collapse.show.style import COLOURS, MARKERS, concept_colour
from feature_collapse.stages import data as data_stage
from feature_collapse.stages import features as features_stage
from feature_collapse.stages import figure as figure_stage
from feature_collapse.stages import study_figure, train
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.artifacts import ArtifactError
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.run import ConfigError, Run

LINEAR_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
# Machado, Oliveira, Fernandes, 2009, https://doi.org/10.1109/TVCG.2009.113: on linear RGB, at full severity
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
)
PROTANOPIA = np.array(
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
)


def lab(colour: str, seen_through: np.ndarray | None = None) -> np.ndarray:
    """CIE L*a*b* of a colour, as it is or as someone with a colour deficiency sees it."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    if seen_through is not None:
        linear = np.clip(seen_through @ linear, 0, 1)
    x, y, z = (LINEAR_TO_XYZ @ linear) / LINEAR_TO_XYZ.sum(1)
    fx, fy, fz = (t ** (1 / 3) if t > (6 / 29) ** 3 else t / (3 * (6 / 29) ** 2) + 4 / 29 for t in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


def panel(title: str, e: Experiment) -> Shown:
    """An experiment as `scatter` takes it, its vectors drawn at random."""
    stream = np.random.default_rng(0)
    z = np.arange(e.K * e.L) % e.n_c
    arrays = {"words_plane": stream.normal(size=(e.n_w, 3)), "u_plane": stream.normal(size=(e.K * e.L, 3))}
    arrays |= {"concepts": np.arange(e.n_w) // e.s_c, "z": z}
    metrics = {
        "words": {"sigma": [35.049, 34.462, 0.18412]},
        "u": {"sigma": [35.07, 34.48, 0.1842]},
        "training": {"test_accuracy": 0.437},
    }
    return Shown(title, e, {"features": arrays, "metrics": metrics})


def history() -> pd.DataFrame:
    stream = np.random.default_rng(0)
    columns = ["train_loss", "train_accuracy", "test_accuracy", "words_cdnv", "u_cdnv"]
    columns += ["words_direction_spread", "u_direction_spread"]
    return pd.DataFrame({"epoch": range(1, 9)} | {name: stream.uniform(0.1, 1, 8) for name in columns})


def curves(*titles: str, e: Experiment) -> list[Shown]:
    return [Shown(title, e, {"history": history()}) for title in titles]


@pytest.fixture
def draw(tiny: Callable[..., Experiment]) -> Callable[[str], Figure]:
    """Draw a figure by its name, from data drawn at random."""
    plain, norm = tiny(mu="zipf"), tiny(normalisation="layernorm", lambda_W=0)
    ones = {"features": {"words_norm": np.ones(12)}}

    def frequencies() -> Figure:
        arrays = {e: {k: v.numpy() for k, v in data.generate(e, 0).items()} for e in (tiny(), plain)}
        return figures.word_frequencies(*(Shown("a", e, {"data": tensors}) for e, tensors in arrays.items()))

    def risk() -> Figure:
        metrics = {"metrics": {"objective": {"norm_W": 2.0, "norm_U": 2.0, "value": 1.5}}}
        return figures.theory_risk(Shown("Figure 3", tiny(), metrics), Shown("Figure 4c", norm, metrics))

    def transition() -> Figure:
        measured = {"seed": 0, "test_accuracy": 0.5}
        rows = [
            {
                **e.model_copy(update=dict.fromkeys(("lambda_W", "lambda_U"), x)).model_dump(),
                **measured,
                "words_norm_mean": x,
            }
            for e in (tiny(), plain)
            for x in (1e-3, 1e-2, 0.1)
        ]
        return study_figures.transition(pd.DataFrame(rows))

    drawn = {
        "data_model": diagrams.data_model,
        "networks": diagrams.networks,
        "scatter": lambda: figures.scatter(panel("Figure 4b", plain)),
        "learning_curves": lambda: figures.learning_curves(*curves("Figure 3", "Figure 4a", e=plain)),
        "word_frequencies": frequencies,
        "theory_norms": lambda: figures.theory_norms(Shown("a", plain, ones), Shown("b", norm, ones)),
        "theory_risk": risk,
        "transition": transition,
    }
    return lambda name: drawn[name]()


GRAPHS = ["scatter", "learning_curves", "word_frequencies", "theory_norms", "theory_risk", "transition"]
DRAWINGS = ["data_model", "networks"]


def shares(axes: Axes, which: str) -> Iterator[Axes]:
    """The axes that have the same x or y axis, these among them; those without a partner alone."""
    return axes.get_shared_x_axes().get_siblings(axes) if which == "x" else axes.get_shared_y_axes().get_siblings(axes)


@pytest.mark.parametrize("name", GRAPHS)
def test_every_axis_is_named(draw: Callable[[str], Figure], name: str) -> None:
    figure = draw(name)
    assert isinstance(figure, Figure)
    assert figure.axes
    for axes in figure.axes:
        assert any(other.get_xlabel() for other in shares(axes, "x"))
    # A row of panels names its y axis once, on the left, whether or not the panels share their limits.
    rows = {axes.get_subplotspec().rowspan.start for axes in figure.axes}
    for row in rows:
        assert any(axes.get_ylabel() for axes in figure.axes if axes.get_subplotspec().rowspan.start == row)


@pytest.mark.parametrize("name", GRAPHS)
def test_every_mark_is_explained_in_a_legend(draw: Callable[[str], Figure], name: str) -> None:
    figure = draw(name)
    legends = [*figure.legends, *(legend for axes in figure.axes if (legend := axes.get_legend()))]
    texts = [text.get_text() for legend in legends for text in legend.get_texts()]
    assert texts and all(texts)
    labels = {label for axes in figure.axes for label in axes.get_legend_handles_labels()[1]}
    assert labels <= set(texts)


@pytest.mark.parametrize("name", DRAWINGS)
def test_drawings_are_figures(draw: Callable[[str], Figure], name: str) -> None:
    assert isinstance(draw(name), Figure)


@pytest.mark.parametrize("name", ["networks", "scatter", "word_frequencies"])
def test_same_figure_gives_the_same_bytes_without_a_date(
    draw: Callable[[str], Figure], tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(matplotlib.rcParams, "savefig.dpi", 50)  # small, to be quick
    for attempt, epoch in (("first", "0"), ("second", "1700000000")):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)  # the time that matplotlib would write
        artifacts.write_figure(tmp_path / attempt / name, draw(name))
    for suffix in (".pdf", ".png"):
        first, second = (
            (tmp_path / attempt / name).with_suffix(suffix).read_bytes() for attempt in ("first", "second")
        )
        assert first == second
        for word in (b"Date", b"tIME", b"Software", b"Matplotlib", b"matplotlib.org"):
            assert word not in first
    assert {path.name for path in (tmp_path / "first").iterdir()} == {f"{name}.pdf", f"{name}.png"}


def test_scatter_has_equal_units_and_says_what_it_shows(draw: Callable[[str], Figure]) -> None:
    figure = draw("scatter")
    left, right = figure.axes
    assert left.get_aspect() == right.get_aspect() == 1
    assert left.get_title() == "12 word embeddings $w_{(\\alpha,\\beta)}$\nsingular values 35.05, 34.46, 0.184"
    assert right.get_title() == "32 classifier vectors $u_{k,\\ell}$\nsingular values 35.07, 34.48, 0.184"
    assert figure.get_suptitle() == r"Figure 4b: Zipf words, $n_{\mathrm{spl}}$ = 3, test accuracy 43.7%"


def test_scatter_draws_every_vector_once_in_the_colour_and_mark_of_its_concept(tiny: Callable) -> None:
    e = tiny()
    shown = panel("Figure 3", e)
    arrays = shown.files["features"]
    concepts = {"words_plane": np.arange(e.n_w) // e.s_c, "u_plane": arrays["z"]}
    figure = figures.scatter(shown)
    for axes, (name, groups) in zip(figure.axes, concepts.items(), strict=True):
        assert len(axes.collections) == e.n_c
        for g, points in enumerate(axes.collections):
            assert isinstance(points, PathCollection)
            assert np.array_equal(points.get_offsets(), arrays[name][groups == g, :2])
            assert points.get_facecolor()[0, :3] == pytest.approx(to_rgb(COLOURS[g]))
            assert points.get_label() == f"concept {g + 1}"
    first, second, third = figure.axes[0].collections
    marks = {str(points.get_paths()[0].vertices.tolist()) for points in (first, second, third)}
    assert len(marks) == 3


def test_dense_scatter_is_rasterised_and_a_sparse_one_is_not(tiny: Callable[..., Experiment]) -> None:
    dense = tiny(n_w=12, K=700, L=4, distinct_latents=False)
    words, u = figures.scatter(panel("Figure 3", dense)).axes
    assert all(points.get_rasterized() for points in u.collections)
    assert not any(points.get_rasterized() for points in words.collections)


def test_layernorm_is_named_where_there_is_one(tiny: Callable[..., Experiment]) -> None:
    e = tiny(normalisation="layernorm", mu="uniform")
    figure = figures.scatter(panel("Figure 4c", e))
    assert "LayerNorm$(w" in figure.axes[0].get_title()
    assert "uniform words, LayerNorm" in figure.get_suptitle()


def test_learning_curves_show_the_columns_of_the_history(tiny: Callable[..., Experiment]) -> None:
    rows = history()
    figure = figures.learning_curves(*curves("Figure 3", "Figure 4a", e=tiny()))
    grid = np.array(figure.axes).reshape(4, 2)
    assert [axes.get_title().partition("\n")[0] for axes in grid[0]] == ["Figure 3", "Figure 4a"]
    shown = [
        [("train_loss", 1)],
        [("train_accuracy", 100), ("test_accuracy", 100)],
        [("words_cdnv", 1), ("u_cdnv", 1)],
        [("words_direction_spread", 1), ("u_direction_spread", 1)],
    ]
    for row, columns in zip(grid, shown, strict=True):
        for axes in row:
            for line, (name, unit) in zip(axes.get_lines(), columns, strict=True):
                assert np.array_equal(line.get_xdata(), rows["epoch"])
                assert np.array_equal(line.get_ydata(), unit * rows[name])


def test_word_frequencies_are_those_met_in_training(tiny: Callable[..., Experiment]) -> None:
    mu = np.array([0.5, 0.3, 0.2])
    words = {"concepts": np.array([0, 0, 0, 1, 1, 1]), "mu": np.tile(mu, 2)}
    arrays = {**words, "train_sentences": np.array([[0, 0, 1, 2], [3, 5, 5, 5]])}
    axes = figures.word_frequencies(*(Shown(title, tiny(), {"data": arrays}) for title in "ab")).axes[0]
    first, second = axes.collections
    assert first.get_offsets().tolist() == [[1, 0.5], [2, 0.25], [3, 0.25]]
    assert second.get_offsets().tolist() == [[1, 0.25], [3, 0.75]]
    assert axes.get_lines()[0].get_ydata().tolist() == mu.tolist()
    assert axes.get_xscale() == axes.get_yscale() == "log"


@pytest.mark.parametrize(("first", "second"), [(0, 1), (0, 2), (1, 2)])
def test_concepts_can_be_told_apart_in_grey_and_by_the_colour_blind(first: int, second: int) -> None:
    one, other = COLOURS[first], COLOURS[second]
    assert abs(lab(one)[0] - lab(other)[0]) > 15  # of 100, from black to white
    for deficiency in (DEUTERANOPIA, PROTANOPIA):
        assert np.linalg.norm(lab(one, deficiency) - lab(other, deficiency)) > 20  # 2.3 is just noticeable
    assert MARKERS[first] != MARKERS[second]


def test_oracle_of_colours_is_right() -> None:
    assert lab("white") == pytest.approx([100, 0, 0], abs=0.1)
    assert lab("red") == pytest.approx([53.2, 80.1, 67.2], abs=0.3)
    assert lab("0.5", DEUTERANOPIA) == pytest.approx(lab("0.5"), abs=0.1)


def test_more_concepts_than_three_have_colours_of_their_own() -> None:
    colours = [to_rgb(concept_colour(g)) for g in range(6)]
    assert len(set(colours)) == 6


@pytest.mark.parametrize("name", ["figure5", "", "tiny/figure3", "quick/figure5", "quick/", "/figure3", "../figure3"])
def test_unknown_figure_is_refused_and_nothing_drawn(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(artifacts, "write_figure", lambda stem, figure: pytest.fail(f"{stem} was drawn"))
    with pytest.raises(ConfigError, match=r"no such figure; there are figure1, figure2") as caught:
        figure_stage.make(name, config)
    assert len(str(caught.value).splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["figure4b", "learning_curves", "word_frequencies", "theory_norms", "theory_risk"])
def test_figure_without_its_data_is_refused_and_nothing_drawn(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtifactError, match=r"^results/smoke/.*: is missing; rebuild it with: "):
        figure_stage.make(f"smoke/{name}", config)
    assert not list(tmp_path.iterdir())


def test_figure_is_drawn_from_the_files_of_its_run(
    config: Config, tiny: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, process: None
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Run("smoke/fig4b/seed0", "smoke", tiny(), 0)
    monkeypatch.setattr(Config, "shown", lambda self, scale: {"fig4b": run})
    data_stage.make(run)
    train.make(run, quiet=True)
    features_stage.make(run)
    figure_stage.make("smoke/figure4b", config)
    assert (tmp_path / "figures/smoke/figure4b.png").read_bytes()[:4] == b"\x89PNG"
    assert (tmp_path / "figures/smoke/figure4b.pdf").read_bytes()[:4] == b"%PDF"
    metrics = run.folder / "metrics.json"
    metrics.write_bytes(metrics.read_bytes().replace(b"0.", b"1.", 1))
    with pytest.raises(ArtifactError, match=r"metrics\.json: is damaged"):
        figure_stage.make("smoke/figure4b", config)


def test_figure_shows_the_first_seed(config: Config) -> None:
    assert config.shown("smoke")["fig4b"].name == f"smoke/fig4b/seed{config.seeds[0]}"
    assert config.shown()["fig4b"].name == f"fig4b/seed{config.seeds[0]}"


def test_table_of_a_study_that_is_not_there_is_refused(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ArtifactError, match=r"results/smoke/studies/lambda\.csv: is missing"):
        study_figure.make("lambda", "smoke", config)


def test_saved_figure_takes_the_place_of_the_old_one_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for suffix in (".pdf", ".png"):
        (tmp_path / f"figure{suffix}").write_bytes(b"old")
    figure = Figure()
    monkeypatch.setattr(figure, "savefig", lambda path, **_: Path(path).write_bytes(b"half") and 1 / 0)
    with pytest.raises(ZeroDivisionError):
        artifacts.write_figure(tmp_path / "figure", figure)
    assert {path.read_bytes() for path in tmp_path.iterdir()} == {b"old"}
    assert len(list(tmp_path.iterdir())) == 2
    with artifacts.atomic(tmp_path / "figure.pdf") as temporary:
        assert temporary.suffix == ".pdf"  # by which matplotlib knows what to write
