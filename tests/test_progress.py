"""How long work says how far it has come: a bar on a terminal, plain lines elsewhere, nothing when quiet."""

import contextlib
import io
import os
import re
import subprocess
import sys
import termios
from pathlib import Path

import pytest
import workflow
from click.testing import CliRunner

from feature_collapse.__main__ import main
from feature_collapse.stages import enumeration, study
from feature_collapse.workflow.progress import LINES, Progress, track


class Terminal(io.StringIO):
    """What is written to a terminal."""

    def isatty(self) -> bool:
        return True


def terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Standard error from now on: not a fixture, since pytest sets its own between fixtures and test."""
    monkeypatch.setattr(sys, "stderr", Terminal())
    return sys.stderr


@pytest.mark.parametrize("pieces", [0, 1, 3, LINES, 46])
def test_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture, pieces: int) -> None:
    assert list(track(range(pieces), "sums", "sum")) == list(range(pieces))
    out, err = capsys.readouterr()
    lines = err.splitlines()
    assert out == ""
    assert len(lines) == min(pieces, LINES)
    assert all(re.fullmatch(rf"sums: sum \d+ of {pieces}, \d+:\d+ left", line) for line in lines)
    assert not lines or lines[-1] == f"sums: sum {pieces} of {pieces}, 00:00 left"


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    assert list(track(range(25), "sums", "sum")) == list(range(25))
    said = screen.getvalue()
    assert said.count("\r") > 1 and said.count("\n") == 1
    assert "25/25" in said and "left" not in said


def test_a_bar_says_how_things_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = terminal(monkeypatch)
    progress = Progress("fig3/seed0", 4, "step", done=2)
    progress.update()
    progress.state("loss 0.5")
    progress.close()
    last = screen.getvalue().rpartition("\r")[2]
    assert "fig3/seed0" in last and "3/4" in last and "loss 0.5" in last


def test_the_time_left_is_that_of_what_was_not_there_before(capsys: pytest.CaptureFixture, monkeypatch) -> None:
    monkeypatch.setattr("feature_collapse.workflow.progress.time.monotonic", iter([0.0, 60.0]).__next__)
    progress = Progress("work", 100, "piece", done=90)
    for _ in range(5):
        progress.update()
    progress.state("half of the rest")
    assert capsys.readouterr().err == "work: half of the rest, 01:00 left\n"


def test_nothing_when_quiet(capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    assert list(track(range(25), "sums", "sum", quiet=True)) == list(range(25))
    assert capsys.readouterr() == ("", "")
    screen = terminal(monkeypatch)
    assert list(track(range(25), "sums", "sum", quiet=True)) == list(range(25))
    assert screen.getvalue() == ""


def test_training_typed_at_a_terminal_shows_a_bar(tmp_path: Path) -> None:
    """On a terminal as the system has them: the bar is drawn over itself, with the state of training beside it."""
    project, run = workflow.copy_project(tmp_path / "project"), "smoke/fig3/seed0"
    assert workflow.typed(project, "data", run).returncode == 0
    ours, theirs = os.openpty()
    termios.tcsetwinsize(theirs, (25, 120))
    command = [sys.executable, "-m", "feature_collapse", "train", run]
    training = subprocess.Popen(command, cwd=project, env=os.environ | {"PYTHONPATH": "src"}, stderr=theirs)
    os.close(theirs)
    said = b""
    with open(ours, "rb", buffering=0) as screen, contextlib.suppress(OSError):  # which ends reading on Linux
        while piece := screen.read(4096):
            said += piece
    assert training.wait() == 0
    assert said.count(b"\r") > 2
    last = said.decode().rstrip().rpartition("\r")[2]
    assert last.startswith(f"{run}: 100%") and "epoch 150 of 150" in last


def test_a_warning_is_said_also_when_quiet(capsys: pytest.CaptureFixture) -> None:
    Progress("work", 3, "piece", quiet=True).say("no room on the disk")
    assert capsys.readouterr().err == "work: no room on the disk\n"


def test_work_goes_on_where_nothing_can_be_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with open("/dev/full", "w", buffering=1) as full:
        monkeypatch.setattr(sys, "stderr", full)
        assert list(track(range(5), "sums", "sum")) == list(range(5))
        with contextlib.suppress(OSError):
            full.close()


# The verbs whose work is long


@pytest.fixture
def little_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, process: None) -> None:
    """A folder of the project's, and the long work made short."""
    monkeypatch.chdir(workflow.copy_project(tmp_path / "project"))
    # Calls in this process run the code of this checkout.
    monkeypatch.setattr("feature_collapse.__main__.own_package", lambda: None)
    problem = enumeration.problems()[0]
    monkeypatch.setattr(enumeration, "problems", lambda: [problem] * 2)
    monkeypatch.setattr(enumeration, "random_problems", lambda count: [problem])
    monkeypatch.setattr(enumeration, "long_tailed", list)
    monkeypatch.setattr(enumeration, "markdown", lambda *tables: "")
    monkeypatch.setattr(study.artifacts, "read_json", lambda path, run: {})
    monkeypatch.setattr(study, "row", lambda run, metrics: {"run": run.name})
    monkeypatch.setattr(study, "summarise", lambda rows: rows)
    monkeypatch.setattr(study, "markdown", lambda *tables: "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["enumeration", "--starts", "1", "--scale", "smoke"], r"enumeration: problem (\d+) of \1, "),
        (["study", "lambda", "--scale", "smoke"], r"study lambda: run (\d+) of \1, "),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
@pytest.mark.usefixtures("little_work")
def test_a_verb_says_how_far_it_is_unless_it_is_to_be_quiet(arguments: list[str], said: str) -> None:
    loud, quiet = (CliRunner().invoke(main, [*arguments, *extra]) for extra in ([], ["--quiet"]))
    assert (loud.exit_code, quiet.exit_code) == (0, 0), (loud.exception, quiet.exception)
    assert re.match(said, loud.stderr.splitlines()[-1])
    assert quiet.stderr == ""


def test_every_verb_that_says_how_far_it_is_can_be_quiet() -> None:
    verbs = {name for name, verb in main.commands.items() if any(option.name == "quiet" for option in verb.params)}
    assert verbs == {"train", "enumeration", "animation", "study"}
