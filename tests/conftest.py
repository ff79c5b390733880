"""What the tests share: hypothesis made repeatable, the configuration, tiny experiments."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as in the jobs of the workflow; read when numpy is imported

import pytest
import torch
import workflow
from hypothesis import settings

from feature_collapse.model.experiment import Experiment
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.run import Run

ROOT = Path(__file__).parents[1]

settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.load_profile("repeatable")
torch.set_num_threads(1)  # tiny products are slower on more, and workers share the cores


@pytest.fixture(scope="session")
def root() -> Path:
    """The top folder of the artifact."""
    return ROOT


@pytest.fixture(scope="session")
def config() -> Config:
    """The configuration as it is delivered."""
    return Config(ROOT / "config/experiments.yaml")


@pytest.fixture(scope="session")
def tiny(config: Config) -> Callable[..., Experiment]:
    """`tiny(key=value, ...)`: an experiment that trains in milliseconds, changed in some keys, and checked."""
    sizes = {"n_c": 3, "n_w": 12, "L": 4, "K": 8, "n_spl": 3, "n_test": 2, "d": 5}
    schedule = {"batch_size": 7, "epochs": 4, "records": 4, "snapshot_classes": 2, "distinct_latents": True}
    smoke = config.run("smoke/fig3/seed0").experiment.model_dump()

    def build(**changes: object) -> Experiment:
        return Experiment.model_validate(smoke | sizes | schedule | changes)

    return build


@pytest.fixture
def run(tiny: Callable[..., Experiment], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """A tiny run whose files go below a temporary folder, the working directory of the test."""
    monkeypatch.chdir(tmp_path)
    return Run("tiny/seed0", "", tiny(), 0)


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> workflow.Smoke:
    """The workflow at toy size, finished; not to be changed."""
    return workflow.smoke_twice(tmp_path_factory)


@pytest.fixture
def project(smoke: workflow.Smoke, tmp_path: Path) -> Path:
    """A copy of the finished workflow to edit. Times of change are kept, as Snakemake looks at them."""
    return Path(shutil.copytree(smoke.first, tmp_path / "project"))


@pytest.fixture
def process() -> Iterator[None]:
    """Give back the process as it was: `training.make` sets threads and a handler of SIGTERM."""
    handler, threads = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    yield
    signal.signal(signal.SIGTERM, handler)
    torch.set_num_threads(threads)
