"""Studies made of published runs: drawn without training, told apart from what was trained here, and never in the way
of training it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import workflow
from ruamel.yaml import YAML

from feature_collapse.stages import claims, data, features, publish, study, train
from feature_collapse.workflow import artifacts, published
from feature_collapse.workflow.artifacts import ArtifactError
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.dag import Dag
from feature_collapse.workflow.published import HERE, ROWS, TAKEN, Published
from feature_collapse.workflow.run import Run

FLAG = ("--config", "published=true")
TABLE = Path("results/studies/tail.csv")


def toy(folder: Path) -> None:
    """In a project, the study of the tail with two exponents and two seeds, and that of the mechanism, of three epochs
    each."""
    yaml = YAML()
    for path in Path(folder, "config/studies").glob("*.yaml"):
        content = yaml.load(path)
        if path.stem == "tail":
            content["seeds"] = [0, 1]
            content["runs"] = [{"base": ["study/fig4b", "study/fig4c"], "vary": {"zipf_exponent": [0, 1]}}]
            del content["hypotheses"]["grows"], content["hypotheses"]["worst_at_1"]
        elif path.stem == "mechanism":
            content["runs"] = [{"base": ["study/fig4b", "study/fig4c"], "vary": {}}]
        else:
            path.unlink()
            continue
        yaml.dump(content, path)

    def shrink(content: dict) -> None:
        content["scales"]["study"]["override"] = content["scales"]["smoke"]["override"] | {"epochs": 3, "records": 3}

    workflow.edit_settings(folder, shrink)


def make(run: Run) -> None:
    data.make(run)
    train.make(run, quiet=True)
    features.make(run)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which both studies have been trained and published."""
    folder = workflow.copy_project(tmp_path_factory.mktemp("published") / "project")
    toy(folder)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for run in Config().study("tail"):  # those of the mechanism are among them
            make(run)
        publish.make([], Config(), quiet=True)
    return folder


@pytest.fixture
def clone(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, process: None) -> Path:
    """A clone, the working directory of the test: what is published, and nothing made."""
    folder = workflow.copy_project(tmp_path / "clone")
    toy(folder)
    shutil.copytree(trained / "docs", folder / "docs")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def dag(clone: Path) -> Callable[..., Dag]:
    """The plan as it is asked for now, with or without what is published."""

    def build(flag: bool = True) -> Dag:
        machine = SimpleNamespace(cores=1, non_local_exec=False, remote_exec=False)
        return Dag(Config(), machine, Published() if flag else None)

    return build


OF_TAIL = SimpleNamespace(study="tail", scale="")


def sources() -> list[str]:
    return artifacts.read_csv(TABLE)["source"].tolist()


def test_a_study_of_published_runs_is_made_without_training_and_trained_once_that_is_asked_for(
    clone: Path, trained: Path
) -> None:
    allowed = ("--allowed-rules", "from_published", "study", "study_figure")
    done = workflow.snakemake(clone, "--cores", "2", "from_published", *allowed, *FLAG)
    assert done.returncode == 0, done.stderr
    assert "study_mechanism: left out, since it shows arrays, which are not published" in done.stderr
    assert sources() == [TAKEN] * 8
    page = TABLE.with_suffix(".md").read_text(encoding="utf-8")
    assert page.endswith("The metrics of 8 of the 8 runs are taken from `docs/runs`, not trained here.\n")
    assert Path("figures/study_tail.pdf").exists() and not list(Path("results").rglob("metrics.json"))
    assert workflow.planned(clone, "study_tail", *FLAG) == set()

    runs = [run.name for run in Config().study("tail")]
    work = {f"{verb} {run}" for verb in ("data", "train", "features") for run in runs}
    planned = {job.rstrip() for job in workflow.planned(clone, "study_tail")}
    assert planned == work | {"study tail", "study_figure tail"}
    assert not [job for job in workflow.planned(clone, "all") if job in work or "tail" in job]
    shutil.copytree(trained / "results", "results", dirs_exist_ok=True)
    done = workflow.snakemake(clone, "--cores", "2", "study_tail", *allowed, "study_tail")  # they are trained by now
    assert done.returncode == 0, done.stderr
    assert sources() == [HERE] * 8
    assert "not trained here" not in TABLE.with_suffix(".md").read_text(encoding="utf-8")


def test_the_same_numbers_whether_taken_or_trained_here(clone: Path, trained: Path) -> None:
    study.make("tail", "", Config(), published=True, quiet=True)
    taken, summary = artifacts.read_csv(TABLE), TABLE.with_name("tail_summary.csv").read_bytes()
    shutil.copytree(trained / "results", "results", dirs_exist_ok=True)
    study.make("tail", "", Config(), quiet=True)
    here = artifacts.read_csv(TABLE)
    pd.testing.assert_frame_equal(taken.drop(columns="source"), here.drop(columns="source"))
    assert TABLE.with_name("tail_summary.csv").read_bytes() == summary


def test_what_is_trained_here_comes_before_what_is_published(dag: Callable[..., Dag]) -> None:
    first = Config().study("tail")[0]
    make(first)
    files = dag().study_metrics(OF_TAIL)
    assert files == [first.folder / "metrics.json", ROWS / "study/fig4b.jsonl", ROWS / "study/fig4c.jsonl"]
    assert dag().study_verb(OF_TAIL).endswith("--published")
    assert all(path.parent.parent.parent == Path("results/study") for path in dag(False).study_metrics(OF_TAIL))
    assert not dag(False).study_verb(OF_TAIL).endswith("--published")
    study.make("tail", "", Config(), published=True, quiet=True)
    assert sources() == [HERE] + [TAKEN] * 7
    assert "The metrics of 7 of the 8 runs" in TABLE.with_suffix(".md").read_text(encoding="utf-8")


