"""Which code and which Python run, and what they hear of the surroundings."""

import shutil
import sys
from pathlib import Path

import pytest
import workflow
from robustness.surroundings import MATPLOTLIBRC, TOGETHER, Surroundings

RUN = "smoke/fig3+epochs=1/seed0"
COMMANDS = {
    "Snakefile": ("snakemake", "--cores", "1", f"results/{RUN}/data.safetensors"),
    "command line": ("feature_collapse", "data", RUN),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_the_code_of_another_checkout_is_refused_in_one_line(tmp_path: Path, command: str) -> None:
    """As where an environment is copied with its project, or two clones share one."""
    project, other = workflow.copy_project(tmp_path / "project"), workflow.copy_project(tmp_path / "other")
    before = workflow.contents(project)
    done = workflow.finish(workflow.start(project, *COMMANDS[command], PYTHONPATH=str(other / "src")))
    *rest, last = done.stderr.splitlines()
    assert done.returncode == 2
    assert last.startswith(f"error: {project / 'src/feature_collapse'} is not what runs, but {other / 'src'}")
    assert not any("error" in line.lower() or "Traceback" in line for line in rest)
    assert workflow.contents(project) == before


def test_a_folder_that_is_reached_by_a_link_is_the_same(tmp_path: Path) -> None:
    project = workflow.copy_project(tmp_path / "project")
    (tmp_path / "link").symlink_to(project)
    done = workflow.finish(workflow.start(project, *COMMANDS["command line"], PYTHONPATH=str(tmp_path / "link/src")))
    assert done.returncode == 0, done.stderr


def test_jobs_run_with_the_python_of_the_workflow(tmp_path: Path) -> None:
    """Without an environment that has been activated, and with another Python before it."""
    project, others = workflow.copy_project(tmp_path / "project"), tmp_path / "others"
    others.mkdir()
    for name in ("python", "python3"):
        (others / name).write_text("#!/bin/sh\nexit 7\n", "utf-8")
        (others / name).chmod(0o755)
    path = f"{others}:{Path(shutil.which('bash')).parent}"
    assert str(Path(sys.executable).parent) not in path.split(":")
    done = workflow.finish(workflow.start(project, *COMMANDS["Snakefile"], PATH=path))
    assert done.returncode == 0, done.stderr


def test_what_a_user_has_set_does_not_reach_a_figure(tmp_path: Path) -> None:
    drawn = []
    for name, surroundings in {"plain": Surroundings(), "set": TOGETHER}.items():
        project = workflow.copy_project(tmp_path / name / "project")
        if name == "set":
            (project / "matplotlibrc").write_text(MATPLOTLIBRC, "utf-8")
        variables = surroundings.prepare(tmp_path / name / "home")
        command = ("feature_collapse", "figure", "figure1")
        done = workflow.finish(workflow.start(project, *command, prefix=surroundings.prefix, **variables))
        assert done.returncode == 0, done.stderr
        drawn.append([(project / f"figures/figure1.{kind}").read_bytes() for kind in ("pdf", "png")])
    assert drawn[0] == drawn[1]
