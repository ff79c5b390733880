"""The paper's claims: the measures that decide them, and that they can fail."""

import copy
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import torch

from feature_collapse.evidence.claims import Claim, Measure, evaluate, markdown, read_claims
from feature_collapse.model.collapse import MEASURES, alignment
from feature_collapse.model.features import describe, principal_components
from feature_collapse.workflow.config import Config, ConfigError

PLAIN, NORMALISED = ("fig3", "fig4a", "fig4b"), ("fig4c",)


@pytest.fixture
def claims(root: Path) -> list[Claim]:
    return read_claims(root / "config/claims.yaml")


def claim(**measure: object) -> Claim:
    return Claim(claim="c", source="s", measures=[Measure(**measure)])


def verdict(claim: Claim, runs: dict | None = None, tables: dict | None = None) -> str:
    return evaluate([claim], runs or {}, tables or {})["verdict"].item()


def random_metrics() -> dict:
    """The metrics of a network that has learned nothing: random vectors, accuracy by chance."""
    stream = torch.Generator().manual_seed(0)
    groups = torch.arange(60) // 20
    described = {}
    for part in ("words", "u"):
        x = torch.randn(60, 10, generator=stream)
        described[part] = describe(x, groups, principal_components(x)[0])
    x, y = torch.randn(2, 60, 10, generator=stream)
    accuracies = {"train_accuracy": 0.001, "test_accuracy": 0.001, "peak_test_accuracy": 0.001, "train_loss": 6.9}
    return {"training": accuracies, "alignment": alignment(x, groups, y, groups), "norm_follows_mu": 0.0, **described}


def test_a_claim_holds_only_if_all_its_measures_do() -> None:
    both = Claim(
        claim="c",
        source="s",
        measures=[Measure(run="fig3", quantity="a", at_most=1), Measure(run="fig3", quantity="b", at_least=1)],
    )
    assert verdict(both, {"fig3": {"a": 1, "b": 1}}) == "holds"
    assert verdict(both, {"fig3": {"a": 1, "b": 0.9}}).startswith("DOES NOT HOLD (1 of 2")


def test_a_value_that_is_no_number_does_not_hold() -> None:
    assert verdict(claim(run="fig3", quantity="a", at_most=1), {"fig3": {"a": float("nan")}}).startswith("DOES NOT")


@pytest.mark.parametrize(("reduce", "expected"), [("max", 1), ("min", -3), ("sum", -2), ("max_abs", 3)])
def test_a_table_is_reduced_over_the_rows_that_match(reduce: str, expected: float) -> None:
    table = pd.DataFrame({"kind": ["x", "x", "y"], "gap": [1.0, -3.0, 100.0]})
    for slack, holds in ((1e-9, True), (-1e-9, False)):
        one = claim(table="t", where={"kind": "x"}, column="gap", reduce=reduce, at_most=expected + slack)
        assert (verdict(one, tables={"t": table}) == "holds") is holds


def test_a_claim_whose_study_has_not_run_says_so_with_the_command() -> None:
    one = Claim(claim="c", source="s", target="study_x", measures=[Measure(table="studies/x", column="a", at_most=1)])
    assert verdict(one) == "not run: snakemake --cores all study_x"


def test_a_measure_that_matches_no_row_is_an_error_not_a_pass() -> None:
    one = claim(table="t", where={"kind": "z"}, column="gap", at_most=1)
    with pytest.raises(ConfigError, match="no row of t"):
        evaluate([one], {}, {"t": pd.DataFrame({"kind": ["x"], "gap": [0.0]})})


def test_no_claim_about_trained_networks_holds_of_random_ones(claims: list[Claim]) -> None:
    runs = dict.fromkeys((*PLAIN, *NORMALISED), random_metrics())
    about_runs = [c for c in claims if all(m.run for m in c.measures)]
    assert len(about_runs) >= 8
    verdicts = evaluate(about_runs, runs, {})["verdict"]
    assert verdicts.str.startswith("DOES NOT HOLD").all()


def test_every_measure_of_the_claims_can_be_found(claims: list[Claim], config: Config) -> None:
    metrics = random_metrics()
    for measure in [m for c in claims for m in c.measures if m.run]:
        assert measure.run in config.experiments()
        assert evaluate([claim(**measure.model_dump(exclude_defaults=True))], {measure.run: metrics}, {}).size


def test_every_theorem_and_the_conjecture_are_among_the_claims(claims: list[Claim]) -> None:
    theorems = {
        str(m.where.get("theorem")) for c in claims for m in c.measures if m.table in ("enumeration", "certificate")
    }
    assert theorems == {"Theorem 1", "type III", "Theorem 3"}
    assert any("hand in hand" in c.claim for c in claims)


def test_the_page_shows_every_claim_and_counts_those_that_hold(claims: list[Claim]) -> None:
    rows = evaluate(claims, {}, {})
    page = markdown(rows)
    assert all(c.claim in page for c in claims)
    assert f"0 of {len(claims)} hold" in page


@pytest.mark.parametrize(
    "change",
    [
        {"at_most": None},
        {"at_least": 1},
        {"table": "t"},
        {"quantity": 3},
        {"colour": "red"},
    ],
)
def test_a_measure_that_decides_nothing_is_refused(change: dict, tmp_path: Path) -> None:
    measure = {"run": "fig3", "quantity": "a", "at_most": 1} | change
    path = tmp_path / "claims.yaml"
    fields = ", ".join(f"{key}: {value}" for key, value in measure.items() if value is not None)
    path.write_text(f"- {{claim: c, source: s, measures: [{{{fields}}}]}}", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"claims\.yaml") as caught:
        read_claims(path)
    assert "\n" not in str(caught.value)


def test_the_measures_are_those_of_collapse(claims: list[Claim]) -> None:
    named = {m.quantity.split(".")[1] for c in claims for m in c.measures if m.quantity.startswith(("words.", "u."))}
    assert named <= set(MEASURES)


def test_evaluation_leaves_its_evidence_alone(claims: list[Claim]) -> None:
    runs = dict.fromkeys((*PLAIN, *NORMALISED), random_metrics())
    before: Callable = copy.deepcopy(runs)
    evaluate(claims, runs, {})
    assert runs == before
