"""Studies: grids of runs, gathered into one table each, `results/studies/<name>.csv`, one row a run."""

from pathlib import Path
from typing import Any

import pandas as pd

from feature_collapse import artifacts, predictions
from feature_collapse.config import Config, Run
from feature_collapse.progress import track

PARTS = ("training", "words", "u", "objective")


def row(run: Run, metrics: dict[str, Any]) -> dict[str, Any]:
    """Every setting of a run and every number of its metrics, spectra by their first three values."""
    flat: dict[str, Any] = {"run": run.name, "seed": run.seed, **run.experiment.model_dump()}
    for part in PARTS:
        for name, value in metrics[part].items():
            if name == "sigma":
                flat |= {f"{part}_sigma_{i + 1}": sigma for i, sigma in enumerate(value[:3])}
            else:
                flat[f"{part}_{name}"] = value
    flat |= {name: metrics[name] for name in ("alignment", "norm_follows_mu")}
    try:
        predicted = predictions.predict(run.experiment)
    except ValueError:  # a network or penalty that the theorems do not speak of
        return flat
    return flat | {
        "predicted_words_norm_mean": predicted.mean_norm_words,
        "predicted_u_norm_mean": predicted.norm_u,
        "learnable": predicted.norm_u > 0,
    }


def make(name: str, scale: str, config: Config, quiet: bool = False) -> None:
    """Write the table of a study from the metrics of its runs. Raises ConfigError for a study that is not there."""
    runs = track(config.study(name, scale), f"study {name}", "run", quiet)
    rows = [row(run, artifacts.read_json(run.folder / "metrics.json", run)) for run in runs]
    artifacts.write_csv(Path("results") / scale / "studies" / f"{name}.csv", pd.DataFrame(rows))
