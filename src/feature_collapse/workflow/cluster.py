"""What Slurm says when it refuses a job: shown at once, and the end where it takes none."""

import shutil
import threading
from typing import Any

from snakemake.exceptions import WorkflowError
from snakemake.jobs import GroupJob
from snakemake.logging import logger
from snakemake_interface_executor_plugins.executors.base import SubmittedJobInfo


def listen(workflow: Any) -> None:
    """Before the first submission of a workflow: end it where there is no Slurm, and hear what Slurm will say."""
    if workflow.executor_plugin.name != "slurm":
        return
    if not shutil.which("sbatch"):
        refusal = WorkflowError("there is no sbatch on PATH: this profile is for a machine of a Slurm cluster")
        workflow.scheduler.executor_error_callback(refusal)
    _Submissions(workflow.scheduler)


class _Submissions:
    """Jobs on their way to Slurm. The first has to be accepted before any other is submitted: where it is refused, the
    workflow ends, instead of trying each job four times. (`sbatch --test-only` would be no test: it also refuses what
    only has to wait for a node that is down.)

    It stands between Snakemake (9.27) and its plugin (2.8), which drop what is said of a group of jobs; and where a
    submission fails by itself, the plugin asks for the name of the job's rule, which a group lacks, dies of that in a
    thread, and waits for the job for ever.
    """

    def __init__(self, scheduler: Any):
        self.scheduler, executor = scheduler, scheduler._executor
        self.accepted = self.refused = False
        self.first = threading.Lock()
        group: Any = GroupJob
        group.rule = property(lambda group: group)
        self.run_job, executor.run_job = executor.run_job, self.submit
        self.report_submission = executor._report_job_submission_threadsafe
        executor._report_job_submission_threadsafe = self.accept
        self.report_refusal = executor._report_job_error_threadsafe
        executor._report_job_error_threadsafe = self.refuse
        self.report_error, executor.report_job_error = executor.report_job_error, self.fail

    def submit(self, job: Any) -> None:
        """In a thread of the plugin, which has several."""
        with self.first:
            first = not self.accepted
            if first and not self.refused:
                self.run_job(job)
        if not first and not self.refused:
            self.run_job(job)

    def accept(self, job: SubmittedJobInfo) -> None:
        self.accepted = True
        self.report_submission(job)

    def refuse(self, job: SubmittedJobInfo, msg: str) -> None:
        if self.accepted:
            self.report_refusal(job, msg)
        else:
            self.refused = True
            self.scheduler.executor_error_callback(WorkflowError(_without_call(msg)))

    def fail(self, job: SubmittedJobInfo, msg: str | None = None, **more: Any) -> None:
        """Of a job that was refused, or accepted and then failed."""
        if msg and job.job.is_group():
            logger.error(_without_call(msg))
        self.report_error(job, msg, **more)


def _without_call(msg: str) -> str:
    """What Slurm said, without the call, which is a page long."""
    return msg.partition("\n    sbatch call:")[0]
