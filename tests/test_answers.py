"""What the studies say: each verdict at a table made for it, with the numbers of that table."""

import re
from collections.abc import Iterable

import numpy as np
import pandas as pd
import pytest
import tables

from feature_collapse.evidence import answers, reproduction
from feature_collapse.evidence.answers import (
    ANSWERS,
    NAMES,
    Estimate,
    collapsed,
    correlation,
    joined,
    onset,
    span,
    told_apart,
    trained,
    untrained,
)
from feature_collapse.model import data
from feature_collapse.workflow.config import Config

ACCURATE, POOR = 1.0, 0.5  # test accuracies
CLOSE, APART = 0.01, 0.5  # CDNV
OFFSETS = (-0.01, 0.0, 0.01)  # of the three seeds: of three values the interval is their range
SIDES = ("none", "layernorm")


def runs(test: float, u: float = CLOSE, train: float = 1.0, seeds: int = 3, **others: object) -> list[dict]:
    """A configuration with its seeds, which differ by one per cent."""
    return [
        {
            "seed": seed,
            "training_test_accuracy": min(1.0, test + offset),
            "training_train_accuracy": train,
            "u_cdnv": u * (1 + offset),
            **{"n_c": 3, "L": 15, "K": 200, "distinct_latents": False, **others},
        }
        for seed, offset in zip(range(seeds), OFFSETS, strict=False)
    ]


def table(parts: Iterable[list[dict]]) -> pd.DataFrame:
    return pd.DataFrame([row for part in parts for row in part])


# Estimates


def test_an_estimate_is_mean_and_interval() -> None:
    assert Estimate.of(pd.Series([0.2, 0.4])) == pytest.approx((0.3, 0.2, 0.4))
    assert Estimate.of(pd.Series([0.2, 0.4])).percent == "30.0% (20.0% to 40.0%)"
    assert Estimate(0.0123, 0.01, 0.02).number == "0.012 (0.01 to 0.02)"


def test_of_one_seed_there_is_no_interval_and_nothing_is_above() -> None:
    one, other = Estimate.of(pd.Series([0.9])), Estimate.of(pd.Series([0.1]))
    assert one.percent == "90.0%"
    assert not one.above(other)
    assert not other.above(one)


def test_a_missing_value_is_not_passed_over() -> None:
    assert np.isnan(Estimate.of(pd.Series([0.9, np.nan, 0.8]))).all()


def test_an_interval_narrower_than_the_digits_is_not_shown() -> None:
    assert Estimate(1.0, 0.9999, 1.0).percent == "100.0%"
    assert Estimate(1.0, 0.999, 1.0).percent == "100.0% (99.9% to 100.0%)"


def test_above_is_an_interval_apart() -> None:
    assert Estimate(0.5, 0.4, 0.6).above(Estimate(0.3, 0.2, 0.39))
    assert not Estimate(0.5, 0.4, 0.6).above(Estimate(0.3, 0.2, 0.4))


def test_better_is_not_by_less_than_a_hundredth_at_the_top() -> None:
    assert Estimate(1.0, 1.0, 1.0).better(Estimate(0.98, 0.97, 0.985))
    assert not Estimate(1.0, 1.0, 1.0).better(Estimate(0.995, 0.994, 0.996))


@pytest.mark.parametrize(
    ("interval", "verdict"),
    [((0.05, 0.01, 0.1), True), ((0.2, 0.11, 0.3), False), ((0.1, 0.05, 0.2), None), ((0.05, np.nan, np.nan), True)],
)
def test_collapsed_is_at_most_a_tenth(interval: tuple[float, float, float], verdict: bool | None) -> None:
    assert collapsed(Estimate(*interval)) is verdict


def test_words() -> None:
    assert [joined(list("abc")[:n]) for n in range(4)] == ["", "a", "a and b", "a, b and c"]
    assert span([Estimate(0.2, 0.1, 0.3)], ".0%") == "20% (10% to 30%)"
    assert span([Estimate(0.2, 0.1, 0.3), Estimate(0.5, 0.1, 0.9)], ".0%") == "20% to 50%"


