"""The copies under `docs/` and the tables in README.md, made from a full run so that no number is typed by hand."""

import re
import shutil
from pathlib import Path

import pandas as pd

from feature_collapse import artifacts
from feature_collapse.config import Config

DOCS = Path("docs")
README = Path("README.md")
TABLES = ("reproduction", "theory", "enumeration", "enumeration_gradients", "claims", "benchmark", "studies/lambda")
SHOWS = {
    "fig3": ("figure3", "uniform words: all words of a concept become one vector (type I)"),
    "fig4a": ("figure4a", "long-tailed words, many sentences: one direction a concept, sizes by frequency (type III)"),
    "fig4b": ("figure4b", "long-tailed words, few sentences: no collapse, no generalisation"),
    "fig4c": ("figure4c", "the same sentences with LayerNorm: collapse (type II) and generalisation"),
}


def runs_table(config: Config) -> pd.DataFrame:
    """What each run took, one row a run: from `run.json`, and the processor's seconds from Snakemake's benchmark."""
    rows = []
    for run in config.runs().values():
        record = artifacts.read_json(run.folder / "run.json", run)
        benchmark = pd.read_csv(run.folder / "log" / "train.benchmark.tsv", sep="\t")
        rows.append(
            {
                "run": run.name,
                "steps": run.experiment.steps,
                **{key: record[key] for key in ("threads", "seconds", "peak_memory_mb")},
                "cpu_seconds": benchmark["cpu_time"].item(),
                **record["machine"],
            }
        )
    return pd.DataFrame(rows)


def figures_block() -> str:
    """README's table, one row a figure, from `docs/reproduction.csv` and `docs/runs.csv`."""
    numbers = pd.read_csv(DOCS / "reproduction.csv")
    runs = pd.read_csv(DOCS / "runs.csv").set_index("run")
    rows = []
    for experiment, (figure, shows) in SHOWS.items():
        of = numbers[(numbers["figure"] == experiment.removeprefix("fig")) & (numbers["seed"] == numbers["seed"].min())]
        of = of.set_index("quantity")
        seconds = runs.loc[f"{experiment}/seed{numbers['seed'].min()}", "cpu_seconds"]
        rows.append(
            {
                "figure": f"[{figure}](docs/figures/{figure}.png)",
                "shows": shows,
                "rebuild": f"`snakemake --cores all figures/{figure}.pdf`",
                "core-minutes": f"{seconds / 60:.0f}",
                **{
                    who: f"{of.loc['test accuracy', column]:.1%}; "
                    + ", ".join(f"{of.loc[f'singular value {i} of the words', column]:.4g}" for i in (1, 2, 3))
                    for who, column in (("paper", "paper"), ("here", "ours"))
                },
            }
        )
    return pd.DataFrame(rows).to_markdown(index=False, disable_numparse=True)


def summary_block() -> str:
    """What came out, in a few sentences, from the tables under `docs/`."""
    numbers, claims = pd.read_csv(DOCS / "reproduction.csv"), pd.read_csv(DOCS / "claims.csv")
    runs = pd.read_csv(DOCS / "runs.csv")
    out = numbers[numbers["verdict"] != "within"]
    missed = "; ".join(
        f"Figure {row.figure}'s {row.quantity} (paper {row.paper:.4g}, here {row.ours:.4g})" for row in out.itertuples()
    )
    within, held = numbers["verdict"] == "within", claims["verdict"] == "holds"
    return "\n".join(
        [
            f"- {within.sum()} of the paper's {len(numbers)} numbers are within their tolerance"
            + (f"; outside: {missed}." if missed else "."),
            f"- {held.sum()} of {len(claims)} claims hold"
            + (f"; not: {' '.join(claims.loc[~held, 'claim'])}" if not held.all() else "."),
            f"- Training took {runs['cpu_seconds'].sum() / 60:.0f} core-minutes in all, and at most "
            f"{runs['peak_memory_mb'].max():.0f} MB of memory a job.",
        ]
    )


BLOCKS = {"figures": figures_block, "summary": summary_block}


def filled(readme: str) -> str:
    """README with each block between `<!-- name -->` and `<!-- end name -->` made anew from `docs/`."""
    for name, block in BLOCKS.items():
        begin, end = f"<!-- {name} -->\n", f"<!-- end {name} -->"
        filling = begin + block() + "\n" + end
        readme = re.sub(f"{begin}.*?{end}", lambda _, filling=filling: filling, readme, flags=re.DOTALL)
    return readme


def make(config: Config) -> None:
    """Copy the figures and tables of a full run to `docs/` and fill README's blocks from them."""
    for name in TABLES:
        for source in (Path("results") / f"{name}.csv", Path("results") / f"{name}.md"):
            if source.exists():
                target = DOCS / source.relative_to("results")
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target)
    (DOCS / "figures").mkdir(parents=True, exist_ok=True)
    for picture in sorted(Path("figures").glob("*.png")):
        shutil.copyfile(picture, DOCS / "figures" / picture.name)
    with artifacts.atomic(DOCS / "runs.csv") as temporary:
        runs_table(config).to_csv(temporary, index=False)
    readme = filled(README.read_text(encoding="utf-8"))
    with artifacts.atomic(README) as temporary:
        temporary.write_text(readme, encoding="utf-8")
