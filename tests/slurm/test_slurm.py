"""The workflow on a real Slurm, of one node: the same bytes as without, whatever happens to a job. `make cluster`."""

import re
import time
from pathlib import Path

import determinism
import pytest
import workflow
from cluster import Cluster, SlurmJob
from workflow import RUN_FILES

from feature_collapse.workflow.config import Config

STUDY = "seeds"
TARGETS = [
    "smoke",
    *(f"results/smoke/studies/{STUDY}.{kind}" for kind in ("csv", "html")),
    f"figures/smoke/study_{STUDY}.pdf",
]
RUN = "smoke/fig3+epochs=600/seed0"
# A small cluster answers at once, where a large one is not to be asked all the time.
IMPATIENT = (
    *("--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1"),
    *("--latency-wait", "10"),
)

# Added to the training of a copy: steps that take a while, so that something can happen to them, and memory that grows.
SLOW = """
CHECKPOINT_SECONDS = 1


def _slow(self, step=Training.step):
    time.sleep({seconds})
    step(self)


Training.step = _slow
"""
GREEDY = """

def _greedy(self, step=Training.step, kept=[]):
    step(self)
    if self.steps == 400:
        kept.append(torch.ones(250_000_000))


Training.step = _greedy
"""


def submit(project: Path, *arguments: str):
    return workflow.start(project, "snakemake", "--profile", "profiles/slurm", *IMPATIENT, *arguments)


@pytest.fixture(scope="session")
def local(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy in which everything was made without a cluster."""
    project = workflow.copy_project(tmp_path_factory.mktemp("local") / "project")
    done = workflow.snakemake(project, "--cores", "2", *TARGETS, f"results/{RUN}/metrics.json")
    assert done.returncode == 0, done.stderr
    return project


def test_the_workflow_and_a_study_make_the_same_bytes_one_job_a_run(
    cluster: Cluster, local: Path, tmp_path: Path
) -> None:
    project = workflow.copy_project(tmp_path / "project")
    done = workflow.finish(submit(project, *TARGETS))
    assert done.returncode == 0, done.stderr
    there, here = determinism.made(project), determinism.made(local)
    here = {name: checksum for name, checksum in here.items() if f"results/{RUN}" not in name}
    assert there.keys() == here.keys()
    assert [name for name in here if there[name] != here[name]] == []

    config = Config(project / workflow.SETTINGS)
    runs = {run.name for run in [*config.runs("smoke").values(), *config.study(STUDY, "smoke")]}
    jobs = cluster.jobs(project)
    assert len(jobs) == len(runs) + 2, "and one each for what takes minutes: the enumeration and the animation"
    assert {job.state for job in jobs} == {"COMPLETED"}

    again = workflow.finish(submit(project, *TARGETS))
    assert "Nothing to be done" in again.stdout + again.stderr
    local_again = workflow.snakemake(project, "--cores", "2", "--dry-run", *TARGETS)
    assert "Nothing to be done" in local_again.stdout + local_again.stderr
    assert len(cluster.jobs(project)) == len(jobs)


def cancel_once_there_is_a_checkpoint(cluster: Cluster, project: Path) -> None:
    deadline = time.monotonic() + 120
    while not (project / "results" / RUN / "checkpoint.safetensors").exists():
        assert time.monotonic() < deadline, "no checkpoint"
        time.sleep(0.2)
    [job] = cluster.jobs(project)
    assert job.state == "RUNNING"
    cluster.run("scancel", str(job.id))


def wait(cluster: Cluster, project: Path) -> None:
    """The job meets its limit by itself."""


# What happens to the first job, how slow a step is, what else is done to the training, what the job asks for, and what
# Slurm then says of it.
MISHAPS = {
    "cancelled": (cancel_once_there_is_a_checkpoint, 0.02, "", [], {"CANCELLED"}),
    "over its time": (
        wait,
        0.09,
        "",
        ["data:runtime=0", "train:runtime=attempt**2", "features:runtime=0"],
        {"TIMEOUT"},
    ),
    "over its memory": (
        *(wait, 0.02, GREEDY),
        [f"{rule}:mem_mb=attempt*1000" for rule in ("data", "train", "features")],
        {"CANCELLED", "FAILED", "OUT_OF_MEMORY"},
    ),
}


@pytest.fixture(scope="session")
def hit(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, list[SlurmJob], str]]:
    """The folder, the jobs and Snakemake's words of a run to which each of the mishaps has happened, all at the same
    time."""
    started = {}
    for name, (_, seconds, more, asked, _) in MISHAPS.items():
        project = workflow.copy_project(tmp_path_factory.mktemp("hit") / "project")
        with open(project / "src/feature_collapse/stages/train.py", "a", encoding="utf-8") as module:
            module.write(SLOW.format(seconds=seconds) + more)
        asking = ["--set-resources", *asked, "--"] if asked else []
        started[name] = project, submit(project, *asking, f"results/{RUN}/metrics.json")
    for name, (happen, *_) in MISHAPS.items():
        happen(cluster, started[name][0])
    ended = {name: (project, workflow.finish(process)) for name, (project, process) in started.items()}
    return {
        name: (project, cluster.jobs(project), done.stdout + done.stderr) for name, (project, done) in ended.items()
    }


@pytest.mark.parametrize("mishap", MISHAPS)
def test_a_job_that_is_stopped_comes_again_asks_for_more_and_goes_on_from_its_checkpoint(
    hit, local: Path, mishap: str
) -> None:
    project, jobs, said = hit[mishap]
    first, *later = jobs
    assert later, said
    assert first.state in MISHAPS[mishap][-1]
    assert jobs[-1].state == "COMPLETED", said
    assert all(job.minutes > first.minutes and job.memory_mb > first.memory_mb for job in later)
    log = (project / "results" / RUN / "log/train.log").read_text(encoding="utf-8")
    assert re.search(rf"^{re.escape(RUN)}: going on from epoch \d+\.\d\d$", log, re.MULTILINE)
    for name in RUN_FILES:
        path = Path("results") / RUN / name
        assert workflow.timeless(project / path) == workflow.timeless(local / path), name


def test_memory_is_what_stopped_the_greedy_one(hit) -> None:
    project, [first, *_], _ = hit["over its memory"]
    [log] = (project / ".snakemake/slurm_logs").rglob(f"{first.id}.log")
    assert "exceeded memory limit" in log.read_text(encoding="utf-8").lower()