def test_untrained_configurations_are_named() -> None:
    rows = table(
        [
            runs(1.0, train=0.5, normalisation="none", lambda_U=0.01),
            runs(1.0, train=0.97, normalisation="layernorm", lambda_U=0.01),
            runs(1.0, train=0.999, normalisation="none", lambda_U=0),
        ]
    )
    by = ["normalisation", "lambda_U"]
    assert untrained(rows, by) == (
        "; 2 of 3 settings do not train (train accuracy below 99%): "
        "plain at lambda 0.01 (50.0%) and LayerNorm at lambda 0.01 (97.0%)"
    )
    assert untrained(rows[rows["lambda_U"] == 0], by) == "; all train (train accuracy 99.9%)"
    many = table(runs(1.0, train=0.1 * k, normalisation="none", lambda_U=k) for k in range(1, 6))
    assert untrained(many, by).endswith("plain at lambda 3 (30.0%) and 2 more")


def test_correlation_is_of_ranks_and_unknown_where_nothing_varies() -> None:
    rows = pd.DataFrame({"u_cdnv": [1.0, 10.0, 100.0], "training_test_accuracy": [0.9, 0.8, 0.1]})
    assert correlation(rows) == pytest.approx(-1)
    assert np.isnan(correlation(rows.assign(training_test_accuracy=1.0)))


# The onset of collapse


def powers(rate: float, factor: float, limit: float, sizes: Iterable[int] = (2, 3, 5, 10, 20, 50)) -> pd.DataFrame:
    sampled = [{"n_spl": n, "fresh": False, "u_cdnv": limit + factor * n**-rate} for n in sizes]
    return pd.DataFrame([*sampled, {"n_spl": 5, "fresh": True, "u_cdnv": limit}])


@pytest.mark.parametrize(("rate", "factor", "limit"), [(1, 0.5, 0.01), (0.5, 2, 0.3), (2.5, 4, 1e-4), (1, 1, 0)])
def test_onset_recovers_a_power_law(rate: float, factor: float, limit: float) -> None:
    assert onset(powers(rate, factor, limit)) == pytest.approx((rate, factor, limit), rel=1e-4)
    assert onset(powers(rate, factor, limit, (2, 50))) == pytest.approx((rate, factor, limit), rel=1e-4)


def test_onset_is_not_led_astray_by_what_has_come_down_to_the_limit() -> None:
    rows = powers(1, 0.5, 0.1)
    rows.loc[rows["n_spl"] == 50, "u_cdnv"] = 0.1 + 1e-9
    assert onset(rows).rate == pytest.approx(1, abs=0.2)


def test_onset_is_unknown_where_nothing_is_above_the_limit() -> None:
    fit = onset(powers(1, -0.1, 0.5))
    assert np.isnan(fit.rate)
    assert fit.limit == 0.5


# The verdicts


def test_seeds_names_those_of_which_latents_coincide_and_counts_without_them(config: Config, root, monkeypatch) -> None:
    monkeypatch.chdir(root)
    rows = tables.table(config, "seeds", "")
    paper = answers.paper_numbers(rows, reproduction.read_paper())
    within = paper.groupby(["figure", "quantity"])["within"]
    assert f"numbers {(within.mean() == 1).sum()} are within their tolerance with each, " in ANSWERS["seeds"](rows)
    others = paper[paper["seed"] != 2].groupby(["figure", "quantity"])["within"].all().sum()
    said = "; with seed 2 some classes have the same latent and cannot be told apart, and with each of the others "
    assert f"{said}{others} numbers are within; " in ANSWERS["seeds"](rows)
    assert "have the same latent" not in ANSWERS["seeds"](rows[rows["seed"] != 2])
    assert "have the same latent" not in ANSWERS["seeds"](rows[rows["seed"] == 2])


def few(uniform: float, zipf: float, u: float = APART) -> pd.DataFrame:
    """The plain network at five sentences a class, and all else solved."""
    parts = []
    for normalisation in SIDES:
        for exponent in (0, 1):
            common = {"normalisation": normalisation, "zipf_exponent": exponent}
            for n_spl in (5, 50):
                few_plain = normalisation == "none" and n_spl == 5
                test = (zipf if exponent else uniform) if few_plain else ACCURATE
                cdnv = u if test < 0.9 else 0.5 / n_spl
                parts.append(runs(test, cdnv, n_spl=n_spl, fresh=False, **common))
            parts.append(runs(ACCURATE, 0.005, n_spl=5, fresh=True, **common))
    return table(parts)


