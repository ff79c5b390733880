"""Surroundings in which the workflow makes the same bytes: variables, users, settings, machines.

The second of the two toy workflows that the tests make is made in all of them at once, as far as they go together;
`make torture` makes it in each by itself.
"""

import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

NAMELESS = ("unshare", "--user", "--map-user=12345", "--map-group=12345")


@dataclass(frozen=True)
class Surroundings:
    """Variables, where None takes one away and {home} is a folder; files of that folder; the command that the workflow
    is run by; and arguments of Snakemake."""

    variables: Mapping[str, str | None] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    prefix: Sequence[str] = ()
    arguments: Sequence[str] = ()

    def __or__(self, other: "Surroundings") -> "Surroundings":
        """Both."""
        return Surroundings(
            {**self.variables, **other.variables},
            {**self.files, **other.files},
            (*self.prefix, *other.prefix),
            (*self.arguments, *other.arguments),
        )

    def prepare(self, home: Path) -> dict[str, str | None]:
        """Write the files below a folder that is new. Returns the variables."""
        for name, text in self.files.items():
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).write_text(text.replace("{home}", str(home)), "utf-8")
        return {key: value and value.replace("{home}", str(home)) for key, value in self.variables.items()}


def _can(*command: str) -> bool:
    try:
        return subprocess.run([*command, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


MATPLOTLIBRC = """\
axes.grid: True
backend: pgf
font.size: 20
lines.linewidth: 9
savefig.bbox: tight
text.usetex: True
"""

# Those that go together.
SETTINGS = {
    "a locale of C": Surroundings({"LC_ALL": "C", "LANG": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}),
    "a matplotlibrc": Surroundings({"MATPLOTLIBRC": "{home}/matplotlibrc"}, {"matplotlibrc": MATPLOTLIBRC}),
    "the backend of a notebook": Surroundings({"MPLBACKEND": "module://matplotlib_inline.backend_inline"}),
    "letters as they used to be": Surroundings(
        {"FREETYPE_PROPERTIES": "truetype:interpreter-version=35 autofitter:no-stem-darkening=0"}
    ),
    "another ffmpeg": Surroundings({"IMAGEIO_FFMPEG_EXE": "/bin/false"}),
    "another repository": Surroundings({"GIT_DIR": "{home}/repository"}),
    "another time": Surroundings({"TZ": "Asia/Kathmandu", "SOURCE_DATE_EPOCH": "0"}),
    "another order of hashes": Surroundings({"PYTHONHASHSEED": "77"}),
    "warnings that are errors, and no docstrings": Surroundings({"PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2"}),
    "threads": Surroundings(dict.fromkeys(["OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"], "5")),
    "a terminal": Surroundings({"COLUMNS": "20", "TERM": "dumb", "FORCE_COLOR": "1", "TQDM_DISABLE": "1"}),
    "a shell that speaks": Surroundings(
        {"BASH_ENV": "{home}/bashrc", "ENV": "{home}/bashrc", "CDPATH": "/", "SHELL": "/bin/false"},
        {"bashrc": "echo welcome\necho welcome >&2\n"},
    ),
    "a folder for what is temporary with a space in it": Surroundings({"TMPDIR": "{home}/a b"}, {"a b/kept": ""}),
    "files that nobody else may read": Surroundings(prefix=("sh", "-c", 'umask 077; exec "$@"', "sh")),
    "stdin closed": Surroundings(prefix=("sh", "-c", 'exec "$@" <&-', "sh")),
}
if _can("taskset", "-c", "0"):
    SETTINGS["one core"] = Surroundings(prefix=("taskset", "-c", "0"))
if _can(*NAMELESS):  # the name and the cache are those that `make` gives
    SETTINGS["a user without a name"] = Surroundings(
        {"USER": None, "LOGNAME": "12345", "HOME": "/proc/none", "XDG_CACHE_HOME": "{home}/cache"}, prefix=NAMELESS
    )
TOGETHER = Surroundings()
for setting in SETTINGS.values():
    TOGETHER |= setting

SURROUNDINGS = SETTINGS | {
    "no home": Surroundings({"HOME": None}),
    "a home that is not there": Surroundings({"HOME": "/nowhere"}),
    "sixteen threads": Surroundings(arguments=("--cores", "16", "--set-threads", "train=16")),
    "all that go together": TOGETHER,
}
