"""What an earlier Snakemake may have left that keeps the next from going on: locks of the dead, files of the future."""

import fcntl
import os
import shutil
import time
from pathlib import Path
from typing import IO


def forget_dead_locks(folder: Path = Path(".snakemake")) -> IO | None:
    """Remove what a killed Snakemake has left of its locks, so that the same command again goes on without `--unlock`.

    Every Snakemake that reads the Snakefile calls this and so shares a lock of the operating system, which ends with
    its process however that ends. Whoever has it alone knows that Snakemake's own locks are left by the dead. Returns
    the file to be kept open, or None where the file system has no such locks or cannot be written.
    """
    try:
        folder.mkdir(exist_ok=True)
        alive = open(folder / "alive", "a")  # noqa: SIM115, it is held as long as the process lives
        try:
            fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder / "locks", ignore_errors=True)
        except BlockingIOError:
            pass
        fcntl.flock(alive, fcntl.LOCK_SH)
    except OSError:
        return None
    return alive


def forget_the_future(folder: Path = Path("results"), tolerance: float = 60) -> None:
    """Give the present as time of change to files that are more than `tolerance` seconds ahead of the clock.

    They are from a time when the clock was ahead. All that is made from them would seem older than they are, and
    Snakemake would refuse it.
    """
    now = time.time()
    for path in folder.rglob("*"):
        try:
            if path.is_file() and path.stat().st_mtime > now + tolerance:
                os.utime(path, (now, now))
        except OSError:  # gone since, or not ours to change: then Snakemake has the say
            continue
