"""The command line: what each verb says, what it refuses, and that typing the verbs does what the workflow does."""

import re
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import workflow
from click.testing import CliRunner, Result
from workflow import SETTINGS, Smoke

import feature_collapse
from feature_collapse.__main__ import main
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.dag import Dag

RUN = "smoke/fig3/seed0"
OTHER = "smoke/fig4a/seed0"
FOLDER = f"results/{RUN}"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a test: a copy of the project that has made nothing yet."""
    folder = workflow.copy_project(tmp_path / "project")
    monkeypatch.chdir(folder)
    # Calls in this process run the code of this checkout.
    monkeypatch.setattr("feature_collapse.__main__.own_package", lambda: None)
    return folder


@pytest.fixture
def finished(smoke: Smoke, project: Path) -> Path:
    """The working folder of a test: a copy of the project that has made everything at toy size."""
    for name in ("results", "figures"):
        shutil.copytree(smoke.first / name, project / name)
    return project


def call(*arguments: str) -> Result:
    """A verb, called within this process: torch is imported once for all tests rather than once for each."""
    return CliRunner().invoke(main, arguments)


def assert_refused(result: Result, *named: str) -> None:
    """One line on standard error that names what is wrong, and exit status 2."""
    assert result.exit_code == 2, result.exception
    assert result.stdout == ""
    assert re.fullmatch(r"error: [^\n]+\n", result.stderr)
    assert [name for name in named if name not in result.stderr] == []


# Help


@pytest.mark.parametrize("verb", main.commands)
def test_every_verb_describes_itself(verb: str) -> None:
    result = call(verb, "--help")
    assert result.exit_code == 0
    assert main.commands[verb].help.splitlines()[0] in " ".join(result.stdout.split())


@pytest.mark.parametrize("verb", main.commands)
def test_every_verb_has_a_manual_page(verb: str) -> None:
    """What it does, the files it reads or writes, an example that can be typed, and what each exit status means."""
    page = call(verb, "--help").stdout
    assert re.search(r"^  (Reads|Writes): +\S", page, re.MULTILINE)
    (example,) = re.findall(r"^  Example:  (?:.* \|\n +)?python -m feature_collapse (.*)$", page, re.MULTILINE)
    named, *arguments = example.split()
    assert named == verb
    main.commands[verb].make_context(verb, arguments)  # refuses what the verb does not take
    statuses = page.partition("Exit status:\n")[2]
    assert re.findall(r"^    (\d)  \w", statuses, re.MULTILINE) == ["0", "1", "2"]
    assert max(map(len, page.splitlines())) <= 80


def test_the_first_page_lists_the_verbs_in_the_order_of_the_work_and_the_exit_statuses() -> None:
    page = call("--help").stdout
    verbs = re.findall(r"^  (\w+)  +\S", page.partition("Commands:\n")[2].partition("\n\n")[0], re.MULTILINE)
    assert verbs == list(main.commands)
    assert verbs[:4] == ["data", "train", "features", "figure"]
    assert "..." not in page.partition("Commands:\n")[2]
    assert re.findall(r"^    (\d)  \w", page.partition("Exit status:\n")[2], re.MULTILINE) == ["0", "1", "2"]


def test_it_says_its_version() -> None:
    assert feature_collapse.__version__ in call("--version").stdout


def test_the_verbs_are_those_of_the_workflow(project: Path) -> None:
    done = workflow.typed(project, "--help")
    assert done.returncode == 0
    assert done.stderr == ""
    snakefile = (project / "Snakefile").read_text("utf-8")
    used = set(re.findall(r"python -m feature_collapse (\w+)", snakefile))
    assert {"data", "train", "features", "figure", "reproduction"} <= used <= set(main.commands)
    assert [verb for verb in main.commands if not re.search(rf"^  {verb} +\w", done.stdout, re.MULTILINE)] == []


# Typing the verbs


def test_typing_the_verbs_makes_the_same_bytes_as_the_workflow(smoke: Smoke, project: Path) -> None:
    said = {}
    for verb, target in [("data", RUN), ("train", RUN), ("features", RUN), ("figure", "smoke/figure3")]:
        done = workflow.typed(project, verb, target)
        assert done.returncode == 0, done.stderr
        assert done.stdout == ""
        said[verb] = done.stderr
    for name in [*workflow.RUN_FILES, "../../../../figures/smoke/figure3.pdf", "../../../../figures/smoke/figure3.png"]:
        if name != "run.json":
            assert (project / FOLDER / name).read_bytes() == (smoke.first / FOLDER / name).read_bytes(), name
    assert re.match(rf"{RUN}: epoch 1 of 150, loss [\d.]+, train [\d.]+%, test [\d.]+%, \d+:\d+ left\n", said["train"])
    assert said["data"] == said["figure"] == ""


def test_training_that_is_terminated_goes_on_where_it_was_and_ends_with_the_same_bytes(project: Path) -> None:
    run = "smoke/fig3+epochs=3000/seed0"  # long enough to be met in the midst of it
    assert call("data", run).exit_code == 0
    interrupted = Path(shutil.copytree(project, project.parent / "interrupted"))
    undisturbed = workflow.start(project, "feature_collapse", "train", run, "--quiet")

    training = workflow.start(interrupted, "feature_collapse", "train", run)
    assert "epoch 1 of 3000" in training.stderr.readline()
    training.send_signal(signal.SIGTERM)
    stopped = workflow.finish(training)
    assert stopped.returncode not in (0, 2)
    assert "terminated" in stopped.stderr.splitlines()[-1]
    left = {path.name for path in (interrupted / "results" / run).iterdir()}
    assert left == {"data.safetensors", "checkpoint.safetensors"}

    resumed = workflow.typed(interrupted, "train", run)
    assert resumed.returncode == 0, resumed.stderr
    first = resumed.stderr.splitlines()[0]
    assert 0 < float(re.search(r"going on from epoch ([\d.]+)", first)[1]) < 3000

    quiet = workflow.finish(undisturbed)
    assert (quiet.returncode, quiet.stdout, quiet.stderr) == (0, "", "")
    folders = [copy / "results" / run for copy in (project, interrupted)]
    assert {path.name for path in folders[0].iterdir()} == {path.name for path in folders[1].iterdir()}
    for name in ("weights.safetensors", "snapshots.safetensors", "history.csv"):
        assert folders[0].joinpath(name).read_bytes() == folders[1].joinpath(name).read_bytes(), name


def test_the_plan_names_the_runs_that_are_missing_and_a_time(finished: Path) -> None:
    missing = {RUN, "smoke/fig4c/seed0"}
    for run in missing:
        (finished / "results" / run / "run.json").unlink()
    said = call("plan", "--scale", "smoke", "--cores", "2").stdout
    lines = said.splitlines()
    assert {run for run in workflow.smoke_runs() if any(run in line for line in lines)} == missing
    assert re.search(r"about \d+ (s|min) on 2 core", lines[-1])


def test_the_plan_says_when_nothing_is_missing(finished: Path) -> None:
    result = call("plan", "--scale", "smoke")
    assert result.exit_code == 0
    assert "trained" in result.stdout
    assert not any(run in result.stdout for run in workflow.smoke_runs())


A_STAGE = """
import os, sys, types
from feature_collapse.__main__ import main

