"""The environment of the jobs, where Snakemake is asked to make it with conda. A stand-in answers for conda: it does
what conda does with an environment file, and notes what pip is called with."""

import os
import stat
from pathlib import Path

import pytest
import workflow

# `conda env create` installs the entries below `pip:` in the folder of the environment file, as conda does.
CONDA = """#!/bin/sh
case "$1 $2" in
  "info --json") echo '{"conda_prefix": "{base}", "platform": "linux-64"}' ;;
  "--version ") echo "conda 24.9.0" ;;
  "config --get") echo '{"get": {"channel_priority": "strict"}}' ;;
  "env create")
    for word in "$@"; do
      case "$before" in --file) file=$word ;; --prefix) prefix=$word ;; esac
      before=$word
    done
    mkdir -p "$prefix/bin" && cp {base}/pip {base}/python "$prefix/bin"
    cd "$(dirname "$file")" && sed -n 's/^ *- -r \\([^ ]*\\).*/\\1/p' "$file" | while read -r requirements; do
      "$prefix/bin/pip" install --requirement "$requirements" || exit 1
    done ;;
esac
"""
ACTIVATE = 'export CONDA_PREFIX="$1"\nexport PATH="$1/bin:$PATH"\n'
PYTHON = '#!/bin/sh\nPYTHONPATH=src exec {python} "$@"\n'  # into which the lock has installed the project
PIP = '#!/bin/sh\necho "$(pwd) $@" >> {base}/pip.log\ntest -f "$3"\n'


@pytest.fixture
def conda(tmp_path: Path) -> Path:
    """A folder with the stand-in."""
    base = tmp_path / "conda"
    (base / "bin").mkdir(parents=True)
    python = workflow.sys.executable
    files = {"bin/conda": CONDA, "bin/activate": ACTIVATE, "pip": PIP, "python": PYTHON}
    for name, text in files.items():
        filled = text.replace("{base}", str(base)).replace("{python}", python)
        (base / name).write_text(filled, encoding="utf-8")
        (base / name).chmod(stat.S_IRWXU)
    return base


def test_conda_gives_the_jobs_every_package_of_the_lock(conda: Path, tmp_path: Path) -> None:
    project, target = workflow.copy_project(tmp_path / "project"), "figures/smoke/figure1.pdf"
    process = workflow.start(
        project,
        *("snakemake", "--cores", "1", "--software-deployment-method", "conda", "--", target),
        PATH=f"{conda / 'bin'}{os.pathsep}{Path(workflow.sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    )
    done = workflow.finish(process)
    assert done.returncode == 0, done.stderr
    assert (conda / "pip.log").read_text("utf-8") == f"{project} install --requirement requirements.txt\n"
    assert (project / target).exists()
    assert "Activating conda environment" in done.stderr
