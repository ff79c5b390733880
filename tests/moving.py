"""Four tiny runs, trained in moments, for what shows them through training."""

from collections.abc import Callable
from pathlib import Path

import pytest

from feature_collapse.model.experiment import Experiment
from feature_collapse.show import paper as figures
from feature_collapse.stages import data as data_stage
from feature_collapse.stages import features as features_stage
from feature_collapse.stages import train
from feature_collapse.workflow.config import Run

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
            data_stage.make(run)
            train.make(run, quiet=True)
            features_stage.make(run)
    return runs


def show(runs: dict[str, Run], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let these runs be the ones that are shown."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(figures, "shown_runs", lambda scale, config: runs)
