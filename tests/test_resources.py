"""What a job asks a cluster for, against what runs have used."""

import json
from pathlib import Path

import pandas as pd
import pytest
import workflow
from scale import Costs
from workflow import Smoke

from feature_collapse.model.experiment import Experiment
from feature_collapse.workflow import resources
from feature_collapse.workflow.config import Config


def assert_fits(e: Experiment, threads: int, seconds: float, memory_mb: float) -> None:
    """No less than was used, no more than twice that plus the floor."""
    minutes, memory = resources.minutes(e, threads), resources.memory_mb(e)
    assert seconds / 60 <= minutes <= 2 * seconds / 60 + resources.FLOOR_MINUTES
    assert memory_mb <= memory <= 2 * memory_mb + resources.FLOOR_MB


def test_no_run_of_the_paper_asks_for_less_than_it_used_or_for_much_more(root: Path, config: Config) -> None:
    """Seconds of the processor, which are those on the clock where a job has its cores to itself."""
    for row in pd.read_csv(root / "docs/runs.csv").itertuples():
        assert_fits(config.run(row.run).experiment, row.threads, row.cpu_seconds / row.threads, row.peak_memory_mb)


def test_nor_does_any_run_of_the_studies(root: Path, config: Config) -> None:
    """By the costs that were measured of its shape."""
    costs = Costs(pd.read_csv(root / "docs/costs.csv"), config)
    for study in config.studies:
        for run in config.study(study):
            assert_fits(run.experiment, 1, costs.seconds(run.experiment), costs.of(run.experiment).peak_memory_mb)


@pytest.mark.parametrize("run", workflow.smoke_runs())
def test_nor_does_a_run_of_toy_size(smoke: Smoke, config: Config, run: str) -> None:
    record = json.loads((smoke.first / "results" / run / "run.json").read_text("utf-8"))
    assert_fits(config.run(run).experiment, record["threads"], record["seconds"], record["peak_memory_mb"])


def test_what_is_more_work_asks_for_more(config: Config) -> None:
    e = config.run("fig4b/seed0").experiment
    longer, larger = e.model_copy(update={"epochs": 2 * e.epochs}), e.model_copy(update={"K": 4 * e.K})
    assert resources.minutes(longer) > resources.minutes(e) > resources.minutes(e, threads=2)
    assert resources.minutes(larger) > resources.minutes(e)
    assert resources.memory_mb(larger) > resources.memory_mb(e) == resources.memory_mb(longer)


def test_the_runs_that_all_others_wait_for_have_two_threads(config: Config) -> None:
    assert resources.threads(config.run("fig4b/seed0").experiment) == 2
    assert resources.threads(config.run("study/fig4b/seed0").experiment) == 1


def test_jobs_share_cores_but_no_job_is_shared() -> None:
    assert resources.makespan([3, 3, 2, 2, 2], 1) == 12
    assert resources.makespan([2, 3, 2, 3, 2], 2) == 7
    assert resources.makespan([3, 3, 2, 2, 2], 100) == 3
    assert resources.makespan([], 2) == 0
