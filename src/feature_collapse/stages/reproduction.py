"""Compare our numbers with the paper's.

\b
Reads:    config/paper.yaml, metrics.json of every run
Writes:   results/[SCALE/]reproduction.csv, .md and .html
Example:  python -m feature_collapse reproduction --scale quick
"""

from pathlib import Path

from feature_collapse.evidence.reproduction import PAPER_FILE, markdown, read_paper, table
from feature_collapse.workflow import artifacts, tables
from feature_collapse.workflow.config import Config, ConfigError


def make(scale: str, config: Config) -> None:
    """Write the table of all seeds. Raises ConfigError for a number of an unknown experiment, ArtifactError where a
    file is not as it should be."""
    paper = read_paper()
    for experiment in paper.experiments:
        if experiment not in config.experiments():
            known = ", ".join(config.experiments())
            raise ConfigError(f"{PAPER_FILE}: experiments: no {experiment!r}; there are {known}")
    metrics = {key: artifacts.read_json(run.folder / "metrics.json", run) for key, run in config.runs(scale).items()}
    rows = table(paper, metrics, full_size=not scale)
    tables.write_table(Path("results") / scale / "reproduction", rows, markdown(rows))
