"""The networks against their formulas written out in loops, and their initial weights against their laws."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from feature_collapse.config import Experiment
from feature_collapse.networks import NORMALISATIONS, Network

EPS = 1e-5  # PyTorch's LayerNorm adds it to the variance


def layernorm(w: list[float]) -> list[float]:
    mean = sum(w) / len(w)
    variance = sum((x - mean) ** 2 for x in w) / len(w)
    return [(x - mean) / math.sqrt(variance + EPS) for x in w]


FORMULAS: dict[str, Callable[[list[float]], list[float]]] = {"none": lambda w: w, "layernorm": layernorm}


def network(e: Experiment, seed: int = 0) -> Network:
    """A network in float64 whose weights are of order one."""
    h = Network(e, seed).double()
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in h.parameters():
            weights.copy_(torch.randn(weights.shape, dtype=torch.float64, generator=stream))
    return h


def test_every_normalisation_has_its_formula_here_and_its_name_in_the_configuration(tiny: Callable) -> None:
    assert set(FORMULAS) == set(NORMALISATIONS)
    for name in NORMALISATIONS:
        assert tiny(normalisation=name).normalisation == name


@settings(max_examples=30)
@given(
    normalisation=st.sampled_from(sorted(FORMULAS)),
    n_c=st.integers(2, 3),
    sizes=st.fixed_dictionaries({"L": st.integers(1, 4), "K": st.integers(2, 5), "d": st.integers(1, 5)}),
    seed=st.integers(0, 1000),
)
def test_score_is_the_sum_over_positions_of_u_dot_phi_of_w(
    tiny: Callable, normalisation: str, n_c: int, sizes: dict, seed: int
) -> None:
    e = tiny(normalisation=normalisation, n_c=n_c, n_w=2 * n_c, distinct_latents=False, **sizes)
    h = network(e, seed)
    sentences = torch.randint(e.n_w, (3, e.L), generator=torch.Generator().manual_seed(seed))
    W, U = h.W.tolist(), h.U_T.T.tolist()  # rows w of length d; rows of length L d, the u_{k,l} one after the other
    scores = h(sentences)
    assert scores.shape == (3, e.K)
    for i, sentence in enumerate(sentences.tolist()):
        for k in range(e.K):
            score = 0.0
            for l, word in enumerate(sentence):
                u = U[k][l * e.d : (l + 1) * e.d]
                score += sum(a * b for a, b in zip(u, FORMULAS[normalisation](W[word]), strict=True))
            assert scores[i, k].item() == pytest.approx(score, rel=1e-11, abs=1e-11)


def test_words_and_u_are_the_vectors_that_the_score_is_made_of(tiny: Callable[..., Experiment]) -> None:
    e = tiny(normalisation="layernorm")
    h = network(e)
    words, u = h.words(), h.u()
    assert words.shape == (e.n_w, e.d)
    assert u.shape == (e.K, e.L, e.d)
    sentence = torch.tensor([0, 5, 11, 3])
    assert torch.allclose(h(sentence[None])[0], torch.einsum("kld,ld->k", u, words[sentence]), rtol=1e-12)


def test_features_are_the_normalised_words_side_by_side(tiny: Callable[..., Experiment]) -> None:
    h = network(tiny(normalisation="layernorm"))
    sentence = torch.tensor([0, 5, 11, 3])
    assert torch.equal(h.features(sentence[None])[0], torch.cat([h.words()[word] for word in sentence]))


@given(d=st.integers(2, 200), seed=st.integers(0, 1000), scale=st.floats(0.5, 100), shift=st.floats(-10, 10))
def test_layernorm_has_mean_zero_and_the_norm_of_its_definition(d: int, seed: int, scale: float, shift: float) -> None:
    w = scale * torch.randn(4, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + shift
    normalised = NORMALISATIONS["layernorm"](w)
    variance = w.var(1, correction=0)
    assert normalised.mean(1).abs().max() < 1e-9
    assert torch.allclose(normalised.square().sum(1), d * variance / (variance + EPS), rtol=1e-9)


def test_layernorm_keeps_neither_scale_nor_shift_of_a_word() -> None:
    w = torch.randn(3, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    assert NORMALISATIONS["layernorm"](w).norm(dim=1).tolist() == pytest.approx([50**0.5] * 3, rel=1e-4)
    assert torch.allclose(NORMALISATIONS["layernorm"](7 * w + 2), NORMALISATIONS["layernorm"](w), atol=1e-4)


def test_initial_weights_follow_their_laws(tiny: Callable[..., Experiment]) -> None:
    e = tiny(n_w=300, L=6, K=40, d=50, init_scale=0.001)
    h = Network(e, seed=0)
    W, U = h.W.detach().double().flatten().numpy(), h.U_T.detach().double().flatten().numpy()
    bound = 0.001 / math.sqrt(e.L * e.d)
    assert kstest(W / 0.001, "norm").pvalue > 1e-3
    assert abs(U).max() <= bound * (1 + 1e-6)
    assert kstest(U / bound / 2 + 0.5, "uniform").pvalue > 1e-3


def test_shapes_of_the_weights(tiny: Callable[..., Experiment]) -> None:
    e = tiny()
    h = Network(e, seed=0)
    assert {name: (tuple(p.shape), p.dtype) for name, p in h.named_parameters()} == {
        "W": ((e.n_w, e.d), torch.float32),
        "U_T": ((e.L * e.d, e.K), torch.float32),
    }
    assert h.U_T.is_contiguous()


def test_initial_weights_are_the_seed_s_and_scale_with_init_scale(tiny: Callable[..., Experiment]) -> None:
    h, again, other = Network(tiny(), 0), Network(tiny(), 0), Network(tiny(), 1)
    assert torch.equal(h.W, again.W) and torch.equal(h.U_T, again.U_T)
    assert not torch.equal(h.W, other.W) and not torch.equal(h.U_T, other.U_T)
    double = Network(tiny(init_scale=0.002), 0)
    assert torch.allclose(double.W, 2 * h.W) and torch.allclose(double.U_T, 2 * h.U_T)


def test_initial_words_do_not_depend_on_the_classifier(tiny: Callable[..., Experiment]) -> None:
    assert torch.equal(Network(tiny(K=8, L=4), 0).W, Network(tiny(K=20, L=5), 0).W)
