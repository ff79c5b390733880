"""`make` in folders that were copied, moved or linked, and in surroundings that speak of Python, pip and users.

The environments are real, but for pip and Snakemake: those in them write down how they were called.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from robustness.surroundings import NAMELESS, SURROUNDINGS
from workflow import AWKWARD_NAME, PROJECT

# As `PYTHON` of the Makefile: an environment without packages but for these two.
PYTHON = """\
#!/bin/sh
set -e
if [ "$1 $2" = "-m venv" ]; then
    shift 2
    "{python}" -m venv --without-pip "$@"
    cp "{stand_ins}"/*.py .venv/lib/python*/site-packages
else
    exec "{python}" "$@"
fi
"""
STAND_IN = """\
import os
import sys
import sysconfig
from pathlib import Path

if {installs}:
    Path(sysconfig.get_path("purelib"), "feature_collapse.pth").write_text(os.path.abspath("src"), "utf-8")
variables = "PIP_USER", "PIP_TARGET", "PYTHONPATH", "LOGNAME", "HOME", "XDG_CACHE_HOME"
said = [f"{{name}}={{os.environ[name]}}" for name in variables if name in os.environ]
with open("called", "a") as log:
    print("{name}", *sys.argv[1:], *said, file=log)
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / AWKWARD_NAME
    folder.mkdir()
    for name in ("Makefile", "pyproject.toml", "requirements.txt"):
        shutil.copy2(PROJECT / name, folder)
    (folder / "src/feature_collapse").mkdir(parents=True)
    shutil.copy2(PROJECT / "src/feature_collapse/__init__.py", folder / "src/feature_collapse")
    stand_ins = tmp_path / "stand_ins"
    stand_ins.mkdir()
    for name in ("pip", "snakemake"):
        (stand_ins / f"{name}.py").write_text(STAND_IN.format(name=name, installs=name == "pip"), "utf-8")
    python = tmp_path / "python"
    python.write_text(PYTHON.format(python=sys.executable, stand_ins=stand_ins), "utf-8")
    python.chmod(0o755)
    return folder


