"""The moving picture: what each frame shows, how long, and the same bytes each time."""

import base64
import io
import re
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import imageio_ffmpeg
import numpy as np
import pytest
from matplotlib.colors import to_rgb
from moving import four_runs, read, show
from PIL import Image

from feature_collapse.model.experiment import Experiment
from feature_collapse.model.training import record_steps
from feature_collapse.show import animation
from feature_collapse.show.style import concept_colour
from feature_collapse.show.trajectories import Trajectory
from feature_collapse.stages import animation as animation_stage
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.run import Run


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    """Fewer dots, to be quick."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(animation, "DPI", 50)
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


def test_a_panel_shows_the_words_of_its_record_in_the_colours_of_their_concepts(shown: dict[str, Trajectory]) -> None:
    _, panels = animation.moving(shown)
    for panel, t in zip(panels, shown.values(), strict=True):
        for i in (2, 0):
            panel.show(i)
            for axes, columns in ((panel.above, [0, 1]), (panel.side, [0, 2])):
                for g, cloud in enumerate(panel.clouds[axes]):
                    members = t.concepts["words"] == g
                    assert cloud in axes.collections
                    assert np.array_equal(cloud.get_offsets(), t.plane["words"][i][members][:, columns])
                    assert cloud.get_facecolor()[0, :3] == pytest.approx(to_rgb(concept_colour(g)))


def test_axes_have_equal_units_and_hold_all_words_however_small(shown: dict[str, Trajectory]) -> None:
    t = shown["fig3"]
    small = replace(t, plane={name: plane * np.float32(1e-6) for name, plane in t.plane.items()})
    none = replace(t, plane={name: plane * 0 for name, plane in t.plane.items()})
    _, panels = animation.moving({"as it is": t, "small": small, "none": none})
    for panel in panels:
        for i in range(len(t.epoch)):
            panel.show(i)
            across, up, out = np.abs(panel.trajectory.plane["words"][i]).max(0)
            for axes, longest in ((panel.above, max(across, up)), (panel.side, out)):
                low, high = axes.get_ylim()
                assert -low == high > longest
                assert axes.get_aspect() == 1
            assert panel.above.get_ylim() == panel.above.get_xlim() == panel.side.get_xlim()
            assert panel.above.get_xlim()[1] < 2 * max(across, up, out) or across == 0


def test_epoch_and_test_accuracy_run_along(shown: dict[str, Trajectory]) -> None:
    _, (panel, *_) = animation.moving(shown)
    history = shown["fig3"].history
    panel.show(0)
    assert panel.curve.get_title() == "epoch 0: before training"
    panel.show(3)
    assert (
        panel.curve.get_title() == f"epoch {history['epoch'][3]:.4g}: test accuracy {history['test_accuracy'][3]:.1%}"
    )
    assert panel.line.get_xdata().tolist() == history["epoch"][:4].tolist()
    assert panel.line.get_ydata()[1:].tolist() == (100 * history["test_accuracy"][1:4]).tolist()
    assert panel.point.get_xdata() == [history["epoch"][3]]


def test_an_experiment_of_fewer_records_waits_at_its_end(shown: dict[str, Trajectory]) -> None:
    t = shown["fig3"]
    first = {name: plane[:2] for name, plane in t.plane.items()}
    short = replace(t, plane=first, history=t.history[:2])
    pictures = list(animation.frames({"short": short}))
    _, (panel, _) = animation.moving({"short": short, "long": t})
    panel.show(len(t.epoch) - 1)
    assert panel.clouds[panel.above][0].get_offsets().tolist() == t.plane["words"][1][:4, :2].tolist()
    assert len(pictures) == 2
    assert len(list(animation.frames({"short": short, "long": t}))) == len(t.epoch)


def test_words_move_from_frame_to_frame_and_titles_stand_still(shown: dict[str, Trajectory]) -> None:
    pictures = list(animation.frames(shown))
    assert len(pictures) == max(len(t.epoch) for t in shown.values())
    height, width, channels = pictures[0].shape
    assert (height, width, channels) == (320, 560, 3)
    assert all((before != after).any() for before, after in pairwise(pictures))
    left, top = slice(0, int(0.02 * width)), slice(0, int(0.12 * height))
    assert (pictures[0][top] != 255).any() and (pictures[0][:, left] != 255).any()
    for picture in pictures:
        assert np.array_equal(picture[top], pictures[0][top])
        assert np.array_equal(picture[:, left], pictures[0][:, left])


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


def test_the_gif_has_a_frame_for_each_record_and_goes_round(made: list[Path], runs: dict[str, Run]) -> None:
    with Image.open(made[0] / "collapse.gif") as gif:
        records = 1 + max(len(record_steps(run.experiment)) for run in runs.values())
        assert gif.n_frames == records
        assert gif.info["loop"] == 0
        durations, corners = [], []
        for i in range(records):
            gif.seek(i)
            durations.append(gif.info["duration"])
            corners.append(gif.convert("RGB").getpixel((0, 0)))
    assert durations == [1000 * animation.hold(i, records) // animation.FPS for i in range(records)]
    assert set(corners) == {(255, 255, 255)}


def test_the_last_record_is_shown_longest_and_the_first_ones_longer_than_the_rest() -> None:
    frames = [animation.hold(i, 61) for i in range(61)]
    assert max(frames) == frames[-1]
    assert min(frames[:12]) > max(frames[12:-1])
    assert sum(frames) / animation.FPS < 20  # seconds


def test_the_mp4_is_one_that_browsers_play_and_bears_no_date(made: list[Path], runs: dict[str, Run]) -> None:
    path, records = made[0] / "collapse.mp4", 1 + max(len(record_steps(run.experiment)) for run in runs.values())
    told = subprocess.run([imageio_ffmpeg.get_ffmpeg_exe(), "-i", path], capture_output=True, text=True).stderr
    assert re.search(r"Video: h264 .*yuv420p", told)
    assert "creation_time" not in told
    count, _ = imageio_ffmpeg.count_frames_and_secs(str(path))
    assert count == sum(animation.hold(i, records) for i in range(records))
    content = path.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # it begins to play before it is there whole


def test_the_svg_keeps_the_size_and_the_bytes_of_the_gif() -> None:
    gif = io.BytesIO()
    pictures = [Image.new("L", (300, 7), level) for level in (0, 255)]
    pictures[0].save(gif, "GIF", save_all=True, append_images=pictures[1:])
    svg = ElementTree.fromstring(animation.as_svg(gif.getvalue()))
    assert (svg.get("width"), svg.get("height")) == ("300", "7")
    assert base64.b64decode(svg[0].get("href").partition("base64,")[2]) == gif.getvalue()