@pytest.mark.parametrize(
    ("uniform", "zipf", "said"),
    [
        (1.0, 0.5, "With 5 sentences a class it is the long tail, not that sentences are few: the plain network "),
        (0.8, 0.5, "With 5 sentences a class it is both, the long tail and that sentences are few: "),
        (0.5, 0.8, "Against the paper, the long tail does not lower the plain network's test accuracy with 5 "),
        (0.5, 0.51, "It is not decided whether the long tail lowers the plain network's test accuracy with 5 "),
    ],
)
def test_sample_size(uniform: float, zipf: float, said: str) -> None:
    rows = few(uniform, zipf)
    answer = ANSWERS["sample_size"](rows)
    assert answer.startswith(said)
    of_uniform = Estimate.of(pd.Series([min(1.0, uniform + offset) for offset in OFFSETS])).percent
    of_zipf = Estimate.of(pd.Series([zipf + offset for offset in OFFSETS])).percent
    assert f"{of_uniform} of fresh sentences of uniform words and {of_zipf} of Zipf words" in answer
    assert f"over all {len(rows)} runs" in answer
    assert f"{correlation(rows):.2f}" in answer
    assert "all train" in answer


@pytest.mark.parametrize(
    ("rho", "said"),
    [
        (-0.9, "collapse and test accuracy go together (rank correlation of CDNV with accuracy -0.90)"),
        (-0.5, "go together, but weakly"),
        (0.0, "against the paper do not go together"),
        (np.nan, "as one of them does not vary"),
    ],
)
def test_collapse_and_accuracy_over_all_runs(rho: float, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "correlation", lambda rows: rho)
    assert said in ANSWERS["sample_size"](few(1.0, 0.5))


def test_sample_size_without_the_papers_number_of_sentences_takes_the_fewest() -> None:
    rows = few(1.0, 0.5)
    rows.loc[(rows["n_spl"] == 5) & ~rows["fresh"], "n_spl"] = 3
    answer = ANSWERS["sample_size"](rows)
    assert answer.startswith("With 3 sentences a class it is the long tail")
    assert "the plain network classifies 99.7% (99.0% to 100.0%)" in answer
    assert "few sentences are enough" not in answer


@pytest.mark.parametrize(
    ("test", "said"), [(0.1, "; with 2, few sentences are enough to fail: 10.0% (9.0% to 11.0%) of"), (1, "")]
)
def test_still_fewer_sentences_than_the_papers(test: float, said: str) -> None:
    fewer = runs(test, APART, n_spl=2, fresh=False, normalisation="none", zipf_exponent=0)
    answer = ANSWERS["sample_size"](pd.concat([few(1.0, 0.5), table([fewer])]))
    assert said in answer
    assert ("few sentences are enough" in answer) == bool(said)


def test_the_onset_is_fitted_seed_by_seed() -> None:
    rows = few(1.0, 0.5)
    found = answers.onsets(rows).set_index(["normalisation", "words"])
    power, limit = found.loc["layernorm", "Zipf"]
    assert power.mean == pytest.approx(np.log((0.1 - 0.005) / (0.01 - 0.005)) / np.log(5 / 50), rel=1e-3)
    assert limit == pytest.approx((0.005, 0.005 * 0.99, 0.005 * 1.01))


def controls(layernorm: tuple[float, float], **others: tuple[float, ...]) -> pd.DataFrame:
    """Test accuracy, CDNV and, if it is not 1, train accuracy of normalisations beside a plain network that fails."""
    of = {"none": (POOR, APART), "layernorm": layernorm, **others}
    return table(runs(*numbers, normalisation=n) for n, numbers in of.items())


