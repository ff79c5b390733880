"""The command line: `python -m feature_collapse VERB ...` calls `make` of the module of that name in `stages`, as the
rule of that name does.

What a verb reads and writes stands at the top of its module, and `VERB --help` prints it.
"""

import ast
import inspect
import os
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import click

from feature_collapse import __version__
from feature_collapse.workflow import surroundings
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.run import ConfigError, Run

EXIT_STATUS = """\b
Exit status:
  0  done: every file is written, and complete
  1  a file could not be written, training diverged, its device is missing,
     a run is not what is published, or the call was interrupted
  2  bad input: an unknown name or option, settings that cannot be run, or a
     file that is missing, damaged or made with other settings; one line on
     standard error says which, and nothing is written
"""
FILES = """\b
Files, in the folder from which it is called:
  config/experiments.yaml   experiments, scales and seeds
  config/studies/           a file for each study
  results/RUN/              the files of a run
  results/, figures/        tables and figures

`python -m feature_collapse VERB --help` says what a verb reads and writes.
"""


def _run(context: click.Context, parameter: click.Parameter, name: str) -> Run:
    return Config().run(name)


def _scale(context: click.Context, parameter: click.Parameter, name: str) -> str:
    scale = name.rstrip("/")
    Config().experiments(scale)  # refuses an unknown one
    return scale


def _runs(context: click.Context, parameter: click.Parameter, names: tuple[str, ...]) -> list[Run]:
    config = Config()
    return [config.run(name) for name in names]


def _any_scale(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    return None if name is None else _scale(context, parameter, name)


NAME = click.argument("name")
RUN = click.argument("run", callback=_run)
RUNS = click.argument("runs", nargs=-1, metavar="[RUN]...", callback=_runs)
SCALE = click.option(
    *("--scale", "scale"), metavar="SCALE", default="", callback=_scale, help="quick or smoke; full size without."
)
OF_SCALE = click.option(
    *("--scale", "scale"),
    metavar="SCALE",
    callback=_any_scale,
    help="Only the experiments of a scale; '' for full size.",
)
QUIET = click.option("--quiet", is_flag=True, help="Do not report progress.")
THREADS = click.option(
    *("--threads", "threads"),
    type=click.IntRange(1),
    envvar="OMP_NUM_THREADS",
    default=1,
    show_default=True,
    help="Threads, by default OMP_NUM_THREADS; the result does not depend on them.",
)
STARTS = click.option(
    "--starts", type=click.IntRange(1), default=50, show_default=True, help="Random starts of each problem."
)
CORES = click.option("--cores", type=click.IntRange(1), help="Cores that share the work; by default all.")
PUBLISHED = click.option(
    "--published", is_flag=True, help="Take what is published in docs/ where a run has not been trained here."
)
SUMMARY = click.argument("summary", type=click.File())

VERBS: dict[str, tuple[Callable[[Any], Any], ...]] = {  # in the order of the work, with what each takes
    "data": (RUN,),
    "train": (RUN, THREADS, QUIET),
    "features": (RUN,),
    "figure": (NAME,),
    "animation": (SCALE, QUIET),
    "explorer": (SCALE,),
    "reproduction": (SCALE, PUBLISHED),
    "theory": (SCALE,),
    "enumeration": (SCALE, STARTS, QUIET),
    "claims": (SCALE, PUBLISHED),
    "study": (NAME, SCALE, PUBLISHED, QUIET),
    "study_figure": (NAME, SCALE),
    "mutant": (NAME, QUIET),
    "mutants": (),
    "crate": (SCALE,),
    "plan": (SCALE, CORES),
    "verify": (RUNS, OF_SCALE),
    "publish": (RUNS, QUIET),
    "adopt": (),
    "docs": (SUMMARY,),
}


def _artifact_error() -> type[Exception]:
    """Not imported before it is needed: `--help` should not wait for numpy."""
    from feature_collapse.workflow.artifacts import ArtifactError

    return ArtifactError


def _training_error() -> type[Exception]:
    """Likewise for torch."""
    from feature_collapse.model.training import TrainingError

    return TrainingError


def _end(what: object, status: int) -> NoReturn:
    click.echo(f"error: {what}", err=True)
    sys.exit(status)


class Verb(click.Command):
    """A stage. What a user can mend becomes one line and an exit status."""

    def __init__(self, name: str, takes: tuple[Callable[[Any], Any], ...]):
        source = Path(__file__).parent / "stages" / f"{name}.py"
        page = ast.get_docstring(ast.parse(source.read_text(encoding="utf-8")))
        super().__init__(name, callback=self._call, help=page, epilog=EXIT_STATUS)
        for take in reversed(takes):
            take(self)

    def _call(self, **given: Any) -> None:
        """Import the stage and call it. Libraries read how many threads they may start when they are imported, and most
        of what follows is too small to share: without these lines they would start one for each core."""
        os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"
        os.environ["OMP_NUM_THREADS"] = str(given.get("threads", 1))
        make = import_module(f"feature_collapse.stages.{self.name}").make
        if "config" in inspect.signature(make).parameters:
            given["config"] = Config()
        make(**given)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        try:
            return super().make_context(*args, **kwargs)
        except ConfigError as error:
            _end(error, 2)

    def invoke(self, context: click.Context) -> None:
        try:
            surroundings.own_package()
            surroundings.forget()
            super().invoke(context)
        except ConfigError as error:
            _end(error, 2)
        except OSError as error:  # a full disk, a folder that cannot be written
            _end(error, 1)
        except _artifact_error() as error:
            _end(error, 2)
        except _training_error() as error:
            run = context.params["run"]
            _end(f"{run.name}: {error}; it was configured as {run.experiment!r}", 1)


class _InOrder(click.Group):
    """Lists its verbs in the order of the work rather than of the alphabet."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=_InOrder,
    commands={name: Verb(name, takes) for name, takes in VERBS.items()},
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"{EXIT_STATUS}\n{FILES}",
)
@click.version_option(__version__, prog_name="feature_collapse")
def main() -> None:
    """Reproduce Feature Collapse (Laurent, von Brecht, Bresson, arXiv 2305.16162), one stage at a time.

    Call it in the top folder of the project. Snakemake calls these verbs in the right order; typed by hand they do the
    same. Long work reports its progress on standard error: as a bar on a terminal, as plain lines elsewhere.

    A RUN is one experiment with one seed, named

    \b
      [scale/]experiment[+key=value...]/seedN

    for instance fig4b/seed0, quick/fig4b/seed0 or fig4b+n_spl=10/seed3. A SCALE is a size at which all experiments
    can be run: quick or smoke; full size has no name.
    """


if __name__ == "__main__":
    main(prog_name="python -m feature_collapse")
