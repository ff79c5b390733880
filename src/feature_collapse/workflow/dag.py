"""The shape of the workflow: what there is to make, from which runs, and what each job asks for. The rules ask it."""

import ast
import gc
import re
import sys
from collections.abc import Callable, Iterable
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from snakemake.exceptions import MissingRuleException
from snakemake.io import report

from feature_collapse.model.experiment import Experiment
from feature_collapse.workflow import recovery, resources, surroundings
from feature_collapse.workflow.config import Config, read_claims
from feature_collapse.workflow.figures import Figures, labels
from feature_collapse.workflow.run import ConfigError, Run

if TYPE_CHECKING:  # which cannot be imported on its own
    from snakemake.workflow import Workflow

PACKAGE = Path(__file__).parent.parent
STARTS = {"": 50, "quick/": 10, "smoke/": 2}  # random starts of each problem that is enumerated
PAPER = Path("config/paper.yaml")
REPORTED = (("figures", ".png"), ("figures", ".svg"), ("results", ".html"))

T = TypeVar("T")
Wildcards = Any  # of Snakemake, with an attribute for each


@cache
def code(module: str) -> list[str]:
    """The files of a module such as `stages.train`, of everything it imports from this package, and those that it names
    beside itself. Editing one of them makes what the module has made out of date."""
    path = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
    found = {str(Path("src") / path.relative_to(PACKAGE.parent))}
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith(PACKAGE.name):
            package = node.module.removeprefix(PACKAGE.name).removeprefix(".")
            for name in [package, *(f"{package}.{alias.name}" for alias in node.names)]:
                if PACKAGE.joinpath(*name.split(".")).with_suffix(".py").exists():
                    found.update(code(name))
        elif isinstance(node, ast.Constant) and re.fullmatch(r"\w+\.\w+", str(node.value)):
            beside = path.with_name(str(node.value))
            found |= {str(Path("src") / beside.relative_to(PACKAGE.parent))} if beside.exists() else set()
    return sorted(found)


