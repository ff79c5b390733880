"""Compare our numbers with the paper's.

\b
Reads:    config/paper.yaml, metrics.json of every run, and the table of the
          study of seeds if it has been made
Writes:   results/[SCALE/]reproduction.csv, .md and .html
Example:  python -m feature_collapse reproduction --scale quick
"""

from pathlib import Path

from feature_collapse.evidence import rows
from feature_collapse.evidence.reproduction import markdown, read_paper, table
from feature_collapse.workflow import tables
from feature_collapse.workflow.config import Config


def make(scale: str, config: Config) -> None:
    """Write the table of all seeds. Raises ConfigError for a number of an unknown experiment, ArtifactError where a
    file is not as it should be."""
    numbers = table(read_paper(config=config), rows.of_scale(scale, config), full_size=not scale)
    tables.write_table(Path("results") / scale / "reproduction", numbers, markdown(numbers))
