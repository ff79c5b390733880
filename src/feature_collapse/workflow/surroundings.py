"""What a result must not depend on: which checkout, Python or backend happens to be at hand where it is made."""

import os
import sys
from pathlib import Path

from feature_collapse.workflow.run import ConfigError

PACKAGE = Path(__file__).parents[1]


def own_package(folder: Path = Path()) -> None:
    """Raises ConfigError if this package is not that of the checkout in a folder, whose code then is not what runs. A
    folder without code of its own takes any."""
    there = folder / "src" / PACKAGE.name
    if there.exists() and not there.samefile(PACKAGE):
        raise ConfigError(
            f"{there.resolve()} is not what runs, but {PACKAGE}; `make` sets up an environment of its own"
        )


def own_python() -> None:
    """Let jobs find the Python of this process, whether or not its environment has been activated."""
    folder = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])
