"""The command line: `python -m feature_collapse <verb> ...`, one verb for each rule of the Snakefile."""

import sys
from collections.abc import Callable
from functools import partial, wraps
from pathlib import Path
from typing import TextIO

import click

from feature_collapse import __version__
from feature_collapse.workflow.artifacts import ArtifactError
from feature_collapse.workflow.config import Config, ConfigError
from feature_collapse.workflow.surroundings import own_package

# The modules behind the verbs are imported when they are needed: torch takes seconds, and `--help` should not.

EXIT_STATUS = """\b
Exit status:
  0  done: every file is written, and whole
  1  {failure}
  2  bad input: an unknown name or option, settings that cannot be run, or a
     file that is missing, damaged or made with other settings; one line on
     standard error says which, and nothing is written
"""
FILES = """\b
Files, below the folder it is called in:
  config/experiments.yaml   experiments, scales, seeds and studies
  results/RUN/              the files of a run
  results/, figures/        tables and figures

`python -m feature_collapse VERB --help` says what a verb reads and writes.
"""
FAILURE = "a file could not be written, or the call was interrupted"
FAILURE_OF_TRAINING = """the loss or a weight is no longer finite, the device is not there, a file
     could not be written, or training was interrupted or terminated"""


class _InOrder(click.Group):
    """Lists its verbs in the order of the work rather than of the alphabet."""

    def list_commands(self, context: click.Context) -> list[str]:
        return list(self.commands)


@click.group(
    cls=_InOrder,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=f"{EXIT_STATUS.format(failure=FAILURE_OF_TRAINING)}\n{FILES}",
)
@click.version_option(__version__, prog_name="feature_collapse")
def main() -> None:
    """Reproduce Feature Collapse (Laurent, von Brecht, Bresson, arXiv 2305.16162), one stage at a time.

    Call it in the top folder of the project. Snakemake calls these verbs in the right order; typed by hand they do the
    same. How far long work has come is said on standard error: by a bar on a terminal, by plain lines elsewhere, and
    not at all with --quiet.

    A RUN is one experiment with one seed, named

    \b
      [scale/]experiment[+key=value...]/seedN

    for instance fig4b/seed0, quick/fig4b/seed0 or fig4b+n_spl=10/seed3. A SCALE is a size at which all experiments
    can be run: quick or smoke; full size has no name.
    """


def _verb(function: Callable, failure: str = FAILURE) -> click.Command:
    """Make a function a verb: the errors a user can mend become one line and their exit status. `failure` is what
    exit status 1 means."""

    @wraps(function)
    def call(*args, **kwargs):
        try:
            own_package()
            return function(*args, **kwargs)
        except (ConfigError, ArtifactError) as error:
            click.echo(f"error: {error}", err=True)
            sys.exit(2)
        except OSError as error:  # a full disk, a folder that cannot be written
            click.echo(f"error: {error}", err=True)
            sys.exit(1)

    return main.command(function.__name__, epilog=EXIT_STATUS.format(failure=failure))(call)


run_argument = click.argument("run")
scale_option = click.option(
    "--scale", default="", metavar="SCALE", help="A scale of config/experiments.yaml; full size without."
)
quiet_option = click.option("--quiet", is_flag=True, help="Do not say how far the work has come.")


@_verb
@run_argument
def data(run: str) -> None:
    """Draw the latents and sentences of RUN.

    The latent variables, the training sentences and the test sentences come from random streams of their own, each
    derived from the seed: none depends on how much another has drawn.

    \b
    Reads:    config/experiments.yaml
    Writes:   results/RUN/data.safetensors
    Example:  python -m feature_collapse data fig4b/seed0
    """
    run = Config().run(run)
    from feature_collapse.stages.data import make

    make(run)


@partial(_verb, failure=FAILURE_OF_TRAINING)
@run_argument
@click.option(
    "--threads",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Threads; the result does not depend on them.",
)
@quiet_option
def train(run: str, threads: int, quiet: bool) -> None:
    """Train the network of RUN on its data.

    A checkpoint is left beside the data every minute and on SIGTERM. The next call goes on from it and ends with the
    same bytes as if nothing had happened; once training is done the checkpoint goes. Epoch, loss and accuracies are
    said at each row of history.csv.

    \b
    Reads:    config/experiments.yaml, results/RUN/data.safetensors
    Writes:   results/RUN/weights.safetensors     the last weights
              results/RUN/history.csv             losses, accuracies, collapse
              results/RUN/snapshots.safetensors   words and u_kl over training
              results/RUN/run.json                settings, versions, time
    Example:  python -m feature_collapse train fig4b/seed0 --threads 2
    """
    run = Config().run(run)
    from feature_collapse.model.training import TrainingError
    from feature_collapse.stages.train import make

    try:
        make(run, threads, quiet)
    except TrainingError as error:
        click.echo(f"error: {run.name}: {error}; it was configured as {run.experiment!r}", err=True)
        sys.exit(1)


