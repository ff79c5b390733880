"""Features: spectra against numpy, the same picture however the axes fell, and what is written of a tiny run."""

import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from configurations import type_one
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch import Tensor

from feature_collapse.model import collapse, data, features, training
from feature_collapse.model.experiment import Experiment
from feature_collapse.model.networks import Network
from feature_collapse.stages import data as data_stage
from feature_collapse.stages import features as features_stage
from feature_collapse.stages import train
from feature_collapse.theory.certificate import optimality_gap
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.artifacts import ArtifactError
from feature_collapse.workflow.run import Run

seeds = st.integers(0, 10**6)


def cloud(seed: int, n: int = 30, d: int = 6) -> tuple[Tensor, Tensor]:
    """Vectors that vary most in two directions, in float32, with groups of different means."""
    stream = torch.Generator().manual_seed(seed)
    groups = torch.arange(n) % 3
    widths = torch.tensor([9.0, 8.0, *[1.0] * (d - 2)])
    return torch.randn(n, d, generator=stream) * widths + 10 * torch.randn(3, d, generator=stream)[groups], groups


def rotation(d: int, seed: int) -> Tensor:
    return torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))).Q


@given(seed=seeds, n=st.integers(2, 40), d=st.integers(1, 8))
def test_singular_values_are_those_of_the_centred_rows(seed: int, n: int, d: int) -> None:
    x = torch.randn(n, d, generator=torch.Generator().manual_seed(seed))
    sigma, axes = features.principal_components(x)
    expected = np.linalg.svd(x.double().numpy() - x.double().numpy().mean(0), compute_uv=False)
    assert sigma.dtype == torch.float64
    assert np.allclose(sigma, expected, rtol=1e-10, atol=1e-12)
    assert torch.allclose(axes.T @ axes, torch.eye(min(n, d), dtype=torch.float64), atol=1e-12)
    along = ((x.double() - x.double().mean(0)) @ axes).norm(dim=0)
    assert torch.allclose(along, sigma, rtol=1e-9, atol=1e-9)


@given(seed=seeds)
def test_first_concept_points_up_and_the_second_to_the_left(seed: int) -> None:
    x, groups = cloud(seed)
    plane, _, _ = features.project(x, groups)
    up, left = plane[groups == 0, :2].mean(0), plane[groups == 1, :2].mean(0)
    assert abs(up[0]) < 1e-9 * up.norm()
    assert up[1] > 0
    assert left[0] <= 0


@given(seed=seeds)
def test_picture_is_a_turned_or_mirrored_picture_of_the_principal_plane(seed: int) -> None:
    x, groups = cloud(seed)
    plane, axes, sigma = features.project(x, groups)
    expected_sigma, raw = features.principal_components(x)
    centred = x.double() - x.double().mean(0)
    assert torch.equal(sigma, expected_sigma)
    assert axes.shape == (6, 3) and plane.shape == (30, 3)
    assert torch.allclose(axes.T @ axes, torch.eye(3, dtype=torch.float64), atol=1e-12)
    assert torch.allclose(plane, centred @ axes, atol=1e-9)
    first_two, principal = plane[:, :2], centred @ raw[:, :2]
    assert torch.allclose(first_two @ first_two.T, principal @ principal.T, atol=1e-9)
    assert torch.allclose(plane[:, 2].abs(), (centred @ raw[:, 2]).abs(), atol=1e-9)


@given(seed=seeds)
def test_same_vectors_turned_in_space_give_the_same_picture(seed: int) -> None:
    x, groups = cloud(seed)
    plane, _, sigma = features.project(x, groups)
    turned, _, turned_sigma = features.project(x.double() @ rotation(6, seed) + 3, groups)
    assert torch.allclose(turned_sigma, sigma, rtol=1e-9)
    assert torch.allclose(turned[:, :2], plane[:, :2], atol=1e-6 * sigma[0].item())


