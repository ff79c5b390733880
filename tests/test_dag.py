"""The plan that the rules ask: what each job depends on, and no more."""

import inspect
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace as Wildcards

import pytest
from workflow import PROJECT

from feature_collapse.workflow import resources
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.dag import Dag, code, later


@pytest.fixture(scope="module")
def dag(root: Path, config: Config) -> Dag:
    """Of a Snakemake that has been told to use 8 cores of this machine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        return Dag(config, Wildcards(cores=8, non_local_exec=False, remote_exec=False))


def test_code_is_what_a_module_imports_and_names_beside_it() -> None:
    files = code("stages.explorer")
    here = "src/feature_collapse"
    assert {f"{here}/stages/explorer.py", f"{here}/show/explorer.py", f"{here}/workflow/artifacts.py"} <= set(files)
    assert {f"{here}/show/explorer.html", f"{here}/show/paper.mplstyle"} <= set(files)
    assert f"{here}/stages/train.py" not in files


def test_what_the_report_alone_needs_does_not_slow_down_every_snakemake(monkeypatch: pytest.MonkeyPatch) -> None:
    script = "import sys, snakemake.cli, feature_collapse.workflow.dag; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert not {"torch", "scipy", "matplotlib", "feature_collapse.evidence.captions"} & set(loaded)
    snakefile = (PROJECT / "Snakefile").read_text("utf-8")
    modules = re.findall(r"^from feature_collapse\.([\w.]+) import", snakefile, re.MULTILINE)
    assert modules == ["workflow", "workflow.dag"]
    monkeypatch.chdir(PROJECT)
    assert later("evidence.captions", "caption")(["figures/smoke/figure1.png"])["scale"] == "smoke"


def test_a_study_s_figure_is_drawn_from_what_its_file_says(dag: Dag) -> None:
    more = {study: dag.study_drawn_from(Wildcards(study=study, scale="")) for study in dag.config.studies}
    assert {study for study, files in more.items() if files} == {"seeds", "mechanism"}
    assert [str(path) for path in more["seeds"]] == ["config/paper.yaml"]
    assert {path.name for path in more["mechanism"]} == {"features.safetensors"}


def test_a_claim_depends_on_every_study_that_it_names_once_that_has_been_run(
    dag: Dag, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "config").mkdir()
    tables = ("theory", "studies/tail", "studies/depth", "runs")
    hypotheses = ", ".join(f"{{table: {table}, column: u_cdnv, at_most: 1}}" for table in tables)
    claims = f"{{c: {{claim: c, source: s, hypotheses: [{hypotheses}]}}}}"
    (tmp_path / "config/claims.yaml").write_text(claims, encoding="utf-8")
    (tmp_path / "results/studies").mkdir(parents=True)
    (tmp_path / "results/studies/tail.csv").touch()
    (tmp_path / "results/studies/seeds.csv").touch()  # more runs for every claim
    found = [str(path) for path in dag.tables_of_claims(Wildcards(scale=""))]
    assert found == ["results/studies/tail.csv", "results/theory.csv", "results/studies/seeds.csv"]


def test_a_figure_is_drawn_from_the_runs_that_its_scale_has(dag: Dag) -> None:
    full, quick = (dag.drawn_from(Wildcards(scale=scale, figure="theory_risk")) for scale in ("", "quick/"))
    assert [str(path) for path in full] == [
        f"results/{name}/seed0/metrics.json" for name in ("fig3", "fig3_k50", "fig4c")
    ]
    assert [str(path) for path in quick] == [f"results/quick/{name}/seed0/metrics.json" for name in ("fig3", "fig4c")]


def test_the_longest_run_comes_first_and_has_the_most_threads(dag: Dag) -> None:
    runs = [Wildcards(run=run.name) for run in dag.config.runs().values()]
    work = {run.run: resources.products(dag.experiment(run)) for run in runs}
    longest = max(runs, key=lambda run: work[run.run])
    assert max(runs, key=dag.priority) == longest
    assert dag.threads(longest) == max(map(dag.threads, runs)) > 1
    assert sum(map(dag.threads, runs)) <= 8 + len(runs)


def test_on_a_cluster_the_run_alone_decides_on_its_threads(dag: Dag) -> None:
    run = Wildcards(run="fig4b/seed0")
    for elsewhere in ("non_local_exec", "remote_exec"):
        cluster = Dag(dag.config, Wildcards(**vars(dag.workflow) | {"cores": None, elsewhere: True}))
        assert cluster.threads(run) == resources.threads(dag.experiment(run))


def test_a_job_that_failed_asks_for_more(dag: Dag) -> None:
    run = Wildcards(run="fig4b/seed0")
    assert dag.memory(run, attempt=2) == 2 * dag.memory(run, attempt=1)
    assert dag.minutes(run, threads=1, attempt=3) == 3 * dag.minutes(run, threads=1, attempt=1)


def test_methods_that_snakemake_calls_take_what_it_can_give(dag: Dag) -> None:
    given = {"wildcards", "input", "output", "threads", "resources", "attempt"}
    called = [
        method
        for _, method in inspect.getmembers(dag, inspect.ismethod)
        if "wildcards" in inspect.signature(method).parameters
    ]
    assert len(called) > 15
    assert all(set(inspect.signature(method).parameters) <= given for method in called)
