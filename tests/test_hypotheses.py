"""The engine that decides studies and claims: its intervals against scipy's, its verdicts at tables made for them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy import stats

from feature_collapse.evidence.hypotheses import Estimate, decide, interval, measured, pick, prediction_interval
from feature_collapse.workflow.studies import Hypothesis, Quantity, meets

values = st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=8)


def table(**columns: Sequence[float]) -> pd.DataFrame:
    """Columns of one setting, a row a seed."""
    return pd.DataFrame({"seed": range(len(next(iter(columns.values())))), **columns})


def settings(**values: Sequence[float]) -> pd.DataFrame:
    """`x` at several settings `at`, a row a seed."""
    return pd.concat([table(x=x).assign(at=at) for at, x in values.items()], ignore_index=True)


def verdict(rows: pd.DataFrame, **asked: object) -> str | None:
    return decide(Hypothesis.model_validate({"column": "x", **asked}), rows).verdict


@given(values)
def test_the_interval_is_student_s(x: list[float]) -> None:
    assume(np.std(x) > 1e-6)
    low, high = interval(x)
    expected = stats.ttest_1samp(x, 0).confidence_interval(0.95)
    assert (low, high) == pytest.approx((expected.low, expected.high), rel=1e-9, abs=1e-9)


def test_the_interval_covers_the_mean_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).normal(size=(5, 20_000))
    low, high = interval(draws)
    assert ((low <= 0) & (high >= 0)).mean() == pytest.approx(0.95, abs=0.005)


def test_the_prediction_interval_covers_one_more_run_as_often_as_it_says() -> None:
    draws = np.random.default_rng(0).normal(size=(4000, 6))
    ends = [prediction_interval(row[:5]) for row in draws]
    inside = [low <= row[5] <= high for row, (low, high) in zip(draws, ends, strict=True)]
    assert np.mean(inside) == pytest.approx(0.95, abs=0.012)


@pytest.mark.parametrize("right", [0.0, 1.0])
def test_where_all_sentences_come_out_alike_the_interval_is_that_of_a_share(right: float) -> None:
    estimate = Estimate("test_accuracy", np.full(5, right), trials=5000)
    expected = stats.binomtest(int(5000 * right), 5000).proportion_ci(0.95, "exact")
    assert estimate.interval() == (expected.low, expected.high)
    assert (estimate.interval()[1] - estimate.interval()[0]) == pytest.approx(3.69 / 5000, rel=0.01)
    assert f"{estimate:interval}" == ("0.0 %" if not right else "100 % (0 of 5000 wrong, at most 0.074 %)")


def test_an_accuracy_s_interval_ends_at_its_bounds() -> None:
    assert Estimate("test_accuracy", np.array([1, 1, 0.99]), trials=3000).interval()[1] == 1


@given(values, st.floats(-1e3, 1e3))
def test_a_bound_is_decided_by_the_side_of_the_interval(x: list[float], bound: float) -> None:
    assume(np.std(x) > 1e-6)
    low, high = interval(x)
    expected = "supported" if low >= bound else "contradicted" if high < bound else "undecided"
    assert verdict(table(x=x), at_least=bound) == expected
    mirrored = "supported" if high <= bound else "contradicted" if low > bound else "undecided"
    assert verdict(table(x=x), at_most=bound) == mirrored


@given(values, values)
def test_a_comparison_is_the_paired_t_test(x: list[float], y: list[float]) -> None:
    n = min(len(x), len(y))
    x, y = x[:n], y[:n]
    assume(np.std(np.subtract(x, y)) > 1e-6)
    rows = settings(a=x, b=y)
    p = stats.ttest_rel(x, y).pvalue
    assume(abs(p - 0.05) > 1e-6)
    expected = "undecided" if p > 0.05 else "supported" if np.mean(x) > np.mean(y) else "contradicted"
    assert verdict(rows, of={"at": "a"}, above={"at": "b"}) == expected
    opposite = {"supported": "contradicted", "contradicted": "supported"}
    assert verdict(rows, of={"at": "a"}, below={"at": "b"}) == opposite.get(expected, expected)


def test_what_seeds_share_is_taken_out_of_a_comparison() -> None:
    shared = np.array([0.1, 0.4, 0.2, 0.9])
    rows = settings(a=shared + 0.01, b=shared)
    assert verdict(rows, of={"at": "a"}, above={"at": "b"}) == "supported"
    other = rows.assign(seed=[0, 1, 2, 3, 3, 2, 1, 0])
    assert verdict(other, of={"at": "a"}, above={"at": "b"}) == "undecided"


def test_times_and_by_move_the_comparison() -> None:
    rows = settings(a=[10.0, 11, 12], b=[1.0, 1.1, 1.2])
    assert verdict(rows, of={"at": "a"}, above={"at": "b"}, times=9) == "supported"
    assert verdict(rows, of={"at": "a"}, above={"at": "b"}, times=11) == "contradicted"
    assert verdict(rows, of={"at": "b"}, below={"at": "a"}, times=0.2) == "supported"
    assert verdict(rows, of={"at": "b"}, above={"at": "a"}, by=-20) == "supported"
    assert verdict(rows, of={"at": "a"}, above={"at": "b"}, by=20) == "contradicted"


@pytest.mark.parametrize(
    ("x", "expected"),
    [
        ([0.01, 0.02, 0.03], "supported"),
        ([-0.3, -0.31], "contradicted"),
        ([-0.9, 0.9], "undecided"),
        ([0.1], "supported"),
    ],
)
def test_within_has_two_sides(x: list[float], expected: str) -> None:
    assert verdict(table(x=x), within=0.15) == expected


def test_the_same_value_for_all_seeds_supports_no_difference() -> None:
    rows = settings(a=[1.0, 1.0], b=[1.0, 1.0])
    assert verdict(rows, of={"at": "a"}, above={"at": "b"}) == "undecided"
    assert verdict(rows, of={"at": "a"}, at_least=1) == "supported"


def test_of_one_seed_the_value_decides_and_a_missing_value_does_not() -> None:
    assert verdict(table(x=[0.5]), at_least=0.4) == "supported"
    assert verdict(table(x=[0.5, np.nan]), at_least=0.4) == "undecided"
    assert verdict(table(x=[np.nan]), at_least=0.4) == "undecided"


def test_all_settings_have_to_support_and_one_contradicts() -> None:
    good, bad, open_ = [1.0, 1.1, 1.2], [-1.0, -1.1, -1.2], [1.0, -1.0, 0.1]
    each = {"each": ["at"], "at_least": 0}
    assert verdict(settings(a=good, b=good), **each) == "supported"
    assert verdict(settings(a=good, b=open_), **each) == "undecided"
    assert verdict(settings(a=good, b=bad), **each) == "contradicted"
    assert verdict(settings(a=open_, b=bad), **each, needs="any") == "undecided"
    assert verdict(settings(a=good, b=bad), **each, needs="any") == "supported"
    assert verdict(settings(a=bad, b=bad), **each, needs="any") == "contradicted"


def test_contradiction_among_many_settings_is_held_to_a_stricter_interval() -> None:
    x = [-0.1, -0.5, -0.2, -0.4]  # below zero at 95 %, not at 99.75 %
    assert verdict(settings(a=x), each=["at"], at_least=0) == "contradicted"
    many = settings(a=x, **{f"b{i}": [1.0, 1.1, 1.2, 1.3] for i in range(19)})
    assert verdict(many, each=["at"], at_least=0) == "undecided"


def test_chance_contradicts_a_true_statement_about_many_settings_rarely() -> None:
    stream, wrong = np.random.default_rng(0), 0
    for _ in range(200):
        rows = settings(**{f"s{i}": stream.normal(size=5).tolist() for i in range(10)})
        wrong += verdict(rows, each=["at"], at_least=0) == "contradicted"
    assert wrong / 200 <= 0.05  # each alone would be contradicted in 2.5 % of cases, one of ten in 22 %


def test_each_compares_within_its_setting_and_leaves_out_what_has_no_partner() -> None:
    rows = pd.concat([settings(a=[1.0, 1.1], b=[0.0, 0.1]).assign(d=d) for d in (1, 2)], ignore_index=True)
    rows = pd.concat([rows, settings(a=[-9.0, -9.1]).assign(d=3)], ignore_index=True)
    result = decide(Hypothesis(column="x", of={"at": "a"}, each=["d"], above={"at": "b"}), rows)
    assert [f.setting for f in result.findings] == [{"d": 1}, {"d": 2}]
    assert result.verdict == "supported"


def test_nothing_to_look_at_is_no_verdict() -> None:
    assert verdict(table(x=[1.0]), of={"seed": 7}, at_least=0) is None
    assert decide(Hypothesis(column="nowhere", at_least=0), table(x=[1.0])).verdict is None


def test_each_seed_by_itself_is_told() -> None:
    seeds = decide(Hypothesis(column="x", each=["at"], at_least=0), settings(a=[1.0, -1, 1], b=[1.0, 1, -1])).seeds
    assert seeds.to_dict() == {0: True, 1: False, 2: False}


def test_every_row_of_a_table_without_seeds_stands_for_itself() -> None:
    rows = pd.DataFrame({"x": [0.0, -1e-9, 2e-9]})
    assert verdict(rows, within=1e-8) == "supported"
    assert verdict(pd.concat([rows, pd.DataFrame({"x": [1.0]})], ignore_index=True), within=1e-8) == "contradicted"


def test_rank_correlation_is_taken_seed_by_seed() -> None:
    rows = pd.DataFrame({"seed": [0] * 4 + [1] * 4, "x": [1, 2, 3, 4, 4, 3, 2, 1.0], "y": [1, 2, 3, 9, 1, 2, 3, 4]})
    quantity = Quantity(column="x", against="y")
    assert measured(quantity, rows).estimates[0].values.tolist() == pytest.approx([1, -1])
    assert verdict(rows[rows["seed"] == 0], against="y", at_least=0.9) == "supported"
    assert verdict(rows.assign(x=1.0), against="y", at_least=0.9) == "undecided"


@pytest.mark.parametrize(
    ("asked", "expected"),
    [(2, [2.0]), ([1, 2], [1.0, 2.0]), ({"above": 1}, [2.0]), ({"at_least": 1, "below": 2}, [1.0])],
)
def test_rows_are_picked_by_value_list_and_bounds(asked: object, expected: list[float]) -> None:
    rows = pd.DataFrame({"x": [1.0, 2.0, np.nan]})
    assert pick(rows, {"x": asked})["x"].tolist() == expected  # type: ignore[dict-item]


def test_what_is_not_a_number_meets_nothing() -> None:
    assert not any(meets(np.nan, asked) for asked in (0, [0, 1], {"above": -1}, {"below": 1}, True))


@pytest.mark.parametrize(
    "wrong",
    [{}, {"at_least": 1, "at_most": 2}, {"at_least": 1, "times": 2}, {"at_least": 1, "colour": "red"}, {"within": -1}],
)
def test_a_hypothesis_that_decides_nothing_is_refused(wrong: dict) -> None:
    with pytest.raises(ValidationError):
        Hypothesis.model_validate({"column": "x", **wrong})
