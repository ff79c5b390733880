"""What `config/figures.yaml` says of each figure and table: complete, unambiguous, and with the numbers of the runs."""

import shutil
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest
from workflow import edit_yaml

from feature_collapse.evidence.captions import caption
from feature_collapse.stages import data, features, train
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.figures import Figures, labels
from feature_collapse.workflow.run import ConfigError, Run

FILE = Path("config/figures.yaml")
SEEN = "{fig3[words][sigma][0]:.3g}; {fig3_k50[words][sigma][0]:.3g}"


@pytest.fixture
def folder(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working folder with the configuration as it is delivered, to be edited."""
    shutil.copytree(root / "config", tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_no_two_results_have_a_label_in_common(config: Config) -> None:
    entries = Figures(config).entries()
    values = Counter(value for name, entry in entries.items() for value in labels(name, entry).items())
    assert len(entries) > 2 * len(config.studies) + 10
    assert [value for value, times in values.items() if times > 1] == []


@pytest.mark.parametrize(
    ("path", "name_and_scale"),
    [
        ("figures/figure3.png", ("figure3", "")),
        ("figures/smoke/figure3.pdf", ("figure3", "smoke")),
        ("results/quick/studies/lambda.html", ("studies/lambda", "quick")),
        ("figures/study_lambda.png", ("study_lambda", "")),
    ],
)
def test_the_entry_of_a_file_is_found_by_its_path(config: Config, path: str, name_and_scale: tuple[str, str]) -> None:
    assert Figures(config).name_and_scale([path]) == name_and_scale


def test_a_file_without_an_entry_is_named(config: Config) -> None:
    with pytest.raises(ConfigError, match=r"no entry for figures/figure9\.png"):
        Figures(config).name_and_scale(["figures/figure9.png"])


def test_numbers_are_those_of_the_run(folder: Path, config: Config, monkeypatch: pytest.MonkeyPatch, process) -> None:
    run = config.run("smoke/fig3/seed0")
    run = Run(run.name, run.scale, run.experiment.model_copy(update={"epochs": 2, "records": 2}), run.seed)
    monkeypatch.setattr(Config, "shown", lambda self, scale: {"fig3": run})
    data.make(run)
    train.make(run, quiet=True)
    features.make(run)
    edit_yaml(FILE, lambda file: file["figures"]["figure3"].update(shows="shows it", expected="This.", seen=SEEN))
    metrics = artifacts.read_json(run.folder / "metrics.json", run)
    assert caption(["figures/smoke/figure3.png"]) == {
        "shows": "Shows it.",
        "expected": "This.",
        "seen": f"{metrics['words']['sigma'][0]:.3g}; (not run)",
        "scale": "smoke",
    }


@pytest.mark.usefixtures("folder")
def test_rows_of_a_table_are_counted_by_verdict() -> None:
    artifacts.write_csv(Path("results/claims.csv"), pd.DataFrame({"verdict": ["holds", "OUT", "holds"]}))
    seen = "{claims[holds]} of {claims[rows]}, {claims[not run]} not run"
    edit_yaml(FILE, lambda file: file["tables"]["claims"].update(seen=seen))
    assert caption(["results/claims.html"])["seen"] == "2 of 3, 0 not run"


def test_a_study_answers_for_its_table_and_its_figure(folder: Path) -> None:
    edit_yaml(
        Path("config/studies/tail.yaml"),
        lambda file: file.update(
            hypotheses={"h": {"says": "So it is.", "column": "u_cdnv", "at_most": 1}},
            answer={"when": {"h": "supported"}, "text": "It is {h.of}."},
        ),
    )
    for value, seen in ((0.5, "It is 0.5."), (2.0, "So it is. Contradicted.")):
        artifacts.write_csv(Path("results/studies/tail.csv"), pd.DataFrame({"seed": [0], "u_cdnv": [value]}))
        for file in ("results/studies/tail.html", "figures/study_tail.png"):
            assert caption([file])["seen"] == seen
        assert caption(["results/studies/tail.html"])["expected"] == "So it is."


WRONG = {
    "misspelt key": (lambda file: file["figures"]["figure1"].update(sees="nothing"), r"figures\.figure1\."),
    "no such function": (lambda file: file["figures"]["figure3"].update(draw="nope"), r"draw: no 'nope'.*scatter"),
    "no such experiment": (
        lambda file: file["figures"]["figure3"].update(of={"fig9": "Figure 9"}),
        r"figure3\.of: .*'fig9'",
    ),
    "no such file": (lambda file: file["figures"]["figure3"].update(reads=["nope.csv"]), r"figure3\.reads"),
    "nothing said": (lambda file: file["tables"]["claims"].pop("expected"), r"tables\.claims\.expected: missing key"),
}


@pytest.mark.parametrize("case", WRONG)
@pytest.mark.usefixtures("folder")
def test_what_is_wrong_is_named(case: str) -> None:
    spoil, named = WRONG[case]
    edit_yaml(FILE, spoil)
    with pytest.raises(ConfigError, match=rf"^config/figures\.yaml: .*{named}"):
        Figures(Config())


@pytest.mark.usefixtures("folder")
def test_an_experiment_that_no_figure_shows_has_one_of_its_own() -> None:
    before = Figures(Config()).drawn
    edit_yaml(Path("config/experiments.yaml"), lambda file: file["experiments"].update(mine={"n_spl": 20, "epochs": 5}))
    config = Config()
    figures = Figures(config)
    assert set(figures.drawn) - set(before) == {"mine"}
    assert figures.drawn["mine"].draw == figures.drawn["figure4b"].draw
    assert figures.runs("mine", "smoke") == {"mine": config.run("smoke/mine/seed0")}
    edit_yaml(Path("config/experiments.yaml"), lambda file: file["scales"]["quick"]["leave_out"].append("mine"))
    with pytest.raises(ConfigError, match="mine: the scale quick leaves out mine"):
        Figures(Config()).runs("mine", "quick")
