"""Means over seeds and their intervals, against what can be worked out by hand."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from feature_collapse.evidence.summaries import interval, summarise, varying


def ends(*values: float) -> tuple[float, float]:
    low, high = interval(values)
    return float(low), float(high)


def test_of_equal_values_the_interval_is_the_value() -> None:
    assert ends(0.3, 0.3, 0.3, 0.3, 0.3) == pytest.approx((0.3, 0.3), abs=1e-15)


@pytest.mark.parametrize("values", [(1.0, 3.0), (3.0, 1.0), (0.0, 1.0, 5.0)])
def test_of_two_and_three_values_the_interval_is_their_range(values: tuple[float, ...]) -> None:
    """All draws are the least of three with probability 1/27, more than 2.5 %."""
    assert ends(*values) == (min(values), max(values))


@pytest.mark.parametrize("values", [(0, 0, 0, 1), (0, 0, 0, 0, 1), (1, 1, 1, 0), (0, 0, 0, 0, 0, 2)])
def test_the_interval_is_that_of_all_resamples_where_these_can_be_listed(values: tuple[float, ...]) -> None:
    """The values are chosen such that no quantile is near a step of the distribution."""
    means = [np.mean(drawn) for drawn in product(values, repeat=len(values))]
    exact = np.quantile(means, [0.025, 0.975])
    assert ends(*values) == pytest.approx(tuple(exact))


def test_the_interval_moves_and_stretches_with_the_values() -> None:
    values = np.array([0.1, 0.4, 0.2, 0.9, 0.5])
    low, high = ends(*values)
    assert low < values.mean() < high
    assert ends(*(10 * values + 3)) == pytest.approx((10 * low + 3, 10 * high + 3))


def test_columns_have_intervals_of_their_own_always_with_the_same_draws() -> None:
    values = np.array([[1.0, 5.0], [2.0, 5.0], [4.0, 5.0], [8.0, 5.0]])
    low, high = interval(values)
    assert (low[0], high[0]) == ends(*values[:, 0])
    assert (low[1], high[1]) == (5.0, 5.0)


def test_one_seed_has_no_interval() -> None:
    assert np.isnan(ends(0.3)).all()
    assert np.isnan(interval(np.array([[1.0, 2.0]]))).all()


def test_a_missing_value_leaves_no_interval() -> None:
    assert np.isnan(ends(0.3, np.nan, 0.4)).all()


def rows(**columns: list) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_what_varies_are_the_settings_of_more_than_one_value_but_not_the_seed() -> None:
    table = rows(seed=[0, 1, 0, 1], d=[3, 3, 5, 5], K=[7, 7, 7, 7], mu=["zipf"] * 4, u_cdnv=[1.0, 2, 3, 4])
    assert varying(table) == ["d"]
    assert varying(table[:2]) == []


def test_a_summary_has_a_row_for_each_configuration_and_measure() -> None:
    table = rows(seed=[0, 1, 0, 1], d=[3, 3, 5, 5], K=[7, 7, 7, 7], a=[1.0, 3.0, 2.0, 2.0], b=[0.0, 0.0, 8.0, 4.0])
    expected = [[3, "a", 2, 1, 3, 2], [3, "b", 0, 0, 0, 2], [5, "a", 2, 2, 2, 2], [5, "b", 6, 4, 8, 2]]
    found = summarise(table)
    assert list(found) == ["d", "measure", "mean", "low", "high", "seeds"]
    assert found.to_numpy().tolist() == expected


def test_settings_that_vary_together_name_one_configuration() -> None:
    table = rows(seed=[0, 0], lambda_W=[0.1, 0.2], lambda_U=[0.1, 0.2], a=[1.0, 2.0])
    found = summarise(table)
    assert found[["lambda_W", "lambda_U", "mean", "seeds"]].to_numpy().tolist() == [[0.1, 0.1, 1, 1], [0.2, 0.2, 2, 1]]
    assert found[["low", "high"]].isna().all(axis=None)


def test_a_measure_that_a_run_does_not_have_is_left_out() -> None:
    table = rows(seed=[0, 1, 0, 1], d=[3, 3, 5, 5], a=[1.0, np.nan, 2.0, 4.0], b=[1.0, 1.0, np.nan, np.nan])
    found = summarise(table)
    assert found[["d", "measure", "mean"]].to_numpy().tolist() == [[3, "b", 1], [5, "a", 3]]


def test_a_study_in_which_nothing_varies_is_one_configuration() -> None:
    found = summarise(rows(seed=[0, 1, 2], d=[3, 3, 3], a=[1.0, 2.0, 6.0]))
    assert found.to_numpy().tolist() == [["a", 3, 1, 6, 3]]
