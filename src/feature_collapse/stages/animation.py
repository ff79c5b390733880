"""Show the words moving through training.

The experiments stand side by side, their time logarithmic.

\b
Reads:    snapshots.safetensors, features.safetensors, history.csv and
          run.json of the four experiments
Writes:   figures/[SCALE/]collapse.gif, collapse.mp4, and collapse.svg for
          the report
Example:  python -m feature_collapse animation --scale quick
"""

from pathlib import Path

from feature_collapse.show.animation import as_svg, frames, write_gif, write_mp4
from feature_collapse.show.style import describe
from feature_collapse.show.trajectories import trajectory
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.figures import Figures


def make(scale: str, config: Config, quiet: bool = False) -> None:
    """Write the moving picture of the first seed. Raises ConfigError for a run that keeps no snapshots, ArtifactError
    where a file is not as it should be."""
    figures = Figures(config)
    entry = figures.figures["collapse"]
    shown = {}
    for name, run in figures.runs("collapse", scale).items():
        title = f"{entry.of[name]}\n{describe(run.experiment)}".replace(", $", "\n$")
        shown[title] = trajectory(run.experiment, artifacts.read(run, entry.reads))
    pictures, stem = list(frames(shown, quiet)), Path("figures") / scale / "collapse"
    with artifacts.atomic(stem.with_suffix(".gif")) as temporary:
        write_gif(pictures, max(t.experiment.n_c for t in shown.values()), temporary)
    with artifacts.atomic(stem.with_suffix(".mp4")) as temporary:
        write_mp4(pictures, temporary)
    artifacts.write_text(stem.with_suffix(".svg"), as_svg(stem.with_suffix(".gif").read_bytes()))
