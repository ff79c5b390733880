"""The arithmetic of training, bit for bit against its reference in plain numpy."""

import math
from collections.abc import Callable
from fractions import Fraction

import numpy as np
import pytest
import reference
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from reference import Reference

from feature_collapse.model import data, functions, products
from feature_collapse.model.experiment import Experiment
from feature_collapse.model.networks import ARCHITECTURES, NORMALISATIONS, Network
from feature_collapse.model.training import FusedStep

SIZES = st.one_of(st.integers(1, 20), st.integers(1, 300), st.just(500), st.just(501))


def normal(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def same(x: torch.Tensor, y: np.ndarray) -> bool:
    return x.shape == y.shape and x.detach().numpy().tobytes() == np.ascontiguousarray(y).tobytes()


@given(
    a=st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**50), max_value=2.0**50),
    seed=st.integers(0, 99),
)
def test_fused_multiply_add_rounds_the_exact_result_once(a: float, seed: int) -> None:
    b, c = normal(2, seed=seed)
    c *= np.float32(2.0 ** (seed - 50))
    exact = Fraction(a) * Fraction(float(b)) + Fraction(float(c))
    found = reference.fma(np.float32([a]), np.float32([b]), np.float32([c]))[0]
    below, above = np.nextafter(found, np.float32(-np.inf)), np.nextafter(found, np.float32(np.inf))
    distance = abs(exact - Fraction(float(found)))
    assert distance <= min(abs(exact - Fraction(float(below))), abs(exact - Fraction(float(above))))


@settings(max_examples=60)
@given(M=SIZES, k=SIZES, N=SIZES, layout=st.sampled_from(["AB", "A B.T", "A.T B", "A.T B.T"]))
def test_products_are_the_reference_s(M: int, k: int, N: int, layout: str) -> None:
    A, B = normal(M, k, seed=1), normal(k, N, seed=2)
    a = torch.from_numpy(A) if "A.T" not in layout else torch.from_numpy(A.T.copy()).T
    b = torch.from_numpy(B) if "B.T" not in layout else torch.from_numpy(B.T.copy()).T
    rows, columns = [0, M // 2, M - 1], [*range(min(N, 20)), N // 2, N - 1]
    assert same(products.product(a, b)[rows][:, columns], reference.product(A[rows], B[:, columns]))


@given(M=SIZES, k=st.one_of(SIZES, st.integers(300, 1700)))
def test_sums_are_the_reference_s(M: int, k: int) -> None:
    x = normal(M, k)
    assert same(products.sums(torch.from_numpy(x)), reference.sums(x))
    assert same(products.sums(torch.from_numpy(x.T.copy()).T), reference.sums(x))


@settings(max_examples=30)
@given(
    B=st.one_of(st.integers(1, 20), st.sampled_from([100, 501, 1100])), K=st.integers(2, 1100), F=st.integers(1, 1100)
)
def test_products_of_a_step_are_the_reference_s(B: int, K: int, F: int) -> None:
    X, U, G = normal(B, F, seed=1), normal(K, F, seed=2), normal(B, K, seed=3)
    U_T = [block.T.clone(memory_format=torch.contiguous_format) for block in products.parts(torch.from_numpy(U), 0)]
    blocks = [block.clone() for block in products.parts(torch.from_numpy(G), 1)]
    r, c, f = np.unique([0, B // 2, B - 1]), np.unique([0, 1, K // 2, K - 1]), np.unique([0, F // 3, F - 1])
    assert same(torch.cat(products.scores(torch.from_numpy(X), U_T), 1)[r][:, c], reference.product(X[r], U[c].T))
    assert same(products.gradient_to_features(blocks, U_T)[r][:, f], reference.product(G[r], U[:, f]))
    products.descend(U_T, torch.from_numpy(X), blocks, 0.3, 0.9)
    expected = U[c][:, f] * np.float32(0.9)
    for cut in reference.cuts(B):
        expected = expected + reference.product((G * np.float32(-0.3))[cut][:, c].T, X[cut][:, f])
    assert same(torch.cat(U_T, 1).T[c][:, f], expected)


@pytest.mark.parametrize("size", [1, 7, 8, 15, 16, 17, 64, 1000])
def test_exponential_is_the_reference_s_and_e_to_the_x(size: int) -> None:
    x = -np.abs(normal(size)) * 40
    x[: size // 9] = -np.linspace(0, 110, size // 9)
    room = torch.zeros(-(-size // 64) * 64)
    room[:size] = torch.from_numpy(x)
    assert same(functions.exp_(room)[:size], reference.exp(x))
    normal_range = x > -80
    assert np.allclose(reference.exp(x)[normal_range], np.exp(x.astype(float))[normal_range], rtol=1e-5)


CASES = [*((n, "linear") for n in NORMALISATIONS), *(("layernorm", a) for a in ARCHITECTURES), ("none", "transformer")]


@pytest.mark.parametrize(("normalisation", "architecture"), CASES)
@pytest.mark.parametrize(
    "sizes",
    [
        {"n_w": 60, "L": 5, "K": 37, "d": 7, "batch_size": 9},  # 37 * 3 sentences: a last batch of 3
        {"n_w": 30, "L": 9, "K": 501, "d": 60, "n_spl": 1, "batch_size": 250},  # all sums are cut; a last batch of 1
        {"n_w": 12, "L": 2, "K": 2, "d": 2, "batch_size": 5, "distinct_latents": False},
    ],
    ids=["odd", "cut", "least"],
)
def test_training_is_the_reference_s(tiny: Callable, normalisation: str, architecture: str, sizes: dict) -> None:
    initial = {"init_scale_W": 1, "init_scale_U": 1, "init_scale_layers": 1}
    e: Experiment = tiny(
        normalisation=normalisation, architecture=architecture, lr=0.3, lambda_W=0.01, lambda_U=0.02, **initial, **sizes
    )
    tensors = data.generate(e, seed=0)
    network = Network(e, seed=0)
    expected = Reference(e, {name: w.numpy().copy() for name, w in network.weights().items()})
    step = FusedStep(network, e)
    order = torch.randperm(e.N, generator=torch.Generator().manual_seed(0))
    for chosen in order.split(e.batch_size):
        sentences, labels = tensors["train_sentences"][chosen].long(), tensors["train_labels"][chosen].long()
        loss, scores = step(sentences, labels)
        network.constrain()
        expected_loss, expected_scores = expected.step(sentences.numpy(), labels.numpy())
        expected.constrain()
        assert loss == expected_loss and math.isfinite(loss)
        assert same(scores, expected_scores)
        for name, weights in network.weights().items():
            assert same(weights, expected.weights[name]), name
