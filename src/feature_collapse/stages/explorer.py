"""Make a page on which to step through training.

It has a slider for the epoch, and names the word or u_kl under the pointer. It is one file and needs no network.

\b
Reads:    snapshots.safetensors, features.safetensors, history.csv and
          run.json of the four experiments
Writes:   results/[SCALE/]explorer.html
Example:  python -m feature_collapse explorer --scale quick
"""

from pathlib import Path

from feature_collapse.show.explorer import content, page
from feature_collapse.show.trajectories import trajectory
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.figures import Figures


def make(scale: str, config: Config) -> None:
    """Write the page of the first seed. Raises as `stages.animation.make`."""
    figures = Figures(config)
    entry = figures.figures["collapse"]
    experiments = [
        content(name, entry.of[name], trajectory(run.experiment, artifacts.read(run, entry.reads)))
        for name, run in figures.runs("collapse", scale).items()
    ]
    artifacts.write_text(Path("results") / scale / "explorer.html", page(experiments))
