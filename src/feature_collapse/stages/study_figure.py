"""Draw the figure of a study.

Points are means over seeds, bars their 95% intervals, lines the theory where it predicts the study.

\b
Reads:    results/[SCALE/]studies/NAME.csv; for seeds, also
          config/paper.yaml; for mechanism, also features.safetensors of its
          runs
Writes:   figures/[SCALE/]study_NAME.pdf, .png
Example:  python -m feature_collapse study_figure lambda
"""

from pathlib import Path

from feature_collapse.show.studies import FIGURES, mechanism
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Config


def make(name: str, scale: str, config: Config) -> None:
    """Write the figure of a study as PDF and PNG. Raises ConfigError for an unknown study, ArtifactError where a file
    is not as it should be."""
    runs = config.study(name, scale)
    rows = artifacts.read_csv(Path("results") / scale / "studies" / f"{name}.csv")
    if name == "mechanism":
        features = {run.name: artifacts.read(run, ["features.safetensors"])["features"] for run in runs}
        figure = mechanism(rows, features)
    else:
        figure = FIGURES[name](rows)
    artifacts.write_figure(Path("figures") / scale / f"study_{name}", figure)