@given(seed=seeds, noise=st.sampled_from([0, 1e-6]))
def test_tied_singular_values_do_not_turn_the_picture(seed: int, noise: float) -> None:
    words, concepts, *_ = type_one(3, 4, 6, 2.0, 1.0)
    words = words + noise * torch.randn(words.shape, generator=torch.Generator().manual_seed(seed))
    plane, _, sigma = features.project(words @ rotation(6, seed), concepts)
    assert sigma[0] / sigma[1] == pytest.approx(1, abs=1e-5)
    triangle = 2 * torch.tensor([[0, 1], [-(3**0.5) / 2, -0.5], [3**0.5 / 2, -0.5]], dtype=torch.float64)
    assert torch.allclose(plane[:, :2], triangle[concepts], atol=1e-4)


@pytest.mark.parametrize(("d", "coordinates"), [(1, 1), (2, 2), (3, 3), (9, 3)])
def test_three_coordinates_are_kept_where_there_are_as_many(d: int, coordinates: int) -> None:
    x = torch.randn(20, d, generator=torch.Generator().manual_seed(0))
    plane, axes, sigma = features.project(x, torch.arange(20) % 3)
    assert (plane.shape, axes.shape, sigma.shape) == ((20, coordinates), (d, coordinates), (d,))


def test_picture_without_a_member_of_the_first_concepts_is_finite() -> None:
    x, groups = cloud(0)
    for absent in (0, 1):
        plane, _, _ = features.project(x[groups != absent], groups[groups != absent])
        assert plane.isfinite().all()


def test_description_holds_spectrum_norms_and_measures() -> None:
    x, groups = cloud(1)
    sigma, _ = features.principal_components(x)
    weight = torch.rand(30, generator=torch.Generator().manual_seed(0))
    described = features.describe(x, groups, sigma, weight)
    norms = np.linalg.norm(x.double().numpy(), axis=1)
    assert described["sigma"] == sigma.tolist()
    assert described["norm_mean"] == pytest.approx(norms.mean(), rel=1e-12)
    assert described["norm_std"] == pytest.approx(norms.std(), rel=1e-12)
    for name, measure in collapse.MEASURES.items():
        assert described[name] == measure(x, groups, weight)


def test_rank_correlation_sees_order_alone() -> None:
    x = torch.tensor([1.0, 2.0, 3.0, 4.0])
    assert features.rank_correlation(x, x.exp()) == pytest.approx(1)
    assert features.rank_correlation(x, -(x**3)) == pytest.approx(-1)
    assert features.rank_correlation(x, torch.tensor([1.0, 2.0, 4.0, 3.0])) == pytest.approx(0.8)
    assert np.isnan(features.rank_correlation(x, torch.ones(4)))


def test_log_slope_is_the_exponent_of_a_power() -> None:
    x = torch.tensor([1, 2, 5, 40])
    assert features.log_slope(x, 3 * x**-0.7) == pytest.approx(-0.7)
    noisy = np.array([0.2, 0.9, 1.1, 7.0])
    expected = np.polyfit(np.log(x.numpy()), np.log(noisy), 1)[0]
    assert features.log_slope(x, torch.from_numpy(noisy)) == pytest.approx(expected)
    assert np.isnan(features.log_slope(torch.ones(4), x))


def test_words_are_counted_in_the_training_sentences(tiny: Callable[..., Experiment]) -> None:
    e = tiny(n_spl=1, K=3, mu="zipf")
    tensors = data.generate(e, 0)
    met = Counter(tensors["train_sentences"].flatten().tolist())
    assert features.times_met(e, tensors).tolist() == [met[word] for word in range(e.n_w)]


def test_fresh_sentences_have_each_word_as_often_as_its_law_says(tiny: Callable[..., Experiment]) -> None:
    e = tiny(n_spl=2000, mu="zipf", fresh=True)
    tensors = data.generate(e, 0)
    drawn = tensors["train_sentences"].long().flatten().bincount(minlength=e.n_w)
    expected = features.times_met(e, tensors)
    assert expected.sum().item() == pytest.approx(e.N * e.L)
    assert chisquare(drawn, expected).pvalue > 1e-4


