"""The networks against their formulas written out in loops, and their initial weights against their laws."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kstest

from feature_collapse.model.experiment import Experiment
from feature_collapse.model.networks import ARCHITECTURES, NORMALISATIONS, Network

EPS = 1e-5
INITIAL = {"init_scale_W": 1, "init_scale_U": 1}


def layernorm(w: list[float], eps: float) -> list[float]:
    mean = sum(w) / len(w)
    variance = sum((x - mean) ** 2 for x in w) / len(w)
    return [(x - mean) / math.sqrt(variance + eps) for x in w]


def affine(w: list[float], h: Network) -> list[float]:
    scale, shift = h.phi.weight.tolist(), h.phi.bias.tolist()
    return [a * x + b for x, a, b in zip(layernorm(w, h.phi.eps), scale, shift, strict=True)]


def batchnorm(w: list[float], h: Network) -> list[float]:
    means, variances = h.phi.running_mean.tolist(), h.phi.running_var.tolist()
    return [(x - m) / math.sqrt(v + h.phi.eps) for x, m, v in zip(w, means, variances, strict=True)]


# phi of a word in a network that is evaluated.
FORMULAS: dict[str, Callable[[list[float], Network], list[float]]] = {
    "none": lambda w, h: w,
    "layernorm": lambda w, h: layernorm(w, h.phi.eps),
    "layernorm_affine": affine,
    "rmsnorm": lambda w, h: [x / math.sqrt(sum(y**2 for y in w) / len(w) + h.phi.eps) for x in w],
    "l2": lambda w, h: [x / math.hypot(*w) for x in w],
    "batchnorm": batchnorm,
    "fixed_norm": lambda w, h: w,
}


def network(e: Experiment, seed: int = 0) -> Network:
    """A network in float64 whose weights are of order one."""
    h = Network(e, seed).double()
    stream = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for weights in h.parameters():
            weights.copy_(torch.randn(weights.shape, dtype=torch.float64, generator=stream))
        for name, average in h.phi.named_buffers():  # of BatchNorm, as if it had been trained
            if name.startswith("running"):
                average.copy_(torch.rand(average.shape, dtype=torch.float64, generator=stream) + 0.5)
    return h.eval()


def test_every_normalisation_has_its_formula_here_and_its_name_in_the_configuration(tiny: Callable) -> None:
    assert set(FORMULAS) == set(NORMALISATIONS)
    for name in NORMALISATIONS:
        assert tiny(normalisation=name).normalisation == name


@settings(max_examples=30)
@given(
    normalisation=st.sampled_from(sorted(FORMULAS)),
    n_c=st.integers(2, 3),
    sizes=st.fixed_dictionaries({"L": st.integers(1, 4), "K": st.integers(2, 5), "d": st.integers(2, 5)}),
    eps=st.sampled_from([1e-5, 0.1]),
    seed=st.integers(0, 1000),
)
def test_score_is_the_sum_over_positions_of_u_dot_phi_of_w(
    tiny: Callable, normalisation: str, n_c: int, sizes: dict, eps: float, seed: int
) -> None:
    e = tiny(normalisation=normalisation, n_c=n_c, n_w=2 * n_c, eps=eps, distinct_latents=False, **sizes)
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
                score += sum(a * b for a, b in zip(u, FORMULAS[normalisation](W[word], h), strict=True))
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
    normalised = NORMALISATIONS["layernorm"](d, EPS)(w)
    variance = w.var(1, correction=0)
    assert normalised.mean(1).abs().max() < 1e-9
    assert torch.allclose(normalised.square().sum(1), d * variance / (variance + EPS), rtol=1e-9)


def test_layernorm_keeps_neither_scale_nor_shift_of_a_word() -> None:
    w = torch.randn(3, 50, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    phi = NORMALISATIONS["layernorm"](50, EPS)
    assert phi(w).norm(dim=1).tolist() == pytest.approx([50**0.5] * 3, rel=1e-4)
    assert torch.allclose(phi(7 * w + 2), phi(w), atol=1e-4)


@pytest.mark.parametrize(("normalisation", "norm"), [("rmsnorm", 50**0.5), ("l2", 1), ("fixed_norm", 50**0.5)])
def test_norms_are_controlled(tiny: Callable[..., Experiment], normalisation: str, norm: float) -> None:
    h = Network(tiny(normalisation=normalisation, d=50, **INITIAL), seed=0)
    assert h.words().norm(dim=1).tolist() == pytest.approx([norm] * len(h.W), rel=1e-4)


def test_batchnorm_normalises_each_coordinate_over_the_words_of_a_batch(tiny: Callable[..., Experiment]) -> None:
    e = tiny(normalisation="batchnorm", **INITIAL)
    h = Network(e, seed=0).double().train()
    sentences = torch.randint(e.n_w, (9, e.L), generator=torch.Generator().manual_seed(0))
    x = h.features(sentences).reshape(-1, e.d)
    w = h.W[sentences].reshape(-1, e.d)
    assert torch.allclose(x, (w - w.mean(0)) / (w.var(0, correction=0) + EPS).sqrt(), rtol=1e-9)
    h.words()
    assert h.training  # asking for the words leaves the mode as it was


def relu(x: list[float]) -> list[float]:
    return [max(0.0, y) for y in x]


def times(matrix: list[list[float]], x: list[float]) -> list[float]:
    return [sum(a * b for a, b in zip(row, x, strict=True)) for row in matrix]


def plus(*vectors: list[float]) -> list[float]:
    return [sum(entries) for entries in zip(*vectors, strict=True)]


def transformer(x: list[list[float]], weights: dict[str, list[list[float]]]) -> list[list[float]]:
    d = len(x[0])
    qkv = [times(weights["0.to_qkv.weight"], vector) for vector in x]
    q, k, v = ([vector[i * d : (i + 1) * d] for vector in qkv] for i in range(3))
    after = []
    for position, vector in enumerate(x):
        share = [math.exp(sum(a * b for a, b in zip(q[position], key, strict=True)) / math.sqrt(d)) for key in k]
        met = [sum(s * value[i] for s, value in zip(share, v, strict=True)) / sum(share) for i in range(d)]
        vector = plus(vector, times(weights["0.out.weight"], met))
        after.append(plus(vector, times(weights["1.down.weight"], relu(times(weights["1.up.weight"], vector)))))
    return after


LAYERS: dict[str, Callable] = {
    "linear": lambda x, weights: x,
    "mlp1": lambda x, weights: [relu(times(weights["0.0.weight"], v)) for v in x],
    "mlp2": lambda x, weights: [relu(times(weights["1.0.weight"], relu(times(weights["0.0.weight"], v)))) for v in x],
    "transformer": transformer,
}


@settings(max_examples=40)
@given(
    architecture=st.sampled_from(sorted(LAYERS)),
    normalisation=st.sampled_from(["none", "layernorm"]),
    sizes=st.fixed_dictionaries({"L": st.integers(1, 4), "K": st.integers(2, 5), "d": st.integers(2, 4)}),
    seed=st.integers(0, 1000),
)
def test_layers_between_words_and_classifier_are_their_formulas(
    tiny: Callable, architecture: str, normalisation: str, sizes: dict, seed: int
) -> None:
    e = tiny(architecture=architecture, normalisation=normalisation, distinct_latents=False, **sizes)
    h = network(e, seed)
    sentence = torch.randint(e.n_w, (e.L,), generator=torch.Generator().manual_seed(seed))
    words = [FORMULAS[normalisation](h.W[word].tolist(), h) for word in sentence]
    behind = LAYERS[architecture](words, {name: p.tolist() for name, p in h.layers.named_parameters()})
    assert h.features(sentence[None])[0].tolist() == pytest.approx([x for v in behind for x in v], rel=1e-9, abs=1e-9)
    activations = h.activations(sentence[None])
    assert len(activations) == len(h.layers)
    if activations:
        assert torch.equal(activations[-1].flatten(1), h.features(sentence[None]))


def test_every_architecture_has_its_formula_here(tiny: Callable[..., Experiment]) -> None:
    assert set(LAYERS) == set(ARCHITECTURES)
    for name in ARCHITECTURES:
        assert tiny(architecture=name).architecture == name


@pytest.mark.parametrize("architecture", ARCHITECTURES)
@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_weights_are_all_there_is(tiny: Callable[..., Experiment], normalisation: str, architecture: str) -> None:
    e = tiny(architecture=architecture, normalisation=normalisation, **INITIAL)
    one = Network(e, seed=0).double()
    one.features(torch.randint(e.n_w, (9, e.L)))  # BatchNorm learns
    other = Network(e, seed=1).double().load(one.weights())
    sentences = torch.randint(e.n_w, (5, e.L))
    assert torch.equal(one.eval()(sentences), other.eval()(sentences))


def test_initial_weights_follow_their_laws(tiny: Callable[..., Experiment]) -> None:
    e = tiny(n_w=300, L=6, K=40, d=50)
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
        "U_blocks.0": ((e.L * e.d, e.K), torch.float32),
    }
    assert h.U_T.shape == (e.L * e.d, e.K)


def test_classifier_is_held_in_equal_contiguous_blocks_of_at_most_500_classes(tiny: Callable[..., Experiment]) -> None:
    e = tiny(K=1001, distinct_latents=False)
    h = Network(e, seed=0)
    assert [block.shape for block in h.U_blocks] == [(e.L * e.d, K) for K in (334, 334, 333)]
    assert all(block.is_contiguous() for block in h.U_blocks)
    assert torch.equal(h.u()[700, 2], h.U_blocks[2][2 * e.d : 3 * e.d, 700 - 668])
    assert torch.equal(h.weights()["U"][700, 2 * e.d : 3 * e.d], h.u()[700, 2])
    assert torch.equal(Network(e, seed=1).load(h.weights()).U_T, h.U_T)


def test_initial_weights_are_the_seed_s_and_scale_with_init_scale(tiny: Callable[..., Experiment]) -> None:
    h, again, other = Network(tiny(), 0), Network(tiny(), 0), Network(tiny(), 1)
    assert torch.equal(h.W, again.W) and torch.equal(h.U_T, again.U_T)
    assert not torch.equal(h.W, other.W) and not torch.equal(h.U_T, other.U_T)
    double = Network(tiny(init_scale_W=0.002, init_scale_U=0.003), 0)
    assert torch.allclose(double.W, 2 * h.W) and torch.allclose(double.U_T, 3 * h.U_T)


def test_initial_layers_follow_torch_s_law_times_their_scale(tiny: Callable[..., Experiment]) -> None:
    e = tiny(architecture="transformer", d=100)
    for (name, p), half in zip(
        Network(e, 0).layers.named_parameters(),
        Network(e.model_copy(update={"init_scale_layers": 0.5}), 0).layers.parameters(),
        strict=True,
    ):
        bound = 1 / math.sqrt(p.shape[1])
        assert kstest(p.detach().double().flatten().numpy() / bound / 2 + 0.5, "uniform").pvalue > 1e-3, name
        assert torch.equal(p, 2 * half)


def test_initial_words_do_not_depend_on_the_classifier(tiny: Callable[..., Experiment]) -> None:
    assert torch.equal(Network(tiny(K=8, L=4), 0).W, Network(tiny(K=20, L=5), 0).W)
