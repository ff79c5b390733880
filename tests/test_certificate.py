"""The lower bound against its definition, against all other points, and at a minimum."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor

from feature_collapse.model.data import generate
from feature_collapse.model.experiment import Experiment
from feature_collapse.model.networks import Network
from feature_collapse.theory.certificate import Optimality, optimality, optimality_gap

PENALTIES = (0.02, 0.05)  # on W and U
Point = tuple[Tensor, Tensor]


def toy(seed: int, n_w: int = 6, K: int = 4, L: int = 2, N: int = 20) -> tuple[Tensor, Tensor, Tensor]:
    """Sentences (N, L), labels (N,) and a law over the sentences (N,)."""
    stream = torch.Generator().manual_seed(seed)
    share = torch.rand(N, generator=stream, dtype=torch.float64)
    sentences = torch.randint(n_w, (N, L), generator=stream)
    return sentences, torch.randint(K, (N,), generator=stream), share / share.sum()


def point(seed: int, scale: float, n_w: int = 6, K: int = 4, L: int = 2, d: int = 5) -> Point:
    stream = torch.Generator().manual_seed(seed)
    return tuple(scale * torch.randn(*shape, generator=stream, dtype=torch.float64) for shape in ((n_w, d), (K, L, d)))


def objective(W: Tensor, U: Tensor, sentences: Tensor, labels: Tensor, probability: Tensor) -> Tensor:
    scores = torch.einsum("nld,kld->nk", W[sentences], U)
    losses = torch.nn.functional.cross_entropy(scores, labels, reduction="none")
    return probability @ losses + (PENALTIES[0] * W.square().sum() + PENALTIES[1] * U.square().sum()) / 2


def minimum(problem: tuple[Tensor, Tensor, Tensor], start: Point) -> Point:
    """A minimum by a quasi-Newton method."""
    shapes = [x.shape for x in start]

    def unpack(x: np.ndarray) -> Point:
        W, U = torch.from_numpy(x).split([shape.numel() for shape in shapes])
        return W.view(shapes[0]), U.view(shapes[1])

    def value(x: np.ndarray) -> tuple[float, np.ndarray]:
        W, U = (part.clone().requires_grad_() for part in unpack(x))
        loss = objective(W, U, *problem)
        loss.backward()
        return loss.item(), torch.cat([W.grad.flatten(), U.grad.flatten()]).numpy()

    options = {"maxiter": 20_000, "ftol": 0, "gtol": 1e-10}
    x = torch.cat([x.flatten() for x in start]).numpy()
    return unpack(minimize(value, x, jac=True, method="L-BFGS-B", options=options).x)


def bound_by_definition(W: Tensor, U: Tensor, sentences: Tensor, labels: Tensor, probability: Tensor) -> Optimality:
    """Sentence by sentence, with whole matrices."""
    (K, L, _), n_w, lam = U.shape, len(W), math.sqrt(PENALTIES[0] * PENALTIES[1])
    scores = torch.einsum("nld,kld->nk", W[sentences], U)
    laws, truth = scores.softmax(1), torch.nn.functional.one_hot(labels, K).double()
    G = torch.zeros(K, L, n_w, dtype=torch.float64)
    for i, sentence in enumerate(sentences):
        for place, word in enumerate(sentence):
            G[:, place, word] += probability[i] * (truth[i] - laws[i])
    sigma = torch.linalg.svdvals(G.flatten(0, 1)) / lam
    share = min(1, 1 / sigma[0].item())
    bound = probability @ torch.special.entr(share * laws + (1 - share) * truth).sum(1)
    return Optimality(objective(W, U, sentences, labels, probability).item(), bound.item(), tuple(sigma.tolist()))


@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 3), n_w=st.sampled_from([6, 12]))
def test_the_bound_is_the_definition(seed: int, scale: float, n_w: int) -> None:
    """With fewer and with more words than u_{k,l}, of which there are eight."""
    problem, (W, U) = toy(seed, n_w), point(seed, scale, n_w)
    found, expected = optimality(W, U, *problem[:2], *PENALTIES, problem[2]), bound_by_definition(W, U, *problem)
    assert found.value == pytest.approx(expected.value, rel=1e-12)
    assert found.bound == pytest.approx(expected.bound, rel=1e-10, abs=1e-13)
    shown = min(len(found.sigma), len(expected.sigma))
    assert found.sigma[:shown] == pytest.approx(expected.sigma[:shown], rel=1e-10, abs=1e-7 * expected.sigma[0])


@given(seed=st.integers(0, 10**6), scale=st.floats(0.01, 2), other=st.floats(0, 2), d=st.sampled_from([1, 5]))
def test_no_point_is_below_the_bound_of_another(seed: int, scale: float, other: float, d: int) -> None:
    problem = toy(seed)
    bound = optimality(*point(seed, scale, d=d), *problem[:2], *PENALTIES, problem[2]).bound
    assert objective(*point(seed + 1, other), *problem).item() >= bound - 1e-12


@pytest.mark.parametrize("seed", range(5))
def test_at_a_minimum_nothing_is_left_of_the_gap(seed: int) -> None:
    """Also where the penalties on W and U differ; and next to it there is a gap, which is no smaller than how far the
    value is above the minimum."""
    problem = toy(seed)
    W, U = minimum(problem, point(seed, 0.3))
    at = optimality(W, U, *problem[:2], *PENALTIES, problem[2])
    assert W.norm() > 0.1
    assert at.sigma[0] == pytest.approx(1, abs=1e-5)
    assert 0 <= at.gap < 1e-6
    near = optimality(1.1 * W, U, *problem[:2], *PENALTIES, problem[2])
    assert near.gap > 1 - at.value / near.value > 1e-4


def test_too_few_dimensions_leave_a_gap() -> None:
    problem = toy(0)
    full, narrow = (minimum(problem, point(0, 0.3, d=d)) for d in (5, 1))
    values = [objective(*weights, *problem).item() for weights in (full, narrow)]
    gap = optimality(*narrow, *problem[:2], *PENALTIES, problem[2]).gap
    assert gap >= 1 - values[0] / values[1] > 1e-3


def test_a_run_has_the_bound_of_its_training_sentences(tiny: Callable[..., Experiment]) -> None:
    e = tiny(label_noise=0.25)
    data, network = generate(e, 0), Network(e, 0)
    row = optimality_gap(e, network.W.detach(), network.u().detach(), data)
    expected = optimality(
        network.W.detach(),
        network.u().detach(),
        data["train_sentences"],
        data["train_labels"],
        e.lambda_W,
        e.lambda_U,
    )
    assert row is not None
    assert row["value"] == pytest.approx(expected.value, rel=1e-5)
    assert row["bound"] == pytest.approx(expected.bound, rel=1e-5)
    assert row["gap"] == pytest.approx(expected.gap, abs=1e-6)


@pytest.mark.parametrize(
    "changes",
    [
        {"normalisation": "layernorm", "lambda_W": 0},
        {"architecture": "mlp1"},
        {"fresh": True},
        {"lambda_W": 0},
        {"lambda_U": 0},
    ],
)
def test_where_there_is_no_bound_there_is_none(tiny: Callable[..., Experiment], changes: dict[str, object]) -> None:
    e = tiny(**changes)
    assert optimality_gap(e, torch.zeros(e.n_w, e.d), torch.zeros(e.K, e.L, e.d), generate(e, 0)) is None


def test_without_a_penalty_there_is_no_bound() -> None:
    sentences, labels, _ = toy(0)
    with pytest.raises(ValueError, match="without a penalty"):
        optimality(*point(0, 1), sentences, labels, 0, 0.1)
