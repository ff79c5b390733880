"""What a study says: its verdicts, its answer where it fits them, and the page that shows both with the table."""

from dataclasses import dataclass

import pandas as pd

from feature_collapse.evidence.hypotheses import Result, decide, estimate, measured
from feature_collapse.evidence.rows import FOLLOWS, varying
from feature_collapse.workflow.measures import measure
from feature_collapse.workflow.studies import Quantity, Study

NAMES = {
    "none": "plain",
    "layernorm": "LayerNorm",
    "layernorm_affine": "LayerNorm with scale and shift",
    "rmsnorm": "RMSNorm",
    "l2": "L2-normalised words",
    "batchnorm": "BatchNorm",
    "fixed_norm": "fixed-norm table",
}
DECIDED = (
    "A verdict is read off the 95 % interval (Student's t) of the mean over seeds, or of the difference seed by seed. "
    "A hypothesis about several settings is supported if it is at every one, and contradicted if it is at any, by "
    "intervals widened for their number (Bonferroni). With one seed the value decides."
)


@dataclass(frozen=True)
class Said:
    """A study held against its table."""

    results: dict[str, Result]
    answer: str  # "" where none has been written
    fits: bool  # whether the verdicts are those that the answer was written for

    @property
    def verdicts(self) -> dict[str, str]:
        return {name: result.verdict or "not run" for name, result in self.results.items()}


def say(study: Study, rows: pd.DataFrame) -> Said:
    """Decide the hypotheses of a study by its rows, and fill in its answer."""
    results = {name: decide(hypothesis, rows) for name, hypothesis in study.hypotheses.items()}
    if study.answer is None:
        return Said(results, "", True)
    fits = all(results[name].verdict == verdict for name, verdict in study.answer.when.items())
    values = {name: measured(quantity, rows) for name, quantity in study.answer.values.items()}
    return Said(results, " ".join(study.answer.text.split()).format(**results, **values), fits)


def summary(study: Study, rows: pd.DataFrame) -> str:
    """The answer where it fits, otherwise each expectation with what became of it."""
    said = say(study, rows)
    if said.answer and said.fits:
        return said.answer
    verdicts = [f"{study.hypotheses[name].says} {verdict.capitalize()}." for name, verdict in said.verdicts.items()]
    return " ".join(verdicts) or "Its table says it."


def hypotheses_table(said: Said) -> pd.DataFrame:
    """One row for each hypothesis: what was expected, what came of it, and the numbers."""
    found = []
    for name, result in said.results.items():
        against = f" against {result.other:interval}" if result.other.estimates else ""
        cells = {"expected": result.hypothesis.says, "verdict": said.verdicts[name]}
        where = f"; contradicted at {result.exceptions}" if result.exceptions and len(result.findings) > 1 else ""
        shown = f"{result.of:interval}{against}{where}" if result.findings else "–"
        found.append(cells | {"settings": len(result.findings), "measured": shown})
    return pd.DataFrame(found)


def shown(study: Study, rows: pd.DataFrame) -> pd.DataFrame:
    """The columns of a study's page, one row a configuration, means with their intervals."""
    settings = [key for key in varying(rows) if key not in FOLLOWS]
    columns = [name for name in study.columns if name in rows and rows[name].notna().any()]
    parts = rows.groupby(settings, sort=False) if settings else [((), rows)]
    found = []
    for values, part in parts:
        cells = dict(zip(settings, values, strict=True)) | {"seeds": part["seed"].nunique()}
        found.append(cells | {measure(c).label: f"{estimate(Quantity(column=c), part):interval}" for c in columns})
    return pd.DataFrame(found).replace({"normalisation": NAMES})


def markdown(study: Study, rows: pd.DataFrame) -> str:
    """Question, answer, verdicts and table of a study."""
    said = say(study, rows)
    parts = [f"# {study.question}"]
    if said.answer:
        parts += [
            f"**{said.answer}**"
            if said.fits
            else "The answer that was written for this study does not fit these verdicts, so it is not shown."
        ]
    if said.results:
        parts += ["## What was expected", _table(hypotheses_table(said)), DECIDED]
    parts += [
        "## What was measured",
        _table(shown(study, rows)),
        f"Means over seeds with 95 % intervals in brackets; {len(rows)} runs. The measures are defined in "
        "`src/feature_collapse/model/collapse.py`; what varies is named as in `config/experiments.yaml`.",
    ]
    return "\n\n".join(parts) + "\n"


def _table(cells: pd.DataFrame) -> str:
    return cells.to_markdown(index=False, disable_numparse=True)
