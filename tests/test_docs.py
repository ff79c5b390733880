"""README and `docs/`: no number is typed by hand, and nothing that is shown is missing."""

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from feature_collapse import docs


def test_every_number_in_the_readme_is_that_of_the_tables(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root)
    readme = docs.README.read_text(encoding="utf-8")
    assert docs.filled(readme) == readme


def test_a_table_that_changes_changes_the_readme(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(root / "docs", tmp_path / "docs")
    readme = (root / "README.md").read_text(encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert docs.filled(readme) == readme
    numbers = pd.read_csv("docs/reproduction.csv")
    numbers.loc[numbers["quantity"] == "test accuracy", "ours"] = 0.123
    numbers.to_csv("docs/reproduction.csv", index=False)
    assert "12.3%" in docs.filled(readme)


def test_every_block_has_its_place(root: Path) -> None:
    readme = (root / "README.md").read_text(encoding="utf-8")
    for name in docs.BLOCKS:
        assert readme.count(f"<!-- {name} -->") == readme.count(f"<!-- end {name} -->") == 1


@pytest.mark.parametrize("page", ["README.md", "results/README.md", "figures/README.md"])
def test_every_link_within_the_project_leads_somewhere(root: Path, page: str) -> None:
    text = (root / page).read_text(encoding="utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert [link for link in links if not (root / page).parent.joinpath(link).exists()] == []


def test_the_tables_shown_are_of_the_experiments_as_configured(root: Path, config) -> None:
    runs = pd.read_csv(root / "docs/runs.csv").set_index("run")
    for run in config.runs().values():
        assert runs.loc[run.name, "steps"] == run.experiment.steps