def make(**given):
    import numpy, scipy.linalg
    scipy.linalg.qr(numpy.ones((300, 300)))
    print(len(os.listdir("/proc/self/task")), os.environ["OMP_NUM_THREADS"])

stage = types.ModuleType(sys.argv[1])
stage.make = make
sys.modules["feature_collapse.stages." + sys.argv[1]] = stage
main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("arguments", "threads"),
    [(("enumeration",), 1), (("study", "tail"), 1), (("train", RUN), 1), (("train", RUN, "--threads", "2"), 2)],
)
@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="there is no list of threads here")
def test_a_verb_typed_by_hand_has_the_threads_that_it_is_given_and_no_more(
    project: Path, arguments: tuple[str, ...], threads: int
) -> None:
    """Linear algebra would start one for each core, and they would wait for each other in products that are small."""
    unset = {f"{library}_NUM_THREADS": None for library in ("OMP", "OPENBLAS", "MKL")}
    done = workflow.finish(workflow.start(project, "-c", A_STAGE, *arguments, module=False, **unset))
    assert done.stdout == f"1 {threads}\n", done.stderr


# Bad input: one line, exit status 2, nothing written


NO_SUCH_THING = {
    ("data", "fig3"): ["fig3", "seed"],
    ("data", "../fig3/seed0"): ["../fig3/seed0"],
    ("data", "fig3/seed-1"): ["fig3/seed-1"],
    ("data", "fig3/seed٣"): ["fig3/seed٣"],
    ("data", "fig3+K=0/seed0"): [SETTINGS, "fig3", "K"],
    ("data", "fig3+depth=3/seed0"): [SETTINGS, "fig3", "depth"],
    ("data", "fig3+lr=.nan/seed0"): [SETTINGS, "fig3", "lr"],
    ("data", "fig3+lr=0x_/seed0"): ["fig3", "lr"],
    ("data", "fig3+mu=2024-99-99/seed0"): ["fig3", "mu"],
    ("train", "fig9/seed0"): [SETTINGS, "fig9"],
    ("features", "huge/fig3/seed0"): [SETTINGS, "huge"],
    ("figure", "nope"): ["nope", "figure4b"],
    ("figure", "huge/figure3"): ["huge/figure3"],
    ("figure", "/figure1"): ["/figure1"],
    ("reproduction", "--scale", "huge"): ["huge"],
    ("theory", "--scale", "huge"): ["huge"],
    ("claims", "--scale", "huge"): ["huge"],
    ("study", "lambda", "--scale", "huge"): ["huge"],
    ("study", "nope"): [SETTINGS, "nope"],
    ("plan", "--scale", "huge"): ["huge"],
}


