"""Copy the results of a full run to docs/ and README.

SUMMARY is what `snakemake --detailed-summary reported` prints about the run, or - for standard input.

\b
Reads:    figures/, results/
Writes:   docs/, and README.md between its marks
Example:  snakemake --detailed-summary reported |
          python -m feature_collapse docs -
"""

import shutil
from pathlib import Path
from typing import TextIO

import pandas as pd

from feature_collapse.evidence.pages import DOCS, PICTURES, figures_table, filled, studies_page
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Config

README = Path("README.md")
ENUMERATED = ("enumeration", "enumeration_gradients", "certificate")
TABLES = ("reproduction", "theory", *ENUMERATED, "claims", "benchmark", "studies/*")


def runs_table(config: Config) -> pd.DataFrame:
    """What each run took, one row a run: from `run.json`, and the processor's seconds from Snakemake's benchmark."""
    rows = []
    for run in config.runs().values():
        record = artifacts.read_json(run.folder / "run.json", run)
        rows.append(
            {
                "run": run.name,
                "steps": run.experiment.steps,
                **{key: record[key] for key in ("threads", "seconds", "peak_memory_mb")},
                "cpu_seconds": _cpu_seconds(run.folder),
                **record["machine"],
            }
        )
    return pd.DataFrame(rows)


def _cpu_seconds(folder: Path) -> float:
    return float(pd.read_csv(folder / "log" / "train.benchmark.tsv", sep="\t")["cpu_time"].item())


def trained_for(summary: pd.DataFrame) -> dict[str, list[str]]:
    """The runs to be trained for each figure, by its name, from Snakemake's detailed summary of a finished workflow."""
    made_from = dict(zip(summary["output_file"], summary["input-file(s)"].str.split(","), strict=True))
    training = set(summary.loc[summary["rule"] == "train", "output_file"])
    figures = {}
    for picture in made_from:
        if picture.startswith("figures/") and picture.endswith(PICTURES):
            files = [picture]
            for file in files:
                files += [source for source in made_from.get(file, ()) if source not in files]
            runs = {str(Path(file).parent.relative_to("results")) for file in files if file in training}
            figures[Path(picture).stem] = sorted(runs)
    return figures


def make(summary: TextIO, config: Config) -> None:
    """Copy the figures and tables of a full run to `docs/` and fill README's blocks from them. `summary` is what
    `snakemake --detailed-summary` says of it. Raises ArtifactError where a run is missing."""
    runs = runs_table(config)
    for name in TABLES:
        for source in (path for kind in ("csv", "md") for path in Path("results").glob(f"{name}.{kind}")):
            target = DOCS / source.relative_to("results")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    (DOCS / "figures").mkdir(parents=True, exist_ok=True)
    for picture in sorted(path for kind in PICTURES for path in Path("figures").glob(f"*{kind}")):
        shutil.copyfile(picture, DOCS / "figures" / picture.name)
    trained = trained_for(pd.read_csv(summary, sep="\t"))
    seconds = {run: _cpu_seconds(Path("results") / run) for run in {run for runs in trained.values() for run in runs}}
    for name, table in {"runs": runs, "figures": figures_table(trained, seconds)}.items():
        with artifacts.atomic(DOCS / f"{name}.csv") as temporary:
            table.to_csv(temporary, index=False)
    artifacts.write_text(DOCS / "studies.md", studies_page(config))
    artifacts.write_text(README, filled(README.read_text(encoding="utf-8")))
