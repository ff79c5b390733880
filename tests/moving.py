"""Four tiny runs, trained in moments, for what shows them through training."""

from collections.abc import Callable
from pathlib import Path

import pytest

from feature_collapse import data, features, figures, training
from feature_collapse.config import Experiment, Run

SETTINGS = {
    "fig3": {},
    "fig4a": {"mu": "zipf", "n_spl": 5},
    "fig4b": {"mu": "zipf"},
    "fig4c": {"mu": "zipf", "normalisation": "layernorm", "lambda_W": 0},
}


def four_runs(tiny: Callable[..., Experiment], folder: Path) -> dict[str, Run]:
    """Trained runs that stand for the four experiments, their files below `folder/results`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        runs = {name: Run(f"tiny_{name}/seed0", "", tiny(**changes), 0) for name, changes in SETTINGS.items()}
        for run in runs.values():
            data.make(run)
            training.make(run, quiet=True)
            features.make(run)
    return runs


def show(runs: dict[str, Run], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let these runs be the ones that are shown."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(figures, "shown_runs", lambda scale, config: runs)
