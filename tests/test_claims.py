"""The paper's claims: the hypotheses that decide them, and that they can fail."""

from pathlib import Path

import pandas as pd
import pytest
import torch

from feature_collapse.evidence.claims import evaluate, markdown
from feature_collapse.evidence.rows import numbers
from feature_collapse.model.collapse import alignment
from feature_collapse.model.features import describe, principal_components
from feature_collapse.workflow.config import Config, read_claims
from feature_collapse.workflow.run import ConfigError
from feature_collapse.workflow.studies import Claim

ALL = ["fig3", "fig3_k50", "fig4a", "fig4b", "fig4c"]


@pytest.fixture
def claims(root: Path) -> dict[str, Claim]:
    return read_claims(root / "config/claims.yaml")


def claim(*hypotheses: dict, **more: object) -> dict[str, Claim]:
    return {"c": Claim.model_validate({"claim": "c", "source": "s", "hypotheses": list(hypotheses), **more})}


def verdict(claims: dict[str, Claim], **tables: pd.DataFrame) -> str:
    return evaluate(claims, tables)["verdict"].item()


def runs(**columns: list[float]) -> pd.DataFrame:
    return pd.DataFrame({"experiment": "fig3", "seed": range(len(next(iter(columns.values())))), **columns})


def random_runs(seeds: int = 8) -> pd.DataFrame:
    """A table of networks that have learned nothing: random vectors, accuracy by chance."""
    found, groups = [], torch.arange(60) // 20
    for seed in range(seeds):
        stream = torch.Generator().manual_seed(seed)
        metrics: dict = {"training": {"train_accuracy": 0.001, "test_accuracy": 0.001}, "norm_follows_mu": 0.0}
        for part in ("words", "words_weighted_by_mu", "u"):
            x = torch.randn(60, 10, generator=stream)
            metrics[part] = describe(x, groups, principal_components(x)[0])
        x, y = torch.randn(2, 60, 10, generator=stream)
        metrics["alignment"] = alignment(x, groups, y, groups)
        found += [{"experiment": name, "seed": seed, "K": 1000, "n_test": 5, **numbers(metrics)} for name in ALL]
    return pd.DataFrame(found)


BOTH = ({"column": "u_cdnv", "at_most": 1}, {"column": "words_cdnv", "at_least": 1})


def test_a_claim_is_supported_only_if_all_its_hypotheses_are() -> None:
    assert verdict(claim(*BOTH), runs=runs(u_cdnv=[0.5], words_cdnv=[2.0])) == "supported"
    assert verdict(claim(*BOTH), runs=runs(u_cdnv=[0.5], words_cdnv=[0.9])) == "contradicted"
    assert verdict(claim(*BOTH), runs=runs(u_cdnv=[0.5, 0.5], words_cdnv=[0.5, 2.0])) == "undecided"
    assert verdict(claim(*BOTH), runs=runs(u_cdnv=[float("nan")], words_cdnv=[2.0])) == "undecided"


def test_the_seeds_that_agree_are_counted() -> None:
    table = evaluate(claim(*BOTH), {"runs": runs(u_cdnv=[0.5, 0.5, 2.0], words_cdnv=[0.5, 2.0, 2.0])})
    assert table["seeds"].item() == "1 of 3"


def test_evidence_that_is_not_there_is_named_with_the_command() -> None:
    study = claim({"table": "studies/x", "column": "u_cdnv", "at_most": 1})
    assert verdict(study) == "not run: snakemake --cores all study_x"
    later = claim({"column": "u_cdnv", "of": {"seed": [3, 4]}, "at_most": 1})
    assert verdict(later, runs=runs(u_cdnv=[0.5])) == "not run: snakemake --cores all study_seeds"
    assert verdict(claim({"table": "t", "column": "x", "at_most": 1})) == "not run at this scale"


def test_an_amended_claim_is_decided_anew_and_keeps_its_first_verdict() -> None:
    why = {"date": pd.Timestamp("2026-01-02").date(), "why": "Because."}
    later = {"column": "u_cdnv", "of": {"seed": [1, 2]}, "at_most": 1}
    amended = claim({"column": "u_cdnv", "at_most": 0.1}, amended={**why, "hypotheses": [later]})
    row = evaluate(amended, {"runs": runs(u_cdnv=[9.0, 0.5, 0.51])}).iloc[0]
    assert (row["verdict"], row["first verdict"], row["seeds"]) == ("supported", "undecided", "2 of 2")
    page = markdown(evaluate(amended, {"runs": runs(u_cdnv=[9.0, 0.5, 0.51])}))
    assert "Amended on 2026-01-02: Because. By its first hypotheses: undecided." in page


def test_no_claim_about_trained_networks_is_supported_by_random_ones(claims: dict[str, Claim]) -> None:
    about_runs = {name: c for name, c in claims.items() if c.tables() == {"runs"}}
    assert len(about_runs) >= 8
    table = evaluate(about_runs, {"runs": random_runs()})
    assert set(table["verdict"]) == {"contradicted"}


def test_every_hypothesis_of_the_claims_is_about_runs_that_there_are(claims: dict[str, Claim], config: Config) -> None:
    settings = [run.settings for run in config.study("seeds")]
    table = random_runs()
    for name, of in claims.items():
        for hypothesis in (h for h in of.all if h.table == "runs"):
            assert hypothesis.column in table, name
            assert any(row["experiment"] in str(hypothesis.of["experiment"]) for row in settings)
            assert set(hypothesis.of.get("seed", [])) <= set(config.question("seeds").seeds)


def test_every_theorem_and_the_conjecture_are_among_the_claims(claims: dict[str, Claim]) -> None:
    tables = ("enumeration", "certificate")
    assert {h.of.get("theorem") for c in claims.values() for h in c.all if h.table in tables} == {
        "Theorem 1",
        "type III",
        "Theorem 3",
    }
    assert any("hand in hand" in c.claim for c in claims.values())


def test_the_page_shows_every_claim_and_its_verdict_first(claims: dict[str, Claim]) -> None:
    page = markdown(evaluate(claims, {"runs": random_runs()}))
    top = page[: page.index("## ")]
    assert all(c.claim in top for c in claims.values())


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"at_most": None}, "give one of at_least, at_most"),
        ({"at_least": 1}, "give one of"),
        ({"column": "u_cdmv"}, "'u_cdmv' is neither a setting nor a measure"),
        ({"colour": "red"}, "unknown key 'colour'; the keys are column"),
        ({"at_most": "few"}, "at_most"),
    ],
)
def test_a_hypothesis_that_decides_nothing_is_refused(change: dict, word: str, tmp_path: Path) -> None:
    hypothesis = {"column": "u_cdnv", "at_most": 1} | change
    fields = ", ".join(f"{key}: {value}" for key, value in hypothesis.items() if value is not None)
    path = tmp_path / "claims.yaml"
    path.write_text(f"mine: {{claim: c, source: s, hypotheses: [{{{fields}}}]}}", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        read_claims(path)
    message = str(caught.value)
    assert "claims.yaml: mine" in message and word in message and "\n" not in message


def test_evaluation_leaves_its_evidence_alone(claims: dict[str, Claim]) -> None:
    table = random_runs()
    kept = table.copy()
    evaluate(claims, {"runs": table})
    pd.testing.assert_frame_equal(table, kept)