def test_words_that_training_never_meets_count_neither_as_words_nor_in_tests(tiny: Callable[..., Experiment]) -> None:
    e = tiny(n_spl=1, K=4, n_w=30, mu="zipf", n_test=9, d=12)
    tensors = data.generate(e, 0)
    network = training.train(e, 0, tensors).network.eval()
    arrays, numbers = features.extract(e, network, tensors, 0)
    met = torch.isin(torch.arange(30), tensors["train_sentences"])
    count = tensors["train_sentences"].flatten().bincount(minlength=30)
    assert 0 < met.sum() < 30 and torch.equal(arrays["count"], count.double())
    words, concepts = network.words()[met], (torch.arange(30) // 10)[met]
    for name, measure in collapse.MEASURES.items():
        assert numbers["words_met"][name] == pytest.approx(measure(words, concepts), rel=1e-12)
        weighted = measure(words, concepts, count[met])
        assert numbers["words_weighted_by_count"][name] == pytest.approx(weighted, rel=1e-12)
    tests = [i for i, sentence in enumerate(tensors["test_sentences"].tolist()) if met[sentence].all()]
    right = network(tensors["test_sentences"][tests].long()).argmax(1) == tensors["test_labels"][tests]
    assert 0 < len(tests) < len(tensors["test_labels"])
    assert numbers["met"]["words_share"] == pytest.approx(met.double().mean().item())
    assert numbers["met"]["test_share"] == pytest.approx(len(tests) / len(tensors["test_labels"]))
    assert numbers["met"]["test_accuracy"] == pytest.approx(right.double().mean().item())
    assert numbers["met"]["norm_slope"] == features.log_slope(count[met], words.norm(dim=1))


def test_objective_is_the_cross_entropy_of_the_law_plus_the_penalty(tiny: Callable[..., Experiment]) -> None:
    e = tiny(mu="zipf", normalisation="layernorm", K=30, lambda_W=0.01, lambda_U=0.02, epochs=3)
    tensors = data.generate(e, 0)
    trained = training.train(e, 0, tensors)
    W, U = trained.network.weights()["W"], trained.network.weights()["U"]
    found = features.objective(e, trained.network, tensors, seed=0)

    sentences = data.draw_sentences(
        tensors["Z"], tensors["concepts"], tensors["mu"], 200, torch.Generator().manual_seed(1)
    )
    with torch.no_grad():
        losses = F.cross_entropy(
            trained.network(sentences.long()), torch.arange(30).repeat_interleave(200), reduction="none"
        )
    standard_error = (losses.var() / len(losses)).sqrt().item()
    assert found["cross_entropy"] == pytest.approx(losses.mean().item(), abs=5 * found["standard_error"])
    assert found["standard_error"] == pytest.approx(10**0.5 * standard_error, rel=0.2)  # 20 sentences a class, not 200
    norm_W, norm_U = np.linalg.norm(W.double().numpy()), np.linalg.norm(U.double().numpy())
    assert (found["norm_W"], found["norm_U"]) == pytest.approx((norm_W, norm_U), rel=1e-12)
    assert found["penalty"] == pytest.approx(0.005 * norm_W**2 + 0.01 * norm_U**2, rel=1e-12)
    assert found["value"] == pytest.approx(found["cross_entropy"] + found["penalty"], rel=1e-12)


@pytest.fixture(params=["none", "layernorm"])
def trained(
    request: pytest.FixtureRequest, tiny: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, process: None
) -> Run:
    """A tiny run with its data and weights on disk, below the working directory."""
    monkeypatch.chdir(tmp_path)
    run = Run("tiny/seed0", "", tiny(normalisation=request.param, mu="zipf", d=12), 0)
    data_stage.make(run)
    train.make(run, quiet=True)
    return run


def test_arrays_are_those_of_the_trained_network(trained: Run) -> None:
    e = trained.experiment
    features_stage.make(trained)
    arrays, _ = artifacts.read_arrays(trained.folder / "features.safetensors", trained)
    weights, _ = artifacts.read_arrays(trained.folder / "weights.safetensors", trained)
    tensors = data.generate(e, 0)
    words = torch.from_numpy(weights["W"])
    words = F.layer_norm(words, (e.d,)) if e.normalisation == "layernorm" else words
    u = torch.from_numpy(weights["U"]).reshape(e.K * e.L, e.d)

    assert np.allclose(arrays["words"], words, rtol=1e-5, atol=1e-6)
    words = torch.from_numpy(arrays["words"])
    assert np.array_equal(arrays["z"], tensors["Z"].flatten())
    assert all(np.array_equal(arrays[name], tensors[name]) for name in ("concepts", "mu"))
    for name, x in (("words", words), ("u", u)):
        plane, axes = arrays[f"{name}_plane"], arrays[f"{name}_axes"]
        centred = x.double().numpy() - x.double().numpy().mean(0)
        sigma = np.linalg.svd(centred, compute_uv=False)
        assert plane.shape == (len(x), 3) and axes.shape == (e.d, 3)
        assert np.allclose(np.linalg.svd(plane, compute_uv=False), sigma[:3])
        assert np.allclose(plane, centred @ axes)
        assert np.allclose(arrays[f"{name}_norm"], np.linalg.norm(x.numpy(), axis=1))


def test_windows_part_training_between_records() -> None:
    """Records within an epoch and at the end of epochs; what they have is a mean since the start of the epoch."""
    steps = np.arange(1, 41) / 10  # ten steps an epoch
    loss = np.exp(-steps)
    records = np.array([3, 8, 10, 14, 30, 40])
    start = (records - 1) // 10 * 10
    recorded = np.array([loss[a:b].mean() for a, b in zip(start, records, strict=True)])
    parts = features.windows(records / 10)
    assert parts * 10 == pytest.approx(np.array([[0, 3], [3, 8], [8, 10], [10, 14], [20, 30], [30, 40]]))
    expected = [loss[round(10 * a) : round(10 * b)].mean() for a, b in parts]
    assert features.losses_within(records / 10, recorded) == pytest.approx(np.array(expected), rel=1e-9)


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_half_way_is_found_between_records(rate: float) -> None:
    """A transition from log K to a small loss, of which there are but few records."""
    epochs = np.arange(25.0, 1001, 25)
    parts = features.windows(epochs)
    middle = parts.mean(1)
    losses = 0.02 + (math.log(50) - 0.02) / (1 + np.exp(rate * (middle - 430)))
    assert features.half_way(parts, losses, 50) == pytest.approx(430, abs=0.5)
    assert features.half_way(parts, losses + 3, 50) is None
    assert features.half_way(parts[:1], losses[:1], 50) is None


def test_metrics_are_those_of_the_trained_network(trained: Run) -> None:
    e = trained.experiment
    features_stage.make(trained)
    metrics = artifacts.read_json(trained.folder / "metrics.json", trained)
    arrays, _ = artifacts.read_arrays(trained.folder / "features.safetensors", trained)
    weights, _ = artifacts.read_arrays(trained.folder / "weights.safetensors", trained)
    history = pd.read_csv(trained.folder / "history.csv")
    words, concepts = torch.from_numpy(arrays["words"]), torch.arange(e.n_w) // e.s_c
    u, z = torch.from_numpy(weights["U"]).reshape(-1, e.d), torch.from_numpy(arrays["z"])
    mu = torch.from_numpy(arrays["mu"])

    assert metrics["training"]["epoch"] == 4
    for name in ("train_loss", "train_accuracy", "test_accuracy"):
        assert metrics["training"][name] == history[name].iloc[-1]
    assert metrics["training"]["peak_test_accuracy"] == history["test_accuracy"].max()
    epochs, losses = history["epoch"].to_numpy(), history["train_loss"].to_numpy()
    half_way = features.half_way(features.windows(epochs), features.losses_within(epochs, losses), e.K)
    assert metrics["training"]["half_way_epoch"] == half_way
    assert metrics["training"]["peak_epoch"] == history["epoch"][history["test_accuracy"].idxmax()]
    described = {"words": (words, concepts), "words_weighted_by_mu": (words, concepts, mu), "u": (u, z)}
    for name, vectors in described.items():
        for measure, f in collapse.MEASURES.items():
            assert metrics[name][measure] == pytest.approx(f(*vectors), rel=1e-12)
        sigma = np.linalg.svd(vectors[0].double() - vectors[0].double().mean(0), compute_uv=False)
        assert metrics[name]["sigma"] == pytest.approx(sigma[:10], rel=1e-9, abs=1e-12)
    network, data_of_run = Network(e, 0).load({k: torch.from_numpy(w) for k, w in weights.items()}), data.generate(e, 0)
    gap = optimality_gap(e, network.W.detach(), network.u().detach(), data_of_run)
    assert (gap is None) == (e.normalisation != "none")
    assert metrics["optimality_gap"] == gap
    assert metrics["alignment"] == collapse.alignment(words, concepts, u, z)
    assert metrics["alignment_weighted_by_mu"] == collapse.alignment(words, concepts, u, z, mu)
    for measure in collapse.MEASURES:
        assert history[f"words_{measure}"].iloc[-1] == pytest.approx(metrics["words"][measure], rel=1e-9)
        assert history[f"u_{measure}"].iloc[-1] == pytest.approx(metrics["u"][measure], rel=1e-9)


def test_make_twice_gives_the_same_bytes(trained: Run) -> None:
    files = [trained.folder / "features.safetensors", trained.folder / "metrics.json"]
    features_stage.make(trained)
    first = [file.read_bytes() for file in files]
    features_stage.make(trained)
    assert [file.read_bytes() for file in files] == first


@pytest.mark.parametrize("name", ["data.safetensors", "weights.safetensors", "history.csv", "run.json"])
def test_missing_or_damaged_input_is_refused_and_nothing_written(trained: Run, name: str) -> None:
    path = trained.folder / name
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], None):
        path.write_bytes(damaged) if damaged is not None else path.unlink()
        with pytest.raises(ArtifactError, match=name.replace(".", r"\.")):
            features_stage.make(trained)
        assert not (trained.folder / "features.safetensors").exists()
        assert not (trained.folder / "metrics.json").exists()


