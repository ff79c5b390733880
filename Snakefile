# The artifact from top to bottom: data -> training -> features -> figures and tables.
# A run is named [scale/]experiment/seedN; its files are in results/{run}, its settings in config/experiments.yaml.

import gc
import sys
from functools import cache
from pathlib import Path

from feature_collapse.workflow import captions, cluster, resources, surroundings
from feature_collapse.workflow.config import Config, ConfigError
from feature_collapse.workflow.dag import code
from feature_collapse.workflow.recovery import forget_dead_locks, forget_the_future

gc.set_threshold(100_000)  # jobs of thousands of runs are objects that stay: do not look over and over whether they do
ALIVE = forget_dead_locks()  # a killed Snakemake is no reason to unlock by hand
if workflow.is_main_process:  # the jobs of a cluster need not look over all results as well
    forget_the_future()  # nor is a clock that was wrong a reason to delete by hand


def config_or_exit(look_up):
    """Bad input ends here, before anything has run: one line, exit status 2."""
    try:
        return look_up()
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


config_or_exit(surroundings.own_package)
surroundings.own_python()
CONFIG = config_or_exit(Config)
CAPTIONS = config_or_exit(captions.read)

# Each figure: the experiments it shows, and which of their files it is drawn from.
FIGURES = {
    "figure1": ([], []),
    "figure2": ([], []),
    "figure3": (["fig3"], ["features.safetensors", "metrics.json"]),
    "figure4a": (["fig4a"], ["features.safetensors", "metrics.json"]),
    "figure4b": (["fig4b"], ["features.safetensors", "metrics.json"]),
    "figure4c": (["fig4c"], ["features.safetensors", "metrics.json"]),
    "word_frequencies": (["fig3", "fig4a", "fig4b"], ["data.safetensors"]),
    "learning_curves": (["fig3", "fig4a", "fig4b", "fig4c"], ["history.csv", "run.json"]),
    "theory_norms": (["fig3", "fig4a", "fig4c"], ["features.safetensors"]),
    "theory_risk": (["fig3", "fig3_k50", "fig4c"], ["metrics.json"]),
}
TABLES = ["reproduction", "theory", "enumeration", "claims"]
PICTURES = {"lambda_transition" if study == "lambda" else f"study_{study}": study for study in CONFIG.studies}
STARTS = {"": 50, "quick/": 10, "smoke/": 2}  # random starts of each problem that is enumerated


@cache  # Snakemake asks several times for each of what may be thousands of runs, which differ in their seeds mostly
def experiment_named(name):
    return config_or_exit(lambda: CONFIG.run(f"{name}/seed0")).experiment


def experiment_of(wildcards):
    return experiment_named(wildcards.run.rpartition("/")[0])


@cache
def runs_of(scale):
    return CONFIG.runs(scale.rstrip("/"))


def experiment(wildcards):
    """All settings of a run, as one dictionary: a change of any of them reruns this run and no other."""
    return experiment_of(wildcards).model_dump()


WHOLE_WORK = sum(resources.products(run.experiment) for run in runs_of("").values())


def work_share(wildcards):
    """The work of a run relative to all runs of the paper at full size."""
    return resources.products(experiment_of(wildcards)) / WHOLE_WORK


def training_threads(wildcards):
    """A run's share of the cores is its share of the work: the critical path is not left on one core of many. On a
    cluster, whose cores are not those of one machine, the run alone decides. The result does not depend on it."""
    if workflow.non_local_exec or workflow.remote_exec:
        return resources.threads(experiment_of(wildcards))
    return min(8, max(1, int(workflow.cores * work_share(wildcards))))


def training_memory(wildcards, attempt):
    return attempt * resources.memory_mb(experiment_of(wildcards))


def training_minutes(wildcards, threads, attempt):
    return attempt * resources.minutes(experiment_of(wildcards), threads)


def other_minutes(wildcards, attempt):
    return attempt * resources.OTHER_MINUTES


def longest_first(wildcards):
    return int(1000 * work_share(wildcards))


def all_metrics(wildcards):
    """The metrics of every run of a scale."""
    return [run.folder / "metrics.json" for run in runs_of(wildcards.scale).values()]


def figure_inputs(wildcards):
    """The files a figure is drawn from: those of the first seed, of the experiments that the scale has."""
    experiments, files = FIGURES[wildcards.name]
    runs = [runs_of(wildcards.scale).get((name, CONFIG.seeds[0])) for name in experiments]
    return [run.folder / file for run in runs if run for file in files]


