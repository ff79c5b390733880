"""What a run records of how it came about: versions, the commit, and the memory it took."""

import platform
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch


def versions() -> dict[str, str]:
    """Python, torch, numpy and BLAS versions, and the instructions torch uses on this CPU."""
    blas = next((line for line in torch.__config__.show().splitlines() if "BLAS" in line or "oneAPI" in line), "")
    return {
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "blas": blas.strip(" -"),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def checkout() -> dict[str, Any]:
    """The commit of the project in the working directory, and whether its `src/` or `config/` has been changed since.
    Both are None where the project is not a git repository of its own, and where there is no git."""
    ask = ["git", "--no-optional-locks"]  # somebody may be committing: never be in the way
    try:
        top, commit = _said(*ask, "rev-parse", "--show-toplevel", "HEAD").split("\n")
        if Path(top).resolve() != Path.cwd().resolve():
            return {"commit": None, "changed": None}
        return {"commit": commit, "changed": bool(_said(*ask, "status", "--porcelain", "--", "src", "config"))}
    except (OSError, subprocess.CalledProcessError):
        return {"commit": None, "changed": None}


def _said(*command: str) -> str:
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout.rstrip("\n")


def peak_memory_mb() -> float:
    """Of this process. Linux counts into `ru_maxrss` what the process that started this one had, so it is asked
    otherwise."""
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"^VmHWM:\s+(\d+) kB$", status.read_text("utf-8"), re.MULTILINE)):
        return int(found[1]) * 1024 / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6
