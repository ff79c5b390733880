# What a wrong implementation would show, at quick scale and on request.


use rule stage as mutant with:
    """Train an experiment with each mistake of a wrong implementation."""
    input:
        code=code("stages.mutant"),
    output:
        csv="results/quick/mutants/{experiment}.csv",
    log:
        "results/quick/log/mutant_{experiment}.log",
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        verb="mutant {experiment}",
        experiment=dag.mutated,


use rule stage as mutants with:
    """Say which numbers tell a wrong implementation."""
    input:
        code=code("stages.mutants"),
        paper="config/paper.yaml",
        right=expand(
            "results/quick/{experiment}/seed{seed}/metrics.json",
            experiment=dag.config.experiments("quick"),
            seed=range(5),
        ),
        wrong=expand("results/quick/mutants/{experiment}.csv", experiment=dag.config.experiments("quick")),
    output:
        csv="results/quick/mutants.csv",
        md="results/quick/mutants.md",
        html="results/quick/mutants.html",
    log:
        "results/quick/log/mutants.log",
    localrule: True
    params:
        verb="mutants",
