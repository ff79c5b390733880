"""The workflow end to end at toy size: what it makes, that it makes the same again, and what it makes anew when
something changes."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import workflow
from ruamel.yaml import YAML
from workflow import FIGURES, PROJECT, RUN_FILES, SETTINGS, Job, Smoke

from feature_collapse.__main__ import VERBS
from feature_collapse.workflow import resources
from feature_collapse.workflow.artifacts import checksum
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.dag import PACKAGE, code

RUNS = workflow.smoke_runs()
FIG4C = "smoke/fig4c/seed0"
TRAINING_VERBS = ("data", "train", "features")
# What the command line needs to read the name of a run, whatever the stage.
ASKED_OF_THE_COMMAND_LINE = {"workflow.config", "workflow.surroundings", "model.experiment"}


def rules() -> dict[str, str]:
    """The text of each rule of the workflow."""
    files = [PROJECT / "Snakefile", *sorted((PROJECT / "rules").glob("*.smk"))]
    text = "\n".join(file.read_text("utf-8") for file in files)
    return dict(re.findall(r"^(?:use rule stage as|rule) (\w+)(?: with)?:\n((?:[ \t].*\n|\n)*)", text, re.MULTILINE))


RULES = rules()
STAGES = [name for name, text in RULES.items() if "    output:" in text]


@pytest.fixture(scope="session")
def jobs(smoke: Smoke) -> list[Job]:
    return workflow.jobs_of(smoke.first, "smoke")


# What it makes


@pytest.mark.parametrize("run", RUNS)
def test_every_run_leaves_all_its_artifacts_and_logs(smoke: Smoke, run: str) -> None:
    folder = smoke.first / "results" / run
    logs = ["log/data.log", "log/train.log", "log/train.benchmark.tsv", "log/features.log"]
    assert [name for name in RUN_FILES if not (folder / name).stat().st_size] == []
    assert [name for name in logs if not (folder / name).exists()] == []


def test_nothing_is_left_behind(smoke: Smoke) -> None:
    made = [path for name in ("results", "figures") for path in (smoke.first / name).rglob("*")]
    assert [path for path in made if path.name.startswith((".", "checkpoint"))] == []


@pytest.mark.parametrize("name", FIGURES)
def test_every_figure_is_there_as_pdf_and_png(smoke: Smoke, name: str) -> None:
    stem = smoke.first / "figures" / "smoke" / name
    assert stem.with_suffix(".pdf").read_bytes().startswith(b"%PDF-")
    assert stem.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert (smoke.first / "results" / "smoke" / "log" / f"{name}.log").exists()


def test_the_collapse_moves_and_can_be_explored(smoke: Smoke) -> None:
    figures = smoke.first / "figures" / "smoke"
    assert (figures / "collapse.gif").read_bytes().startswith(b"GIF89a")
    assert (figures / "collapse.mp4").read_bytes()[4:8] == b"ftyp"
    assert (smoke.first / "results" / "smoke" / "explorer.html").read_bytes().startswith(b"<!doctype html>")


def test_every_job_has_made_all_its_files(smoke: Smoke, jobs: list[Job]) -> None:
    promised = {name for job in jobs for name in (*job.outputs, job.log)}
    assert len(promised) > 2 * len(FIGURES) + len(RUN_FILES) * len(RUNS)
    assert [name for name in promised if not (smoke.first / name).exists()] == []


def test_the_reproduction_table_has_a_row_for_every_number_of_the_paper(smoke: Smoke) -> None:
    folder = smoke.first / "results" / "smoke"
    paper = YAML(typ="safe").load(smoke.first / "config" / "paper.yaml")
    table = pd.read_csv(folder / "reproduction.csv")
    assert len(table) == sum(len(numbers) for numbers in paper["experiments"].values())
    assert {"quantity", "figure", "paper", "ours", "tolerance", "verdict"} <= set(table.columns)
    assert table["ours"].notna().all()
    assert all(quantity in (folder / "reproduction.md").read_text("utf-8") for quantity in table["quantity"])


@pytest.mark.parametrize("run", RUNS)
def test_the_history_has_at_least_30_rows_from_the_first_step_to_the_last(smoke: Smoke, run: str) -> None:
    history = pd.read_csv(smoke.first / "results" / run / "history.csv")
    record = json.loads((smoke.first / "results" / run / "run.json").read_text("utf-8"))
    epochs = history["epoch"].tolist()
    assert len(history) >= 30
    settings = record["experiment"]
    assert epochs[0] == pytest.approx(1 / -(-settings["K"] * settings["n_spl"] // settings["batch_size"]))
    assert 1 in epochs
    assert epochs[-1] == settings["epochs"]
    assert {"train_loss", "train_accuracy", "test_accuracy"} <= set(history.columns)
    assert any(column.startswith("words_") for column in history)
    assert any(column.startswith("u_") for column in history)


@pytest.mark.parametrize("run", RUNS)
def test_run_json_says_how_the_run_came_about(smoke: Smoke, run: str) -> None:
    folder = smoke.first / "results" / run
    record = json.loads((folder / "run.json").read_text("utf-8"))
    defaults = YAML(typ="safe").load(smoke.first / SETTINGS)["defaults"]
    assert set(defaults) <= set(record["experiment"])
    assert record["run"] == run
    assert record["seed"] == int(run.rpartition("seed")[2])
    assert record["threads"] >= 1
    assert {"python", "torch", "numpy", "blas", "cpu_capability"} <= set(record["machine"])
    assert all(record["machine"].values())
    assert record["seconds"] > 0
    assert record["inputs"] == {"data.safetensors": checksum(folder / "data.safetensors")}
    made = ("weights.safetensors", "snapshots.safetensors", "history.csv")
    assert record["outputs"] == {name: checksum(folder / name) for name in made}


@pytest.mark.parametrize("run", RUNS)
def test_the_log_of_a_training_says_where_it_was(smoke: Smoke, run: str) -> None:
    log = (smoke.first / "results" / run / "log" / "train.log").read_text("utf-8")
    state = rf"^{re.escape(run)}: epoch \d+ of \d+, loss \d\S*, train \d\S*%, test \d\S*%, \d+:\d+ left$"
    assert len(re.findall(state, log, re.MULTILINE)) >= 30


def test_a_second_run_finds_nothing_to_do(smoke: Smoke, project: Path) -> None:
    done = workflow.snakemake(project, "--cores", "2", "smoke")
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout + done.stderr
    assert workflow.contents(project) == workflow.contents(smoke.first)


def test_another_folder_order_number_of_cores_and_surroundings_give_the_same_bytes(smoke: Smoke) -> None:
    first, second = (
        {
            name: content
            for name, content in workflow.contents(folder).items()
            if Path(name).name != "run.json" and Path(name).parent.name != "log"
        }
        for folder in (smoke.first, smoke.second)
    )
    assert len(first) > len(FIGURES) + len(RUNS)
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == []


# What it makes anew: each edit, in a copy of the finished workflow, and the verbs that Snakemake then lists


def append(file: str, text: str = "\n# edited\n") -> Callable[[Path], None]:
    def edit(project: Path) -> None:
        with open(project / file, "a", encoding="utf-8") as stream:
            stream.write(text)

    return edit


def entry_of_4c(**settings: float) -> Callable[[Path], None]:
    return lambda project: workflow.edit_settings(project, lambda file: file["experiments"]["fig4c"].update(settings))


def touch_everything(project: Path) -> None:
    """The latest first, so that every file is then newer than what has been made from it."""
    files = [path for path in project.rglob("*") if path.is_file() and ".snakemake" not in path.parts]
    now = time.time()
    for second, path in enumerate(sorted(files, key=lambda path: path.stat().st_mtime_ns, reverse=True)):
        os.utime(path, (now, now - len(files) + second))


def reword_the_configuration(project: Path) -> None:
    """Reorder it and add a comment, all values as they were."""

    def reorder(file: dict) -> None:
        for entry in (file["defaults"], file["experiments"]["fig4c"]):
            for key in sorted(entry):
                entry.move_to_end(key)

    workflow.edit_settings(project, reorder)
    append(SETTINGS)(project)


def of_a_run(name: str) -> Callable[[Job], bool]:
    """Jobs of the runs of an experiment."""
    return lambda job: bool(re.search(rf"\b{name}[+/]", job.verb)) and job.verb.startswith(TRAINING_VERBS)


def draws_a_figure(job: Job) -> bool:
    """Still or moving, or to be moved by hand."""
    return job.rule in ("figure", "animation", "explorer")


def trains(job: Job) -> bool:
    return job.rule == "train"


def makes_the_table(job: Job) -> bool:
    return job.rule == "reproduction"


def reads_numbers(job: Job) -> bool:
    """As the table does; the claims find numbers in metrics the same way."""
    return job.rule in ("reproduction", "claims")


def draws_figure_4a(job: Job) -> bool:
    return job.verb == "figure smoke/figure4a"


EDITS: dict[str, tuple[Callable[[Path], None], Callable[[Job], bool]]] = {
    "editing the figures draws all figures and no more": (append("src/feature_collapse/show/paper.py"), draws_a_figure),
    "editing the style draws all figures and no more": (
        append("src/feature_collapse/show/paper.mplstyle"),
        draws_a_figure,
    ),
    "editing the page draws the page": (
        append("src/feature_collapse/show/explorer.html", "<!-- edited -->"),
        lambda job: job.rule == "explorer",
    ),
    "editing the training trains every run": (append("src/feature_collapse/model/training.py"), trains),
    "editing the table makes the tables": (append("src/feature_collapse/evidence/reproduction.py"), reads_numbers),
    "editing the paper's numbers makes the table": (append("config/paper.yaml"), makes_the_table),
    "editing an entry runs that experiment": (entry_of_4c(init_scale_U=0.5), of_a_run("fig4c")),
    "swapping two values of an entry runs that experiment": (
        entry_of_4c(zipf_exponent=0, lambda_W=1),
        of_a_run("fig4c"),
    ),
    "setting a value to one that another has runs that experiment": (entry_of_4c(lambda_W=0.001), of_a_run("fig4c")),
    "touching every file makes nothing": (touch_everything, lambda job: False),
    "rewording the configuration makes nothing": (reword_the_configuration, lambda job: False),
    "deleting a picture draws that figure": (
        lambda project: (project / "figures/smoke/figure4a.png").unlink(),
        draws_figure_4a,
    ),
}


@pytest.mark.parametrize("promise", EDITS)
def test_an_edit_makes_anew_what_depends_on_it_and_nothing_else(project: Path, jobs: list[Job], promise: str) -> None:
    edit, concerned = EDITS[promise]
    expected = {job.verb for job in workflow.downstream(jobs, filter(concerned, jobs))}
    edit(project)
    assert workflow.planned(project, "smoke") == expected


def test_the_entries_swapped_above_hold_the_same_values(project: Path) -> None:
    """Or else the swap would be noticed even where the names of the values are not."""
    before = Config(project / SETTINGS).run(FIG4C).experiment.model_dump()
    assert (before["zipf_exponent"], before["lambda_W"]) == (1, 0)
    assert 0.001 in {value for key, value in before.items() if key != "lambda_W"}


def test_what_depends_on_an_experiment_is_its_own_figure_and_the_comparisons(jobs: list[Job]) -> None:
    """The edits above take from Snakemake what depends on what; here it is as we would have it."""
    verbs = {job.verb for job in workflow.downstream(jobs, filter(of_a_run("fig4c"), jobs))}
    own = {f"{verb} {FIG4C}" for verb in TRAINING_VERBS} | {"figure smoke/figure4c"}
    assert own | {"figure smoke/learning_curves", "reproduction smoke"} <= verbs
    others = {f"{verb} {run}" for verb in TRAINING_VERBS for run in RUNS if run != FIG4C}
    unrelated = {f"figure smoke/{name}" for name in ("figure1", "figure2", "figure3", "figure4a", "figure4b")}
    assert not verbs & (others | unrelated)


def test_adding_a_seed_trains_that_seed_only(project: Path) -> None:
    workflow.edit_settings(project, lambda file: file["seeds"].append(1))
    verbs = workflow.planned(project, "smoke")
    trained = {verb for verb in verbs if verb.startswith(TRAINING_VERBS)}
    assert trained == {f"{verb} {run.replace('seed0', 'seed1')}" for verb in TRAINING_VERBS for run in RUNS}
    assert "reproduction smoke" in verbs


def test_adding_an_experiment_trains_that_experiment_only_and_draws_it(project: Path) -> None:
    workflow.edit_settings(project, lambda file: file["experiments"].update(mine={"mu": "zipf", "epochs": 5}))
    verbs = workflow.planned(project, "smoke")
    trained = {verb for verb in verbs if verb.startswith(TRAINING_VERBS)}
    assert trained == {f"{verb} smoke/mine/seed0" for verb in TRAINING_VERBS}
    drawn = {verb for verb in verbs if verb.startswith("figure ")}
    assert drawn == {"figure smoke/mine"}
    done = workflow.snakemake(project, "--cores", "1", "figures/smoke/mine.pdf")
    assert done.returncode == 0, done.stderr
    assert (project / "figures/smoke/mine.png").read_bytes().startswith(b"\x89PNG")


# Full size


def test_a_figure_of_a_fresh_clone_needs_data_training_and_features_of_its_run_alone(tmp_path: Path) -> None:
    project = workflow.copy_project(tmp_path / "project")
    runs = {f"{verb} fig4b/seed0" for verb in TRAINING_VERBS}
    assert workflow.planned(project, "figures/figure4b.pdf") == {*runs, "figure figure4b"}


@pytest.fixture(scope="session")
def one_epoch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One epoch of Figure 4b at full size, by the workflow."""
    project = workflow.copy_project(tmp_path_factory.mktemp("full_size") / "project")
    done = workflow.snakemake(project, "--cores", "1", f"results/{ONE_EPOCH}/metrics.json")
    assert done.returncode == 0, done.stderr
    return project


