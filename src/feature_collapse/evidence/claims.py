"""The paper's claims, one by one, with the hypotheses that decide them."""

from collections.abc import Mapping, Sequence

import pandas as pd

from feature_collapse.evidence.hypotheses import Result, decide
from feature_collapse.evidence.studies import DECIDED
from feature_collapse.workflow.measures import known, measure
from feature_collapse.workflow.studies import Claim, OfTable, named


def evaluate(claims: Mapping[str, Claim], tables: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """One row for each claim, by the tables that exist: its verdict, the first one where hypotheses were amended, and
    how many seeds, each by itself, are on the side of all of its hypotheses."""
    rows = []
    for name, claim in claims.items():
        hypotheses = claim.amended.hypotheses if claim.amended else claim.hypotheses
        results = [_decide(h, tables) for h in hypotheses]
        by_seed = [
            r.seeds for h, r in zip(hypotheses, results, strict=True) if r.findings and "seed" in tables[h.table]
        ]
        agree = pd.concat(by_seed, axis=1).fillna(True).all(axis=1) if by_seed else pd.Series(dtype=bool)
        rows.append(
            {
                "id": name,
                "claim": claim.claim,
                "source": claim.source,
                "verdict": _verdict(hypotheses, results),
                "first verdict": _verdict(h := claim.hypotheses, [_decide(x, tables) for x in h])
                if claim.amended
                else "",
                "amended": f"{claim.amended.date}: {claim.amended.why}" if claim.amended else "",
                "seeds": f"{agree.sum()} of {len(agree)}" if len(agree) else "",
                "decided by": "; ".join(map(describe, hypotheses)),
                "measured": "; ".join(map(_measured, results)),
                "remark": claim.remark,
            }
        )
    return pd.DataFrame(rows)


def describe(hypothesis: OfTable) -> str:
    """`CDNV of words (experiment fig3) ≤ 0.02`."""
    column = hypothesis.column
    label = measure(column).label if known(column) else column.replace("_", " ")
    where = f"{hypothesis.table}: " if hypothesis.table != "runs" else ""
    of = f" ({named(hypothesis.of)})" if hypothesis.of else ""
    return f"{where}{label}{of} {hypothesis.bound()}"


def markdown(rows: pd.DataFrame) -> str:
    """The verdicts first, then each claim with its hypotheses one below the other."""
    counts = rows["verdict"].str.partition(":")[0].value_counts()
    parts = [
        "# The paper's claims",
        ", ".join(f"{count} {verdict}" for verdict, count in counts.items()) + f", of {len(rows)}.",
        rows[["claim", "verdict", "seeds"]].to_markdown(index=False, disable_numparse=True),
        DECIDED,
    ]
    for row in rows.to_dict("records"):
        cells = {key: row[key].split("; ") for key in ("decided by", "measured")}
        parts += [
            f"## {row['claim']}",
            f"{row['source']}: **{row['verdict']}**" + (f", {row['seeds']} seeds" if row["seeds"] else "") + ".",
            pd.DataFrame(cells).to_markdown(index=False, disable_numparse=True),
        ]
        if row["amended"]:
            parts.append(f"Amended on {row['amended']} By its first hypotheses: {row['first verdict']}.")
        parts += [row["remark"]] if row["remark"] else []
    return "\n\n".join(parts) + "\n"


def _decide(hypothesis: OfTable, tables: Mapping[str, pd.DataFrame]) -> Result:
    """Without a table, or without rows that it is about, there are no findings."""
    return decide(hypothesis, tables[hypothesis.table]) if hypothesis.table in tables else Result(hypothesis, [])


def _verdict(hypotheses: Sequence[OfTable], results: Sequence[Result]) -> str:
    verdicts = [result.verdict for result in results]
    if "contradicted" in verdicts:
        return "contradicted"
    missing = [h for h, verdict in zip(hypotheses, verdicts, strict=True) if verdict is None]
    for hypothesis in missing:
        study = "seeds" if "seed" in hypothesis.of else hypothesis.table.removeprefix("studies/")
        if "seed" in hypothesis.of or hypothesis.table.startswith("studies/"):
            return f"not run: snakemake --cores all study_{study}"
    return "not run at this scale" if missing else "supported" if set(verdicts) == {"supported"} else "undecided"


def _measured(result: Result) -> str:
    other = f" against {result.other:interval}" if result.other.estimates else ""
    return f"{result.of:interval}{other}" if result.findings else "–"