GOOD = (ACCURATE, CLOSE)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (controls(GOOD, l2=GOOD), "It is any control of the norm: all 2 that train bring"),
        (controls(GOOD, l2=(POOR, APART), rmsnorm=GOOD), "or another, but not any: not L2-normalised words; "),
        (controls(GOOD, l2=(POOR, APART)), "It is LayerNorm, not any control of the norm; "),
        (controls(GOOD, layernorm_affine=GOOD, l2=(0.7, 0.2)), "It is LayerNorm, not any control of the norm; "),
        (controls((0.3, APART), l2=GOOD), "Against the paper, LayerNorm does not bring collapse and"),
        (controls((POOR, 0.9), l2=GOOD), "Against the paper, LayerNorm does not bring collapse and"),
        (controls((POOR, APART), l2=GOOD), "It is not decided whether LayerNorm brings collapse and"),
        (controls(GOOD, fixed_norm=(0.1, 2.0, 0.3)), "It is any control of the norm: all 1 that train bring"),
    ],
)
def test_normalisation(rows: pd.DataFrame, said: str) -> None:
    answer = ANSWERS["normalisation"](rows)
    assert said in answer
    assert "test accuracy is 50.0% (49.0% to 51.0%) and CDNV 0.5 (0.49 to 0.51) in the plain network" in answer


def test_a_normalisation_that_does_not_train_is_named_and_not_judged() -> None:
    answer = ANSWERS["normalisation"](controls(GOOD, fixed_norm=(0.1, 2.0, 0.3)))
    assert answer.endswith("1 of 3 settings do not train (train accuracy below 99%): fixed-norm table (30.0%).")


def test_accuracy_without_collapse_is_pointed_out() -> None:
    answer = ANSWERS["normalisation"](controls(GOOD, fixed_norm=(0.98, 0.3), l2=(POOR, APART)))
    assert answer.startswith("It is LayerNorm, not any control of the norm; ")
    assert "98.0% (97.0% to 99.0%) and 0.3 with fixed-norm table, accurate without collapse, 50.0%" in answer


def tails(plain: tuple[float, ...], normed: tuple[float, ...]) -> pd.DataFrame:
    """Test accuracies at exponents 0, 1 and 2."""
    return table(
        runs(test, normalisation=n, zipf_exponent=s)
        for n, tests in zip(SIDES, (plain, normed), strict=True)
        for s, test in enumerate(tests)
    )


@pytest.mark.parametrize(
    ("plain", "normed", "said"),
    [
        (
            (1.0, 0.7, 0.4),
            (1.0, 1.0, 1.0),
            "The longer the tail, the more the plain network fails, and LayerNorm prevents",
        ),
        ((1.0, 0.7, 0.4), (1.0, 0.9, 0.8), "the more the plain network fails, and LayerNorm does not prevent it: "),
        (
            (1.0, 0.4, 0.7),
            (1.0, 1.0, 1.0),
            "The plain network fails most at exponent 1, less on both sides, and LayerN",
        ),
        ((0.4, 0.5, 0.6), (1.0, 1.0, 1.0), "Against the paper, the plain network fails less with a longer tail: "),
        ((0.7, 0.7, 0.7), (1.0, 1.0, 1.0), "It is not decided whether the plain network fails more with a longer tail"),
    ],
)
def test_tail(plain: tuple, normed: tuple, said: str) -> None:
    answer = ANSWERS["tail"](tails(plain, normed))
    assert said in answer
    assert f"{plain[2]:.1%} ({plain[2] - 0.01:.1%} to {plain[2] + 0.01:.1%}) at exponent 2" in answer
    low, high = (np.mean([min(1.0, end + offset) for offset in OFFSETS]) for end in (min(normed), max(normed)))
    assert f"with LayerNorm it is {low:.1%}{f' to {high:.1%}' if high > low else ''};" in answer


def decays(without: tuple[float, float], paper: tuple[float, float]) -> pd.DataFrame:
    """Test accuracy of the plain network and of LayerNorm without weight decay and with the paper's; CDNV as apart as
    accuracies are."""
    return table(
        runs(test, 0.1 + 1 - test, normalisation=n, lambda_U=value)
        for value, tests in ((0, without), (0.001, paper), (0.01, paper))
        for n, test in zip(SIDES, tests, strict=True)
    )


