# Feature Collapse, from top to bottom: data -> training -> features -> figures and tables.
# A run is named [scale/]experiment/seedN; its files are in results/{run}, its settings in config/experiments.yaml.

from feature_collapse.workflow import cluster
from feature_collapse.workflow.dag import Dag, any_of, code, later

dag = Dag.of(workflow)  # what there is to make, from what, and what each job asks for
config["caption"] = later("evidence.captions", "caption")  # what report/caption.rst says of a result


wildcard_constraints:
    scale=any_of("", *(f"{scale}/" for scale in dag.config.scales)),
    run=r"(\w+/)?\w+(\+\w+=[\w.-]+)*/seed\d+",
    figure=any_of(*dag.figures.drawn),
    study=any_of(*dag.config.studies),


report: "report/workflow.rst"


onstart:
    cluster.listen(workflow)


include: "rules/stage.smk"  # what all stages have in common
include: "rules/experiments.smk"  # data, train, features
include: "rules/paper.smk"  # figure, animation, explorer; reproduction, theory, enumeration, claims; crate
include: "rules/studies.smk"  # study, study_figure; studies, study_NAME


rule all:
    """Every figure and table of the paper, at full size."""
    default_target: True
    input:
        dag.everything(""),
    localrule: True


rule quick:
    """The same with 200 classes: the phenomenon whole and readable, in minutes."""
    input:
        dag.everything("quick/"),
    localrule: True


rule smoke:
    """Every rule at toy size."""
    input:
        dag.everything("smoke/"),
    localrule: True


rule reported:
    """What the report shows: all of the above at full size, and the studies that have been run."""
    input:
        dag.everything(""),
        dag.made_so_far(""),
    localrule: True
