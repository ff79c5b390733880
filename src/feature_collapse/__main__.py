"""The command line: `python -m feature_collapse <verb> ...`, one verb for each rule of the Snakefile."""

import sys
from collections.abc import Callable
from functools import wraps

import click

from feature_collapse.artifacts import ArtifactError
from feature_collapse.config import Config, ConfigError

# The modules behind the verbs are imported when they are needed: torch takes seconds, and `--help` should not.


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Reproduce Feature Collapse (Laurent, von Brecht, Bresson, arXiv 2305.16162), one stage at a time.

    A RUN is named [scale/]experiment[+key=value...]/seedN, for instance fig4b/seed0, quick/fig4b/seed0 or
    fig4b+n_spl=10/seed3. Its settings are in config/experiments.yaml, its files in results/RUN. Snakemake calls these
    verbs in the right order; typed by hand they do the same.

    Exit status: 0 done; 1 training or writing failed; 2 bad input, with one line on standard error and nothing written.
    """


def _verb(function: Callable) -> Callable:
    """Turn the errors a user can mend into one line and their exit status."""

    @wraps(function)
    def call(*args, **kwargs):
        try:
            return function(*args, **kwargs)
        except (ConfigError, ArtifactError) as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(2)
        except OSError as error:  # a full disk, a folder that cannot be written
            click.echo(f"error: {error}", err=True)
            sys.exit(1)

    return main.command(function.__name__)(call)


run_argument = click.argument("run")


@_verb
@run_argument
def data(run: str) -> None:
    """Draw the latents and sentences of RUN: data.safetensors."""
    run = Config().run(run)
    from feature_collapse.data import make

    make(run)


@_verb
@run_argument
@click.option(
    "--threads",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Threads; the result does not depend on them.",
)
@click.option("--quiet", is_flag=True, help="Do not say how far training is.")
def train(run: str, threads: int, quiet: bool) -> None:
    """Train RUN on its data: weights.safetensors, history.csv, snapshots.safetensors, run.json.

    A checkpoint is kept every minute and on SIGTERM; the next call goes on from it.
    """
    run = Config().run(run)
    from feature_collapse.training import TrainingError, make

    try:
        make(run, threads, quiet)
    except TrainingError as error:
        click.echo(f"error: {run.name}: {error}; it was configured as {run.experiment!r}", err=True)
        sys.exit(1)


@_verb
@run_argument
def features(run: str) -> None:
    """Extract the features and measures of trained RUN: features.safetensors, metrics.json."""
    run = Config().run(run)
    from feature_collapse.features import make

    make(run)


@_verb
@click.argument("name")
def figure(name: str) -> None:
    """Draw figure NAME, written [scale/]figure: figures/NAME.pdf and .png."""
    from feature_collapse.figures import make

    make(name, Config())


scale_option = click.option("--scale", default="", help="A scale of config/experiments.yaml; full size without.")


@_verb
@scale_option
@click.option("--cores", type=click.IntRange(1), help="Processors to share the work; all of this machine without.")
def plan(scale: str, cores: int | None) -> None:
    """Say what has still to be trained and about how long that takes."""
    from feature_collapse import plan

    click.echo(plan.estimate(Config(), scale, cores or plan.cores()))


@_verb
@scale_option
def reproduction(scale: str) -> None:
    """Hold our numbers against the paper's: results/[SCALE/]reproduction.csv and .md."""
    from feature_collapse.reproduction import make

    make(scale.rstrip("/"), Config())


@_verb
@scale_option
def theory(scale: str) -> None:
    """Hold the runs against what the theorems predict: results/[SCALE/]theory.csv and .md."""
    from feature_collapse.predictions import make

    make(scale.rstrip("/"), Config())


@_verb
@scale_option
def claims(scale: str) -> None:
    """Decide the paper's claims, one by one: results/[SCALE/]claims.csv and .md."""
    from feature_collapse.claims import make

    make(scale.rstrip("/"), Config())


@_verb
@click.argument("name")
@scale_option
def study(name: str, scale: str) -> None:
    """Gather the runs of study NAME: results/[SCALE/]studies/NAME.csv, NAME_summary.csv and, with the answer, NAME.md."""
    from feature_collapse.studies import make

    make(name, scale.rstrip("/"), Config())


@_verb
@click.argument("name")
@scale_option
def study_figure(name: str, scale: str) -> None:
    """Draw the figure of study NAME from its table: figures/[SCALE/]study_NAME.pdf and .png."""
    from feature_collapse.study_figures import make

    make(name, scale.rstrip("/"), Config())


@_verb
@scale_option
@click.option("--starts", default=50, show_default=True, type=click.IntRange(1), help="Random starts of each problem.")
def enumeration(scale: str, starts: int) -> None:
    """Check the theorems on problems small enough to list every sentence: results/[SCALE/]enumeration.csv and .md.

    A start that ends below what a theorem states would be a counterexample; its weights are saved beside the table.
    """
    from feature_collapse.enumeration import make

    make(scale.rstrip("/"), starts)


@_verb
def bench() -> None:
    """Measure the cost of a training step: results/benchmark.csv and .md, figures/benchmark.pdf and .png."""
    from feature_collapse.benchmark import make

    make(Config())


@_verb
def docs() -> None:
    """Copy the figures and tables of a full run to docs/ and fill README's tables from them."""
    from feature_collapse.docs import make

    make(Config())


if __name__ == "__main__":
    main(prog_name="python -m feature_collapse")
