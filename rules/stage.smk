# What all stages have in common: a verb of the command line, its environment, its log.


rule stage:
    """The verbs of the command line, each of which is a rule."""
    log:
        "results/log/stage.log",
    conda:
        "../environment.yml"
    params:
        verb="--help",
    shell:
        "python -m feature_collapse {params.verb} 2> {log}"