def snapshot_inputs(wildcards):
    """What moves: the snapshots of the first seed of the four experiments, and what they are to be read with."""
    runs = [runs_of(wildcards.scale).get((name, CONFIG.seeds[0])) for name in FIGURES["learning_curves"][0]]
    files = ["snapshots.safetensors", "features.safetensors", "history.csv", "run.json"]
    return [run.folder / file for run in runs if run for file in files]


@cache
def study_runs(study, scale):
    return config_or_exit(lambda: CONFIG.study(study, scale.rstrip("/")))


def study_metrics(wildcards):
    return [run.folder / "metrics.json" for run in study_runs(wildcards.study, wildcards.scale)]


def study_features(wildcards):
    """The arrays that the figure of a study is drawn from, besides its table."""
    study = PICTURES[wildcards.picture]
    runs = study_runs(study, wildcards.scale) if study == "mechanism" else []
    return [run.folder / "features.safetensors" for run in runs]


def study_tables(wildcards):
    """Those tables of studies that claims are decided by, if the studies have been run."""
    return [path for path in [Path(f"results/{wildcards.scale}studies/lambda.csv")] if path.exists()]


def studied(studies, scale=""):
    """What is made of studies: tables with their answers, and figures."""
    pictures = [picture for picture, study in PICTURES.items() if study in studies]
    return [
        *expand("results/{scale}studies/{study}.{kind}", scale=scale, study=studies, kind=["csv", "md", "html"]),
        *expand("figures/{scale}{picture}.{kind}", scale=scale, picture=pictures, kind=["pdf", "png"]),
    ]


def shown(file):
    """A result that the report shows as config/captions.yaml says, at the time the report is made."""
    name = lambda output: captions.name_and_scale(output, CAPTIONS, CONFIG.scales)[0]
    return report(
        file,
        caption="report/caption.rst",
        category=lambda wildcards, output: CAPTIONS[name(output)].category,
        labels=lambda wildcards, output: captions.labels(name(output), CAPTIONS),
    )


config["caption"] = lambda output: captions.caption(output, CAPTIONS, CONFIG)  # what report/caption.rst fills in


def made_so_far(scale):
    """The results that have a caption and are there: those of studies only if they have been run."""
    paths = [f"{top}/{scale}{name}" for name in CAPTIONS for top in ("figures", "results")]
    return [path + kind for path in paths for kind in (".png", ".svg", ".html") if Path(path + kind).exists()]


def everything(scale):
    """All that is made at a scale: figures, tables, and the metrics of every seed."""
    return [
        *expand("figures/{scale}{name}.{kind}", scale=scale, name=FIGURES, kind=["pdf", "png"]),
        *expand("figures/{scale}collapse.{kind}", scale=scale, kind=["gif", "mp4"]),
        f"figures/{scale}collapse.svg",
        f"results/{scale}explorer.html",
        *expand("results/{scale}{name}.{kind}", scale=scale, name=TABLES, kind=["csv", "md", "html"]),
        *(run.folder / "metrics.json" for run in runs_of(scale).values()),
    ]


wildcard_constraints:
    scale="|".join(["", *(f"{scale}/" for scale in CONFIG.scales)]),
    run=r"(\w+/)?\w+(\+\w+=[\w.-]+)*/seed\d+",
    name="|".join(FIGURES),
    table="|".join([*TABLES, *(f"studies/{study}" for study in CONFIG.studies)]),
    picture="|".join(PICTURES),
    study=r"\w+(?<!_summary)",


report: "report/workflow.rst"


onstart:
    cluster.listen(workflow)


localrules:  # to a cluster they are not worth a job: they do nothing, or draw and add up for seconds
    all,
    quick,
    smoke,
    reported,
    studies,
    smoke_studies,
    figure,
    moving,
    explorer,
    reproduction,
    theory,
    claims,
    page,
    study,
    study_figure,
    crate,


rule all:
    """Every figure and table of the paper, at full size."""
    input:
        everything(""),


rule quick:
    """The same at K = 200: the phenomenon whole and readable, in minutes."""
    input:
        everything("quick/"),


rule smoke:
    """Every rule at toy size."""
    input:
        everything("smoke/"),


