"""Tables of runs: every setting and every number of each, and the means over seeds."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from feature_collapse.evidence.hypotheses import interval
from feature_collapse.model.experiment import Experiment
from feature_collapse.theory import predictions
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.published import HERE, ROWS, TAKEN, counts
from feature_collapse.workflow.run import Run

FOLLOWS = ("epochs", "lambda_W")  # settings that follow from others: epochs from the steps, lambda_W from the network


def row(run: Run, metrics: dict[str, Any]) -> dict[str, Any]:
    """Every setting of a run and every number of its metrics (spectra by their first three values), what is predicted
    of it where a theorem speaks of it, and what follows from these."""
    return run.settings | derived(run.experiment, numbers(metrics))


def of_scale(scale: str, config: Config, published: bool = False) -> pd.DataFrame:
    """The runs of a scale, a row each, and those of the study of seeds below `results/` if it has been made; if it was
    made of published runs, only with `published`."""
    runs = config.runs(scale).values()
    metrics = ((run, artifacts.read_json(run.folder / "metrics.json", run)) for run in runs)
    found = pd.DataFrame(row(run, content) | {"source": HERE} for run, content in metrics)
    seeds = Path("results") / scale / "studies" / "seeds.csv"
    if not counts(seeds, published):
        return found
    more = artifacts.read_csv(seeds)
    return pd.concat([found, more[~more["run"].isin(found["run"])]], ignore_index=True)


def note(rows: pd.DataFrame) -> str:
    """A sentence on the runs of a table that were taken as published; empty where all were trained here."""
    taken = (rows["source"] == TAKEN).sum() if "source" in rows else 0
    return f"The metrics of {taken} of the {len(rows)} runs are taken from `{ROWS}`, not trained here." if taken else ""


def numbers(metrics: dict[str, Any]) -> dict[str, float]:
    """The numbers of metrics.json by their ids (see `workflow.measures`). Null is not a number."""
    found: dict[str, float] = {}
    for part, content in metrics.items():
        if part == "layers":
            for i, layer in enumerate(content, start=1):
                found |= {f"layer{i}_{name}": value for name, value in layer.items()}
            found |= {f"last_layer_{name}": value for layer in content[-1:] for name, value in layer.items()}
        elif isinstance(content, dict):
            prefix = "" if part == "training" else f"{part}_"
            for name, value in content.items():
                if name == "sigma":
                    found |= {f"{prefix}sigma_{i + 1}": sigma for i, sigma in enumerate(value[:3])}
                else:
                    found[f"{prefix}{name}"] = value
        elif content is None or isinstance(content, int | float):
            found[part] = content
    return {name: math.nan if value is None else value for name, value in found.items()}


def derived(e: Experiment, found: dict[str, float]) -> dict[str, Any]:
    """The numbers with those that follow from them."""
    get = found.get
    share = get("distinct_latents_drawn", math.nan) / e.K
    found = found | {
        "distinct_share": share,
        "fall_from_peak": get("peak_test_accuracy", math.nan) - get("test_accuracy", math.nan),
        "accuracy_of_possible": get("test_accuracy", math.nan) / share,
        "growth": get("words_norm_mean", math.nan) / (e.init_scale_W * math.sqrt(e.d)),
    }
    try:
        predicted = predictions.predict(e)
    except ValueError:  # a network or penalty that the theorems do not speak of
        return found
    words, u = predicted.mean_norm_words, predicted.norm_u
    return found | {
        "predicted_words_norm_mean": words,
        "predicted_u_norm_mean": u,
        "words_norm_error": get("words_norm_mean", math.nan) / words - 1 if words else math.nan,
        "u_norm_error": get("u_norm_mean", math.nan) / u - 1 if u else math.nan,
        "learnable": u > 0,
    }


def varying(rows: pd.DataFrame) -> list[str]:
    """The settings in which the runs of a table differ, besides the seed."""
    return [key for key in Experiment.model_fields if key in rows and rows[key].nunique() > 1]


def summarise(rows: pd.DataFrame) -> pd.DataFrame:
    """One row for each configuration and measure of a table of runs: what varies, `measure`, `mean`, `low`, `high` and
    the number of `seeds`. A measure that a run of the configuration does not have is left out."""
    settings = varying(rows)
    columns = rows.select_dtypes("number")
    measures = [name for name in columns if name not in Experiment.model_fields and name != "seed"]
    configurations = rows.groupby(settings, sort=False) if settings else [((), rows)]
    parts = []
    for values, part in configurations:
        low, high = interval(part[measures])
        mean = part[measures].mean(skipna=False).to_numpy(np.float64)
        table = pd.DataFrame({"measure": measures, "mean": mean, "low": low, "high": high, "seeds": len(part)})
        parts.append(table.assign(**dict(zip(settings, values, strict=True)))[[*settings, *table]])
    return pd.concat(parts, ignore_index=True).dropna(subset="mean")
