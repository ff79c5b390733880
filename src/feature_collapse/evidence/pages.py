"""What README.md and docs/ say of a full run, made from the tables below docs/ so that no number is typed by hand."""

from pathlib import Path

import pandas as pd

from feature_collapse.evidence.studies import DECIDED, hypotheses_table, say, summary
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.figures import Entry, Figures
from feature_collapse.workflow.resources import makespan

DOCS = Path("docs")
STUDIES = "Studies"  # the category of captions whose figures have a table of their own
PICTURES = (".png", ".gif")
REBUILD = "rebuild: `snakemake -c2`"  # the command, above the file that is asked of it
WORDS = {
    "test_accuracy": "; {:.1%}",
    "peak_test_accuracy": "; peak {:.1%}",
    "words_norm_mean": "; norm {:.3g}",
    "words_norm_std": " ± {:.2g}",
    "words_sigma_3": "; σ₃ {:.2g}",
}


def figures_table(trained: dict[str, list[str]], seconds: dict[str, float]) -> pd.DataFrame:
    """What training for each figure by itself takes: minutes of one core, and on two cores that share its runs, the
    longest first, one core a run."""
    rows = []
    for figure, runs in trained.items():
        of_runs = [seconds[run] for run in runs]
        rows.append((figure, len(runs), sum(of_runs) / 60, makespan(of_runs, 2) / 60))
    return pd.DataFrame(rows, columns=["figure", "runs", "core_minutes", "two_core_minutes"]).round(2)


def figures_block() -> str:
    """README's table of the figures, one row a figure, from `docs/figures.csv` and `docs/reproduction.csv`."""
    return _rows(studies=False)


def studies_block() -> str:
    """The same for the figures of studies."""
    return _rows(studies=True)


def _rows(studies: bool) -> str:
    minutes = {row["figure"]: row for row in pd.read_csv(DOCS / "figures.csv").to_dict("records")}
    numbers = pd.read_csv(DOCS / "reproduction.csv").set_index(["figure", "id"])
    rows = []
    for name, entry in Figures(Config()).entries().items():
        if name in minutes and (entry.category == STUDIES) == studies:
            picture = next(path for kind in PICTURES if (path := DOCS / "figures" / f"{name}{kind}").exists())
            of, kind = minutes[name], ".pdf" if picture.suffix == ".png" else picture.suffix
            rows.append(
                {
                    "figure": f"[{entry.title}]({picture.as_posix()})",
                    "shows": entry.shows,
                    REBUILD: f"`figures/{name}{kind}`",
                    "minutes": _minutes(of["two_core_minutes"], of["core_minutes"]),
                }
                | {who: _values(numbers, entry, column) for who, column in (("paper", "paper"), ("here", "ours"))}
            )
    if not rows:
        return "None has been run."
    table = pd.DataFrame(rows)
    filled = [column for column in table if (table[column] != "").any()]
    return table[filled].to_markdown(index=False, disable_numparse=True)


def _minutes(two_cores: float, one_core: float) -> str:
    if one_core < 1:
        return "< 1"
    return f"{two_cores:.0f} ({one_core:.0f})" if one_core > two_cores else f"{one_core:.0f}"


def _values(numbers: pd.DataFrame, entry: Entry, column: str) -> str:
    """The numbers of a caption in a few words: `100.0%; σ 35.05, 34.46, 0.1841`."""
    words = [
        WORDS[quantity].format(numbers.loc[(figure, quantity), column])
        for figure, quantities in entry.numbers.items()
        for quantity in quantities
    ]
    return "".join(words).removeprefix("; ")


def picture_block() -> str:
    """The line below README's first picture."""
    numbers = pd.read_csv(DOCS / "reproduction.csv")
    accuracy = numbers[numbers["id"] == "test_accuracy"].set_index("figure")["ours"]
    return (
        "*The paper's four experiments, retrained here: words and classifier vectors through training, in logarithmic "
        "time, and crosses where theory puts them. With long-tailed words and few sentences (Figure 4b) the classifier "
        f"vectors do not collapse, and the plain network classifies {accuracy['4b']:.2%} of fresh sentences. With "
        f"LayerNorm (Figure 4c) they do, and it classifies {accuracy['4c']:.2%}.*"
    )