@pytest.mark.parametrize(
    ("without", "paper", "said", "clear"),
    [
        ((0.5, 1.0), (0.5, 1.0), "The picture is the same without weight decay: at lambda 0 test accuracy is 50.0%", 3),
        ((1.0, 1.0), (0.5, 1.0), "Against the paper, the picture is not the same without weight decay: ", 2),
        ((1.0, 0.5), (0.5, 1.0), "Against the paper, the picture is not the same without weight decay: ", 2),
        ((0.5, 1.0), (1.0, 1.0), "Not decided: the picture is there without weight decay and not clearly with it", 1),
        ((0.5, 0.5), (0.9, 0.9), "Not decided: the picture is clear neither with nor without weight decay: ", 0),
    ],
)
def test_weight_decay(without: tuple, paper: tuple, said: str, clear: int) -> None:
    answer = ANSWERS["weight_decay"](decays(without, paper))
    assert answer.startswith(said)
    assert f"the picture is clear at {clear} of 3 values of lambda" in answer
    assert "at lambda 0.001 test accuracy is " in answer


def test_weight_decay_is_not_decided_while_the_gain_may_be_as_large_without_it() -> None:
    rows = decays((0.5, 1.0), (0.5, 1.0))
    without = (rows["lambda_U"] == 0) & (rows["normalisation"] == "none")
    rows.loc[without, "training_test_accuracy"] = [0.1, 0.5, 1.0]
    answer = ANSWERS["weight_decay"](rows)
    assert answer.startswith("Not decided: the picture is there with weight decay and not clearly without it")


def norms(plain: tuple[float, float], normed: tuple[float, float], train: float = 1.0) -> pd.DataFrame:
    """Norms of the u_kl over the predicted, at K = 50 and 2000."""
    settings = {"d": 100, "predicted_u_norm_mean": 2.0}
    parts = []
    for n, sizes in zip(SIDES, (plain, normed), strict=True):
        for K, size in zip((50, 2000), sizes, strict=True):
            part = runs(1.0, train=train if K == 2000 else 1.0, normalisation=n, K=K, **settings)
            parts.append([row | {"u_norm_mean": 2 * size + OFFSETS[row["seed"]]} for row in part])
    return table(parts)


@pytest.mark.parametrize(
    ("plain", "normed", "said"),
    [
        (
            (1.2, 1.1),
            (0.8, 0.99),
            "Predicted norms of the u_kl come closer to the measured ones as latents become many: ",
        ),
        ((1.1, 1.2), (0.8, 0.99), "Against the theory, predicted norms of the u_kl get further from the measured ones"),
        ((1.1, 1.1), (0.8, 0.99), "It is not decided whether predicted norms of the u_kl come closer to the measured"),
    ],
)
def test_task(plain: tuple, normed: tuple, said: str) -> None:
    answer = ANSWERS["task"](norms(plain, normed))
    assert answer.startswith(said)
    first, last = (f"{size - 1:.1%} ({size - 1.005:.1%} to {size - 0.995:.1%})" for size in plain)
    assert f"off by {first}" in answer
    assert f"and {last}" in answer
    assert "at most by 20.5% (" in answer
    assert "over all 12 runs" in answer


def test_task_leaves_out_what_has_not_trained_or_is_not_predicted() -> None:
    untrained_rows = norms((1.2, 3.0), (0.8, 3.0), train=0.4)
    answer = ANSWERS["task"](untrained_rows)
    assert "over all 6 runs" in answer
    assert "2 of 4 settings do not train" in answer
    unknown = norms((1.2, 1.1), (0.8, 0.99))
    unknown.loc[unknown["K"] == 2000, "predicted_u_norm_mean"] = np.nan
    assert "over all 6 runs" in ANSWERS["task"](unknown)
    unknown["predicted_u_norm_mean"] = 0.0
    assert ANSWERS["task"](unknown).startswith("It is not decided whether predicted norms hold; all train")