@pytest.mark.parametrize("arguments", NO_SUCH_THING, ids=" ".join)
def test_what_is_not_there_is_refused(finished: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple) -> None:
    def save(stem: Path, figure: object) -> None:
        raise AssertionError(f"{stem} would have been written")

    monkeypatch.setattr("feature_collapse.workflow.artifacts.write_figure", save)
    before = workflow.contents(finished)
    assert_refused(call(*arguments), *NO_SUCH_THING[arguments])
    assert workflow.contents(finished) == before


@pytest.mark.parametrize(
    "arguments",
    [("train", RUN, "--threads", "0"), ("train", RUN, "--threads", "two"), ("plan", "--cores", "0")],
    ids=" ".join,
)
def test_a_number_of_processors_that_is_none_is_refused(finished: Path, arguments: tuple[str, ...]) -> None:
    before = workflow.contents(finished)
    result = call(*arguments)
    assert result.exit_code == 2, result.exception
    assert arguments[-2] in result.stderr
    assert workflow.contents(finished) == before


def change_settings(change: Callable[[dict], object]) -> Callable[[Path], None]:
    return lambda project: workflow.edit_settings(project, change)


def replace(file: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(project: Path) -> None:
        text = (project / file).read_text("utf-8")
        assert old in text
        (project / file).write_text(text.replace(old, new), "utf-8")

    return edit


BAD_SETTINGS = {
    "unknown key": (change_settings(lambda file: file["defaults"].update(depth=3)), ["depth"]),
    "missing key": (change_settings(lambda file: file["defaults"].pop("L")), ["L", "missing"]),
    "wrong type": (change_settings(lambda file: file["experiments"]["fig3"].update(epochs="many")), ["epochs", "many"]),
    "not divisible": (change_settings(lambda file: file["defaults"].update(n_w=1201)), ["n_w", "1201", "n_c"]),
    "not a number": (change_settings(lambda file: file["defaults"].update(lr=float("nan"))), ["lr", "nan"]),
    "unknown law": (change_settings(lambda file: file["experiments"]["fig4a"].update(mu="normal")), ["fig4a", "mu"]),
    "not YAML": (replace(SETTINGS, "defaults:", "defaults: ["), []),
    "empty": (lambda project: (project / SETTINGS).write_text(""), []),
    "not there": (lambda project: (project / SETTINGS).unlink(), []),
}


@pytest.mark.parametrize("case", BAD_SETTINGS)
def test_bad_settings_are_refused(project: Path, case: str) -> None:
    spoil, named = BAD_SETTINGS[case]
    spoil(project)
    before = workflow.contents(project)
    assert_refused(call("data", RUN), SETTINGS, *named)
    assert workflow.contents(project) == before


def test_typed_in_the_wrong_folder_a_verb_says_what_it_looked_for(project: Path) -> None:
    """This one in a process of its own: nothing but our line is on standard error."""
    done = workflow.typed(project / "src", "data", RUN)
    assert done.returncode == 2
    assert re.fullmatch(rf"error: {SETTINGS}: cannot be read [^\n]+\n", done.stderr)


PAPER = "config/paper.yaml"
FIRST_NUMBER = "training.train_loss: [0.5131, loss]"
BAD_PAPERS = {
    "not YAML": (replace(PAPER, "experiments:", "experiments: ["), []),
    "empty": (lambda project: (project / PAPER).write_text(""), []),
    "not there": (lambda project: (project / PAPER).unlink(), []),
    "no number": (replace(PAPER, FIRST_NUMBER, "training.train_loss: [half, loss]"), ["fig3", "train_loss"]),
    "unknown tolerance": (replace(PAPER, FIRST_NUMBER, "training.train_loss: [0.5131, none]"), ["fig3", "none"]),
    "unknown quantity": (replace(PAPER, FIRST_NUMBER, "training.joy: [0.5131, loss]"), ["fig3", "training.joy"]),
    "unknown experiment": (replace(PAPER, "  fig3:", "  fig9:"), ["fig9"]),
    "negative tolerance": (replace(PAPER, "relative: 0.05", "relative: -0.05"), ["loss", "relative"]),
}


@pytest.mark.parametrize("case", BAD_PAPERS)
def test_bad_numbers_of_the_paper_are_refused(finished: Path, case: str) -> None:
    spoil, named = BAD_PAPERS[case]
    spoil(finished)
    before = workflow.contents(finished)
    assert_refused(call("reproduction", "--scale", "smoke"), PAPER, *named)
    assert workflow.contents(finished) == before


# Each verb with one of the files that it reads

READING = [
    ("train", RUN, "data.safetensors"),
    ("features", RUN, "data.safetensors"),
    ("features", RUN, "weights.safetensors"),
    ("features", RUN, "history.csv"),
    ("features", RUN, "run.json"),
    ("figure", "smoke/figure3", "features.safetensors"),
    ("figure", "smoke/figure3", "metrics.json"),
    ("figure", "smoke/word_frequencies", "data.safetensors"),
    ("figure", "smoke/learning_curves", "history.csv"),
    ("figure", "smoke/learning_curves", "run.json"),
    ("figure", "smoke/theory_norms", "features.safetensors"),
    ("figure", "smoke/theory_risk", "metrics.json"),
    ("reproduction", "--scale=smoke", "metrics.json"),
    ("theory", "--scale=smoke", "metrics.json"),
    ("claims", "--scale=smoke", "metrics.json"),
]


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def alter_a_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(content)


def take_from_another_run(path: Path) -> None:
    path.write_bytes(Path("results", OTHER, path.name).read_bytes())


def write_prose(path: Path) -> None:
    path.write_text("I had rather be a file of another kind.\n")


DAMAGES = [Path.unlink, truncate, alter_a_byte, take_from_another_run, write_prose]


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__)
@pytest.mark.parametrize(("verb", "target", "file"), READING)
def test_a_file_that_is_missing_damaged_or_foreign_is_refused(
    finished: Path, verb: str, target: str, file: str, damage: Callable[[Path], None]
) -> None:
    damage(Path(FOLDER, file))
    before = workflow.contents(finished)
    assert_refused(call(verb, target), f"{FOLDER}/{file}: ")
    assert workflow.contents(finished) == before


