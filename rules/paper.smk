# What the paper shows and states: figures, numbers, theorems, claims.


use rule stage as figure with:
    """Draw a figure of the paper or of its theory."""
    input:
        code=code("stages.figure"),
        data=dag.drawn_from,
    output:
        pdf="figures/{scale}{figure}.pdf",
        png=dag.shown("figures/{scale}{figure}.png"),
    log:
        "results/{scale}log/{figure}.log",
    localrule: True
    params:
        verb="figure {scale}{figure}",
        drawing=dag.drawing,


use rule stage as animation with:
    """Show the words moving through training."""
    input:
        code=code("stages.animation"),
        data=dag.moving,
    output:
        gif="figures/{scale}collapse.gif",
        mp4="figures/{scale}collapse.mp4",
        svg=dag.shown("figures/{scale}collapse.svg"),
    log:
        "results/{scale}log/animation.log",
    params:
        verb="animation --scale '{scale}'",


use rule stage as explorer with:
    """Make a page on which to step through training."""
    input:
        code=code("stages.explorer"),
        data=dag.moving,
    output:
        page="results/{scale}explorer.html",
    log:
        "results/{scale}log/explorer.log",
    localrule: True
    params:
        verb="explorer --scale '{scale}'",


use rule stage as reproduction with:
    """Compare our numbers with the paper's."""
    input:
        code=code("stages.reproduction"),
        paper="config/paper.yaml",
        metrics=dag.metrics,
        seeds=dag.seeds,
    output:
        csv="results/{scale}reproduction.csv",
        md="results/{scale}reproduction.md",
        html=dag.shown("results/{scale}reproduction.html"),
    log:
        "results/{scale}log/reproduction.log",
    localrule: True
    params:
        verb=dag.reproduction_verb,


use rule stage as theory with:
    """Compare the runs with what the theorems predict."""
    input:
        code=code("stages.theory"),
        metrics=dag.metrics,
    output:
        csv="results/{scale}theory.csv",
        md="results/{scale}theory.md",
        html=dag.shown("results/{scale}theory.html"),
    log:
        "results/{scale}log/theory.log",
    localrule: True
    params:
        verb="theory --scale '{scale}'",


use rule stage as enumeration with:
    """Check the theorems by listing every sentence."""
    input:
        code=code("stages.enumeration"),
    output:
        csv="results/{scale}enumeration.csv",
        md="results/{scale}enumeration.md",
        html=dag.shown("results/{scale}enumeration.html"),
        gradients="results/{scale}enumeration_gradients.csv",
        certificate="results/{scale}certificate.csv",
    log:
        "results/{scale}log/enumeration.log",
    params:
        verb=dag.enumeration,


use rule stage as claims with:
    """Decide the paper's claims, by studies too where they have been run."""
    input:
        code=code("stages.claims"),
        claims="config/claims.yaml",
        metrics=dag.metrics,
        tables=dag.tables_of_claims,
    output:
        csv="results/{scale}claims.csv",
        md="results/{scale}claims.md",
        html=dag.shown("results/{scale}claims.html"),
    log:
        "results/{scale}log/claims.log",
    localrule: True
    params:
        verb=dag.claims_verb,


use rule stage as crate with:
    """Archive the workflow and all it has made as a Workflow RO-Crate, on request."""
    input:
        code=code("stages.crate"),
        citation="CITATION.cff",
        made=dag.all_made,
    output:
        zip="results/{scale}feature-collapse.crate.zip",
    log:
        "results/{scale}log/crate.log",
    localrule: True
    params:
        verb="crate --scale '{scale}'",