def make(folder: Path, *arguments: str, prefix: tuple[str, ...] = (), **variables: str | None) -> list[str]:
    """What `make smoke` calls in a folder, one line a call."""
    environment = os.environ | variables
    environment = {name: value for name, value in environment.items() if value is not None}
    command = [*prefix, "make", "smoke", f"PYTHON={folder.parent / 'python'}", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    called = folder / "called"
    lines = called.read_text("utf-8").splitlines()
    called.unlink()
    return lines


INSTALLED = "pip install -q --disable-pip-version-check -r requirements.txt"
MADE = "snakemake --cores all smoke"


def verbs(lines: list[str]) -> list[str]:
    """The calls without the variables."""
    return [line.partition(" PIP_USER=")[0] for line in lines]


def package_of(folder: Path) -> str:
    """Where the package lies that the environment of a folder imports."""
    code = "import feature_collapse; print(feature_collapse.__path__[0])"
    python = folder / ".venv/bin/python"
    return subprocess.run([python, "-Ic", code], capture_output=True, text=True, check=True).stdout.strip()


def test_the_environment_is_made_once(checkout: Path) -> None:
    assert verbs(make(checkout)) == [INSTALLED, MADE]
    assert verbs(make(checkout)) == [MADE]
    with open(checkout / "requirements.txt", "a", encoding="utf-8") as lock:
        lock.write("# a line more\n")
    assert verbs(make(checkout)) == [INSTALLED, MADE]


@pytest.mark.parametrize("how", ["copied", "moved"])
def test_the_environment_is_made_anew_in_another_folder(checkout: Path, how: str) -> None:
    make(checkout)
    (checkout / ".venv/left").touch()
    there = checkout.parent / "there"
    shutil.copytree(checkout, there, symlinks=True) if how == "copied" else checkout.rename(there)
    assert verbs(make(there)) == [INSTALLED, MADE]
    assert package_of(there) == str(there / "src/feature_collapse")
    assert not (there / ".venv/left").exists()
    assert verbs(make(there)) == [MADE]
    if how == "copied":
        assert verbs(make(checkout)) == [MADE]
        assert package_of(checkout) == str(checkout / "src/feature_collapse")


def test_an_environment_that_another_folder_has_been_installed_into_is_made_anew(checkout: Path) -> None:
    make(checkout)
    other = shutil.copytree(checkout, checkout.parent / "other", ignore=shutil.ignore_patterns(".venv"))
    [installed] = (checkout / ".venv").rglob("feature_collapse.pth")
    installed.write_text(str(other / "src"), "utf-8")
    assert package_of(checkout) == str(other / "src/feature_collapse")
    assert verbs(make(checkout)) == [INSTALLED, MADE]
    assert package_of(checkout) == str(checkout / "src/feature_collapse")


def test_an_environment_whose_python_is_gone_is_made_anew(checkout: Path) -> None:
    make(checkout)
    python = checkout / ".venv/bin/python"
    for name in python.parent.glob("python*"):
        name.unlink()
    python.symlink_to("/nowhere/python")
    assert verbs(make(checkout)) == [INSTALLED, MADE]


def test_the_environment_of_another_folder_is_left_alone_where_it_is_linked(checkout: Path) -> None:
    make(checkout)
    (checkout / ".venv/kept").touch()
    there = shutil.copytree(checkout, checkout.parent / "there", ignore=shutil.ignore_patterns(".venv"))
    (there / ".venv").symlink_to(checkout / ".venv")
    assert verbs(make(there)) == [INSTALLED, MADE]
    assert package_of(there) == str(there / "src/feature_collapse")
    assert (checkout / ".venv/kept").exists()
    assert package_of(checkout) == str(checkout / "src/feature_collapse")


def test_surroundings_that_speak_of_python_and_pip_are_not_heard(checkout: Path) -> None:
    elsewhere = str(checkout.parent / "elsewhere")
    lines = make(
        checkout,
        **{"PIP_USER": "1", "PIP_TARGET": elsewhere, "PYTHONPATH": elsewhere, "PYTHONHOME": elsewhere},
        **{"LC_ALL": "C", "CORES": ""},
    )
    assert verbs(lines) == [INSTALLED, MADE]
    assert all("PIP_USER=0" in line and elsewhere not in line for line in lines)


def test_the_number_of_cores_is_taken_from_the_command_line_and_the_surroundings(checkout: Path) -> None:
    assert verbs(make(checkout, "CORES=2")) == [INSTALLED, "snakemake --cores 2 smoke"]
    assert verbs(make(checkout, CORES="3")) == ["snakemake --cores 3 smoke"]


CANNOT_BE_NAMELESS = "a user without a name" not in SURROUNDINGS


@pytest.mark.skipif(CANNOT_BE_NAMELESS, reason="there are no user namespaces here")
def test_a_user_without_a_name_gets_one(checkout: Path) -> None:
    assert all(" LOGNAME=12345 " in line for line in make(checkout, prefix=NAMELESS, LOGNAME=None, USER=None))


def test_a_user_without_a_home_gets_one(checkout: Path) -> None:
    lines = make(checkout, HOME=None, XDG_CACHE_HOME=None)
    assert all(line.endswith(f" HOME={checkout}/.snakemake") for line in lines)


@pytest.mark.skipif(CANNOT_BE_NAMELESS, reason="there are no user namespaces here")
@pytest.mark.parametrize("home", ["read-only", "read-only/missing"])
def test_a_home_that_cannot_be_written_is_not_where_the_cache_is(checkout: Path, home: str) -> None:
    (checkout.parent / "read-only").mkdir(0o555)
    for line in make(checkout, prefix=NAMELESS, HOME=str(checkout.parent / home), XDG_CACHE_HOME=None):
        assert line.endswith(f" HOME={checkout.parent / home} XDG_CACHE_HOME={checkout}/.snakemake/cache")


def test_a_home_that_can_be_written_is(checkout: Path) -> None:
    for line in make(checkout, HOME=str(checkout.parent), XDG_CACHE_HOME=None):
        assert line.endswith(f" HOME={checkout.parent}")
