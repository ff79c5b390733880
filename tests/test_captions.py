"""What the report says of each figure and table: complete, unambiguous, and with the numbers of the runs."""

import re
from collections import Counter
from pathlib import Path

import pandas as pd
import pytest

from feature_collapse.stages import features as features_stage
from feature_collapse.stages import train
from feature_collapse.stages.data import make as make_data
from feature_collapse.workflow import captions
from feature_collapse.workflow.captions import Caption
from feature_collapse.workflow.config import Config, ConfigError, Run

FILE = "config/captions.yaml"


def entry(**fields: object) -> Caption:
    texts = {"title": "T", "theme": "t", "category": "C", "shows": "shows it", "expected": "This.", "seen": "That."}
    return Caption(**texts | fields)


def snakefile(root: Path, name: str) -> object:
    """A constant of the Snakefile."""
    text = (root / "Snakefile").read_text("utf-8")
    return eval(re.search(rf"^{name} = ((?:[\[{{]\n(?:    .*\n)+[\]}}])|.*)", text, re.MULTILINE)[1])


def test_every_figure_and_table_has_a_caption(root: Path, config: Config) -> None:
    entries = captions.read(root / FILE)
    studies = [f"{kind}{study}" for study in config.studies for kind in ("studies/", "study_")]
    assert {*snakefile(root, "FIGURES"), *snakefile(root, "TABLES"), *studies} <= set(entries)


def test_no_two_results_have_a_label_in_common(root: Path) -> None:
    entries = captions.read(root / FILE)
    values = Counter(value for name in entries for value in captions.labels(name, entries).items())
    assert [value for value, times in values.items() if times > 1] == []


@pytest.mark.parametrize(
    ("path", "name_and_scale"),
    [
        ("figures/figure3.png", ("figure3", "")),
        ("figures/smoke/figure3.pdf", ("figure3", "smoke")),
        ("results/quick/studies/lambda.html", ("studies/lambda", "quick")),
    ],
)
def test_the_caption_of_a_file_is_found_by_its_path(path: str, name_and_scale: tuple[str, str]) -> None:
    entries = {"figure3": entry(), "studies/lambda": entry()}
    assert captions.name_and_scale([path], entries, ["quick", "smoke"]) == name_and_scale


def test_a_file_without_a_caption_is_named() -> None:
    with pytest.raises(ConfigError, match=r"no caption for figures/figure9\.png"):
        captions.name_and_scale(["figures/figure9.png"], {"figure3": entry()}, [])


def test_numbers_are_those_of_the_run(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    run = config.run("smoke/fig3/seed0")
    run = Run(run.name, run.scale, run.experiment.model_copy(update={"epochs": 2, "records": 2}), run.seed)
    monkeypatch.setattr(Config, "runs", lambda self, scale: {("fig3", 0): run})
    make_data(run)
    train.make(run, 1, quiet=True)
    features_stage.make(run)
    metrics = captions.artifacts.read_json(run.folder / "metrics.json", run)
    seen = "{fig3[words][sigma][0]:.3g}; {fig3_k50[words][sigma][0]:.3g}"
    entries = {"figure3": entry(seen=seen)}
    told = captions.caption(["figures/smoke/figure3.png"], entries, config)
    assert told == {
        "shows": "Shows it.",
        "expected": "This.",
        "seen": f"{metrics['words']['sigma'][0]:.3g}; (not run)",
        "scale": "smoke",
    }


def test_rows_of_a_table_are_counted_by_verdict(config: Config, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    captions.artifacts.write_csv(Path("results/numbers.csv"), pd.DataFrame({"verdict": ["within", "OUT", "within"]}))
    entries = {"numbers": entry(seen="{numbers[within]} of {numbers[rows]}, {numbers[not comparable]} small")}
    assert captions.caption(["results/numbers.html"], entries, config)["seen"] == "2 of 3, 0 small"


def test_a_study_answers_for_its_table_and_its_figure(config: Config, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("results/studies").mkdir(parents=True)
    Path("results/studies/tail.md").write_text("# Does it?\n\nIt does.\n\nMeans over seeds.\n", encoding="utf-8")
    Path("captions.yaml").write_text(
        "studies/tail: {title: T, theme: t, category: C, shows: shows, expected: This.}", encoding="utf-8"
    )
    entries = captions.read(Path("captions.yaml"))
    for file in ("results/studies/tail.html", "figures/study_tail.png"):
        assert captions.caption([file], entries, config)["seen"] == "It does."


def test_a_misspelt_key_is_named(tmp_path: Path) -> None:
    file = tmp_path / "captions.yaml"
    file.write_text("figure1: {title: T, sees: nothing}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"captions\.yaml: figure1\."):
        captions.read(file)
