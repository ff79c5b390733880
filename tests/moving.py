"""Four tiny runs, trained in moments, for what shows them through training."""

from collections.abc import Callable
from pathlib import Path

import pytest
from workflow import PROJECT
from workflow import SETTINGS as SETTINGS_FILE

from feature_collapse.model.experiment import Experiment
from feature_collapse.show.trajectories import Trajectory, trajectory
from feature_collapse.stages import data as data_stage
from feature_collapse.stages import features as features_stage
from feature_collapse.stages import train
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.figures import Figures
from feature_collapse.workflow.run import Run

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


def read(run: Run) -> Trajectory:
    """What moves, from the files that the entry `collapse` of config/figures.yaml names."""
    reads = Figures(Config(PROJECT / SETTINGS_FILE)).figures["collapse"].reads
    return trajectory(run.experiment, artifacts.read(run, reads))


def show(runs: dict[str, Run], folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let these runs be the ones that are shown."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(Config, "shown", lambda self, scale: runs)