ONE_EPOCH = "fig4b+epochs=1+records=1/seed0"


def test_touching_large_files_makes_nothing_either(one_epoch: Path) -> None:
    touched = max(path.stat().st_size for path in (one_epoch / "results" / ONE_EPOCH).iterdir())
    assert touched > 1e6, "Snakemake compares content by default only where files are smaller"
    touch_everything(one_epoch)
    assert workflow.planned(one_epoch, f"results/{ONE_EPOCH}/metrics.json") == set()


def test_two_threads_train_to_the_same_bytes_within_the_memory_promised(one_epoch: Path, tmp_path: Path) -> None:
    folder = Path("results") / ONE_EPOCH
    project = workflow.copy_project(tmp_path / "project")
    (project / folder).mkdir(parents=True)
    shutil.copy(one_epoch / folder / "data.safetensors", project / folder)
    done = workflow.typed(project, "train", ONE_EPOCH, "--threads", "2")
    assert done.returncode == 0, done.stderr
    for name in ("weights.safetensors", "snapshots.safetensors", "history.csv"):
        assert (project / folder / name).read_bytes() == (one_epoch / folder / name).read_bytes(), name
    records = [json.loads((copy / folder / "run.json").read_text("utf-8")) for copy in (one_epoch, project)]
    assert [record["threads"] for record in records] == [1, 2]
    promised = resources.memory_mb(Config(project / SETTINGS).run(ONE_EPOCH).experiment)
    assert max(record["peak_memory_mb"] for record in records) < promised