def test_weights_of_another_configuration_are_refused(trained: Run, tiny: Callable[..., Experiment]) -> None:
    changed = trained.experiment.model_copy(update={"lr": 0.5})
    with pytest.raises(ArtifactError, match="as it is configured now"):
        features_stage.make(Run(trained.name, "", changed, 0))


def test_vectors_on_a_line_can_be_described(
    tiny: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, process: None
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Run("tiny/seed0", "", tiny(n_c=2, n_w=4, d=2, K=2, L=1), 0)
    data_stage.make(run)
    train.make(run, quiet=True)
    features_stage.make(run)
    assert artifacts.read_arrays(run.folder / "features.safetensors", run)[0]["u_plane"].shape == (2, 2)


def test_norms_met_are_means_over_the_words_of_each_position(tiny: Callable[..., Experiment]) -> None:
    norms = torch.tensor([1.0, 2.0, 4.0])
    sentences, labels = torch.tensor([[0, 1], [2, 1], [1, 0]], dtype=torch.uint8), torch.tensor([0, 0, 2])
    met = features.norms_met(norms, sentences, labels, K=3)
    assert met[[0, 2]].tolist() == [[2.5, 2.0], [2.0, 1.0]]
    assert met[1].isnan().all()  # a class without sentences
    many = data.generate(tiny(n_spl=3000), 0)  # more sentences than are looked at together
    norms = torch.rand(12, generator=torch.Generator().manual_seed(0))
    met = features.norms_met(norms, many["train_sentences"], many["train_labels"], K=8)
    expected = norms.double()[many["train_sentences"].long()].reshape(8, 3000, 4).mean(1)
    assert torch.allclose(met, expected, rtol=1e-12)
