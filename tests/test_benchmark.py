"""The benchmark: what it measures and how it is shown. No test says how fast anything is."""

import pandas as pd
import pytest
import step as benchmark
import torch
from step import CONTENDERS


@pytest.fixture(autouse=True)
def threads_given_back():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


def rows() -> pd.DataFrame:
    times = {f"{name}_ms{end}": [1.0 + i] * 2 for i, name in enumerate(CONTENDERS) for end in ("", "_low", "_high")}
    ratios = {
        "textbook_over_ours": 2.0,
        "ours_over_products": 1.1,
        "ours_over_torch_products": 0.6,
        "gflop_per_s": 60.0,
        "of_best_rate": 0.9,
    }
    return pd.DataFrame(
        {"network": ["none", "layernorm"], "threads": 1, "K": 1000, **times, **ratios, "cost_per_class": 1}
    )


def test_a_cost_of_a_constant_and_a_linear_part_is_on_a_line() -> None:
    K = [250, 500, 1000, 2000]
    on = pd.DataFrame({"network": "none", "threads": 1, "K": K, "ours_ms": [0.5 + 0.01 * k for k in K]})
    assert benchmark.off_line(on) == pytest.approx(0, abs=1e-9)
    off = on.assign(ours_ms=[3.0, 5.5, 15.0, 20.5])
    assert benchmark.off_line(off) > 0.1


@pytest.mark.parametrize("normalisation", ["none", "layernorm"])
def test_every_contender_is_timed_in_every_turn(tiny, normalisation: str) -> None:
    times = benchmark.measure(tiny(normalisation=normalisation, epochs=1), threads=1, turns=2)
    assert list(times.columns) == list(CONTENDERS)
    assert len(times) == 2
    assert (times > 0).all(axis=None)


def test_the_table_and_the_figure_show_every_network() -> None:
    runs = pd.DataFrame({"run": ["a", "b", "c"], "textbook": [600.0, 60.0, 60.0], "ours": [300.0, 60.0, 60.0]})
    page = benchmark.markdown(rows(), runs)
    assert "5.0 min here" in page
    assert "12.0 min by the textbook loop" in page
    assert "| h " in page
    assert "| h* " in page
    figure = benchmark.figure(rows())
    assert len(figure.axes) == 2
    assert all(axes.get_xlabel() for axes in figure.axes)
    assert figure.axes[0].get_ylabel()
