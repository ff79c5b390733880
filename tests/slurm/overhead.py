"""What a job takes on a cluster besides the work: `python tests/slurm/overhead.py`, as root, on a machine that is idle.

A few toy runs, one after the other on a cluster of one node. From begin to end of a job in Slurm's own account, less
the seconds that its training says it took: what is left is for Slurm, two Snakemakes and three Pythons. The least goes
into docs/scale.csv.
"""

import json
import os
import sys
import tempfile
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1]))

import scale
import workflow
from cluster import Cluster, missing

RUNS = [f"smoke/fig3/seed{seed}" for seed in range(3)]


def main() -> None:
    if why := missing():
        sys.exit(why)
    with tempfile.TemporaryDirectory() as base, Cluster(Path(base) / "cluster") as cluster:
        project = workflow.copy_project(Path(base) / "project")
        asked = [f"results/{run}/metrics.json" for run in RUNS]
        quickly = ("--slurm-init-seconds-before-status-checks", "1", "--seconds-between-status-checks", "1")
        done = workflow.snakemake(project, "--profile", "profiles/slurm", "--jobs", "1", *quickly, "--", *asked)
        assert done.returncode == 0, done.stderr
        spent = [job.seconds for job in cluster.jobs(project)]
        records = [project / f"results/{run}/run.json" for run in RUNS]
        trained = [json.loads(record.read_text(encoding="utf-8"))["seconds"] for record in records]
    assert len(spent) == len(RUNS)
    os.chdir(workflow.PROJECT)
    scale.keep([("slurm_overhead_seconds", len(RUNS), min(spent) - max(trained))])


if __name__ == "__main__":
    main()
