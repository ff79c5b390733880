"""Clean up after a killed Snakemake: stale locks, and files dated in the future."""

import fcntl
import os
import shutil
import sys
import time
from pathlib import Path
from typing import IO

_held: list[IO[str]] = []  # locks of this process, which end with it


def mend(everything: bool) -> None:
    """Remove stale locks and, with `everything`, date files of the future to the present, so that the same command
    resumes. What is mended is said on standard error."""
    if alive := forget_dead_locks():
        _held.append(alive)
    if everything:  # the jobs of a cluster need not look over all results as well
        forget_the_future()


def forget_dead_locks(folder: Path = Path(".snakemake")) -> IO[str] | None:
    """Remove the locks of a killed Snakemake, which `snakemake --unlock` would have to be called for otherwise.

    Every Snakemake that runs jobs calls this and so shares a lock of the operating system, which ends with its process
    however that ends. Whoever has it alone knows that Snakemake's own locks are stale. Returns the file to be kept
    open, or None where the file system has no such locks or cannot be written.
    """
    try:
        folder.mkdir(exist_ok=True)
        alive = open(folder / "alive", "a")  # noqa: SIM115, it is held as long as the process lives
        try:
            fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if any((folder / "locks").glob("*")):
                shutil.rmtree(folder / "locks", ignore_errors=True)
                print("Removed the locks of a Snakemake that was killed.", file=sys.stderr)
        except BlockingIOError:
            pass
        fcntl.flock(alive, fcntl.LOCK_SH)
    except OSError:
        return None
    return alive


def forget_the_future(folder: Path = Path("results"), tolerance: float = 60) -> None:
    """Date files that are more than `tolerance` seconds ahead of the clock to the present.

    They are from a time when the clock was ahead. All that is made from them would seem older than they are, and
    Snakemake would refuse it.
    """
    now, dated = time.time(), 0
    for path in folder.rglob("*"):
        try:
            if path.is_file() and path.stat().st_mtime > now + tolerance:
                os.utime(path, (now, now))
                dated += 1
        except OSError:  # gone since, or not ours to change: then Snakemake has the say
            continue
    if dated:
        print(f"Dated {dated} file(s) in {folder}/ to the present: they were dated in the future.", file=sys.stderr)
