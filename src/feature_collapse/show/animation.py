"""Collapse, moving: the words of the four experiments side by side from first record to last, as .gif and .mp4."""

import base64
import struct
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.collections import PathCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from PIL import Image

from feature_collapse.show.style import MARKERS, concept_colour, legend_below
from feature_collapse.show.trajectories import Trajectory
from feature_collapse.workflow.progress import track

SIZE, DPI = (11.2, 6.4), 125  # inches, and dots per inch: even numbers of pixels, which H.264 asks for
FPS = 10  # of the .mp4, with still pictures in between
FLAT = 0.6  # height of the view from the side, relative to that from above
COLOURS_OF_GIF = 128


def hold(i: int, records: int) -> int:
    """How many frames of the .mp4 record i is shown for: most moves in the first, and the last is the result."""
    if i == records - 1:
        return 3 * FPS
    return FPS if i == 0 else 3 if i < 12 else 1


class Panel:
    """One experiment: its words from above and from the side, its test accuracy, and the record these have come to.

    Where words collapse they come to lie in a plane. Seen from above, those that do not look much the same.
    """

    def __init__(self, above: Axes, side: Axes, curve: Axes, title: str, trajectory: Trajectory):
        self.above, self.side, self.curve, self.trajectory = above, side, curve, trajectory
        concepts = trajectory.concepts["words"]
        self.members = [concepts == g for g in range(trajectory.experiment.n_c)]
        self.clouds = {axes: [_cloud(axes, g) for g in range(trajectory.experiment.n_c)] for axes in (above, side)}
        above.set_title(title)
        above.tick_params(labelbottom=False)  # they are those below, of the view from the side
        for axes in (above, side):
            axes.set_aspect("equal")
            for axis in (axes.xaxis, axes.yaxis):
                axis.set_major_locator(MaxNLocator(nbins=2, symmetric=True, steps=[1, 2, 5, 10]))
        curve.plot(trajectory.epoch, 100 * trajectory.history["test_accuracy"], color="0.85")
        (self.line,) = curve.plot([], [], color="black")
        (self.point,) = curve.plot([], [], "o", color="black", ms=4, clip_on=False)
        curve.set(xlim=(0, trajectory.epoch[-1]), ylim=(0, 102), xlabel="epoch")

    def show(self, i: int) -> None:
        """Go to record i, or the last where there are fewer. The axes reach as far as the longest word of the moment:
        the words begin a thousand times shorter than they end, and have mostly collapsed before they grow."""
        i = min(i, len(self.trajectory.epoch) - 1)
        now, row = self.trajectory.plane["words"][i], self.trajectory.history.iloc[i]
        for axes, columns in ((self.above, [0, 1]), (self.side, [0, 2])):
            for cloud, members in zip(self.clouds[axes], self.members, strict=True):
                cloud.set_offsets(now[members][:, columns])
        across, up, out = np.abs(now).max(0)
        # An axis has some length even where all words have vanished.
        reach = 1.08 * max(float(across), float(up), float(out) / FLAT, 1e-9)
        self.above.set(xlim=(-reach, reach), ylim=(-reach, reach))
        self.side.set(xlim=(-reach, reach), ylim=(-FLAT * reach, FLAT * reach))
        epochs, accuracies = self.trajectory.epoch[: i + 1], 100 * self.trajectory.history["test_accuracy"][: i + 1]
        self.line.set_data(epochs, accuracies)
        self.point.set_data(epochs[-1:], accuracies[-1:])
        known = "before training" if np.isnan(row["test_accuracy"]) else f"test accuracy {row['test_accuracy']:.1%}"
        self.curve.set_title(f"epoch {row['epoch']:.4g}: {known}")


def _cloud(axes: Axes, g: int) -> PathCollection:
    """The marks of a concept, to be placed."""
    mark, colour = MARKERS[g % len(MARKERS)], concept_colour(g)
    return axes.scatter([], [], s=9, alpha=0.4, color=colour, marker=mark, linewidths=0, label=f"concept {g + 1}")


def moving(trajectories: dict[str, Trajectory]) -> tuple[Figure, list[Panel]]:
    """The figure of the experiments, by their titles, and its panels to be moved."""
    figure = Figure(figsize=SIZE, dpi=DPI)
    FigureCanvasAgg(figure)
    # A fixed layout, as what changes from frame to frame must not shift the rest.
    grid = figure.subplots(
        *(3, len(trajectories)),
        squeeze=False,
        height_ratios=[1, FLAT, 0.25],
        gridspec_kw={"left": 0.075, "right": 0.985, "bottom": 0.115, "top": 0.88, "wspace": 0.3, "hspace": 0.27},
    )
    panels = [
        Panel(*column, title, trajectory)
        for column, (title, trajectory) in zip(grid.T, trajectories.items(), strict=True)
    ]
    labels = "from above:\nprincipal plane", "from the side:\nthird axis", "test\naccuracy (%)"
    for axes, label in zip(grid[:, 0], labels, strict=True):
        axes.set_ylabel(label)
        axes.yaxis.set_label_coords(-0.2, 0.5)
    figure.suptitle("Words on their final principal axes, through training; the axes reach as far as the longest word")
    legend_below(figure, grid[0, 0])
    return figure, panels


def frames(trajectories: dict[str, Trajectory], quiet: bool = False) -> Iterator[np.ndarray]:
    """The picture (height, width, 3) of each record, as bytes of red, green and blue."""
    figure, panels = moving(trajectories)
    records = range(max(len(trajectory.epoch) for trajectory in trajectories.values()))
    for i in track(records, "animation", "picture", quiet):
        for panel in panels:
            panel.show(i)
        figure.canvas.draw()
        yield np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


def write_gif(pictures: list[np.ndarray], path: Path) -> None:
    """Each picture in colours of its own: in those of another, white would not stay white."""
    median_cut, plain = Image.Quantize.MEDIANCUT, Image.Dither.NONE
    first, *rest = [Image.fromarray(x).quantize(COLOURS_OF_GIF, median_cut, dither=plain) for x in pictures]
    durations = [1000 * hold(i, len(pictures)) // FPS for i in range(len(pictures))]
    first.save(path, save_all=True, append_images=rest, duration=durations, loop=0)


def write_mp4(pictures: list[np.ndarray], path: Path) -> None:
    """H.264 that every browser plays. One thread and no dates or versions of programs: the same pictures give the same
    bytes."""
    height, width, _ = pictures[0].shape
    options = ["-crf", "24", "-preset", "slow", "-tune", "animation", "-threads", "1", "-movflags", "+faststart"]
    undated = ["-fflags", "+bitexact", "-flags:v", "+bitexact", "-map_metadata", "-1"]
    video = imageio_ffmpeg.write_frames(
        str(path),
        (width, height),
        fps=FPS,
        codec="libx264",
        quality=None,
        macro_block_size=2,
        output_params=options + undated,
    )
    video.send(None)
    for i, picture in enumerate(pictures):
        for _ in range(hold(i, len(pictures))):
            video.send(picture.tobytes())
    video.close()


def as_svg(gif: bytes) -> str:
    """A GIF as an SVG, since the report shows no GIF, and browsers show no page of more than 2 MB inside of it."""
    width, height = struct.unpack("<HH", gif[6:10])
    size, content = f'width="{width}" height="{height}"', base64.b64encode(gif).decode()
    picture = f'<image {size} href="data:image/gif;base64,{content}"/>'
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n{picture}\n</svg>\n'
