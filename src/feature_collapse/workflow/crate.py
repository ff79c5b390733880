"""What a Workflow RO-Crate of the project holds, and what it says of each of its files.

The profile is https://w3id.org/workflowhub/workflow-ro-crate/1.0, on top of RO-Crate 1.1 (Soiland-Reyes et al., 2022,
https://doi.org/10.3233/DS-210053). Who made what, and when it was released, is read from `CITATION.cff`.
"""

from importlib.metadata import version
from pathlib import Path
from typing import Any

from rocrate.model import ContextEntity
from rocrate.rocrate import ROCrate
from ruamel.yaml import YAML

from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.run import ConfigError

CITATION = Path("CITATION.cff")
LICENSE = "https://spdx.org/licenses/{}"
WORKFLOW = "Snakefile"

# Every file of the project that running the workflow takes, and what it is. Each pattern has to be there.
PROJECT = {
    "src/feature_collapse/**/[!.]*.*": "A module that the rules of the workflow run, or the frame of a page",
    "config/*.yaml": "Configuration: experiments, figures, the paper's numbers, or its claims",
    "corpus/*": "The text that experiments on text are made from, the script that makes it, and its licences",
    "rules/*.smk": "The chapters of the workflow",
    "report/*.rst": "The frame of the report's texts",
    "profiles/*/*": "Options that every call of Snakemake takes",
    "requirements.txt": "The exact version of every package: the lock of the environment",
    "environment.*": "The environment for conda, from the same lock",
    "pyproject.toml": "The package and what it needs",
    "Makefile": "The commands",
    "README.md": "What this is, and how to run it",
    "ARTIFACT.md": "What the artifact offers, item by item of the usual checklists",
    "CHANGELOG.md": "What has changed from version to version",
    "CITATION.cff": "How to cite this artifact and the paper",
    "LICENSE": "The license",
}
# What the workflow has made, below figures/ and results/ and the scale's folder, by the ends of the names.
FIGURES = {"pdf": "Figure", "png": "Figure", "gif": "Animation", "mp4": "Animation"}
TABLES = {
    "csv": "Table",
    "csv.sha256": "Checksum of a table",
    "md": "Table, for reading",
    "html": "Page, self-contained",
}
RECORD = "Record of a training: settings, seed, versions, time, and checksums of its data, weights and history"

# Written out, since what Python's own list says depends on its version and on the machine.
ENCODING = {
    "": "text/plain",
    ".bz2": "application/x-bzip2",
    ".cff": "application/yaml",
    ".csv": "text/csv",
    ".gif": "image/gif",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".mp4": "video/mp4",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".py": "text/x-python",
    ".mplstyle": "text/plain",
    ".sh": "application/x-sh",
    ".sha256": "text/plain",
    ".smk": "text/plain",
    ".toml": "application/toml",
    ".txt": "text/plain",
    ".yaml": "application/yaml",
    ".yml": "application/yaml",
}


def contents(scale: str, config: Config) -> dict[Path, str]:
    """The files of the crate but for the workflow itself, and what each is. Raises ArtifactError unless the `run.json`
    of every run and the table of claims are there and whole, and ConfigError if a file of the project is missing."""
    for run in config.runs(scale).values():
        artifacts.read_json(run.folder / "run.json", run)
    artifacts.read_csv(Path("results") / scale / "claims.csv")  # the last table, made from all others
    figures, results = Path("figures") / scale, Path("results") / scale
    found: dict[Path, str] = {}
    for pattern, what in PROJECT.items():
        matching = [path for path in Path().glob(pattern) if path.is_file()]
        if not matching:
            raise ConfigError(f"{pattern}: is missing; call this in the top folder of the project")
        found |= dict.fromkeys(matching, what)
    for folder, kinds in ((figures, FIGURES), (results, TABLES)):
        for kind, what in kinds.items():
            made = [path for path in folder.glob(f"[!.]*.{kind}") if path.stem != "README"]
            found |= {path: f"{what}: {path.stem}" for path in made}
    found |= {path: f"Study: {path.name}" for path in results.glob("studies/[!.]*")}
    found |= dict.fromkeys(results.glob("*/seed*/run.json"), RECORD)
    return dict(sorted(found.items()))


def describe(files: dict[Path, str], scale: str) -> ROCrate:
    """The crate of these files. Raises ConfigError if `CITATION.cff` cannot be read."""
    citation = _citation()
    crate = ROCrate(version="1.1", gen_preview=True)

    def entity(identifier: str, kind: str, name: str, **properties: object) -> ContextEntity:
        return crate.add(ContextEntity(crate, identifier, {"@type": kind, "name": name, **properties}))

    license = entity(LICENSE.format(citation["license"]), "CreativeWork", citation["license"])
    authors = [entity(_identifier(author["name"]), "Organization", author["name"]) for author in citation["authors"]]
    papers = []
    for paper in citation["references"]:
        names = [f"{author['given-names']} {author['family-names']}" for author in paper["authors"]]
        by = [entity(_identifier(name), "Person", name) for name in names]
        year = str(paper["year"])
        papers.append(entity(paper["url"], "ScholarlyArticle", paper["title"], author=_single(by), datePublished=year))
    by_us = {"license": license, "creator": _single(authors), "version": citation["version"]}

    workflow = crate.add_workflow(WORKFLOW, WORKFLOW, main=True, lang="snakemake", lang_version=version("snakemake"))
    about = {"name": citation["title"], "encodingFormat": ENCODING[""]}
    for key, value in {**about, "description": "Every rule, from data to figures and tables", **by_us}.items():
        workflow[key] = value
    for path, what in files.items():
        encoding = ENCODING.get(path.suffix, "application/octet-stream")
        properties = {"name": path.as_posix(), "description": what, "encodingFormat": encoding}
        crate.add_file(path, path.as_posix(), properties=properties)

    root = crate.root_dataset
    crate.name, crate.datePublished = citation["title"], str(citation["date-released"])
    crate.description = citation["abstract"] + (f" Made at the scale {scale!r}." if scale else "")
    for key, value in {"keywords": citation["keywords"], "citation": _single(papers), **by_us}.items():
        root[key] = value
    root["author"] = _single(authors)
    crate.get("README.md")["about"] = root
    return crate


def _citation() -> dict[str, Any]:
    try:
        content: dict[str, Any] = YAML(typ="safe", pure=True).load(CITATION.read_text(encoding="utf-8"))
    except Exception as error:  # the parser lets many kinds through
        raise ConfigError(f"{CITATION}: cannot be read ({' '.join(str(error).split())})") from None
    return content


def _identifier(name: str) -> str:
    return "#" + name.replace(" ", "-").replace(".", "")


def _single(values: list[Any]) -> object:
    """As RO-Crate 1.1 wants it: a single value is not a list of one."""
    return values[0] if len(values) == 1 else values
