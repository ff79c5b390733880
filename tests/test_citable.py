"""How the artifact is cited and archived: that the files that say so are valid and agree."""

import re
from datetime import date
from pathlib import Path

import pytest
from ruamel.yaml import YAML

import feature_collapse

# What CITATION.cff 1.2.0 asks of a file and of a reference (https://doi.org/10.5281/zenodo.5171937), of the keys used.
REQUIRED = {"cff-version", "message", "title", "authors"}
KNOWN = REQUIRED | {"abstract", "type", "version", "date-released", "license", "keywords", "references"}
REFERENCE_REQUIRED = {"type", "title", "authors"}
REFERENCE_KNOWN = REFERENCE_REQUIRED | {"year", "conference", "identifiers", "url", "notes"}


@pytest.fixture
def citation(root: Path) -> dict:
    return YAML(typ="safe").load((root / "CITATION.cff").read_text("utf-8"))


def test_the_citation_file_has_the_structure_of_its_format(citation: dict) -> None:
    assert REQUIRED <= set(citation) <= KNOWN
    assert citation["cff-version"] == "1.2.0"
    assert citation["type"] == "software"
    assert isinstance(citation["date-released"], date)
    assert all(set(author) == {"name"} for author in citation["authors"])
    for reference in citation["references"]:
        assert REFERENCE_REQUIRED <= set(reference) <= REFERENCE_KNOWN
        assert all(set(author) == {"family-names", "given-names"} for author in reference["authors"])
        assert all(set(one) == {"type", "value"} for one in reference["identifiers"])


def test_the_paper_is_its_reference(citation: dict, root: Path) -> None:
    (paper,) = citation["references"]
    assert paper["title"] == "Feature Collapse"
    assert [author["family-names"] for author in paper["authors"]] == ["Laurent", "von Brecht", "Bresson"]
    assert paper["url"] == "https://arxiv.org/abs/2305.16162"
    assert paper["url"] in (root / "README.md").read_text("utf-8")


def test_version_date_and_license_are_the_same_everywhere(citation: dict, root: Path) -> None:
    assert citation["version"] == feature_collapse.__version__
    latest = re.search(r"^## \[(\S+)\] - (\S+)$", (root / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
    assert latest.groups() == (citation["version"], str(citation["date-released"]))
    assert f'license = "{citation["license"]}"' in (root / "pyproject.toml").read_text("utf-8")
    licence = (root / "LICENSE").read_text("utf-8")
    assert licence.startswith(f"{citation['license']} License")
    assert citation["authors"][0]["name"] in licence


@pytest.mark.parametrize(
    "item",
    [
        *("Functional", "Reusable", "Available", "Reproduced"),
        *("dependencies", "training code", "evaluation code", "pre-trained models", "table of results"),
    ],
)
def test_the_artifact_page_has_every_item(root: Path, item: str) -> None:
    assert re.search(rf"^(#|\|).*{item}", (root / "ARTIFACT.md").read_text("utf-8"), re.MULTILINE)


def test_what_the_artifact_page_points_to_is_there(root: Path) -> None:
    text = (root / "ARTIFACT.md").read_text("utf-8")
    links = [link for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert len(links) > 15
    assert [link for link in links if not (root / link).exists()] == []
    makefile = (root / "Makefile").read_text("utf-8")
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in re.findall(r"`make (\w+)`", text))