def test_as_many_classes_can_be_told_apart_as_a_run_has_distinct_latents(config: Config) -> None:
    runs = [config.run(f"study/fig3+{settings}/seed{seed}") for settings in ("L=5", "n_c=2", "d=10") for seed in (0, 3)]
    rows = pd.DataFrame([{"seed": run.seed, **run.experiment.model_dump()} for run in runs], index=[9, 8, 7, 6, 5, 4])
    drawn = [len({tuple(z) for z in data.generate(run.experiment, run.seed)["Z"].tolist()}) / 200 for run in runs]
    found = told_apart(rows)
    assert found.to_dict() == dict(zip(rows.index, drawn, strict=True))
    assert drawn[:2] == [0.7, 0.695]  # with 243 sequences
    assert found[4] == 1
    assert set(told_apart(rows.assign(distinct_latents=True))) == {1}


@pytest.mark.parametrize(
    ("train", "test", "L", "done"),
    [
        (0.995, 0.2, 15, True),  # has fitted
        (0.98, 1.0, 15, False),  # has not
        (0.65, 0.68, 5, True),  # of the latents 68.3 % are distinct, over three seeds
        (0.65, 0.67, 5, False),
        (0.998, 0.5, 5, True),  # has learned them by heart
    ],
)
def test_where_latents_coincide_a_network_has_trained_that_tells_apart_what_it_can(
    train: float, test: float, L: int, done: bool
) -> None:
    rows = table([runs(test, train=train, L=L)])
    assert list(trained(rows, ["L", "K"])) == [done] * len(rows)


def test_task_says_where_latents_coincide_and_counts_it_in() -> None:
    few = table([runs(0.68, train=0.65, normalisation="none", L=5, d=100)])
    rows = pd.concat([norms((1.2, 1.1), (0.8, 0.99)), few.assign(u_norm_mean=6.0, predicted_u_norm_mean=2.0)])
    answer = ANSWERS["task"](rows.reset_index(drop=True))
    assert "at most by 200.0% (plain at n_c 3, L 5, K 200 and d 100); all train (train accuracy 100.0%); " in answer
    assert answer.endswith("d 100 tells 68.0% of fresh sentences apart, of at most 68.3%, as latents coincide.")


def test_task_is_not_decided_where_no_network_trains_at_the_size_of_most_runs() -> None:
    rows = norms((1.2, 1.1), (0.8, 0.99)).assign(training_train_accuracy=0.5)
    answer = ANSWERS["task"](rows)
    assert answer.startswith("It is not decided whether predicted norms hold; 4 of 4 settings do not train")


def layered(cdnv: dict[str, float], train: float = 1.0, noise: float = 0.01) -> pd.DataFrame:
    """CDNV of words and behind the last layer, by network, of two architectures and the linear one."""
    parts = [runs(POOR, normalisation=n, architecture="linear", words_weighted_by_mu_cdnv=APART) for n in SIDES]
    for architecture, layers in (("mlp1", 1), ("mlp2", 2)):
        for n in SIDES:
            behind = {f"layer{i}_cdnv": 9.0 if i < layers else cdnv[n] for i in range(1, layers + 1)}
            part = runs(ACCURATE, train=train, normalisation=n, architecture=architecture, **behind)
            parts.append([row | {"words_weighted_by_mu_cdnv": cdnv[n] + noise * (row["seed"] - 1)} for row in part])
    return table(parts).assign(epochs=1000)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (layered({"none": 0.05, "layernorm": 0.02}), "Collapse appears in all nonlinear networks, in words and deeper"),
        (layered({"none": 0.5, "layernorm": 0.02}), "Collapse appears in nonlinear networks, but not everywhere"),
        (layered({"none": 0.5, "layernorm": 0.5}), "Collapse appears in no nonlinear network within 1000 epochs"),
        (layered({"none": 0.5, "layernorm": 0.12}, noise=0.05), "It is not decided whether collapse appears in"),
        (layered({"none": 0.05, "layernorm": 0.02}, train=0.5), "It is not decided whether collapse appears in"),
    ],
)
def test_depth(rows: pd.DataFrame, said: str) -> None:
    assert ANSWERS["depth"](rows).startswith(said)


