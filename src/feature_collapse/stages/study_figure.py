"""Draw the figure of a study.

Points are means over seeds, bars their 95 % intervals, lines the theory where it predicts the study.

\b
Reads:    config/studies/NAME.yaml, results/[SCALE/]studies/NAME.csv, and
          what else the figure needs
Writes:   figures/[SCALE/]study_NAME.pdf, .png
Example:  python -m feature_collapse study_figure lambda
"""

from pathlib import Path

from feature_collapse.evidence.reproduction import read_paper
from feature_collapse.show import studies
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Config


def make(name: str, scale: str, config: Config) -> None:
    """Write the figure of a study as PDF and PNG. Raises ConfigError for an unknown study, ArtifactError where a file
    is not as it should be."""
    runs, picture = config.study(name, scale), config.question(name).picture
    rows = artifacts.read_csv(Path("results") / scale / "studies" / f"{name}.csv").copy()  # in one piece
    if picture.draw is None:
        figure = studies.sweep(rows, picture)
    elif picture.needs is None:
        figure = vars(studies)[picture.draw](rows)
    elif picture.needs == "paper":
        figure = vars(studies)[picture.draw](rows, read_paper())
    else:
        features = {run.name: artifacts.read(run, ["features.safetensors"])["features"] for run in runs}
        figure = vars(studies)[picture.draw](rows, features)
    artifacts.write_figure(Path("figures") / scale / f"study_{name}", figure)
