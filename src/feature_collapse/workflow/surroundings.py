"""What a result must not depend on: which checkout, Python or backend happens to be at hand where it is made."""

import os
import sys
from pathlib import Path

from feature_collapse.workflow.run import ConfigError

PACKAGE = Path(__file__).parents[1]
# Matplotlib's backend, how FreeType draws letters, which ffmpeg makes a film, and which repository git speaks of.
UNHEARD = ("MPLBACKEND", "FREETYPE_PROPERTIES", "IMAGEIO_FFMPEG_EXE", "GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE")


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


def forget() -> None:
    """Before libraries are imported: let them hear no settings of the user that would reach a result."""
    for variable in UNHEARD:
        os.environ.pop(variable, None)
