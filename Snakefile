# The artifact from top to bottom: data -> training -> features -> figures and tables.
# A run is named [scale/]experiment/seedN; its files are in results/{run}, its settings in config/experiments.yaml.

import sys

from feature_collapse.config import Config, ConfigError


def config_or_exit(look_up):
    """Bad input ends here, before anything has run: one line, exit status 2."""
    try:
        return look_up()
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


CONFIG = config_or_exit(Config)
SCATTERS = ["figure3", "figure4a", "figure4b", "figure4c"]
DRAWINGS = ["figure1", "figure2"]
TABLES = ["reproduction"]


def run_of(wildcards):
    return config_or_exit(lambda: CONFIG.run(wildcards.run))


def experiment(wildcards):
    """All settings of a run, as one dictionary: a change of any of them reruns this run and no other."""
    return run_of(wildcards).experiment.model_dump()


def code(*modules):
    """The modules a rule runs. Editing one of them makes what the rule made out of date."""
    return [f"src/feature_collapse/{module}.py" for module in ("config", "artifacts", *modules)]


def work_share(wildcards):
    """The work of a run relative to all runs of the paper at full size."""
    cost = lambda e: e.steps * e.K * e.L * e.d
    paper = [CONFIG.run(f"{name}/seed0").experiment for name in CONFIG.experiments()]
    return cost(run_of(wildcards).experiment) / sum(map(cost, paper))


def training_threads(wildcards):
    """A run's share of the cores is its share of the work: the critical path is not left on one core of many.
    The result does not depend on it."""
    return min(8, max(1, int((workflow.cores or 1) * work_share(wildcards))))


def longest_first(wildcards):
    return int(1000 * work_share(wildcards))


def everything(scale):
    """All that is made at a scale: figures, tables, and the metrics of every seed."""
    runs = [f"{experiment}/seed{seed}" for experiment in CONFIG.experiments(scale.rstrip("/")) for seed in CONFIG.seeds]
    figures = [*DRAWINGS, *SCATTERS, "word_frequencies", "learning_curves"]
    return (
        expand(
            "figures/{scale}{name}.{kind}",
            scale=scale,
            name=figures,
            kind=["pdf", "png"],
        )
        + expand("results/{scale}{name}.{kind}", scale=scale, name=TABLES, kind=["csv", "md"])
        + expand("results/{scale}{run}/metrics.json", scale=scale, run=runs)
    )


def shown(artifact, *experiments):
    """An artifact of the runs that figures show: those of the first seed."""
    return [f"results/{{scale}}{name}/seed{CONFIG.seeds[0]}/{artifact}" for name in experiments]


wildcard_constraints:
    scale="|".join(["", *(f"{scale}/" for scale in CONFIG.scales)]),
    run=r"(\w+/)?\w+(\+\w+=[\w.-]+)*/seed\d+",


localrules:
    all,
    quick,
    smoke,


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


rule data:
    input:
        code=code("data"),
    output:
        data="results/{run}/data.safetensors",
    log:
        "results/{run}/log/data.log",
    priority: longest_first
    params:
        experiment=experiment,
    message:
        "Draw the latents and sentences of {wildcards.run}"
    shell:
        "python -m feature_collapse data {wildcards.run} 2> {log}"


rule train:
    input:
        code=code("data", "networks", "collapse", "training"),
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
    threads: training_threads
    resources:
        mem_mb=1500,
    params:
        experiment=experiment,
    message:
        "Train {wildcards.run} on {threads} thread(s); progress in {log}"
    shell:
        "python -m feature_collapse train {wildcards.run} --threads {threads} 2> {log}"


rule features:
    input:
        code=code("data", "networks", "collapse", "features"),
        data="results/{run}/data.safetensors",
        weights="results/{run}/weights.safetensors",
        history="results/{run}/history.csv",
        run="results/{run}/run.json",
    output:
        features="results/{run}/features.safetensors",
        metrics="results/{run}/metrics.json",
    log:
        "results/{run}/log/features.log",
    params:
        experiment=experiment,
    message:
        "Extract the features and measure the collapse of {wildcards.run}"
    shell:
        "python -m feature_collapse features {wildcards.run} 2> {log}"


rule drawing:
    input:
        code=code("figures", "diagrams"),
    output:
        multiext("figures/{scale}{name}", ".pdf", ".png"),
    log:
        "results/{scale}log/{name}.log",
    wildcard_constraints:
        name="|".join(DRAWINGS),
    message:
        "Draw {wildcards.name}"
    shell:
        "python -m feature_collapse figure {wildcards.scale}{wildcards.name} 2> {log}"


rule scatter:
    input:
        code=code("figures", "diagrams"),
        features=shown("features.safetensors", "fig{panel}"),
        metrics=shown("metrics.json", "fig{panel}"),
    output:
        multiext("figures/{scale}figure{panel}", ".pdf", ".png"),
    log:
        "results/{scale}log/figure{panel}.log",
    wildcard_constraints:
        panel="3|4a|4b|4c",
    message:
        "Draw figure {wildcards.panel}: words and u_kl on their principal plane"
    shell:
        "python -m feature_collapse figure {wildcards.scale}figure{wildcards.panel} 2> {log}"


rule word_frequencies:
    input:
        code=code("figures", "diagrams"),
        data=shown("data.safetensors", "fig3", "fig4a", "fig4b"),
    output:
        multiext("figures/{scale}word_frequencies", ".pdf", ".png"),
    log:
        "results/{scale}log/word_frequencies.log",
    message:
        "Draw the laws of the words and how often they occur"
    shell:
        "python -m feature_collapse figure {wildcards.scale}word_frequencies 2> {log}"


rule learning_curves:
    input:
        code=code("figures", "diagrams"),
        history=shown("history.csv", "fig3", "fig4a", "fig4b", "fig4c"),
        run=shown("run.json", "fig3", "fig4a", "fig4b", "fig4c"),
    output:
        multiext("figures/{scale}learning_curves", ".pdf", ".png"),
    log:
        "results/{scale}log/learning_curves.log",
    message:
        "Draw loss, accuracy and collapse over the epochs"
    shell:
        "python -m feature_collapse figure {wildcards.scale}learning_curves 2> {log}"


rule reproduction:
    input:
        code=code("reproduction"),
        paper="config/paper.yaml",
        metrics=lambda w: [
            f"results/{w.scale}{name}/seed{seed}/metrics.json"
            for name in CONFIG.experiments(w.scale.rstrip("/"))
            for seed in CONFIG.seeds
        ],
    output:
        multiext("results/{scale}reproduction", ".csv", ".md"),
    log:
        "results/{scale}log/reproduction.log",
    message:
        "Hold every number against the paper's"
    shell:
        "python -m feature_collapse reproduction --scale '{wildcards.scale}' 2> {log}"