@_verb
@run_argument
def features(run: str) -> None:
    """Measure the collapse of trained RUN.

    The word embeddings and the vectors u_kl are projected on their principal axes, and their spectra, norms and
    measures of collapse are taken, with the risk on fresh sentences.

    \b
    Reads:    results/RUN/data.safetensors, weights.safetensors, history.csv
              and run.json
    Writes:   results/RUN/features.safetensors   the principal components
              results/RUN/metrics.json           every number
    Example:  python -m feature_collapse features fig4b/seed0
    """
    run = Config().run(run)
    from feature_collapse.stages.features import make

    make(run)


@_verb
@click.argument("name")
def figure(name: str) -> None:
    """Draw figure NAME, written [scale/]figure.

    Drawing never trains: a figure is drawn from the files of runs that are there. An unknown name lists the known.

    \b
    Reads:    the features, metrics and histories that the figure shows
    Writes:   figures/NAME.pdf, figures/NAME.png
    Example:  python -m feature_collapse figure quick/figure4b
    """
    from feature_collapse.show.paper import make

    make(name, Config())


@_verb
@scale_option
def reproduction(scale: str) -> None:
    """Hold our numbers against the paper's.

    \b
    Reads:    config/paper.yaml, metrics.json of every run
    Writes:   results/[SCALE/]reproduction.csv, reproduction.md
    Example:  python -m feature_collapse reproduction --scale quick
    """
    from feature_collapse.evidence.reproduction import make

    make(scale.rstrip("/"), Config())


@_verb
@scale_option
def theory(scale: str) -> None:
    """Hold the runs against the theorems.

    What Theorems 1 and 3, and type III in the place of Theorem 2, predict for each run: norms, singular values, losses.

    \b
    Reads:    metrics.json of every run
    Writes:   results/[SCALE/]theory.csv, theory.md
    Example:  python -m feature_collapse theory
    """
    from feature_collapse.theory.predictions import make

    make(scale.rstrip("/"), Config())


@_verb
@scale_option
@click.option("--starts", default=50, show_default=True, type=click.IntRange(1), help="Random starts of each problem.")
@quiet_option
def enumeration(scale: str, starts: int, quiet: bool) -> None:
    """Check the theorems by listing every sentence.

    What the theorems state is held against a lower bound on all other weights. Where there is no such bound, true risk
    plus penalty is minimised from random starts; one that ends below what a theorem states would be a counterexample,
    and its weights are saved beside the table. SCALE only says where the tables go.

    \b
    Writes:   results/[SCALE/]enumeration.csv, enumeration.md,
              certificate.csv, enumeration_gradients.csv
    Example:  python -m feature_collapse enumeration --starts 10
    """
    from feature_collapse.theory.enumeration import make

    make(scale.rstrip("/"), starts, quiet)


@_verb
@scale_option
def claims(scale: str) -> None:
    """Decide the paper's claims, one by one.

    \b
    Reads:    config/claims.yaml, the tables theory and enumeration,
              metrics.json of every run, the studies that are there
    Writes:   results/[SCALE/]claims.csv, claims.md
    Example:  python -m feature_collapse claims
    """
    from feature_collapse.evidence.claims import make

    make(scale.rstrip("/"), Config())


@_verb
@scale_option
@quiet_option
def animation(scale: str, quiet: bool) -> None:
    """Show the words moving through training.

    The four experiments side by side, a picture for each record of their histories.

    \b
    Reads:    snapshots.safetensors and history.csv of the four experiments
    Writes:   figures/[SCALE/]collapse.gif, collapse.mp4
    Example:  python -m feature_collapse animation --scale quick
    """
    from feature_collapse.show.animation import make

    make(scale.rstrip("/"), Config(), quiet)


@_verb
@scale_option
def explorer(scale: str) -> None:
    """Make a page to go through training by hand.

    With a slider for the epoch, and the words or u_kl named under the pointer. It is one file that needs no network.

    \b
    Reads:    snapshots.safetensors and history.csv of the four experiments
    Writes:   results/[SCALE/]explorer.html
    Example:  python -m feature_collapse explorer --scale quick
    """
    from feature_collapse.show.explorer import make

    make(scale.rstrip("/"), Config())


