"""Train an experiment with the mistakes of a wrong implementation.

NAME is an experiment at quick scale. Each mistake is trained from the beginning to the end, so this takes as long as
ten runs.

\b
Writes:   results/quick/mutants/NAME.csv
Example:  python -m feature_collapse mutant fig4b
"""

from pathlib import Path

import pandas as pd

from feature_collapse.evidence.mutants import MUTANTS, SCALE, SEED, train
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.progress import track


def make(name: str, config: Config, quiet: bool = False) -> None:
    """Write the numbers of every mutant, a row each. Raises ConfigError for an unknown experiment."""
    e, rows = config.run(f"{SCALE}/{name}/seed{SEED}").experiment, []
    for mutant in track(list(MUTANTS), f"mutants of {name}", "mutant", quiet):
        if (numbers := train(MUTANTS[mutant], e)) is not None:
            rows.append({"mutant": mutant, "experiment": name, "seed": SEED, **numbers})
    artifacts.write_csv(Path("results") / SCALE / "mutants" / f"{name}.csv", pd.DataFrame(rows))
