"""Predictions beside measurements: the right theorem for each experiment, and what is said of its assumptions."""

import re

import numpy as np
import pandas as pd
import pytest

from feature_collapse.model import data
from feature_collapse.theory import predictions
from feature_collapse.theory import theorems as theory
from feature_collapse.theory.predictions import assumptions, compare, law, markdown, predict
from feature_collapse.workflow.config import Config


@pytest.mark.parametrize(
    ("name", "theorem"),
    [
        ("fig3", "Theorem 1"),
        ("fig3_k50", "Theorem 1"),
        ("fig4a", "type III"),
        ("fig4b", "type III"),
        ("fig4c", "Theorem 3"),
    ],
)
def test_each_experiment_has_its_theorem(config: Config, name: str, theorem: str) -> None:
    assert predict(config.run(f"{name}/seed0").experiment).theorem == theorem


@pytest.mark.parametrize(("name", "printed"), [("fig3", 1.42214), ("fig3_k50", 0.61602)])
def test_the_papers_printed_norms_come_out(config: Config, name: str, printed: float) -> None:
    assert predict(config.run(f"{name}/seed0").experiment).mean_norm_words == pytest.approx(printed, abs=5e-6)


@pytest.mark.parametrize("name", ["fig3", "fig4a+zipf_exponent=1.5"])
def test_the_law_is_that_of_the_data(config: Config, name: str) -> None:
    e = config.run(f"{name}/seed0").experiment
    np.testing.assert_allclose(law(e), data.word_frequencies(e.mu, e.s_c, e.zipf_exponent).numpy(), rtol=1e-12)


def test_a_penalty_the_theorems_do_not_have_is_refused(config: Config) -> None:
    with pytest.raises(ValueError, match="lambda_W"):
        predict(config.run("fig3+lambda_W=0.002/seed0").experiment)
    with pytest.raises(ValueError, match="lambda_W"):
        predict(config.run("fig4c+lambda_W=0.001/seed0").experiment)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        *((f"fig3+architecture={name}", "architecture") for name in ("mlp1", "mlp2", "transformer")),
        ("fig4c+architecture=mlp1", "architecture"),
        *((f"fig4c+normalisation={name}", "normalisation") for name in ("rmsnorm", "l2", "batchnorm", "fixed_norm")),
        ("fig4c+normalisation=layernorm_affine", "normalisation"),
        ("fig3+label_noise=0.05", "label_noise"),
        ("fig4b+lambda_U=0+lambda_W=0", "lambda_U"),
        ("fig4c+lambda_U=0", "lambda_U"),
        ("fig3+lambda_W=0", "lambda_W"),
        ("fig3+L=5", "K"),  # 1000 classes, 243 sequences
        ("fig4c+L=5", "K"),
        ("fig3+n_c=8+d=6", "d"),  # equiangular vectors sum to zero: one dimension less than there are
        ("fig4c+n_c=8+d=7", "d"),  # and so does each
    ],
)
def test_what_the_theorems_do_not_speak_of_is_refused_by_its_name(config: Config, name: str, key: str) -> None:
    with pytest.raises(ValueError, match=f"^{key}: "):
        predict(config.run(f"{name}/seed0").experiment)


@pytest.mark.parametrize(
    ("name", "theorem"),
    [
        ("fig3+fresh=true", "Theorem 1"),
        ("fig4c+fresh=true+epochs=1", "Theorem 3"),
        ("fig4b+zipf_exponent=0", "Theorem 1"),
        ("fig4c+zipf_exponent=2+lambda_U=0.01", "Theorem 3"),
        ("fig3+distinct_latents=true+lr=1+batch_size=7+init_scale_W=0.1+n_spl=2", "Theorem 1"),
        ("fig3+n_c=8+d=7", "Theorem 1"),
        ("fig4c+n_c=8+d=8", "Theorem 3"),
    ],
)
def test_sentences_and_training_make_no_difference_to_which_theorem_speaks(
    config: Config, name: str, theorem: str
) -> None:
    assert predict(config.run(f"{name}/seed0").experiment).theorem == theorem