rule reported:
    """What the report shows: all of the above at full size, and the studies that have been run."""
    input:
        everything(""),
        made_so_far(""),


rule studies:
    """The questions that the paper's readers asked, answered: all studies but those on request."""
    input:
        studied([study for study in CONFIG.studies if not CONFIG.question(study).on_request]),


rule smoke_studies:
    """Every study at toy size."""
    input:
        studied(CONFIG.studies, "smoke/"),


for study in CONFIG.studies:

    rule:
        name:
            f"study_{study}"
        input:
            studied([study]),
        localrule: True
        message:
            f"{CONFIG.question(study).question}"


rule data:
    input:
        code=code("stages.data"),
    output:
        data="results/{run}/data.safetensors",
    log:
        "results/{run}/log/data.log",
    priority: longest_first
    conda:
        "environment.yml"
    resources:
        mem_mb=training_memory,
        runtime=other_minutes,
    params:
        experiment=experiment,
    message:
        "Draw the latents and sentences of {wildcards.run}"
    shell:
        "python -m feature_collapse data {wildcards.run} 2> {log}"


rule train:
    input:
        code=code("stages.train"),
        data="results/{run}/data.safetensors",
    output:
        weights="results/{run}/weights.safetensors",
        snapshots="results/{run}/snapshots.safetensors",
        history="results/{run}/history.csv",
        run="results/{run}/run.json",
    log:
        "results/{run}/log/train.log",
    benchmark:
        "results/{run}/log/train.benchmark.tsv"
    priority: longest_first
    conda:
        "environment.yml"
    threads: training_threads
    resources:
        mem_mb=training_memory,
        runtime=training_minutes,
    params:
        experiment=experiment,
    message:
        "Train {wildcards.run} on {threads} thread(s); progress in {log}"
    shell:
        "python -m feature_collapse train {wildcards.run} --threads {threads} 2> {log}"


rule features:
    input:
        code=code("stages.features"),
        data="results/{run}/data.safetensors",
        weights="results/{run}/weights.safetensors",
        history="results/{run}/history.csv",
        run="results/{run}/run.json",
    output:
        features="results/{run}/features.safetensors",
        metrics="results/{run}/metrics.json",
    log:
        "results/{run}/log/features.log",
    conda:
        "environment.yml"
    resources:
        mem_mb=training_memory,
        runtime=other_minutes,
    params:
        experiment=experiment,
    message:
        "Extract the features and measure the collapse of {wildcards.run}"
    shell:
        "python -m feature_collapse features {wildcards.run} 2> {log}"


rule figure:
    input:
        code=code("show.paper"),
        data=figure_inputs,
    output:
        pdf="figures/{scale}{name}.pdf",
        png=shown("figures/{scale}{name}.png"),
    log:
        "results/{scale}log/{name}.log",
    conda:
        "environment.yml"
    message:
        "Draw {wildcards.name}"
    shell:
        "python -m feature_collapse figure {wildcards.scale}{wildcards.name} 2> {log}"


rule animation:
    input:
        code=code("show.animation"),
        data=snapshot_inputs,
    output:
        gif="figures/{scale}collapse.gif",
        mp4="figures/{scale}collapse.mp4",
    log:
        "results/{scale}log/animation.log",
    conda:
        "environment.yml"
    message:
        "Show the words of the four experiments through training"
    shell:
        "python -m feature_collapse animation --scale '{wildcards.scale}' 2> {log}"


rule moving:
    input:
        code=code("workflow.pages"),
        gif="figures/{scale}collapse.gif",
    output:
        svg=shown("figures/{scale}collapse.svg"),
    log:
        "results/{scale}log/moving.log",
    conda:
        "environment.yml"
    message:
        "Give the moving picture a form that the report shows"
    shell:
        "python -m feature_collapse page {input.gif} {output.svg} 2> {log}"


rule explorer:
    input:
        code=code("show.explorer"),
        template="src/feature_collapse/show/explorer.html",
        data=snapshot_inputs,
    output:
        page="results/{scale}explorer.html",
    log:
        "results/{scale}log/explorer.log",
    conda:
        "environment.yml"
    message:
        "Make the page to go through training by hand"
    shell:
        "python -m feature_collapse explorer --scale '{wildcards.scale}' 2> {log}"


