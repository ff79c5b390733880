"""The moving picture: what each frame shows, how long, and the same bytes each time."""

import base64
import io
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import imageio_ffmpeg
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from moving import four_runs, read, show
from PIL import Image

from feature_collapse.model.experiment import Experiment
from feature_collapse.show import animation
from feature_collapse.show.style import concept_colour
from feature_collapse.show.trajectories import Trajectory
from feature_collapse.show.vertices import norms
from feature_collapse.stages import animation as animation_stage
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.run import Run

PICTURES = 12


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Fewer pictures of fewer dots, to be quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(animation, "DPI", 50)
        patch.setattr(animation, "TIMES", PICTURES - 2)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("animation")


@pytest.fixture(scope="module")
def runs(tiny: Callable[..., Experiment], folder: Path) -> dict[str, Run]:
    return four_runs(tiny, folder)


@pytest.fixture
def shown(runs: dict[str, Run], folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Trajectory]:
    show(runs, folder, monkeypatch)
    return {name: read(run) for name, run in runs.items()}


def test_a_panel_shows_the_vectors_of_its_record_in_the_colours_of_their_concepts(shown: dict[str, Trajectory]) -> None:
    figure, panels = animation.moving(shown)
    for panel, t in zip(panels, shown.values(), strict=True):
        unit = norms(t.experiment)
        for i in (2, 0):
            panel.show(i)
            for vectors, clouds in panel.clouds.items():
                for g, (members, cloud) in enumerate(clouds):
                    assert members.tolist() == (t.concepts[vectors] == g).tolist()
                    drawn = np.stack(cloud.get_data(), axis=1)
                    assert drawn == pytest.approx(t.plane[vectors][i][members][:, :2] / unit[vectors], rel=1e-5)
                    assert to_rgb(cloud.get_color()) == to_rgb(concept_colour(g))
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["concept 1", "concept 2", "concept 3", "predicted"]
    for handle, g in zip(figure.legends[0].legend_handles, range(3), strict=False):
        assert to_rgb(handle.get_color()) == to_rgb(concept_colour(g)) and handle.get_alpha() == 1


def test_where_theory_predicts_nothing_the_longest_vector_is_the_unit(shown: dict[str, Trajectory]) -> None:
    t = shown["fig3"]
    unknown = replace(t, experiment=t.experiment.model_copy(update={"normalisation": "rmsnorm"}))
    _, (panel,) = animation.moving({"unknown": unknown})
    assert panel.places["u"][-1] == pytest.approx(t.plane["u"][-1][:, :2] / t.norm["u"][-1].max())
    assert len(panel.curve.figure.legends[0].get_texts()) == 3


def test_time_is_logarithmic_from_the_first_step_to_the_last() -> None:
    epochs = np.array([0, 0.02, 0.04, 0.2, 1, 2, 20, 200])
    shares = np.linspace(0, 1, 5)  # each is a tenfold of the time before it
    assert [animation.record(epochs, share) for share in shares] == [1, 3, 5, 6, 7]
    assert [animation.record(epochs, share) for share in (0.24, 0.499, 0.99)] == [2, 4, 6]
    assert animation.record(np.array([0.0, 1.0]), 0.5) == 1


@pytest.mark.parametrize(("epoch", "told"), [(0.02, "0.02"), (1.149, "1.1"), (3.0, "3"), (9.6, "9.6"), (412.4, "412")])
def test_epochs_are_whole_but_for_the_first(epoch: float, told: str) -> None:
    assert animation._rounded(epoch) == told


def test_epoch_and_test_accuracy_run_along(shown: dict[str, Trajectory]) -> None:
    _, (panel, *_) = animation.moving(shown)
    history = shown["fig3"].history
    panel.show(0)
    assert panel.curve.get_title() == "before training"
    panel.show(3)
    accuracies = 100 * history["test_accuracy"]
    assert panel.curve.get_title() == f"epoch {history['epoch'][3]:g}: {accuracies[3]:.2f} %"
    assert panel.line.get_xdata().tolist() == history["epoch"][1:4].tolist()
    assert panel.line.get_ydata().tolist() == accuracies[1:4].tolist()
    assert panel.point.get_xdata().tolist() == [history["epoch"][3]]
    assert panel.curve.get_xscale() == "log"


