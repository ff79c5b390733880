"""The profile for Slurm where there is none, or where it refuses, with commands that stand in for its own.

A real Slurm is in `tests/slurm`.
"""

import shutil
from pathlib import Path

import pytest
import workflow

RUNS = ["smoke/fig3+epochs=1+records=1/seed0", "smoke/fig3+epochs=1+records=1/seed1"]
REFUSAL = "Batch job submission failed: Invalid account or account/partition combination specified"
REFUSE = f'echo "sbatch: error: {REFUSAL}" >&2; exit 1'
# Runs the job while one waits, as the first job of the cluster.
ACCEPT = 'for last; do :; done; sh -c "${last#--wrap=}" >job.log 2>&1 || exit; echo 1'
# What stands in for each command, called in the folder of the project.
COMMANDS = {
    "sbatch": "echo >>submitted; if {accepts}; then echo accepted >>submitted; {accept}; else {refuse}; fi",
    "srun": 'while [ "${1#-}" != "$1" ]; do shift; done; exec "$@"',
    "squeue": 'echo "1|COMPLETED"',
    "scontrol": 'echo "MinJobAge = 300 sec"',
    **dict.fromkeys(["sacct", "sacctmgr", "sinfo", "scancel", "sshare"], "exit 0"),
}


def path_of(folder: Path, accepts: str = "false", without: tuple[str, ...] = ()) -> str:
    """A PATH with stand-ins and what else a job takes, and nothing of a Slurm that may be here."""
    folder.mkdir()
    for name, script in COMMANDS.items():
        if name not in without:
            text = script.format(accepts=accepts, accept=ACCEPT, refuse=REFUSE) if name == "sbatch" else script
            (folder / name).write_text(f"#!/bin/sh\n{text}\n", "utf-8")
            (folder / name).chmod(0o755)
    for name in ("bash", "sh", "env", "which"):
        (folder / name).symlink_to(shutil.which(name))
    return str(folder)


def submit(project: Path, path: str, status: int = 1) -> str:
    """What Snakemake says of runs that cannot all be submitted. It ends in seconds; the limit is for busy machines."""
    targets = [f"results/{run}/metrics.json" for run in RUNS]
    process = workflow.start(project, "snakemake", "--profile", "profiles/slurm", *targets, PATH=path)
    try:
        _, stderr = process.communicate(timeout=600)
    finally:
        process.kill()
    assert process.returncode == status
    return stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return workflow.copy_project(tmp_path / "project")


def test_without_slurm_it_ends_and_says_so(project: Path, tmp_path: Path) -> None:
    said = submit(project, path_of(tmp_path / "bin", without=tuple(COMMANDS)), status=2)
    assert said.splitlines()[-1].startswith("error: there is no sbatch on PATH")


def test_a_refusal_of_the_first_job_is_shown_and_ends_it(project: Path, tmp_path: Path) -> None:
    said = submit(project, path_of(tmp_path / "bin"))
    assert REFUSAL in said
    assert (project / "submitted").read_text("utf-8").count("\n") == 1


def test_a_submission_that_fails_by_itself_is_shown_and_ends_it(project: Path, tmp_path: Path) -> None:
    said = submit(project, path_of(tmp_path / "bin", without=("sacct",)))
    assert "No such file or directory: 'sacct'" in said
    assert not (project / "submitted").exists()


def test_a_refusal_of_a_later_job_is_shown_and_the_others_go_on(project: Path, tmp_path: Path) -> None:
    """Jobs are tried again as the profile says, of which each refusal is shown."""
    path = path_of(tmp_path / "bin", accepts="! grep -q accepted submitted")
    (tmp_path / "bin/grep").symlink_to(shutil.which("grep"))
    said = submit(project, path)
    assert said.count(REFUSAL) == 4
    assert sorted((project / f"results/{run}/metrics.json").exists() for run in RUNS) == [False, True]