rule reproduction:
    input:
        code=code("evidence.reproduction"),
        paper="config/paper.yaml",
        metrics=all_metrics,
    output:
        csv="results/{scale}reproduction.csv",
        md="results/{scale}reproduction.md",
    log:
        "results/{scale}log/reproduction.log",
    conda:
        "environment.yml"
    message:
        "Hold every number against the paper's"
    shell:
        "python -m feature_collapse reproduction --scale '{wildcards.scale}' 2> {log}"


rule theory:
    input:
        code=code("theory.predictions"),
        metrics=all_metrics,
    output:
        csv="results/{scale}theory.csv",
        md="results/{scale}theory.md",
    log:
        "results/{scale}log/theory.log",
    conda:
        "environment.yml"
    message:
        "Hold the runs against what the theorems predict"
    shell:
        "python -m feature_collapse theory --scale '{wildcards.scale}' 2> {log}"


rule enumeration:
    input:
        code=code("theory.enumeration"),
    output:
        csv="results/{scale}enumeration.csv",
        md="results/{scale}enumeration.md",
        gradients="results/{scale}enumeration_gradients.csv",
        certificate="results/{scale}certificate.csv",
    log:
        "results/{scale}log/enumeration.log",
    conda:
        "environment.yml"
    params:
        starts=lambda w: STARTS[w.scale],
    message:
        "Check the theorems on problems small enough to list every sentence"
    shell:
        "python -m feature_collapse enumeration --starts {params.starts} --scale '{wildcards.scale}' 2> {log}"


rule claims:
    """Evidence of studies counts where it is there; it is never a reason to run them."""
    input:
        code=code("evidence.claims"),
        claims="config/claims.yaml",
        theory="results/{scale}theory.csv",
        enumeration="results/{scale}enumeration.csv",
        gradients="results/{scale}enumeration_gradients.csv",
        certificate="results/{scale}certificate.csv",
        metrics=all_metrics,
        studies=study_tables,
    output:
        csv="results/{scale}claims.csv",
        md="results/{scale}claims.md",
    log:
        "results/{scale}log/claims.log",
    conda:
        "environment.yml"
    message:
        "Decide the paper's claims, one by one"
    shell:
        "python -m feature_collapse claims --scale '{wildcards.scale}' 2> {log}"


rule page:
    input:
        code=code("workflow.pages"),
        table="results/{scale}{table}.md",
    output:
        html=shown("results/{scale}{table}.html"),
    log:
        "results/{scale}log/page_{table}.log",
    conda:
        "environment.yml"
    message:
        "Set the table {wildcards.table} as a page"
    shell:
        "python -m feature_collapse page {input.table} {output.html} 2> {log}"


rule study:
    input:
        code=code("evidence.studies"),
        metrics=study_metrics,
        paper="config/paper.yaml",
    output:
        csv="results/{scale}studies/{study}.csv",
        summary="results/{scale}studies/{study}_summary.csv",
        md="results/{scale}studies/{study}.md",
    log:
        "results/{scale}log/studies_{study}.log",
    conda:
        "environment.yml"
    params:
        question=lambda w: config_or_exit(lambda: CONFIG.question(w.study)).question,
    message:
        "Gather the runs of the study of {wildcards.study} and answer its question"
    shell:
        "python -m feature_collapse study {wildcards.study} --scale '{wildcards.scale}' 2> {log}"


rule study_figure:
    input:
        code=code("show.studies"),
        paper="config/paper.yaml",
        rows=lambda w: f"results/{w.scale}studies/{PICTURES[w.picture]}.csv",
        features=study_features,
    output:
        pdf="figures/{scale}{picture}.pdf",
        png=shown("figures/{scale}{picture}.png"),
    log:
        "results/{scale}log/{picture}.log",
    conda:
        "environment.yml"
    params:
        study=lambda w: PICTURES[w.picture],
    message:
        "Draw the study of {params.study}"
    shell:
        "python -m feature_collapse study_figure {params.study} --scale '{wildcards.scale}' 2> {log}"


rule crate:
    """Not among the targets: an archive is made when one is asked for."""
    input:
        code=code("stages.crate"),
        citation="CITATION.cff",
        made=lambda w: everything(w.scale),
    output:
        zip="results/{scale}feature-collapse.crate.zip",
    log:
        "results/{scale}log/crate.log",
    conda:
        "environment.yml"
    message:
        "Archive the workflow with all it has made as a Workflow RO-Crate"
    shell:
        "python -m feature_collapse crate --scale '{wildcards.scale}' 2> {log}"