def test_depth_counts_words_and_last_layers_of_nonlinear_networks() -> None:
    answer = ANSWERS["depth"](layered({"none": 0.5, "layernorm": 0.02}))
    assert "plain, words collapse in 0 of 2 (0.5) and what comes out of the last layer in 0 of 2 (0.5)" in answer
    assert "LayerNorm, words collapse in 2 of 2 (0.02) and what comes out of the last layer in 2 of 2 (0.02)" in answer


def search(normed: float = 1.0, **train: tuple[float, float]) -> pd.DataFrame:
    """Train accuracies of an architecture at two learning rates, the lower of both networks; test accuracy is 50 %, and
    `normed` with LayerNorm."""
    return table(
        runs(test, train=share, seeds=1, normalisation=n, architecture=architecture, lr=lr, init_scale_W=0.1)
        for architecture, shares in train.items()
        for lr, lower in zip((0.1, 0.3), shares, strict=True)
        for n, share, test in zip(SIDES, (lower, 1.0), (POOR, normed), strict=True)
    )


def test_depth_search() -> None:
    answer = ANSWERS["depth_search"](search(mlp1=(1.0, 1.0), mlp2=(0.4, 0.995)))
    assert answer.startswith("Every architecture has a setting at which it trains both with and without LayerNorm")
    assert "one hidden layer at all 2 settings; two hidden layers at lr 0.3 with initial scale 0.1; " in answer
    assert answer.endswith("LayerNorm is the more accurate in 3 of the 3 settings at which both train.")
    answer = ANSWERS["depth_search"](search(mlp1=(1.0, 1.0), mlp2=(0.4, 0.8), normed=0.4))
    assert answer.startswith("No setting trains two hidden layers both with and without LayerNorm")
    assert "two hidden layers at none (train accuracy at most 80.0%); " in answer
    assert answer.endswith("LayerNorm is the more accurate in 0 of the 2 settings at which both train.")


def noisy(*settings: tuple[tuple[float, float], tuple[float, float]]) -> pd.DataFrame:
    """Test accuracy and CDNV of the plain network and of LayerNorm, at shares of wrong labels of 0, 20 and 40 %."""
    return table(
        runs(*numbers, normalisation=n, n_spl=5, label_noise=0.2 * i)
        for i, sides in enumerate(settings)
        for n, numbers in zip(SIDES, sides, strict=True)
    )


USEFUL = ((POOR, APART), (0.9, CLOSE))
HARMFUL = ((0.9, APART), (POOR, CLOSE))
UNCLEAR = ((0.9, APART), (0.9, CLOSE))
AS_COLLAPSED = ((0.9, APART), (POOR, APART))
SOLVED = ((1.0, APART), (0.995, CLOSE))
CLOSER_AND_WORSE = ((POOR, APART), (0.9, 2 * APART))
CLOSER_AND_BETTER = ((POOR, 2 * APART), (0.9, APART))


def test_label_noise_finds_where_collapse_is_harmful() -> None:
    answer = ANSWERS["label_noise"](noisy(USEFUL, UNCLEAR, HARMFUL))
    assert answer.startswith("Against the paper, collapse is harmful in 1 of the settings in which a network ")
    assert (
        "(CDNV at most 0.1: 3 of 3, with 0% to 40% wrong labels): 40% wrong labels and n_spl 5 (50.0% against 90.0%)"
        in answer
    )
    assert "LayerNorm against plain is 50.0% (49.0% to 51.0%) against 90.0% (89.0% to 91.0%) at n_spl 5; " in answer
    assert answer.endswith("train accuracy, wrong labels counted in, is 100.0%.")


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ((USEFUL, USEFUL), "Collapse is harmful in none and useful in 2 of the settings in which a network "),
        ((USEFUL, UNCLEAR), "Collapse is harmful in none and useful in 1 of the settings in which a network "),
        ((UNCLEAR, SOLVED), "It is not decided in any of the settings in which a network collapses (CDNV at "),
        ((AS_COLLAPSED,), "It is not decided whether collapse is harmful: in none of 1 settings does a network "),
    ],
)
def test_label_noise_without_harm(settings: tuple, said: str) -> None:
    assert ANSWERS["label_noise"](noisy(*settings)).startswith(said)