def test_nothing_that_the_workflow_makes_is_tracked() -> None:
    if not (PROJECT / ".git").exists():
        pytest.skip("not a git clone")
    listed = subprocess.run(
        ["git", "ls-files", "results", "figures"], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert set(listed.stdout.split()) == {"results/README.md", "figures/README.md"}


# The Snakefile and its chapters


def test_every_rule_is_described_where_snakemake_lists_them() -> None:
    listed = workflow.snakemake(PROJECT, "--list").stdout
    described = dict(re.findall(r"^(\w+) \((.+)\)$", listed, re.MULTILINE))
    assert set(RULES) <= set(described)
    assert {f"study_{study}" for study in Config(PROJECT / SETTINGS).studies} <= set(described)
    assert len(described) == len([line for line in listed.splitlines() if re.match(r"\w+( \(|$)", line)])


@pytest.mark.parametrize("rule", STAGES)
def test_every_rule_that_makes_something_is_a_verb_of_its_name_and_keeps_its_log(rule: str) -> None:
    assert rule in VERBS
    assert re.search(rf'verb=(f?"{rule} |dag\.{rule}\b)', RULES[rule])
    assert "    log:" in RULES[rule]


def test_what_all_rules_have_in_common_is_written_once() -> None:
    text = "".join(RULES.values())
    assert text.count("python -m feature_collapse") == text.count("    conda:") == text.count("    shell:") == 1
    assert not re.search(r"^ *(run|script|notebook|wrapper|template_engine):|\bdef |\blambda\b", text, re.MULTILINE)


def imported_by_a_job(job: Job, folder: Path) -> set[str]:
    """Our modules that Python said it imported in the log of a job."""
    log = (folder / job.log).read_text("utf-8")
    return set(re.findall(r"^import time:.*\| +feature_collapse\.([\w.]+)$", log, re.MULTILINE))


def imported_for_a_verb(verb: str) -> set[str]:
    """Our modules that the command line and a stage import."""
    script = f"import sys, feature_collapse.__main__, feature_collapse.stages.{verb}; print(*sys.modules, sep='\\n')"
    printed = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^feature_collapse\.([\w.]+)$", printed, re.MULTILINE)) - {"__main__"}


@pytest.mark.parametrize("rule", STAGES)
def test_what_a_rule_has_as_its_code_is_what_its_jobs_import(smoke: Smoke, jobs: list[Job], rule: str) -> None:
    assert f'code=code("stages.{rule}")' in RULES[rule]
    modules = [
        Path(path).relative_to("src/feature_collapse") for path in code(f"stages.{rule}") if path.endswith(".py")
    ]
    ours = {".".join(path.with_suffix("").parts) for path in modules}
    packages = {path.name for path in PACKAGE.iterdir() if path.is_dir()}
    done = [imported_by_a_job(job, smoke.second) for job in jobs if job.rule == rule]
    for imported in done or [imported_for_a_verb(rule)]:  # the toy size leaves some out
        assert imported - packages - ASKED_OF_THE_COMMAND_LINE == ours - ASKED_OF_THE_COMMAND_LINE


# Bad input

REFUSED = {
    "unknown key": (lambda file: file["defaults"].update(depth=3), "smoke", ["depth"]),
    "n_w not divisible": (lambda file: file["defaults"].update(n_w=1201), "smoke", ["n_w", "1201"]),
    "unknown experiment": (None, "results/nope/seed0/weights.safetensors", ["experiments", "'nope'"]),
    "unknown experiment, features": (None, "results/fig9/seed0/metrics.json", ["experiments", "'fig9'"]),
}


@pytest.mark.parametrize("case", REFUSED)
def test_snakemake_refuses_bad_input_in_one_line(tmp_path: Path, case: str) -> None:
    change, target, named = REFUSED[case]
    project = workflow.copy_project(tmp_path / "project")
    if change:
        workflow.edit_settings(project, change)
    before = workflow.contents(project)
    done = workflow.snakemake(project, "--cores", "1", target)
    *rest, last = done.stderr.splitlines()
    assert done.returncode == 2
    assert last.startswith(f"error: {SETTINGS}: ")
    assert all(name in last for name in named)
    assert not any(re.search("error|exception|traceback", line, re.IGNORECASE) for line in rest)
    assert workflow.contents(project) == before


@pytest.mark.parametrize(
    "target",
    ["figures/smoke/nope.pdf", "figures/nope/figure4b.pdf", "results/studies/nope.csv", "figures/figure4b.svg", "nope"],
)
def test_a_target_that_nothing_makes_is_refused_with_what_there_is(tmp_path: Path, target: str) -> None:
    project = workflow.copy_project(tmp_path / "project")
    before = workflow.contents(project)
    done = workflow.snakemake(project, "--cores", "1", target)
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith(f"error: No rule to produce {target}; there are ")
    for known in ("figure4b", "reproduction", "study_tail", "smoke"):
        assert re.search(rf"\b{known}\b", last)
    assert "Traceback" not in done.stderr
    assert workflow.contents(project) == before