def test_runs_of_which_arrays_are_shown_are_not_taken(dag: Callable[..., Dag]) -> None:
    files = dag().study_metrics(SimpleNamespace(study="mechanism", scale=""))
    assert files == [Path(f"results/study/{name}/seed0/metrics.json") for name in ("fig4b", "fig4c")]


@pytest.mark.parametrize("how", ["settings", "arithmetic", "missing"])
def test_rows_that_do_not_fit_are_trained(
    clone: Path, dag: Callable[..., Dag], monkeypatch: pytest.MonkeyPatch, how: str, capsys: pytest.CaptureFixture
) -> None:
    runs = Config().study("tail")
    if how == "settings":
        workflow.edit_settings(clone, lambda content: content["scales"]["study"]["override"].update(lr=0.5))
        runs = Config().study("tail")
    elif how == "arithmetic":
        monkeypatch.setattr(artifacts, "ARITHMETIC", artifacts.ARITHMETIC + 1)
    else:
        shutil.rmtree("docs")
    assert dag().study_metrics(OF_TAIL) == [run.folder / "metrics.json" for run in runs]
    assert dag().untrained() == []
    assert "study_tail: left out, since runs are neither made here nor published (8)" in capsys.readouterr().err
    with pytest.raises(ArtifactError, match="is missing; rebuild it with: snakemake"):
        study.make("tail", "", Config(), published=True, quiet=True)


def test_a_damaged_row_ends_everything_in_one_line(clone: Path) -> None:
    path = ROWS / "study/fig4b.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    rows[0]["training"]["test_accuracy"] = 0.99
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    for done in (
        workflow.typed(clone, "study", "tail", "--published"),
        workflow.snakemake(clone, "--dry-run", "study_tail", *FLAG),
    ):
        assert done.returncode == 2
        assert f"error: {path}: the row of study/fig4b/seed0 does not have the checksum" in done.stderr
    assert not TABLE.exists()
    assert workflow.snakemake(clone, "--dry-run", "study_tail").returncode == 0  # training does not take it


def test_a_table_of_published_runs_is_evidence_only_where_published_runs_count(
    clone: Path, dag: Callable[..., Dag], monkeypatch: pytest.MonkeyPatch
) -> None:
    of_claims = {"tail": SimpleNamespace(tables=lambda: {"runs", "studies/tail"})}
    monkeypatch.setattr("feature_collapse.workflow.dag.read_claims", lambda: of_claims)
    monkeypatch.setattr(claims, "read_claims", lambda: of_claims)
    study.make("tail", "", Config(), published=True, quiet=True)
    shutil.copy(TABLE, "results/studies/seeds.csv")
    shutil.copy(f"{TABLE}.sha256", "results/studies/seeds.csv.sha256")
    seeds = Path("results/studies/seeds.csv")
    seeds_sum = Path(f"{seeds}.sha256")
    seeds_sum.write_text(seeds_sum.read_text(encoding="utf-8").replace("tail", "seeds"), encoding="utf-8")
    at_full_size = SimpleNamespace(scale="")
    assert dag().tables_of_claims(at_full_size) == [TABLE, seeds]
    assert dag().seeds(at_full_size) == [seeds]
    assert dag().claims_verb(at_full_size).endswith(" --published")
    assert dag().reproduction_verb(at_full_size).endswith(" --published")
    assert [path for path in dag().made_so_far("") if "tail" in path] == ["results/studies/tail.html"]

    assert dag(False).tables_of_claims(at_full_size) == dag(False).seeds(at_full_size) == []
    assert not dag(False).claims_verb(at_full_size).endswith(" --published")
    assert not dag(False).reproduction_verb(at_full_size).endswith(" --published")
    assert not [path for path in dag(False).made_so_far("") if "tail" in path]

    used: list[dict[str, int]] = []

    def evaluate(_: object, tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
        used.append({name: len(table) for name, table in tables.items()})
        return pd.DataFrame()

    monkeypatch.setattr(claims, "evaluate", evaluate)
    monkeypatch.setattr(claims, "markdown", lambda rows: "")
    trained_here = Config().run("smoke/fig4c+epochs=1+records=1/seed0")
    make(trained_here)
    monkeypatch.setattr(Config, "runs", lambda self, scale="": {("fig4c", 0): trained_here})
    for flag in (True, False):
        claims.make("", Config(), published=flag)
        page = Path("results/claims.md").read_text(encoding="utf-8")
        said = "are taken from `docs/runs`, not trained here."
        assert (f"Of the table studies/tail: The metrics of 8 of the 8 runs {said}" in page) == flag
        assert (f"Of the table runs: The metrics of 8 of the 9 runs {said}" in page) == flag
    assert used == [{"runs": 9, "studies/tail": 8}, {"runs": 1}]


def test_the_cost_of_a_run_is_that_of_training_it_here_or_as_published(clone: Path) -> None:
    name = "study/fig4b/seed0"
    whole = Published()
    assert pd.isna(published.cpu_seconds(name, whole))  # trained by hand
    whole.made[name]["cpu_seconds"] = 12.5
    assert published.cpu_seconds(name, whole) == 12.5
    account = Path("results") / name / "log" / "train.benchmark.tsv"
    account.parent.mkdir(parents=True)
    account.write_text("s\tcpu_time\n3.0\t7.25\n", encoding="utf-8")
    assert published.cpu_seconds(name, whole) == published.cpu_seconds(name) == 7.25
