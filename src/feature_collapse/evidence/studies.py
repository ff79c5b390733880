"""Studies: grids of runs, gathered below `results/studies/`: one row a run in `<name>.csv`, means over seeds with their
intervals in `<name>_summary.csv`, and question, answer and the columns that matter in `<name>.md`."""

from typing import Any

import pandas as pd

from feature_collapse.evidence import reproduction
from feature_collapse.evidence.answers import ANSWERS, NAMES, Estimate, onsets, paper_numbers
from feature_collapse.evidence.summaries import summarise, varying
from feature_collapse.theory import predictions
from feature_collapse.workflow.config import Run

PARTS = ("training", "words", "words_weighted_by_mu", "u", "objective")
NUMBERS = ("alignment", "alignment_weighted_by_mu", "norm_follows_mu", "u_norm_follows_met")
# Of what varies, what follows from the rest: a run's epochs from its steps, lambda_W from lambda_U and the network.
FOLLOWS = ("epochs", "lambda_W")
ACCURACIES = {"training_train_accuracy": "train accuracy", "training_test_accuracy": "test accuracy"}
COLLAPSE = {
    "words_weighted_by_mu_cdnv": "CDNV of words",
    "words_weighted_by_mu_direction_spread": "direction spread of words",
    "words_weighted_by_mu_size_spread": "size spread of words",
    "u_cdnv": "CDNV of u_kl",
}
NORMS = {
    "words_weighted_by_mu_norm_mean": "norm of words",
    "predicted_words_norm_mean": "predicted",
    "u_norm_mean": "norm of u_kl",
    "predicted_u_norm_mean": "predicted norm of u_kl",
}
# What each study shows of its summary, if not accuracies and collapse: measure -> heading.
SHOWN: dict[str, dict[str, str]] = {
    "lambda": {"words_norm_mean": "norm of words", "predicted_words_norm_mean": "predicted", **ACCURACIES},
    "task": ACCURACIES | NORMS,
    "depth": ACCURACIES | COLLAPSE | {f"layer{i}_cdnv": f"CDNV behind layer {i}" for i in (1, 2)},
    "depth_search": ACCURACIES,
    "mechanism": {
        "u_norm_follows_met": "rank correlation of the norm of u_kl with the mean norm of the words met",
        "words_weighted_by_mu_size_spread": "size spread of words",
        "u_size_spread": "size spread of u_kl",
        **ACCURACIES,
    },
}


def row(run: Run, metrics: dict[str, Any]) -> dict[str, Any]:
    """Every setting of a run and every number of its metrics, spectra by their first three values, and what is
    predicted of it where a theorem speaks of it."""
    flat: dict[str, Any] = {"run": run.name, "seed": run.seed, **run.experiment.model_dump()}
    for part in PARTS:
        for name, value in metrics[part].items():
            if name == "sigma":
                flat |= {f"{part}_sigma_{i + 1}": sigma for i, sigma in enumerate(value[:3])}
            else:
                flat[f"{part}_{name}"] = value
    flat |= {name: metrics[name] for name in NUMBERS}
    for i, layer in enumerate(metrics["layers"], start=1):
        flat |= {f"layer{i}_{name}": value for name, value in layer.items()}
    try:
        predicted = predictions.predict(run.experiment)
    except ValueError:  # a network or penalty that the theorems do not speak of
        return flat
    return flat | {
        "predicted_words_norm_mean": predicted.mean_norm_words,
        "predicted_u_norm_mean": predicted.norm_u,
        "learnable": predicted.norm_u > 0,
    }


def shown(name: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The part of a study's summary that matters, one row a configuration, `mean (low to high)`."""
    if name == "seeds":
        return _numbers_shown(rows)
    headings = SHOWN.get(name, ACCURACIES | COLLAPSE)
    summary = summarise(rows)
    settings = varying(rows)
    cells = summary[summary["measure"].isin(headings)].copy()
    cells["cell"] = [
        Estimate(*row[["mean", "low", "high"]]).show(".1%" if row["measure"] in ACCURACIES else ".3g")
        for _, row in cells.iterrows()
    ]
    table = cells.pivot(index=settings, columns="measure", values="cell").reset_index()
    seeds = summary.drop_duplicates(settings)[[*settings, "seeds"]] if settings else summary.head(1)[["seeds"]]
    table = seeds.merge(table, on=settings) if settings else seeds.join(table)
    kept = [key for key in settings if key not in FOLLOWS]
    table = table[[*kept, "seeds", *(key for key in headings if key in table)]]
    return table.replace({"normalisation": NAMES}).rename(columns=headings).fillna("")


def _numbers_shown(rows: pd.DataFrame) -> pd.DataFrame:
    """The paper's numbers, what the seeds gave, and how many of them are within the tolerance."""
    numbers = paper_numbers(rows, reproduction.read_paper())
    found = []
    for (figure, quantity, paper, tolerance), part in numbers.groupby(
        ["figure", "quantity", "paper", "tolerance"], sort=False
    ):
        ours = Estimate.of(part["ours"])
        found.append(
            {
                "figure": figure,
                "quantity": quantity,
                "paper": f"{paper:.4g}",
                "here": ours.show(".4g"),
                "standard deviation": f"{part['ours'].std(ddof=1):.2g}",
                "tolerance": tolerance,
                "seeds within": f"{part['within'].sum()} of {len(part)}",
            }
        )
    return pd.DataFrame(found)


def markdown(name: str, question: str, rows: pd.DataFrame) -> str:
    """Question, answer, table and number of runs of a study."""
    seeds = rows["seed"].nunique()
    means = (
        f"Means over {seeds} seeds with 95% bootstrap intervals in brackets, left out where the digits do not tell "
        "their ends apart"
    )
    parts = [
        f"# {question}",
        ANSWERS[name](rows),
        f"{means if seeds > 1 else 'One seed'}; {len(rows)} runs. "
        "Means over words are weighted by their frequency. The measures are defined in "
        "`src/feature_collapse/model/collapse.py`; what varies is named as in `config/experiments.yaml`.",
        _table(shown(name, rows)),
    ]
    if name == "sample_size":
        fitted = onsets(rows).replace({"normalisation": NAMES})
        fitted[["power", "limit"]] = fitted[["power", "limit"]].map(lambda estimate: estimate.show(".3g"))
        parts += [
            "As n_spl grows, the CDNV of the u_kl approaches its value with fresh sentences at every step like a power "
            "of n_spl, fitted seed by seed:",
            _table(fitted.rename(columns={"power": "power of n_spl", "limit": "CDNV with fresh sentences"})),
        ]
    return "\n\n".join(parts) + "\n"


def _table(cells: pd.DataFrame) -> str:
    return cells.to_markdown(index=False, disable_numparse=True)
