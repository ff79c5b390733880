"""README and `docs/`: no number is typed by hand, and nothing that is shown is missing."""

import io
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
import workflow
from ruamel.yaml import YAML

from feature_collapse.evidence import pages
from feature_collapse.stages import docs
from feature_collapse.workflow.config import Config


def test_every_number_in_the_readme_is_that_of_the_tables(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    readme = docs.README.read_text(encoding="utf-8")
    assert pages.filled(readme) == readme


def test_the_page_of_studies_is_that_of_their_tables(
    root: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root)
    page = (pages.DOCS / "studies.md").read_text(encoding="utf-8")
    assert pages.studies_page(config) == page
    for name in re.findall(r"\]\(([^)]+)\)", page):
        assert (pages.DOCS / name).exists()


@pytest.fixture
def study_docs(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """`docs/` with a study of two runs, as if they had been made."""
    shutil.copytree(root / "config", tmp_path / "config")
    shutil.rmtree(tmp_path / "config/studies")
    monkeypatch.chdir(tmp_path)
    study = {
        "question": "Does it collapse?",
        "runs": [{"base": ["study/fig4b"], "vary": {}}],
        "seeds": [0, 1],
        "hypotheses": {"h": {"says": "It does.", "column": "u_cdnv", "at_most": 0.1}},
        "answer": {"when": {"h": "supported"}, "text": "It does, to {h.of}."},
    }
    Path("config/studies").mkdir()
    YAML().dump(study, Path("config/studies/mine.yaml"))
    Path("docs/studies").mkdir(parents=True)
    runs = [run.settings | {"u_cdnv": 0.05} for run in Config().study("mine")]
    pd.DataFrame(runs).to_csv("docs/studies/mine.csv", index=False)
    pd.DataFrame({"figure": ["study_mine"], "core_minutes": [12.4]}).to_csv("docs/figures.csv", index=False)
    return Path("docs")


@pytest.mark.usefixtures("study_docs")
def test_a_study_is_shown_with_its_answer_its_verdicts_and_its_figure() -> None:
    page = pages.studies_page(Config())
    assert "## Does it collapse?\n\nIt does, to 0.05.\n" in page
    assert "supported" in page and "figures/study_mine.png" in page
    assert "2 runs at K = 200 with 2 seeds, 12 core-minutes" in page


def test_a_study_whose_runs_have_not_all_been_made_is_not_shown(study_docs: Path) -> None:
    table = study_docs / "studies/mine.csv"
    pd.read_csv(table)[1:].to_csv(table, index=False)
    page = pages.studies_page(Config())
    assert "study_mine.png" not in page
    assert "- Does it collapse? `snakemake --cores all study_mine`" in page


def test_a_table_that_changes_changes_the_readme(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("config", "docs"):
        shutil.copytree(root / folder, tmp_path / folder)
    readme = (root / "README.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert pages.filled(readme) == readme
    numbers = pd.read_csv("docs/reproduction.csv")
    numbers.loc[numbers["id"] == "test_accuracy", "ours"] = 0.123
    numbers.to_csv("docs/reproduction.csv", index=False)
    assert "12.3%" in pages.filled(readme)


def test_every_block_has_its_place(root: Path) -> None:
    readme = (root / "README.md").read_text(encoding="utf-8")
    for name in pages.BLOCKS:
        assert readme.count(f"<!-- {name} -->") == readme.count(f"<!-- end {name} -->") == 1


@pytest.mark.parametrize("page", ["README.md", "results/README.md", "figures/README.md"])
def test_every_link_within_the_project_leads_somewhere(root: Path, page: str) -> None:
    text = (root / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert [link for link in links if not (root / page).parent.joinpath(link).exists()] == []


def test_the_readme_names_every_module(root: Path) -> None:
    section = re.search(r"^## Modules$.*?^## ", (root / "README.md").read_text(encoding="utf-8"), re.M | re.S)[0]
    modules = {path.stem for path in (root / "src/feature_collapse").glob("*.py") if not path.stem.startswith("__")}
    assert modules <= set(re.findall(r"`(\w+)`", section))


def test_the_tables_shown_are_of_the_experiments_as_configured(root: Path, config) -> None:
    runs = pd.read_csv(root / "docs/runs.csv").set_index("run")
    for run in config.runs().values():
        assert runs.loc[run.name, "steps"] == run.experiment.steps


def test_no_measured_number_is_typed_outside_of_the_blocks(root: Path) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    for name in pages.BLOCKS:
        text = re.sub(f"<!-- {name} -->.*?<!-- end {name} -->", "", text, flags=re.DOTALL)
    versions = {"2305.16162", "3.11"}
    assert set(re.findall(r"\d+\.\d+|\d+ ?%", text)) <= versions


def test_the_rule_graph_shown_is_that_of_the_snakefile(root: Path) -> None:
    graph = workflow.snakemake(root, "--rulegraph", "dot", "--", "all").stdout
    rules = set(re.findall(r'label = "(\w+)"', graph))
    drawn = set(re.findall(r"<text[^>]*>(\w+)</text>", (root / "docs/rulegraph.svg").read_text(encoding="utf-8")))
    assert {"data", "train", "all"} <= rules
    assert drawn == rules, "make docs/rulegraph.svg draws it again"


def test_a_figure_takes_the_training_behind_it_and_no_more() -> None:
    made_from = {
        "figures/one.png": "src/figures.py,results/a/seed0/features.safetensors",
        "figures/both.png": "results/a/seed0/features.safetensors,results/b/seed0/features.safetensors",
        "figures/none.png": "src/figures.py,results/c/seed0/data",
        "results/a/seed0/features.safetensors": "results/a/seed0/weights.safetensors",
        "results/b/seed0/features.safetensors": "results/b/seed0/weights.safetensors",
        "results/a/seed0/weights.safetensors": "results/a/seed0/data",
        "results/b/seed0/weights.safetensors": "results/b/seed0/data",
        "results/c/seed0/weights.safetensors": "results/c/seed0/data",
    }
    summary = pd.DataFrame(made_from.items(), columns=["output_file", "input-file(s)"])
    summary["rule"] = ["train" if "weights" in file else "another" for file in made_from]
    assert docs.trained_for(summary) == {"one": ["a/seed0"], "both": ["a/seed0", "b/seed0"], "none": []}


def test_two_cores_share_runs_but_no_run_is_shared_among_cores() -> None:
    seconds = {"a": 600.0, "b": 360.0, "c": 120.0}
    table = pages.figures_table({"one": ["a"], "all": ["c", "b", "a"], "none": []}, seconds).set_index("figure")
    assert table["core_minutes"].to_dict() == {"one": 10, "all": 18, "none": 0}
    assert table["two_core_minutes"].to_dict() == {"one": 10, "all": 10, "none": 0}


def test_docs_are_made_from_a_finished_workflow(project: Path, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy size in the place of full size."""
    for folder in ("figures", "results"):
        for path in (project / folder / "smoke").glob("*.*"):
            shutil.copy2(path, project / folder)
    shutil.copy(root / "README.md", project)
    summary = workflow.snakemake(project, "--detailed-summary", "smoke").stdout.replace("figures/smoke/", "figures/")
    monkeypatch.chdir(project)
    runs = Config().runs("smoke")
    monkeypatch.setattr(Config, "runs", lambda self, scale="": runs)
    docs.make(io.StringIO(summary), Config())
    made = pd.read_csv("docs/figures.csv").set_index("figure")["runs"]
    assert (made["figure1"], made["figure3"], made["learning_curves"]) == (0, 1, 4)
    assert len(pd.read_csv("docs/runs.csv")) == len(runs)
    readme = docs.README.read_text(encoding="utf-8")
    assert pages.filled(readme) == readme
    ours = pd.read_csv("docs/reproduction.csv").set_index(["figure", "id"])["ours"]["4b", "test_accuracy"]
    assert f"{ours:.1%}" in pages.figures_block()
