"""Compare our numbers with the paper's.

\b
Reads:    config/paper.yaml, metrics.json of every run, and the table of the
          study of seeds if it has been made (of published runs: with
          --published)
Writes:   results/[SCALE/]reproduction.csv, .md and .html
Example:  python -m feature_collapse reproduction --scale quick
"""

from pathlib import Path

from feature_collapse.evidence import rows
from feature_collapse.evidence.reproduction import markdown, read_paper, table
from feature_collapse.workflow import tables
from feature_collapse.workflow.config import Config


def make(scale: str, config: Config, published: bool = False) -> None:
    """Write the table of all seeds; with `published`, of those of published runs too. Raises ConfigError for a number
    of an unknown experiment, ArtifactError where a file is not as it should be."""
    runs = rows.of_scale(scale, config, published)
    numbers = table(read_paper(config=config), runs, full_size=not scale)
    page = markdown(numbers)
    tables.write_table(
        Path("results") / scale / "reproduction", numbers, f"{page}\n{said}\n" if (said := rows.note(runs)) else page
    )
