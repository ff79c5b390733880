"""What a killed Snakemake leaves: looked at, it stays as it is; when jobs are run, it is mended, and that is said."""

import os
import time
from pathlib import Path

import pytest
import workflow

AHEAD = 7200  # seconds
TARGET = "figures/smoke/figure1.pdf"
LOOKING = [("--dry-run", TARGET), ("--list",), ("--lint",), ("--summary", TARGET), ("--rulegraph", "dot", "--", TARGET)]


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project in which a Snakemake was killed, and the clock was ahead."""
    folder = workflow.copy_project(tmp_path / "project")
    (folder / ".snakemake/locks").mkdir(parents=True)
    (folder / ".snakemake/locks/0.output.lock").write_text(f"{TARGET}\n", encoding="utf-8")
    (folder / "results").mkdir()
    (folder / "results/notes.txt").write_text("from the future", encoding="utf-8")
    os.utime(folder / "results/notes.txt", (time.time() + AHEAD,) * 2)
    return folder


def left(project: Path) -> tuple[list[str], float]:
    """The locks, and the date of the file."""
    locks = sorted(path.name for path in (project / ".snakemake/locks").glob("*"))
    return locks, (project / "results/notes.txt").stat().st_mtime


@pytest.mark.parametrize("arguments", LOOKING, ids=" ".join)
def test_looking_changes_nothing(project: Path, arguments: tuple[str, ...]) -> None:
    before = left(project)
    done = workflow.snakemake(project, *arguments)
    assert done.returncode == 0, done.stderr
    assert left(project) == before
    assert not (project / ".snakemake/alive").exists()


def test_running_mends_and_says_so(project: Path) -> None:
    done = workflow.snakemake(project, "--cores", "1", TARGET)
    assert done.returncode == 0, done.stderr
    assert (project / TARGET).exists()
    locks, date = left(project)
    assert locks == [] and date <= time.time()
    assert "Removed the locks of a Snakemake that was killed." in done.stderr
    assert "Dated 1 file(s) in results/ to the present" in done.stderr


def test_a_run_with_nothing_to_mend_says_nothing_of_it(project: Path) -> None:
    workflow.snakemake(project, "--cores", "1", TARGET)
    again = workflow.snakemake(project, "--cores", "1", TARGET)
    assert "Removed" not in again.stderr and "Dated" not in again.stderr
