"""Collapse, moving: words and u_{k,l} of the four experiments side by side through training, as .gif and .mp4.

Time is logarithmic, from the first step of each experiment to its last: with LayerNorm words collapse within the first
of hundreds of epochs. Nothing else moves: axes, colours and legend stand still.
"""

import base64
import struct
from collections.abc import Iterator
from pathlib import Path

import imageio_ffmpeg
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, NullLocator, StrMethodFormatter
from PIL import Image

from feature_collapse.show.style import MARKERS, concept_colour, legend_below
from feature_collapse.show.trajectories import Trajectory
from feature_collapse.show.vertices import DIRECTIONS, norms
from feature_collapse.workflow.progress import track

SIZE, DPI = (8.4, 5.76), 150  # inches, and dots per inch: even numbers of pixels, which H.264 asks for
TIMES = 60  # pictures of training, evenly spaced in the logarithm of time; one more is from before training
FPS = 10
LOW, HIGH, ACROSS = -1.0, 1.85, 1.65  # what is seen of the plane, in units of the predicted norm
SHADES = 14  # of each colour in the .gif


def hold(i: int, pictures: int) -> int:
    """How many frames picture i of so many is shown for: the last is the result."""
    return 3 * FPS if i == pictures - 1 else FPS if i == 0 else 1


def record(epochs: np.ndarray, share: float) -> int:
    """The last of the records at epochs (T,) when a share of the time between the first of training, number 1, and the
    last is over, by its logarithm."""
    now = epochs[1] * (epochs[-1] / epochs[1]) ** share
    return int(np.searchsorted(epochs, now * (1 + 1e-9), side="right")) - 1


class Panel:
    """One experiment: words and u_{k,l} on their final principal planes, and test accuracy, as far as training is.

    Lengths are relative to what theory predicts, of u_{k,l} and of the most frequent word, or to the longest at the end
    where it predicts nothing, so that experiments are comparable.
    """

    def __init__(self, words: Axes, u: Axes, curve: Axes, title: str, trajectory: Trajectory):
        t = self.trajectory = trajectory
        self.curve = curve
        predicted = norms(t.experiment)
        self.places = {
            vectors: plane[..., :2] / (predicted[vectors] if predicted else t.norm[vectors][-1].max())
            for vectors, plane in t.plane.items()
        }
        self.clouds = {}
        for vectors, axes in (("words", words), ("u", u)):
            axes.set(xlim=(-ACROSS, ACROSS), ylim=(LOW, HIGH), xticks=[-1, 0, 1], yticks=[0, 1], aspect="equal")
            axes.tick_params(labelbottom=False)
            groups = t.concepts[vectors]
            self.clouds[vectors] = [(groups == g, _cloud(axes, g)) for g in range(t.experiment.n_c)]
            if predicted:
                axes.plot(*DIRECTIONS.T, "+", color="black", ms=8, mew=1, label="predicted")
        words.set_title(title)
        self.accuracies = 100 * t.history["test_accuracy"].to_numpy()
        curve.plot(t.epoch[1:], self.accuracies[1:], color="0.8", lw=1)
        (self.line,) = curve.plot([], [], color="black", lw=1.2)
        (self.point,) = curve.plot([], [], "o", color="black", ms=4, clip_on=False)
        curve.set(xscale="log", xlim=(t.epoch[1], t.epoch[-1]), ylim=(0, 102), yticks=[0, 50, 100], xlabel="epoch")
        curve.xaxis.set(
            major_locator=LogLocator(numticks=4),
            major_formatter=StrMethodFormatter("{x:g}"),
            minor_locator=NullLocator(),
        )

    def show(self, i: int) -> None:
        """Go to record i; record 0 is from before training."""
        for vectors, clouds in self.clouds.items():
            for members, cloud in clouds:
                cloud.set_data(*self.places[vectors][i][members].T)
        epochs, accuracies = self.trajectory.epoch[1 : i + 1], self.accuracies[1 : i + 1]
        self.line.set_data(epochs, accuracies)
        self.point.set_data(epochs[-1:], accuracies[-1:])
        self.curve.set_title("before training" if i == 0 else f"epoch {_rounded(epochs[-1])}: {accuracies[-1]:.2f} %")


def _cloud(axes: Axes, g: int) -> Line2D:
    """The marks of a concept, to be placed."""
    style = {"ms": 3, "mew": 0, "alpha": 0.45, "color": concept_colour(g), "marker": MARKERS[g % len(MARKERS)]}
    return axes.plot([], [], ls="", label=f"concept {g + 1}", **style)[0]


def _rounded(epoch: float) -> str:
    """An epoch as a whole number, or to two digits if it is among the first ten."""
    return f"{epoch:.2g}" if epoch < 10 else f"{epoch:.0f}"


def moving(trajectories: dict[str, Trajectory]) -> tuple[Figure, list[Panel]]:
    """The figure of the experiments, by their titles, and its panels to be moved."""
    figure = Figure(figsize=SIZE, dpi=DPI)
    # A fixed layout, as what changes from frame to frame must not shift the rest.
    grid = figure.subplots(
        *(3, len(trajectories)),
        squeeze=False,
        sharey="row",
        height_ratios=[HIGH - LOW, HIGH - LOW, 1],
        gridspec_kw={"left": 0.085, "right": 0.985, "bottom": 0.145, "top": 0.905, "wspace": 0.14, "hspace": 0.2},
    )
    panels = [
        Panel(words, u, curve, title, trajectory)
        for (words, u, curve), (title, trajectory) in zip(grid.T, trajectories.items(), strict=True)
    ]
    labels = "words", "classifier\nvectors $u_{k,\\ell}$", "test\naccuracy (%)"
    for axes, label in zip(grid[:, 0], labels, strict=True):
        axes.set_ylabel(label)
        axes.yaxis.set_label_coords(-0.17, 0.5)
    legend_below(figure, grid[0, 0])
    for handle in filter(None, figure.legends[0].legend_handles):
        handle.set(alpha=1, markersize=6)
    return figure, panels


def frames(trajectories: dict[str, Trajectory], quiet: bool = False) -> Iterator[np.ndarray]:
    """The pictures (height, width, 3), as bytes of red, green and blue: before training, then at each of the times."""
    figure, panels = moving(trajectories)
    canvas = FigureCanvasAgg(figure)
    for i in track(range(TIMES + 2), "animation", "picture", quiet):
        for panel in panels:
            panel.show(record(panel.trajectory.epoch, (i - 1) / TIMES) if i else 0)
        canvas.draw()
        yield np.asarray(canvas.buffer_rgba())[..., :3].copy()


def palette(n_c: int) -> Image.Image:
    """The colours of the .gif: those of the concepts and black, each down to white. With colours chosen by picture the
    legend would change its own from one to the next."""
    inks = ["black", *(concept_colour(g) for g in range(n_c))]
    shades = [1 - s * (1 - np.array(to_rgb(ink))) for ink in inks for s in np.linspace(0, 1, SHADES)]
    image = Image.new("P", (1, 1))
    image.putpalette(np.rint(255 * np.concatenate(shades)).astype(np.uint8).tobytes())
    return image


def write_gif(pictures: list[np.ndarray], n_c: int, path: Path) -> None:
    """The pictures of experiments of up to n_c concepts. Those that do not change are held."""
    colours, plain = palette(n_c), Image.Dither.NONE
    first, *rest = [Image.fromarray(x).quantize(palette=colours, dither=plain) for x in pictures]
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
