"""Check the theorems by listing every sentence.

What the theorems state is compared with a lower bound on the objective at all other weights. Where there is no such
bound, true risk plus penalty is minimised from random starts; a start that ends below the value that a theorem states
is a counterexample, and its weights are saved. SCALE only says where the tables go.

\b
Writes:   results/[SCALE/]enumeration.csv, .md and .html, certificate.csv,
          enumeration_gradients.csv, and counterexamples/ if there are any
Example:  python -m feature_collapse enumeration --starts 10
"""

from pathlib import Path

import pandas as pd
import safetensors.numpy

from feature_collapse.theory.enumeration import (
    CERTIFIED,
    certify,
    check,
    gradients,
    long_tailed,
    markdown,
    problems,
    random_problems,
)
from feature_collapse.workflow import artifacts, tables
from feature_collapse.workflow.progress import track


def make(scale: str, starts: int, quiet: bool = False) -> None:
    """Certify `CERTIFIED` random problems, minimise `problems()` from so many random starts each, and write the
    tables."""
    folder, listed = Path("results") / scale, problems()
    certified = pd.DataFrame([certify(problem).row for problem in random_problems(CERTIFIED)])
    checks = [check(problem, starts) for problem in track(listed, "enumeration", "problem", quiet)]
    for i, found in enumerate(checks):
        if found.below:
            with artifacts.atomic(folder / "counterexamples" / f"{i}.safetensors") as temporary:
                safetensors.numpy.save_file({"W": found.W, "U": found.U}, temporary)
    rows, slopes = pd.DataFrame([found.row for found in checks]).drop(columns="seconds"), gradients(long_tailed())
    artifacts.write_csv(folder / "certificate.csv", certified)
    artifacts.write_csv(folder / "enumeration_gradients.csv", slopes)
    tables.write_table(folder / "enumeration", rows, markdown(certified, rows, slopes))
