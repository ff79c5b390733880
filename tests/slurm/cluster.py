"""A Slurm cluster of one node on the loopback interface, for tests: Debian's packages, neither accounting, systemd nor
cgroups.

`python tests/slurm/cluster.py install` installs the packages; it needs root. `Cluster(folder)` starts the daemons as
root with all their files below a folder, but for /etc/slurm/slurm.conf, and stops them at the end of a `with` block.
"""

import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

PACKAGES = ("slurm-wlm", "munge")
DAEMONS = ("munged", "slurmctld", "slurmd")
CPUS = 4  # said to be there: more jobs at a time than a small machine has processors
MEMORY_MB = 8000

# The only place where all of Slurm's commands look by themselves: what runs within a job has lost its SLURM_CONF.
CONFIGURED = Path("/etc/slurm/slurm.conf")
OURS = "# A cluster of tests, which may be removed"

# What of Slurm runs where there is neither cgroup nor database: processes are found by their parents, memory is summed
# over them once a second, and a step that has more than it asked for is killed.
CONFIGURATION = """\
{ours}
ClusterName=loopback
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SlurmdParameters=config_overrides
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
MinJobAge=600
KillWait=10
OverTimeLimit=0
ReturnToService=2
SchedulerParameters=sched_interval=1,batch_sched_delay=0
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName=node NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=main Nodes=node Default=YES MaxTime=INFINITE State=UP
"""


def missing() -> str:
    """Why no cluster can be started here, in a few words; empty if it can."""
    if os.geteuid() != 0:
        return "Slurm's daemons need root"
    absent = [daemon for daemon in DAEMONS if not shutil.which(daemon, path=_path())]
    if absent:
        return f"{', '.join(absent)} not installed; python tests/slurm/cluster.py install does it"
    if CONFIGURED.exists() and not CONFIGURED.read_text(encoding="utf-8").startswith(OURS):
        return f"there is a cluster here already, by {CONFIGURED}"
    return ""


def install() -> None:
    """Debian's packages, without starting what they would start."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive", "RUNLEVEL": "1"}
    subprocess.run(["apt-get", "update", "-qq"], env=environment, check=True)
    command = ["apt-get", "install", "-qq", "-y", "--no-install-recommends", *PACKAGES]
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class SlurmJob(NamedTuple):
    """A job as squeue knows it."""

    id: int
    state: str
    limit: str  # [days-][hours:]minutes:seconds
    memory: str
    begun: str  # YYYY-MM-DDTHH:MM:SS
    ended: str

    @property
    def minutes(self) -> float:
        days, _, clock = self.limit.rpartition("-")
        parts = [0, 0, *map(int, clock.split(":"))][-3:]
        return (int(days or 0) * 24 + parts[0]) * 60 + parts[1] + parts[2] / 60

    @property
    def seconds(self) -> float:
        """From begin to end of one that is done."""
        return (datetime.fromisoformat(self.ended) - datetime.fromisoformat(self.begun)).total_seconds()

    @property
    def memory_mb(self) -> float:
        return float(self.memory[:-1]) * {"K": 1 / 1024, "M": 1, "G": 1024}[self.memory[-1]]


class Cluster:
    """The daemons, with their files below `folder`."""

    def __init__(self, folder: Path):
        self.folder = folder
        self._daemons: list[subprocess.Popen] = []

    def __enter__(self) -> "Cluster":
        for name in ("state", "spool"):
            (self.folder / name).mkdir(parents=True)
        self.folder.chmod(0o755)
        key = self.folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(128))
        settings = {"host": socket.gethostname(), "port": _free_port(), "node_port": _free_port()}
        settings |= {"ours": OURS, "folder": self.folder, "cpus": CPUS, "memory": MEMORY_MB}
        CONFIGURED.parent.mkdir(exist_ok=True)
        CONFIGURED.write_text(CONFIGURATION.format(**settings), encoding="utf-8")
        files = {"socket": "socket", "pid-file": "pid", "log-file": "log", "seed-file": "seed"}
        munge = [f"--{option}={self.folder}/munge.{ending}" for option, ending in files.items()]
        try:
            self._start("munged", "--foreground", "--force", f"--key-file={key}", *munge)
            self._wait(lambda: (self.folder / "munge.socket").exists(), "munged")
            self._start("slurmctld", "-D")
            self._start("slurmd", "-D", "-N", "node")
            self._wait(lambda: self.run("sinfo", "-h", "-o", "%t").strip() == "idle", "the node")
        except BaseException:
            self.__exit__()
            raise
        return self

    def _start(self, daemon: str, *options: str) -> None:
        log = open(self.folder / f"{daemon}.out", "w", encoding="utf-8")  # noqa: SIM115, the daemon's
        command = [shutil.which(daemon, path=_path()), *options]
        self._daemons.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))

    def _wait(self, ready, what: str, seconds: float = 30) -> None:
        deadline = time.monotonic() + seconds
        while not ready():
            if time.monotonic() > deadline or any(daemon.poll() is not None for daemon in self._daemons):
                logs = "\n".join(path.read_text(errors="replace")[-2000:] for path in self.folder.glob("*.out"))
                raise RuntimeError(f"{what} did not come up:\n{logs}")
            time.sleep(0.2)

    def run(self, *command: str) -> str:
        """The output of a command of Slurm; empty if it fails."""
        done = subprocess.run(command, capture_output=True, text=True)
        return done.stdout if done.returncode == 0 else ""

    def jobs(self, folder: Path) -> list["SlurmJob"]:
        """The jobs submitted from a folder, waiting, running or done, in the order of their submission."""
        lines = self.run("squeue", "--states=all", "--noheader", "--format=%i|%T|%l|%m|%S|%e|%Z").splitlines()
        cells = [line.split("|") for line in lines if line.endswith(f"|{folder}")]
        return sorted(SlurmJob(int(id), *rest) for id, *rest, _ in cells)

    def __exit__(self, *_) -> None:
        self.run("scancel", "--user=root")
        for daemon in reversed(self._daemons):
            daemon.terminate()
            try:
                daemon.wait(15)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
        CONFIGURED.unlink(missing_ok=True)


if __name__ == "__main__":
    if sys.argv[1:] != ["install"]:
        sys.exit("usage: python tests/slurm/cluster.py install")
    install()