def test_vectors_move_from_frame_to_frame_and_all_else_stands_still(shown: dict[str, Trajectory]) -> None:
    pictures = list(animation.frames(shown))
    assert len(pictures) == animation.TIMES + 2
    height, width, channels = pictures[0].shape
    assert (height, width, channels) == (288, 420, 3)
    assert len({picture.tobytes() for picture in pictures}) >= max(len(t.epoch) for t in shown.values())
    left, top, bottom = slice(0, int(0.08 * width)), slice(0, int(0.08 * height)), slice(int(0.9 * height), None)
    for part in ((top,), (bottom,), (slice(None), left)):
        assert (pictures[0][part] != 255).any()
        assert all(np.array_equal(picture[part], pictures[0][part]) for picture in pictures)


@pytest.fixture(scope="module")
def made(runs: dict[str, Run], folder: Path, config: Config) -> list[Path]:
    """The folders that two calls of `make` have filled."""
    with pytest.MonkeyPatch.context() as patch:
        show(runs, folder, patch)
        for scale in ("first", "second"):
            animation_stage.make(scale, config)
    return [folder / "figures" / scale for scale in ("first", "second")]


def test_the_same_runs_give_the_same_bytes(made: list[Path]) -> None:
    first, second = made
    assert {path.name for path in first.iterdir()} == {"collapse.gif", "collapse.mp4", "collapse.svg"}
    for name in ("collapse.gif", "collapse.mp4", "collapse.svg"):
        assert (first / name).read_bytes() == (second / name).read_bytes()


def test_the_gif_shows_each_time_and_goes_round(made: list[Path]) -> None:
    with Image.open(made[0] / "collapse.gif") as gif:
        assert gif.info["loop"] == 0
        durations, corners, colours = [], [], set()
        for i in range(gif.n_frames):
            gif.seek(i)
            durations.append(gif.info["duration"])
            picture = gif.convert("RGB")
            corners.append(picture.getpixel((0, 0)))
            colours |= {colour for _, colour in picture.getcolors(1000)}
    # Pictures that are alike are one frame that is held.
    assert sum(durations) == 1000 * sum(animation.hold(i, PICTURES) for i in range(PICTURES)) // animation.FPS
    assert durations[0] >= 1000 and durations[-1] == max(durations) >= 3000
    assert set(corners) == {(255, 255, 255)}
    inks = {tuple(round(255 * x) for x in to_rgb(concept_colour(g))) for g in range(3)}
    assert inks < colours  # those of the figures, not what is near them
    assert len(colours) <= 4 * animation.SHADES


def test_pictures_are_not_shown_for_too_long() -> None:
    shown = [animation.hold(i, PICTURES) for i in range(PICTURES)]
    assert max(shown) == shown[-1]
    assert sum(shown) / animation.FPS < 15  # seconds


def test_the_mp4_is_one_that_browsers_play_and_bears_no_date(made: list[Path]) -> None:
    path = made[0] / "collapse.mp4"
    told = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-i", path], capture_output=True, text=True).stderr
    assert re.search(r"Video: h264 .*yuv420p.*420x288", told)
    assert "creation_time" not in told
    count, _ = imageio_ffmpeg.count_frames_and_secs(str(path))
    assert count == sum(animation.hold(i, PICTURES) for i in range(PICTURES))
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # it begins to play before it is there whole


def test_the_svg_keeps_the_size_and_the_bytes_of_the_gif() -> None:
    gif = io.BytesIO()
    pictures = [Image.new("L", (300, 7), level) for level in (0, 255)]
    pictures[0].save(gif, "GIF", save_all=True, append_images=pictures[1:])
    svg = ElementTree.fromstring(animation.as_svg(gif.getvalue()))
    assert (svg.get("width"), svg.get("height")) == ("300", "7")
    assert base64.b64decode(svg[0].get("href").partition("base64,")[2]) == gif.getvalue()
