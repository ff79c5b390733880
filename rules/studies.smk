# What the paper's readers asked: each study is a grid of runs, a table with its answer, and a figure.


use rule stage as study with:
    """Gather the runs of a study and answer its question."""
    input:
        code=code("stages.study"),
        study="config/studies/{study}.yaml",
        metrics=dag.study_metrics,
    output:
        csv="results/{scale}studies/{study}.csv",
        summary="results/{scale}studies/{study}_summary.csv",
        md="results/{scale}studies/{study}.md",
        html=dag.shown("results/{scale}studies/{study}.html"),
    log:
        "results/{scale}log/studies_{study}.log",
    localrule: True
    params:
        verb=dag.study_verb,


use rule stage as study_figure with:
    """Draw the figure of a study."""
    input:
        code=code("stages.study_figure"),
        study="config/studies/{study}.yaml",
        rows="results/{scale}studies/{study}.csv",
        more=dag.study_drawn_from,
    output:
        pdf="figures/{scale}study_{study}.pdf",
        png=dag.shown("figures/{scale}study_{study}.png"),
    log:
        "results/{scale}log/study_{study}.log",
    localrule: True
    params:
        verb="study_figure {study} --scale '{scale}'",


rule studies:
    """The questions of the paper's readers: all studies but those on request."""
    input:
        dag.answers(dag.standing_studies),
    localrule: True


rule smoke_studies:
    """Every study at toy size."""
    input:
        dag.answers(dag.config.studies, "smoke/"),
    localrule: True


rule from_published:
    """Without training, the studies of which all runs are published: --config published=true."""
    input:
        lambda wildcards: dag.untrained(),
    localrule: True


for study in dag.config.studies:

    rule:
        """One study: its table, its answer and its figure."""
        name:
            f"study_{study}"
        input:
            dag.answers([study]),
        localrule: True
        message:
            dag.config.question(study).question
