"""Snakemake's locks on a working folder, and whether those who hold them still live."""

import fcntl
import shutil
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
