"""Snapshots as points that move: where they end is where the figures have them, and nothing is centred."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from moving import read

from feature_collapse.model.experiment import Experiment
from feature_collapse.stages import data as data_stage
from feature_collapse.stages import features as features_stage
from feature_collapse.stages import train
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.artifacts import ArtifactError
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.figures import Figures
from feature_collapse.workflow.run import ConfigError, Run


@pytest.fixture
def trained(run: Run, process: None) -> Run:
    data_stage.make(run)
    train.make(run, quiet=True)
    features_stage.make(run)
    return run


def test_words_end_where_the_figures_have_them_up_to_their_centre(trained: Run) -> None:
    arrays, _ = artifacts.read_arrays(trained.folder / "features.safetensors", trained)
    t = read(trained)
    centre = arrays["words"].mean(0) @ arrays["words_axes"]
    size = float(np.abs(arrays["words_plane"]).max())
    assert t.plane["words"][-1] == pytest.approx(arrays["words_plane"] + centre, abs=2e-3 * size)
    assert t.norm["words"][-1] == pytest.approx(arrays["words_norm"], rel=2e-3)


def test_u_end_where_the_weights_are(trained: Run) -> None:
    e = trained.experiment
    arrays, _ = artifacts.read_arrays(trained.folder / "features.safetensors", trained)
    weights, _ = artifacts.read_arrays(trained.folder / "weights.safetensors", trained)
    u = weights["U"].reshape(e.K * e.L, e.d)[: e.snapshot_classes * e.L]
    t = read(trained)
    assert t.plane["u"][-1] == pytest.approx(u @ arrays["u_axes"], abs=2e-3 * float(np.abs(u).max()))
    assert t.norm["u"][-1] == pytest.approx(np.linalg.norm(u, axis=1), rel=2e-3)
    assert t.concepts["u"].tolist() == arrays["z"][: len(u)].tolist()


def test_there_is_one_more_record_than_rows_of_the_history_and_the_first_is_before_training(trained: Run) -> None:
    e, t = trained.experiment, read(trained)
    rows = pd.read_csv(trained.folder / "history.csv")
    snapshots, _ = artifacts.read_arrays(trained.folder / "snapshots.safetensors", trained)
    assert t.plane["words"].shape == (1 + len(rows), e.n_w, 3)
    assert t.plane["u"].shape == (1 + len(rows), e.snapshot_classes * e.L, 3)
    assert t.epoch == pytest.approx(snapshots["epoch"])
    assert t.history["test_accuracy"].tolist()[1:] == rows["test_accuracy"].tolist()
    assert t.history.iloc[0].drop("epoch").isna().all()
    assert t.epoch[0] == 0 and t.epoch[-1] == e.epochs


def test_concepts_are_those_of_the_data_model(trained: Run) -> None:
    t = read(trained)
    assert t.concepts["words"].tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_where_there_are_but_two_dimensions_nothing_leaves_the_plane(
    tiny: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, process: None
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Run("tiny/seed0", "", tiny(d=2), 0)
    data_stage.make(run)
    train.make(run, quiet=True)
    features_stage.make(run)
    for plane in read(run).plane.values():
        assert plane.shape[2] == 3
        assert plane[..., :2].any() and not plane[..., 2].any()


def test_a_run_without_snapshots_is_refused(config: Config, tiny: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    run = Run("tiny/seed0", "", tiny(snapshot_classes=0), 0)
    monkeypatch.setattr(Config, "shown", lambda self, scale: {"fig3": run})
    with pytest.raises(ConfigError, match=r"^tiny/seed0: snapshot_classes: 0 keeps no snapshots"):
        Figures(config).runs("collapse", "")
    assert Figures(config).runs("figure3", "") == {"fig3": run}


@pytest.mark.parametrize("name", ["snapshots.safetensors", "features.safetensors", "history.csv"])
def test_a_file_that_is_missing_or_damaged_is_refused(trained: Run, name: str) -> None:
    path = trained.folder / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ArtifactError, match=rf"{name}: is "):
        read(trained)
    path.unlink()
    with pytest.raises(ArtifactError, match=rf"{name}: is missing"):
        read(trained)