class Dag:
    """What the rules need to know. The methods that take wildcards are for Snakemake to call."""

    def __init__(self, config: Config, workflow: "Workflow"):
        self.config, self.workflow, self.figures = config, workflow, Figures(config)
        self.standing_studies = [study for study in config.studies if not config.question(study).on_request]
        self.work = sum(resources.products(run.experiment) for run in self.runs("").values())

    @classmethod
    def of(cls, workflow: "Workflow") -> Self:
        """Of a Snakefile's workflow. A bad configuration ends it in one line, with exit status 2; so does a target that
        nothing makes. What a killed Snakemake has left is mended as soon as jobs are about to be run."""
        gc.set_threshold(100_000)  # thousands of long-lived job objects: collect garbage less often
        looked_up(surroundings.own_package)
        surroundings.own_python()
        dag = looked_up(lambda: cls(Config(), workflow))
        execute = workflow.execute

        def guarded(**settings: Any) -> None:
            if not settings["executor_plugin"].common_settings.dryrun_exec:
                recovery.mend(everything=workflow.is_main_process)
            try:
                execute(**settings)
            except MissingRuleException as error:
                refuse(f"{str(error).partition(' (')[0]}; {dag.known()}")

        workflow.execute = guarded
        return dag

    # What is made

    def everything(self, scale: str) -> list[str]:
        """Figures, tables, and the metrics of every seed."""
        return [
            *(f"figures/{scale}{figure}.{kind}" for figure in self.figures.drawn for kind in ("pdf", "png")),
            *(f"figures/{scale}collapse.{kind}" for kind in ("gif", "mp4", "svg")),
            f"results/{scale}explorer.html",
            *(f"results/{scale}{table}.{kind}" for table in self.figures.tables for kind in ("csv", "md", "html")),
            *(str(run.folder / "metrics.json") for run in self.runs(scale).values()),
        ]

    def answers(self, studies: Iterable[str], scale: str = "") -> list[str]:
        """Tables of studies with their answers, and figures."""
        return [
            path
            for study in studies
            for path in (
                *(f"results/{scale}studies/{study}.{kind}" for kind in ("csv", "md", "html")),
                *(f"figures/{scale}study_{study}.{kind}" for kind in ("pdf", "png")),
            )
        ]

    def made_so_far(self, scale: str) -> list[str]:
        """What has a caption and exists: results of studies only if they have been run."""
        paths = [Path(top) / f"{scale}{name}{kind}" for name in self.figures.entries() for top, kind in REPORTED]
        return [str(path) for path in paths if path.exists()]

    def known(self) -> str:
        """What can be asked for, in a line."""
        targets = [rule.name for rule in self.workflow.rules if not rule.output and not rule.shellcmd]
        figures, tables = ", ".join(self.figures.drawn), ", ".join(self.figures.tables)
        return (
            f"there are the targets {', '.join(targets)}; figures/[SCALE/]NAME.pdf for {figures}; "
            f"results/[SCALE/]NAME.html for {tables}; the scales are {', '.join(self.config.scales)}"
        )

    # From which runs

    @cache  # noqa: B019, one Dag lives as long as its process
    def runs(self, scale: str) -> dict[tuple[str, int], Run]:
        """Of the experiments of a scale, by experiment and seed."""
        return self.config.runs(scale.rstrip("/"))

    @cache  # noqa: B019
    def study(self, study: str, scale: str) -> list[Run]:
        return looked_up(lambda: self.config.study(study, scale.rstrip("/")))

    def metrics(self, wildcards: Wildcards) -> list[Path]:
        return [run.folder / "metrics.json" for run in self.runs(wildcards.scale).values()]

    def drawn_from(self, wildcards: Wildcards) -> list[Path]:
        return self._files(wildcards.figure, wildcards.scale)

    def moving(self, wildcards: Wildcards) -> list[Path]:
        return self._files("collapse", wildcards.scale)

    def _files(self, figure: str, scale: str) -> list[Path]:
        """Those that a figure is drawn from."""
        runs = looked_up(lambda: self.figures.runs(figure, scale.rstrip("/")))
        return [run.folder / file for run in runs.values() for file in self.figures.figures[figure].reads]

    def study_metrics(self, wildcards: Wildcards) -> list[Path]:
        return [run.folder / "metrics.json" for run in self.study(wildcards.study, wildcards.scale)]

    def study_drawn_from(self, wildcards: Wildcards) -> list[Path]:
        """What the figure of a study is drawn from, besides its table."""
        needs = self.config.question(wildcards.study).picture.needs
        runs = self.study(wildcards.study, wildcards.scale) if needs == "features" else []
        return [PAPER] if needs == "paper" else [run.folder / "features.safetensors" for run in runs]

    def seeds(self, wildcards: Wildcards) -> list[Path]:
        """The table of the study of seeds, if it has been made."""
        path = Path(f"results/{wildcards.scale}studies/seeds.csv")
        return [path] if path.exists() else []

    def all_made(self, wildcards: Wildcards) -> list[str]:
        return self.everything(wildcards.scale)

    def tables_of_claims(self, wildcards: Wildcards) -> list[Path]:
        """The tables that claims are decided by; those of studies only if they exist."""
        names = {table for claim in looked_up(read_claims).values() for table in claim.tables()} - {"runs"}
        paths = {name: Path(f"results/{wildcards.scale}{name}.csv") for name in sorted(names)}
        there = [path for name, path in paths.items() if "/" not in name or path.exists()]
        return there + [path for path in self.seeds(wildcards) if path not in there]

    # What a job is told, and what it asks for

    @cache  # noqa: B019, Snakemake asks often, of what may be thousands of runs that differ in their seeds only
    def _experiment(self, name: str) -> Experiment:
        return looked_up(lambda: self.config.run(f"{name}/seed0")).experiment

    def experiment(self, wildcards: Wildcards) -> Experiment:
        return self._experiment(wildcards.run.rpartition("/")[0])

    def settings(self, wildcards: Wildcards) -> dict[str, Any]:
        """All settings of a run, as one dictionary: a change of any of them reruns this run and no other."""
        return self.experiment(wildcards).model_dump()

    def drawing(self, wildcards: Wildcards) -> dict[str, Any]:
        """What a figure is drawn by: its entry but for its caption."""
        return self.figures.figures[wildcards.figure].model_dump(include={"draw", "of", "reads"})

    def enumeration(self, wildcards: Wildcards) -> str:
        return f"enumeration --starts {STARTS[wildcards.scale]} --scale '{wildcards.scale}'"

    def share(self, wildcards: Wildcards) -> float:
        """The work of a run relative to all runs of the paper at full size."""
        return resources.products(self.experiment(wildcards)) / self.work

    def priority(self, wildcards: Wildcards) -> int:
        """The longest first."""
        return int(1000 * self.share(wildcards))

    def threads(self, wildcards: Wildcards) -> int:
        """A run's share of the cores is its share of the work: the longest is not left on one core of many. On a
        cluster, whose cores are not those of one machine, the run alone decides. The result does not depend on it."""
        if self.workflow.non_local_exec or self.workflow.remote_exec:
            return resources.threads(self.experiment(wildcards))
        return min(8, max(1, int(self.workflow.cores * self.share(wildcards))))

    def memory(self, wildcards: Wildcards, attempt: int) -> int:
        return attempt * resources.memory_mb(self.experiment(wildcards))

    def minutes(self, wildcards: Wildcards, threads: int, attempt: int) -> int:
        return attempt * resources.minutes(self.experiment(wildcards), threads)

    def few_minutes(self, wildcards: Wildcards, attempt: int) -> int:
        return attempt * resources.OTHER_MINUTES

    # What the report says of it

    def shown(self, file: str) -> Any:
        """A result that the report shows with its caption."""

        def name(output: list[str]) -> str:
            return self.figures.name_and_scale(output)[0]

        return report(
            file,
            caption="../report/caption.rst",
            category=lambda wildcards, output: self.figures.entries()[name(output)].category,
            labels=lambda wildcards, output: labels(name(output), self.figures.entries()[name(output)]),
        )


def any_of(*names: str) -> str:
    """The pattern of a wildcard that is one of the names."""
    return "|".join(map(re.escape, names))


def later(module: str, name: str) -> Callable[..., Any]:
    """A function of this package that is imported when it is called: what the report alone needs takes seconds, and
    every Snakemake reads the Snakefile."""
    return lambda *given: getattr(import_module(f"{PACKAGE.name}.{module}"), name)(*given)


def refuse(wrong: object) -> NoReturn:
    """End a Snakemake as the command line ends."""
    print(f"error: {' '.join(str(wrong).split())}", file=sys.stderr)
    sys.exit(2)


def looked_up(look_up: Callable[[], T]) -> T:
    try:
        return look_up()
    except ConfigError as error:
        refuse(error)