def test_a_study_is_predicted_once_a_setting(config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    solved, solve = [], theory.predict
    monkeypatch.setattr(theory, "predict", lambda *settings: solved.append(settings) or solve(*settings))
    predictions._solved.cache_clear()
    runs = config.study("task")
    found = [predict(run.experiment) for run in runs]
    settings = {(e.n_c, e.L, e.K, e.d, e.normalisation) for e in (run.experiment for run in runs)}
    assert len(solved) == len(settings) < len(runs)
    assert {p.norm_u for p in found} == {solve(*s).norm_u for s in solved}


@pytest.mark.parametrize(("name", "hold"), [("fig3", True), ("fig4a", True), ("fig4b", False), ("fig4c", True)])
def test_only_figure_4b_is_far_from_the_theorems_assumptions(config: Config, name: str, hold: bool) -> None:
    e = config.run(f"{name}/seed0").experiment
    assert assumptions(e, predict(e)).startswith("hold" if hold else "do not hold: with n_spl = 5")


def test_a_network_as_predicted_has_no_error(config: Config) -> None:
    e = config.run("fig3+K=50/seed0").experiment
    p = predict(e)
    part = {"sigma": [p.sigma_words[0], p.sigma_words[1], 0.0], "norm_std": 0.0}
    metrics = {
        "words": part | {"norm_mean": p.mean_norm_words},
        "u": {"sigma": p.sigma_u.tolist(), "norm_mean": p.norm_u, "norm_std": 0.0},
        "training": {"train_loss": p.cross_entropy, "half_way_epoch": predictions.half_way_epoch(e)},
        "objective": {"cross_entropy": p.cross_entropy, "standard_error": 0.0, "value": p.value},
        "optimality_gap": {"gap": 0.002},
    }
    rows = pd.DataFrame(compare(e, metrics, 0))
    *rest, gap = rows.to_dict("records")
    np.testing.assert_allclose([row["relative_error"] for row in rest], 0, atol=1e-12)
    assert (gap["predicted"], gap["measured"], rows["relative_error"].isna().iloc[-1]) == (0, 0.002, True)
    metrics["words"]["norm_mean"] *= 1.1
    assert compare(e, metrics, 0)[0]["relative_error"] == pytest.approx(0.1)
    known = predictions.with_latents(e, 0)
    assert known is not None
    assert compare(e, metrics, 0)[2]["relative_error_with_latents"] == pytest.approx(
        p.sigma_words[0] / known.sigma_words[0] - 1
    )


def test_runs_that_bound_nothing_and_never_are_half_way_have_fewer_rows(config: Config) -> None:
    e = config.run("fig4a+K=50/seed0").experiment
    part = {"sigma": [1.0] * 3, "norm_mean": 1.0, "norm_std": 0.0}
    metrics = {
        "words": part,
        "u": part,
        "training": {"train_loss": 1.0, "half_way_epoch": None},
        "objective": {"cross_entropy": 1.0, "standard_error": 0.0, "value": 1.0},
        "optimality_gap": None,
    }
    rows = compare(e, metrics, 0)
    assert len(rows) == 9
    assert all(row["with_latents"] is row["relative_error_with_latents"] is None for row in rows)


def test_nothing_learned_is_predicted_as_zero_without_dividing_by_it(config: Config) -> None:
    e = config.run("fig3+K=50+lambda_U=1+lambda_W=1/seed0").experiment
    metrics = {
        "words": {"sigma": [0.0] * 3, "norm_mean": 0.0, "norm_std": 0.0},
        "u": {"sigma": [0.0] * 3, "norm_mean": 0.0, "norm_std": 0.0},
        "training": {"train_loss": 6.9, "half_way_epoch": None},
        "objective": {"cross_entropy": 6.9, "standard_error": 0.0, "value": 6.9},
        "optimality_gap": {"gap": 0.0},
    }
    rows = compare(e, metrics, 0)
    assert rows[0]["predicted"] == 0
    assert rows[0]["relative_error"] is None


def test_the_page_has_a_part_for_each_run_and_one_of_half_way_epochs(config: Config) -> None:
    row = {"predicted": 1.0, "measured": 1.1, "spread": None, "relative_error": 0.1}
    row |= {"with_latents": 1.09, "relative_error_with_latents": 1.1 / 1.09 - 1}
    late = {"quantity": predictions.HALF_WAY, "predicted": 103.0, "measured": 104.0, "relative_error": 104 / 103 - 1}
    early = {"quantity": predictions.HALF_WAY, "predicted": 0.9, "measured": 1.1, "relative_error": 1.1 / 0.9 - 1}
    head = {"seed": 0, "theorem": "T", "assumptions": "hold"}
    kinds = [("fig3", {"quantity": "q"}), ("fig4b", {"quantity": "q"}), ("fig4b", late), ("fig4c", early)]
    rows = [{"experiment": x, **head, **row, **kind} for x, kind in kinds]
    page = markdown(pd.DataFrame(rows))
    assert "## fig3, seed 0: T" in page
    assert "## fig4b, seed 0: T" in page
    assert "+10.00%" in page
    times = page[page.index("## Half-way") : page.index("## fig3")]
    assert re.search(r"fig4b .* 103 .* 104 .* \+0\.97% .* yes", times)
    assert re.search(r"fig4c .* the transition is within the first epoch", times)


def test_predictions_and_theory_speak_of_the_same_thresholds(config: Config) -> None:
    e = config.run("fig3+K=50/seed0").experiment
    threshold = theory.theorem1_threshold(e.n_c, e.n_w, e.L, e.K)
    for factor, learned in ((0.99, True), (1.01, False)):
        at = e.model_copy(update={"lambda_W": factor * threshold, "lambda_U": factor * threshold})
        assert (predictions.predict(at).norm_u > 0) is learned