@pytest.mark.parametrize("figure", workflow.FIGURES)
def test_a_figure_reads_the_files_that_the_workflow_gives_it_and_no_others(
    finished: Path, monkeypatch: pytest.MonkeyPatch, figure: str
) -> None:
    opened = set()
    for reader in ("read_arrays", "read_json", "covered"):
        read = getattr(artifacts, reader)
        monkeypatch.setattr(artifacts, reader, lambda path, run, read=read: opened.add(str(path)) or read(path, run))
    monkeypatch.setattr(artifacts, "write_figure", lambda stem, figure: None)
    assert call("figure", f"smoke/{figure}").exit_code == 0
    given = Dag(Config(), None).drawn_from(SimpleNamespace(figure=figure, scale="smoke/"))
    assert opened == set(map(str, given))


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (("study", "lambda", "--scale", "smoke", "--quiet"), "metrics.json"),
        (("study_figure", "lambda", "--scale", "smoke"), "results/smoke/studies/lambda.csv"),
        (("docs", "-"), "results/fig3/seed0/run.json"),
    ],
    ids=["study", "study_figure", "docs"],
)
def test_what_has_not_been_made_yet_is_refused(finished: Path, arguments: tuple[str, ...], missing: str) -> None:
    before = workflow.contents(finished)
    assert_refused(call(*arguments), missing)
    assert workflow.contents(finished) == before


def test_a_file_made_before_its_settings_changed_is_refused(finished: Path) -> None:
    workflow.edit_settings(finished, lambda file: file["experiments"]["fig3"].update(lambda_W=0.5))
    assert_refused(call("features", RUN), f"{FOLDER}/data.safetensors: ", "configured")


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_a_device_that_is_not_there_is_refused(project: Path, device: str) -> None:
    if {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}[device]:
        pytest.skip(f"{device} is there")
    run = f"smoke/fig3+device={device}/seed0"
    assert call("data", run).exit_code == 0
    before = workflow.contents(project)
    result = call("train", run)
    assert result.exit_code in (1, 2)
    assert re.fullmatch(rf"error: [^\n]*device: {device}[^\n]*\n", result.stderr)
    assert workflow.contents(project) == before
