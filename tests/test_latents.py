"""Minima for given latents: the theorems where all sequences are classes, certified ones where they are drawn."""

import math

import numpy as np
import pytest
import torch

from feature_collapse.model.data import draw_latents, generator
from feature_collapse.theory import predictions, theorems
from feature_collapse.theory.certificate import optimality
from feature_collapse.theory.latents import type_i_with_latents, type_ii_with_latents
from feature_collapse.workflow.config import Config

N_C, S_C, L, D, LAM = 3, 4, 3, 7, 0.004
EVERY = np.indices((N_C,) * L).reshape(L, -1).T
DRAWN = draw_latents(N_C, 6, 40, generator(0, "latents")).long().numpy()


def test_with_all_sequences_as_classes_it_is_theorem_1() -> None:
    found = type_i_with_latents(EVERY, N_C, N_C * S_C, LAM)
    theorem = theorems.predict(N_C, N_C * S_C, L, len(EVERY), D, np.full(S_C, 1 / S_C), LAM, False)
    assert found.value == pytest.approx(theorem.value, rel=1e-8)
    assert found.cross_entropy == pytest.approx(theorem.cross_entropy, rel=1e-4)
    assert found.norm_words == pytest.approx(theorem.mean_norm_words, rel=1e-4)
    assert found.norm_u == pytest.approx(theorem.norm_u, rel=1e-4)
    assert found.sigma_words == pytest.approx(theorem.sigma_words, rel=1e-4, abs=1e-4)
    assert found.sigma_u == pytest.approx(theorem.sigma_u, rel=1e-4, abs=1e-4)


def test_with_all_sequences_as_classes_it_is_theorem_3() -> None:
    found = type_ii_with_latents(EVERY, N_C, N_C * S_C, math.sqrt(D), LAM)
    theorem = theorems.predict(N_C, N_C * S_C, L, len(EVERY), D, np.full(S_C, 1 / S_C), LAM, True)
    assert found.value == pytest.approx(theorem.value, rel=1e-8)
    assert found.norm_words == pytest.approx(theorem.norm_words[:N_C], rel=1e-12)
    assert found.norm_u == pytest.approx(theorem.norm_u, rel=1e-4)
    assert found.sigma_u == pytest.approx(theorem.sigma_u, rel=1e-4, abs=1e-6)


def test_no_weights_are_below_the_minimum_for_drawn_latents() -> None:
    """The least value found from elsewhere is the same, and by duality the least of all; one word stands for s_c."""
    K = len(DRAWN)
    found = type_i_with_latents(DRAWN, N_C, N_C * S_C, LAM)
    assert found.value < math.log(K) - 1
    theorem = theorems.theorem1(N_C, N_C * S_C, 6, K, LAM)
    assert theorem.value > found.value * 1.001, "latents that are drawn are not symmetric"
    point = _point(found.value)
    gap = optimality(*point, torch.from_numpy(DRAWN), torch.arange(K), S_C * LAM, LAM)
    assert gap.value == pytest.approx(found.value, rel=1e-7)
    assert 0 <= gap.gap < 1e-4


def _point(value: float) -> tuple[torch.Tensor, torch.Tensor]:
    """The weights of the minimum, found again by gradient descent from elsewhere."""
    K = len(DRAWN)
    stream = torch.Generator().manual_seed(1)
    W = torch.randn(N_C, 5, dtype=torch.float64, generator=stream).requires_grad_()
    U = torch.randn(K, 6, 5, dtype=torch.float64, generator=stream).requires_grad_()
    optimiser = torch.optim.LBFGS([W, U], max_iter=3000, tolerance_grad=1e-10, tolerance_change=0, history_size=30)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        scores = torch.einsum("nld,kld->nk", W[torch.from_numpy(DRAWN)], U)
        loss = torch.nn.functional.cross_entropy(scores, torch.arange(K))
        loss = loss + LAM / 2 * (S_C * W.square().sum() + U.square().sum())
        loss.backward()
        return loss

    optimiser.step(closure)
    assert closure().item() == pytest.approx(value, rel=1e-7)
    return W.detach(), U.detach()


def test_latents_that_coincide_cannot_be_told_apart() -> None:
    Z = DRAWN.copy()
    Z[1] = Z[0]
    assert type_ii_with_latents(Z, N_C, 12, math.sqrt(D), 1e-6).cross_entropy > 2 / len(Z) * math.log(2) * 0.99


def test_h_star_is_at_its_minimum_over_the_classifier() -> None:
    """The same as found from zero by other means, as the problem is convex; and shorter words cost."""
    found = type_ii_with_latents(DRAWN, N_C, 12, 2.0, LAM)
    shorter = type_ii_with_latents(DRAWN, N_C, 12, 1.9, LAM)
    assert shorter.value > found.value
    K = len(DRAWN)
    f = 2.0 * theorems.equiangular(N_C, N_C)
    U = torch.zeros(K, 6, N_C, dtype=torch.float64, requires_grad=True)
    words = torch.from_numpy(f[DRAWN])

    def value(U: torch.Tensor) -> torch.Tensor:
        scores = torch.einsum("nld,kld->nk", words, U)
        return torch.nn.functional.cross_entropy(scores, torch.arange(K)) + LAM / 2 * U.square().sum()

    optimiser = torch.optim.LBFGS([U], max_iter=1000, tolerance_grad=1e-12, tolerance_change=0)

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = value(U)
        loss.backward()
        return loss

    optimiser.step(closure)
    assert found.value == pytest.approx(value(U).item(), rel=1e-9)
    assert found.norm_u == pytest.approx(U.detach().norm(dim=2).numpy(), rel=1e-3, abs=1e-4)


def test_each_run_has_the_prediction_of_its_own_latents(config: Config) -> None:
    e = config.run("fig3+K=50+n_spl=100/seed0").experiment
    first, second = (predictions.with_latents(e, seed) for seed in (0, 1))
    theorem = predictions.predict(e)
    assert first is not None and second is not None
    assert first.value != second.value
    for found in (first, second):
        assert found.value == pytest.approx(theorem.value, rel=0.1)
        assert found.sigma_words[0] > theorem.sigma_words[0] > found.sigma_words[1]
    assert predictions.with_latents(config.run("fig4a+K=50/seed0").experiment, 0) is None


def test_words_of_h_star_are_as_long_as_eps_lets_them_become(config: Config) -> None:
    found = predictions.with_latents(config.run("fig4c+K=50/seed0").experiment, 0)
    assert found is not None
    assert found.norm_words.shape == (400,)
    assert (np.diff(found.norm_words) < 0).all(), "rare words are pushed less, and so stay shorter"
    assert 6 < found.norm_words.min() < found.norm_words.max() < 10
    total = (found.sigma_words**2).sum()
    assert total == pytest.approx(3 * (found.norm_words**2).sum(), rel=1e-9)
