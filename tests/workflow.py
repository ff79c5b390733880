"""Copies of the project, and the workflow run in them: what the tests of the whole have in common."""

import fcntl
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from feature_collapse.workflow.config import Config
from feature_collapse.workflow.figures import Figures

PROJECT = Path(__file__).parents[1]
SETTINGS = "config/experiments.yaml"
RUN_FILES = [
    "data.safetensors",
    "weights.safetensors",
    "snapshots.safetensors",
    "history.csv",
    "run.json",
    "features.safetensors",
    "metrics.json",
]
FIGURES = list(Figures(Config(PROJECT / SETTINGS)).drawn)
# A folder name as users have them.
AWKWARD_NAME = "Feature Collapse, é"


def smoke_runs() -> list[str]:
    """The experiments' runs at toy size."""
    config = Config(PROJECT / SETTINGS)
    return [f"smoke/{name}/seed{seed}" for name in config.experiments("smoke") for seed in config.seeds]


def copy_project(folder: Path) -> Path:
    """What a fresh clone has of the workflow, in a new folder."""
    folder.mkdir(parents=True)
    for name in ("Snakefile", "environment.yml", "environment.post-deploy.sh", "requirements.txt"):
        shutil.copy2(PROJECT / name, folder)
    for name in ("config", "corpus", "profiles", "report", "rules", "src"):
        if (PROJECT / name).exists():
            shutil.copytree(PROJECT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info"))
    return folder


def start(
    folder: Path, *arguments: str, prefix: Sequence[str] = (), module: bool = True, **variables: str | None
) -> subprocess.Popen:
    """`python -m ...` in a folder, with the folder's own modules, as the leader of a process group; without `module`,
    `python ...`. `prefix` is a command to run it by; a variable that is None is taken from its environment."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(folder / "src"),
        "SNAKEMAKE_PROFILE": None,
        **variables,
    }
    environment = {name: value for name, value in environment.items() if value is not None}
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [*prefix, sys.executable, *(["-m"] if module else []), *arguments]
    return subprocess.Popen(command, cwd=folder, env=environment, text=True, process_group=0, **pipes)


def finish(process: subprocess.Popen) -> subprocess.CompletedProcess:
    stdout, stderr = process.communicate()
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    return finish(start(folder, "snakemake", *arguments))


def typed(folder: Path, *arguments: str) -> subprocess.CompletedProcess:
    """A verb of the command line, typed in a folder."""
    return finish(start(folder, "feature_collapse", *arguments))


def planned(folder: Path, *targets: str) -> set[str]:
    """The verbs that Snakemake would run for its targets, each with what it is about: 'train smoke/fig3/seed0'."""
    done = snakemake(folder, "--dry-run", "--printshellcmds", *targets)
    assert done.returncode == 0, done.stderr
    return {verb_of(command) for command in re.findall(r"python -m feature_collapse .*", done.stdout + done.stderr)}


def verb_of(command: str) -> str:
    """'train smoke/fig3/seed0' of `python -m feature_collapse train smoke/fig3/seed0 --threads 1 2> ...`."""
    words = shlex.split(re.sub(r" --threads \d+| 2> .*", "", command).partition(" feature_collapse ")[2])
    return " ".join(word.rstrip("/") for word in words if not word.startswith("-"))


def contents(folder: Path) -> dict[str, bytes]:
    """Every file below a folder but Snakemake's and Python's own, by its path."""
    own = {".snakemake", "__pycache__"}
    files = [path.relative_to(folder) for path in folder.rglob("*") if path.is_file()]
    return {str(path): (folder / path).read_bytes() for path in files if not own & set(path.parts)}


def timeless(path: Path) -> bytes:
    """The content of a file, but for the lines of run.json on the time, memory and threads it took."""
    content = path.read_bytes()
    lines = rb'^ "(seconds|peak_memory_mb|threads|sha256)": .*\n'
    return re.sub(lines, b"", content, flags=re.MULTILINE) if path.name == "run.json" else content


def edit_yaml(path: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """Let `change` edit the content of a file in place."""
    yaml = YAML()
    content = yaml.load(path)
    change(content)
    yaml.dump(content, path)


def edit_settings(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    """The same with a copy's experiments.yaml."""
    edit_yaml(folder / SETTINGS, change)


@dataclass(frozen=True)
class Job:
    """A job of a finished workflow: its rule, what it runs, and its files."""

    rule: str
    verb: str
    log: str
    inputs: frozenset[str]
    outputs: frozenset[str]


def jobs_of(folder: Path, *targets: str) -> list[Job]:
    """The jobs that made the targets, as Snakemake accounts for them."""
    done = snakemake(folder, "--detailed-summary", *targets)
    assert done.returncode == 0, done.stderr
    header, *rows = [line.split("\t") for line in done.stdout.splitlines() if "\t" in line]
    outputs: dict[tuple[str, ...], set[str]] = {}
    for row in rows:
        cell = dict(zip(header, row, strict=True))
        key = tuple(cell[name] for name in ("rule", "shellcmd", "log-file(s)", "input-file(s)"))
        outputs.setdefault(key, set()).add(cell["output_file"])
    return [
        Job(rule, verb_of(command), log, frozenset(inputs.split(",")), frozenset(made))
        for (rule, command, log, inputs), made in outputs.items()
    ]


def downstream(jobs: Iterable[Job], begin: Iterable[Job]) -> list[Job]:
    """`begin` and all jobs that depend on them."""
    jobs, found = list(jobs), list(begin)
    for job in found:
        found += [other for other in jobs if other.inputs & job.outputs and other not in found]
    return found


@dataclass(frozen=True)
class Smoke:
    """The workflow at toy size, finished twice: as a user would, and elsewhere, on one core, in another order. The logs
    of the second also say what Python imported."""

    first: Path
    second: Path


def smoke_twice(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    """Made at the first call; the processes of a test session share it."""
    base = tmp_path_factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    smoke, outcome = Smoke(base / AWKWARD_NAME, base / "elsewhere" / "project"), base / "smoke.txt"
    with open(base / "smoke.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not outcome.exists():
            outcome.write_text(_run_twice(smoke), encoding="utf-8")
    complaints = outcome.read_text(encoding="utf-8")
    assert not complaints, complaints
    return smoke


def _run_twice(smoke: Smoke) -> str:
    """Run both at the same time. Returns what went wrong."""
    metrics = [f"results/{run}/metrics.json" for run in reversed(smoke_runs())]
    first = start(copy_project(smoke.first), "snakemake", "--cores", "2", "smoke")
    second = start(
        copy_project(smoke.second),
        *("snakemake", "--cores", "1", "--prioritize", *metrics, "--", *metrics, "smoke"),
        PYTHONPROFILEIMPORTTIME="1",
    )
    with ThreadPoolExecutor() as pool:
        done = list(pool.map(finish, [first, second]))
    return "\n".join(process.stderr[-5000:] for process in done if process.returncode)
