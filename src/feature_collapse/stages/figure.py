"""Draw a figure of the paper or of its theory.

NAME is [SCALE/]figure. Drawing never trains: the files of the runs must exist. An unknown name lists the known ones.

\b
Reads:    config/figures.yaml, and the files of runs that it names for NAME
Writes:   figures/NAME.pdf, NAME.png
Example:  python -m feature_collapse figure quick/figure4b
"""

from pathlib import Path

from feature_collapse.show import diagrams, paper
from feature_collapse.show.paper import Shown
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.figures import Figures


def make(name: str, config: Config) -> None:
    """Write a figure as PDF and PNG. Raises ConfigError for an unknown figure, ArtifactError where a file is not as it
    should be."""
    figures, (scale, _, figure) = Figures(config), name.rpartition("/")
    if figure not in figures.drawn or scale not in ("", *config.scales) or name.startswith("/"):
        raise figures.unknown(name)
    entry, drawings = figures.drawn[figure], vars(diagrams) | vars(paper)
    shown = [
        Shown(entry.of[experiment], run.experiment, artifacts.read(run, entry.reads))
        for experiment, run in figures.runs(figure, scale).items()
    ]
    artifacts.write_figure(Path("figures") / name, drawings[str(entry.draw)](*shown))
