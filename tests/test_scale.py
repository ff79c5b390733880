"""`docs/scale.md`: made from tables that were measured, of the runs that are configured."""

from pathlib import Path

import pandas as pd
import pytest
import scale
import workflow
from workflow import Smoke

from feature_collapse.workflow.config import Config
from feature_collapse.workflow.run import ConfigError


@pytest.fixture
def costs(root: Path, config: Config) -> scale.Costs:
    return scale.Costs(pd.read_csv(root / scale.COSTS), config)


def test_the_page_is_that_of_its_tables(root: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    assert scale.page(config) == scale.PAGE.read_text(encoding="utf-8"), "make scale writes it anew"


def test_a_cost_that_changes_changes_the_page(root: Path, config: Config, tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "docs").mkdir()
    for table in (scale.COSTS, scale.SCALE):
        rows = pd.read_csv(root / table)
        rows.assign(**{key: 2 * rows[key] for key in {"step_ms"} & set(rows)}).to_csv(tmp_path / table, index=False)
    monkeypatch.chdir(tmp_path)
    scale.make(config)
    made, delivered = (folder / scale.PAGE for folder in (tmp_path, root))
    assert made.read_text(encoding="utf-8") != delivered.read_text(encoding="utf-8")


def test_every_run_that_can_be_asked_for_has_a_measured_cost(costs: scale.Costs, config: Config) -> None:
    for runs in scale.targets(config).values():
        assert all(costs.seconds(run.experiment) > 0 for run in runs)


def test_a_shape_that_was_not_measured_is_refused(costs: scale.Costs, config: Config) -> None:
    with pytest.raises(ConfigError, match=r"nothing was measured like .*K=12345"):
        costs.seconds(config.run("fig3+K=12345/seed0").experiment)


@pytest.mark.parametrize("run", workflow.smoke_runs())
def test_a_folder_is_as_large_as_is_said(smoke: Smoke, costs: scale.Costs, config: Config, run: str) -> None:
    files = [path for path in (smoke.first / "results" / run).iterdir() if path.is_file()]
    assert costs.storage_mb(config.run(run).experiment) == pytest.approx(
        sum(path.stat().st_size for path in files) / 1e6, rel=0.05
    )


def test_more_sentences_take_more_room(costs: scale.Costs, config: Config) -> None:
    few, many = (config.run(f"study/fig4b+n_spl={n}/seed0").experiment for n in (5, 20))
    added = costs.storage_mb(many) - costs.storage_mb(few)
    assert added == pytest.approx((many.N - few.N) * (many.L + 1) * 2 / 1e6)


def test_so_many_seeds_are_so_many_runs_of_each_experiment(config: Config) -> None:
    runs = config.study("lambda")
    experiments = {run.name.rpartition("/")[0] for run in runs}
    assert len(scale.with_seeds(runs, None)) == len(runs)
    assert len(scale.with_seeds(runs, 5)) == 5 * len(experiments)


def test_a_run_is_measured_as_it_is(config: Config, monkeypatch: pytest.MonkeyPatch, process: None) -> None:
    """At toy size: all its files are made, and there is a cost for each of its parts."""
    run = config.run("smoke/fig3/seed0")
    monkeypatch.chdir(Path.cwd())  # `cost` leaves it for a folder of its own
    row = scale.cost(run)
    assert row["sentences"] == run.experiment.N
    assert all(row[key] > 0 for key in ("step_ms", "data_s", "features_s", "peak_memory_mb", "storage_mb"))
    assert row["record_ms"] >= 0


def test_snakemake_looks_at_so_many_runs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    row = scale.measure_dry_run(30)
    assert row["dry_run_jobs"] >= 3 * 30
    assert row["dry_run_seconds"] > 0 < row["dry_run_cpu_seconds"]


def test_a_measurement_takes_the_place_of_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    scale.keep([("a", 1, 1.0), ("b", 1, 2.0)])
    scale.keep([("a", 1, 3.0)])
    assert pd.read_csv(scale.SCALE).set_index("measure")["value"].to_dict() == {"a": 3, "b": 2}


def test_as_many_jobs_as_were_to_be_looked_at_in_a_minute_were(root: Path) -> None:
    measured = pd.read_csv(root / scale.SCALE).set_index(["measure", "runs"])["value"]
    assert measured["dry_run_jobs", max(scale.DRY_RUNS)] > 3 * max(scale.DRY_RUNS)
    assert measured["dry_run_seconds", max(scale.DRY_RUNS)] < 60