@_verb
@click.argument("name")
@scale_option
@quiet_option
def study(name: str, scale: str, quiet: bool) -> None:
    """Gather the runs of study NAME and answer its question.

    One row a run, with all its settings, its metrics and what the theory predicts for it; the means over seeds with
    their 95% intervals; and a page with the question, the answer in a sentence and the columns that matter.

    \b
    Reads:    config/experiments.yaml, config/paper.yaml
              metrics.json of every run of the study
    Writes:   results/[SCALE/]studies/NAME.csv, NAME_summary.csv and NAME.md
    Example:  python -m feature_collapse study lambda
    """
    from feature_collapse.evidence.studies import make

    make(name, scale.rstrip("/"), Config(), quiet)


@_verb
@click.argument("name")
@scale_option
def study_figure(name: str, scale: str) -> None:
    """Draw the figure of study NAME.

    Points are means over seeds, bars their 95% intervals, lines the theory where it speaks of the study.

    \b
    Reads:    results/[SCALE/]studies/NAME.csv; for mechanism, also
              features.safetensors of its runs
    Writes:   figures/[SCALE/]study_NAME.pdf, study_NAME.png
              for lambda, lambda_transition.pdf and .png
    Example:  python -m feature_collapse study_figure lambda
    """
    from feature_collapse.show.studies import make

    make(name, scale.rstrip("/"), Config())


@_verb
@scale_option
@click.option("--cores", type=click.IntRange(1), help="Processors to share the work; all of this machine without.")
def plan(scale: str, cores: int | None) -> None:
    """Say what is still to be trained, and how long.

    The time is that of the matrix products, measured for a moment on this machine. It goes to standard output.

    \b
    Reads:    config/experiments.yaml, and which runs have a run.json
    Example:  python -m feature_collapse plan --scale quick --cores 4
    """
    from feature_collapse.workflow import plan

    click.echo(plan.estimate(Config(), scale, cores or plan.cores()))


@_verb
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("target", type=click.Path(path_type=Path))
def page(source: Path, target: Path) -> None:
    """Give a table or a moving picture a form that the report shows.

    SOURCE is a Markdown file, which becomes an HTML page, or a GIF, which becomes an SVG.

    \b
    Reads:    SOURCE
    Writes:   TARGET
    Example:  python -m feature_collapse page results/theory.md theory.html
    """
    from feature_collapse.workflow.pages import make

    make(source, target)


@_verb
@quiet_option
def bench(quiet: bool) -> None:
    """Measure the cost of a training step.

    Against the textbook's loop, and against the three matrix products alone. Call it on an idle machine.

    \b
    Writes:   results/benchmark.csv, benchmark.md
              figures/benchmark.pdf, benchmark.png
    Example:  python -m feature_collapse bench
    """
    from feature_collapse.stages.benchmark import make

    make(Config(), quiet)


@_verb
@click.option(
    "--measure", is_flag=True, help="Measure anew first, which takes minutes; the machine is best left alone."
)
@quiet_option
def scale(measure: bool, quiet: bool) -> None:
    """Say what everything costs, and how far it scales.

    Core-hours, storage, and the time on so many cores, from costs that have been measured.

    \b
    Reads:    config/experiments.yaml, docs/costs.csv, docs/scale.csv
    Writes:   docs/scale.md; with --measure also the two tables
    Example:  python -m feature_collapse scale
    """
    from feature_collapse.stages import scale

    if measure:
        scale.measure(Config(), quiet)
    scale.make(Config())


@_verb
@click.argument("summary", type=click.File())
def docs(summary: TextIO) -> None:
    """Copy a full run to docs/ and into README.

    SUMMARY is what `snakemake --detailed-summary reported` says of the run, or - for standard input.

    \b
    Reads:    figures/, results/
    Writes:   docs/, and README.md between its marks
    Example:  snakemake --detailed-summary reported |
              python -m feature_collapse docs -
    """
    from feature_collapse.stages.docs import make

    make(Config(), summary.read())


@_verb
@scale_option
def crate(scale: str) -> None:
    """Archive a finished run as a Workflow RO-Crate.

    The workflow with its modules, its configuration and the lock of its environment; every figure and table; and
    run.json of every run. Each file is described in ro-crate-metadata.json, and for readers in ro-crate-preview.html.

    \b
    Reads:    CITATION.cff, the project, figures/[SCALE/], results/[SCALE/]
    Writes:   results/[SCALE/]feature-collapse.crate.zip
    Example:  python -m feature_collapse crate
    """
    from feature_collapse.stages.crate import make

    make(scale.rstrip("/"), Config())


if __name__ == "__main__":
    main(prog_name="python -m feature_collapse")