def summary_block() -> str:
    """What came out, in a few sentences, from the tables under `docs/`."""
    numbers, claims = pd.read_csv(DOCS / "reproduction.csv"), pd.read_csv(DOCS / "claims.csv")
    runs = pd.read_csv(DOCS / "runs.csv")
    out = numbers[numbers["verdict"] != "within"]
    missed = "; ".join(
        f"Figure {row.figure}'s {row.quantity} (paper {row.paper:.4g}, here {row.ours:.4g})" for row in out.itertuples()
    )
    seconds = dict(zip(runs["run"], runs["cpu_seconds"], strict=True))
    whole = figures_table({"all": list(seconds)}, seconds).iloc[0]
    within = numbers["verdict"] == "within"
    verdicts = claims["verdict"].str.replace(r"not run.*", "not run", regex=True)
    counts = ", ".join(f"{count} {verdict}" for verdict, count in verdicts.value_counts().items())
    contradicted = "".join(f"\n  - {claim}" for claim in claims.loc[verdicts == "contradicted", "claim"])
    return "\n".join(
        [
            f"- {within.sum()} of the paper's {len(numbers)} numbers are within their tolerance"
            + (f"; outside: {missed}." if missed else "."),
            f"- Of its {len(claims)} claims: {counts}" + (f". Contradicted:{contradicted}" if contradicted else "."),
            f"- Training everything takes {whole['core_minutes']:.0f} core-minutes, "
            f"{whole['two_core_minutes']:.0f} minutes on two cores, and at most {runs['peak_memory_mb'].max():.0f} MB "
            "of memory a job.",
        ]
    )


def studies_page(config: Config) -> str:
    """`docs/studies.md`: what studies are, then each question with its answer, its figure and what it took. A study of
    which `docs/` has not every run that is configured is named, and no more."""
    minutes = {row["figure"]: row["core_minutes"] for row in pd.read_csv(DOCS / "figures.csv").to_dict("records")}
    parts = [
        "# Questions of the paper's readers, answered",
        "A study is a grid of runs around the paper's experiments, made by the same rules, and described in one file "
        f"of `config/studies/`: question, runs, and what was expected of them. {DECIDED} A person wrote the answers; "
        "their numbers are filled in from the tables, and each is shown only while the verdicts are those it was "
        "written for.",
    ]
    missing = []
    for name in config.studies:
        study, figure, table = config.question(name), f"study_{name}", DOCS / "studies" / f"{name}.csv"
        rows = pd.read_csv(table) if table.exists() else pd.DataFrame({"run": []})
        if set(rows["run"]) != {run.name for run in config.study(name)} or figure not in minutes:
            missing.append(f"{study.question} `snakemake --cores all study_{name}`")
            continue
        classes, seeds = sorted(set(rows["K"])), rows["seed"].nunique()
        size = " to ".join(str(int(K)) for K in dict.fromkeys([classes[0], classes[-1]]))
        parts += [
            f"## {study.question}",
            summary(study, rows),
            f"![{study.question}](figures/{figure}.png)",
            hypotheses_table(say(study, rows)).to_markdown(index=False, disable_numparse=True),
            f"{len(rows)} runs at K = {size} with {seeds} seed{'s' if seeds > 1 else ''}, "
            f"{minutes[figure]:.0f} core-minutes; "
            f"[all means and intervals](studies/{name}.md), [every run](studies/{name}.csv). "
            f"Again: `snakemake --cores all study_{name}`.",
        ]
    if missing:
        parts += ["## To be run", "\n".join(f"- {study}" for study in missing)]
    return "\n\n".join(parts) + "\n"


BLOCKS = {"picture": picture_block, "figures": figures_block, "summary": summary_block, "studies": studies_block}


def filled(readme: str) -> str:
    """README with each block between `<!-- name -->` and `<!-- end name -->` made anew from `docs/`."""
    for name, block in BLOCKS.items():
        before, begin, rest = readme.partition(f"<!-- {name} -->\n")
        _, end, after = rest.partition(f"<!-- end {name} -->")
        if end:
            readme = f"{before}{begin}{block()}\n{end}{after}"
    return readme