def test_where_no_network_collapses_label_noise_says_which_is_the_more_accurate() -> None:
    answer = ANSWERS["label_noise"](noisy(USEFUL, CLOSER_AND_WORSE, CLOSER_AND_WORSE, CLOSER_AND_BETTER, AS_COLLAPSED))
    assert answer.startswith("Collapse is harmful in none and useful in 1 of the settings in which a network ")
    assert (
        "1 of 5, with 0% wrong labels); in the other 4 neither does (CDNV 0.5 to 1), and the one with the smaller "
        "CDNV is the more accurate in 1 and the less accurate in 2; with 80% wrong labels"
    ) in answer


def test_label_noise_names_three_settings_at_most() -> None:
    answer = ANSWERS["label_noise"](noisy(*[HARMFUL] * 5))
    assert "in 5 of the settings in which a network collapses (CDNV at most 0.1: 5 of 5, with 0% to 80%" in answer
    assert "and 2 more; with 80%" in answer


def threshold(learned: float, not_learned: float) -> pd.DataFrame:
    """Norms of words below and above the threshold, predicted to be 1.25 and 0."""
    common = {"init_scale_W": 0.001, "d": 100, "seed": 0}
    below = {"lambda_U": 0.01, "words_norm_mean": learned, "predicted_words_norm_mean": 1.25, "learnable": True}
    above = {"lambda_U": 0.02, "words_norm_mean": not_learned, "predicted_words_norm_mean": 0.0, "learnable": False}
    return pd.DataFrame([below | common, above | common])


def test_lambda() -> None:
    answer = ANSWERS["lambda"](threshold(1.0, 1e-6))
    assert answer.startswith(
        "As the theorems say, something is learned below the threshold in lambda and nothing above it"
    )
    assert "in all 2 runs; below it the mean norm of the words is 1 and off the prediction by 20.0%" in answer
    assert answer.endswith("above it at most 1e-06.")
    against = ANSWERS["lambda"](threshold(1.0, 0.5))
    assert against.startswith(
        "Against the theorems, 1 of 2 runs learn above the threshold in lambda or do not below it"
    )
    assert "(lambda 0.02)" in against
    assert "(lambda 0.01)" in ANSWERS["lambda"](threshold(1e-6, 1e-6))


@pytest.mark.parametrize("follows", [np.nan, 0.9])
def test_the_mechanism_is_not_decided_by_what_is_not_a_number(follows: float) -> None:
    sizes = {"words_weighted_by_mu_size_spread": 1.0}
    spreads = (0.4, np.nan if follows == 0.9 else 0.1)
    rows = [
        {"normalisation": n, "u_norm_follows_met": follows, "u_size_spread": spread, **sizes}
        for n, spread in zip(SIDES, spreads, strict=True)
    ]
    answer = ANSWERS["mechanism"](pd.DataFrame(rows))
    assert answer.startswith("It is not decided whether the size of u_kl follows the sizes of the words that it met")


# All of them at the grids as configured


@pytest.mark.parametrize("study", ANSWERS)
def test_an_answer_is_one_readable_sentence(config: Config, root, study: str, monkeypatch) -> None:
    monkeypatch.chdir(root)
    answer = ANSWERS[study](tables.table(config, study, "smoke"))
    assert answer.endswith(".")
    assert ". " not in answer
    assert "nan" not in answer
    assert len(answer) < 700


@pytest.mark.parametrize(
    "study", [study for study in ANSWERS if study not in ("lambda", "mechanism", "depth", "depth_search")]
)
def test_of_one_seed_nothing_is_concluded_and_no_interval_is_shown(config: Config, root, study, monkeypatch) -> None:
    monkeypatch.chdir(root)
    rows = tables.table(config, study, "smoke")
    answer = ANSWERS[study](rows[rows["seed"] == 0])
    assert "ecided" in answer or study == "seeds"
    assert not re.search(r"\([\d.e-]+%? to ", answer)
    beside = re.sub(r"\(CDNV \S+ to \S+\)|to the power", "", answer.partition(":")[2])
    assert " to " not in beside


def test_every_normalisation_has_a_name(config: Config) -> None:
    assert {run.experiment.normalisation for run in config.study("normalisation")} == set(NAMES)
