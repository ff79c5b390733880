"""The archive: that the official validator takes it, offline, and that what is in it is what the workflow made."""

import io
import json
import shutil
import zipfile
from pathlib import Path

import pytest
import requests
import urllib3
import workflow
from click.testing import CliRunner
from requests_cache import CachedSession
from rocrate_validator.models import Severity, ValidationSettings
from rocrate_validator.services import validate
from workflow import PROJECT, Smoke

from feature_collapse.__main__ import main
from feature_collapse.stages import crate
from feature_collapse.workflow import crate as contents_of_crate
from feature_collapse.workflow.config import Config

ARCHIVE = Path("results/smoke") / crate.NAME
# The validator reads what the terms of RO-Crate 1.1 mean from the address below: a copy of it, as it was published
# under CC0, stands in for the network.
CONTEXT = "https://w3id.org/ro/crate/1.1/context"
CONTEXT_FILE = PROJECT / "tests/ro-crate-1.1-context.jsonld"
# What is recommended and not done, and why.
LEFT_OUT = {
    "workflow-ro-crate-1.0_8.1": "Bioschemas' profile asks for formal inputs and outputs, which a Snakefile has not",
    "ro-crate-1.1_22.3": "nobody has published it yet",
    "ro-crate-1.1_30.2": "the affiliations of the paper's authors are theirs to state",
    "ro-crate-1.1_30.3": "likewise",
    "ro-crate-1.1_31.2": "the contributors have no page",
}


@pytest.fixture
def project(smoke: Smoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder of a test: the whole project, finished at toy size."""
    folder = workflow.copy_project(tmp_path / "project")
    for pattern in contents_of_crate.PROJECT:
        for path in PROJECT.glob(pattern):
            (folder / path.relative_to(PROJECT)).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(path, folder / path.relative_to(PROJECT))
    for name in ("results", "figures"):
        shutil.copytree(smoke.first / name, folder / name)
    monkeypatch.chdir(folder)
    # Calls in this process run the code of this checkout.
    monkeypatch.setattr("feature_collapse.__main__.own_package", lambda: None)
    return folder


def archive() -> zipfile.ZipFile:
    crate.make("smoke", Config())
    return zipfile.ZipFile(ARCHIVE)


def issues(path: Path, cache: Path) -> dict[str, Severity]:
    """What the official validator finds fault with at `path`, by the identifier of the check, without the network."""
    request = requests.Request("GET", CONTEXT).prepare()
    body = CONTEXT_FILE.read_bytes()
    answer = requests.Response()
    answer.status_code, answer.url, answer.request, answer._content = 200, CONTEXT, request, body
    answer.headers["Content-Type"] = "application/ld+json"
    answer.raw = urllib3.HTTPResponse(io.BytesIO(body), status=200, preload_content=False, request_url=CONTEXT)
    CachedSession(str(cache), backend="sqlite").cache.save_response(answer)
    settings = ValidationSettings(
        rocrate_uri=str(path),
        profile_identifier="workflow-ro-crate-1.0",
        requirement_severity=Severity.RECOMMENDED,
        cache_path=cache,
        offline=True,
    )
    return {issue.check.identifier: issue.severity for issue in validate(settings).get_issues(Severity.RECOMMENDED)}


def test_the_official_validator_takes_it(project: Path) -> None:
    archive().close()
    found = issues(ARCHIVE, project / "cache")
    assert [check for check, severity in found.items() if severity == Severity.REQUIRED] == []
    assert set(found) == set(LEFT_OUT)


def test_the_official_validator_refuses_one_that_lacks_a_file(project: Path) -> None:
    with archive() as whole, zipfile.ZipFile("lacking.zip", "w") as lacking:
        for name in whole.namelist():
            if name != "figures/smoke/figure3.pdf":
                lacking.writestr(name, whole.read(name))
    found = issues(Path("lacking.zip"), project / "cache")
    assert [check for check, severity in found.items() if severity == Severity.REQUIRED] == ["ro-crate-1.1_12.1"]


def test_it_holds_the_workflow_and_all_that_it_made_and_describes_each_file(project: Path) -> None:
    made = workflow.contents(project)
    with archive() as whole:
        held = {name: whole.read(name) for name in whole.namelist()}
    graph = json.loads(held.pop("ro-crate-metadata.json"))["@graph"]
    del held["ro-crate-preview.html"]
    assert {name: made[name] for name in held} == held
    assert {
        "Snakefile",
        "requirements.txt",
        "config/experiments.yaml",
        "src/feature_collapse/model/training.py",
    } <= set(held)
    assert {f"figures/smoke/{name}.{kind}" for name in workflow.FIGURES for kind in ("pdf", "png")} <= set(held)
    assert {f"results/{run}/run.json" for run in workflow.smoke_runs()} <= set(held)
    assert {f"results/smoke/{name}.csv" for name in ("reproduction", "theory", "enumeration", "claims")} <= set(held)
    described = {entity["@id"]: entity for entity in graph if "File" in entity["@type"]}
    assert set(described) == set(held)
    assert all(entity["description"] and entity["encodingFormat"] for entity in described.values())


def test_it_says_what_citation_cff_says(project: Path) -> None:
    with archive() as whole:
        graph = {entity["@id"]: entity for entity in json.loads(whole.read("ro-crate-metadata.json"))["@graph"]}
    citation, root = contents_of_crate._citation(), graph["./"]
    assert (root["name"], root["version"]) == (citation["title"], citation["version"])
    assert root["datePublished"] == str(citation["date-released"])
    assert root["license"]["@id"].endswith("/MIT")
    assert root["mainEntity"] == {"@id": "Snakefile"}
    assert "scale 'smoke'" in root["description"]
    assert graph[root["citation"]["@id"]]["name"] == "Feature Collapse"


def test_the_same_files_give_the_same_bytes(project: Path) -> None:
    archive().close()
    first = ARCHIVE.read_bytes()
    for path in project.rglob("*.csv"):
        path.touch()
    archive().close()
    assert ARCHIVE.read_bytes() == first


def test_the_workflow_runs_from_the_unpacked_archive(project: Path, tmp_path: Path) -> None:
    with archive() as whole:
        whole.extractall(tmp_path / "unpacked")
    assert f"train {workflow.smoke_runs()[0]}" in workflow.planned(tmp_path / "unpacked", "smoke")


@pytest.mark.parametrize(
    "missing", ["results/smoke/fig4b/seed0/run.json", "results/smoke/claims.csv", "CITATION.cff", "config"]
)
def test_what_is_not_finished_or_not_whole_is_refused(project: Path, missing: str) -> None:
    path = project / missing
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    result = CliRunner().invoke(main, ["crate", "--scale", "smoke"])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: {missing}") and result.stderr.count("\n") == 1
    assert not ARCHIVE.exists()
