"""Growth rates against those of sampled sentences, the reduced flow against the flow of all weights, and half-way
epochs against runs."""

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from feature_collapse.model.data import generate
from feature_collapse.model.experiment import Experiment
from feature_collapse.model.features import half_way, losses_within, windows
from feature_collapse.model.training import train
from feature_collapse.theory import curves, dynamics, enumeration, predictions, theorems
from feature_collapse.theory.certificate import optimality
from feature_collapse.theory.dynamics import Setting, growth, growth_rates, learning_curve, reached
from feature_collapse.theory.theorems import Array
from feature_collapse.workflow.config import Config

ZIPF = enumeration.zipf(4, 1)
PLAIN = Setting(3, 2, 9, 20, ZIPF, 0.003, 0.003, 0.01, 0.01, normalised=False)
STAR = replace(PLAIN, lambda_W=0.0, normalised=True, eps=1e-4)


# Growth rates


def sampled(n_c: int, L: int, K: int, mu: tuple[float, ...], n_spl: int, seed: int) -> Array:
    """The leading singular values of minus the gradient at the origin, of sentences drawn at random."""
    stream, s_c = np.random.default_rng(seed), len(mu)
    Z = stream.integers(n_c, size=(K, 1, L))
    sentences = (Z * s_c + stream.choice(s_c, size=(K, n_spl, L), p=mu)).reshape(-1, L)
    zero = torch.zeros(n_c * s_c, 1), torch.zeros(K, L, 1)
    labels = torch.arange(K).repeat_interleave(n_spl)
    return np.array(optimality(*zero, torch.from_numpy(sentences), labels, 1.0, 1.0).sigma)


@pytest.mark.parametrize(("exponent", "n_spl"), [(0, 3), (0, 40), (1, 3), (1, 40)])
def test_growth_rates_are_those_of_sampled_sentences(exponent: float, n_spl: int) -> None:
    n_c, L, K, mu = 3, 10, 120, enumeration.zipf(150, exponent)
    draws = np.array([sampled(n_c, L, K, mu, n_spl, seed) for seed in range(30)])[:, :2]
    rates, mean = growth_rates(n_c, L, K, mu, n_spl), math.sqrt((draws**2).mean())
    error = (draws**2).mean(1).std() / math.sqrt(30) / (2 * mean)
    assert abs(rates.sample - mean) < 3 * error + 0.003 * mean
    assert (rates.sample > 1.05 * rates.population) is (n_spl == 3)


def test_the_common_mode_is_that_of_frequent_words() -> None:
    """It is the third singular value where few sentences of a long-tailed law make it the largest of the others."""
    rates = growth_rates(3, 15, 300, enumeration.zipf(100, 1), 5)
    third = np.mean([sampled(3, 15, 300, enumeration.zipf(100, 1), 5, seed)[2] for seed in range(5)])
    assert rates.common == pytest.approx(third, rel=0.03)


@given(n_c=st.integers(2, 5), L=st.integers(1, 9), s_c=st.integers(1, 6), exponent=st.floats(0, 2))
def test_with_many_sentences_growth_is_that_of_the_law(n_c: int, L: int, s_c: int, exponent: float) -> None:
    K, mu = min(n_c**L, 50), enumeration.zipf(s_c, exponent)
    limit = growth_rates(n_c, L, K, mu)
    assert limit.population == limit.sample
    assert limit.population == pytest.approx(math.sqrt(1 - 1 / K) * np.linalg.norm(mu) * math.sqrt(L / (n_c * K)))
    assert growth_rates(n_c, L, K, mu, 10**7).sample == pytest.approx(limit.population, rel=1e-4)


@given(sigma=st.floats(0, 1), lambda_W=st.floats(0, 1), lambda_U=st.floats(0, 1))
def test_growth_with_two_decays_is_an_eigenvalue(sigma: float, lambda_W: float, lambda_U: float) -> None:
    setting = replace(PLAIN, lambda_W=lambda_W, lambda_U=lambda_U)
    largest = np.linalg.eigvalsh([[-lambda_W, sigma], [sigma, -lambda_U]])[-1]
    assert growth(setting, sigma) == pytest.approx(largest, abs=1e-12)


def test_growth_rates_name_what_is_out_of_range() -> None:
    with pytest.raises(ValueError, match=r"^n_spl: "):
        growth_rates(3, 2, 9, ZIPF, 0)
    with pytest.raises(ValueError, match=r"^K: "):
        growth_rates(3, 2, 10, ZIPF)
    with pytest.raises(ValueError, match=r"^mu: "):
        growth_rates(3, 2, 9, [0.5, 0.4])


# The flow


def flow_of_all_weights(setting: Setting, times: Array) -> tuple[Array, Array, Array]:
    """Losses (T,), norms of the words of the first concept (T, s_c) and of the u_{k,l} (T,), from gradient flow of W
    and U on all sentences of all classes, from the start that the reduced flow has."""
    s = setting
    n_c, s_c, d = s.n_c, len(s.mu), s.d
    flow = dynamics._Flow(s, like=1.0)
    r, c = flow.start[: len(flow.count)][flow.group], flow.start[-1]
    f = torch.from_numpy(theorems.equiangular(n_c, d))
    problem = enumeration.Problem(n_c, s.L, d, s.mu, "h", 1.0)
    sentences, probability, label = (torch.from_numpy(x) for x in enumeration._listed(problem))
    W = (torch.from_numpy(r)[:, None] * f[:, None]).reshape(-1, d)
    if s.normalised:
        # The rest of a word is of mean zero, and orthogonal to all f, which have n_c dimensions. It is the same for all
        # concepts, so that none of it comes into U, as none does of many random words on average.
        rest = torch.randn(s_c, d, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).repeat(n_c, 1)
        rest[:, :n_c] = 0
        rest[:, n_c:] -= rest[:, n_c:].mean(1, keepdim=True)
        W += rest / rest.norm(dim=1, keepdim=True) * s.init_scale_W * math.sqrt(d)
    U = c * f[torch.from_numpy(enumeration.latents(problem))]

    def value(W: torch.Tensor, U: torch.Tensor) -> torch.Tensor:
        words = torch.nn.functional.layer_norm(W, (d,), eps=s.eps) if s.normalised else W
        scores = torch.einsum("lnd,kld->nk", words[sentences], U)
        return probability @ torch.nn.functional.cross_entropy(scores, label, reduction="none")

    def parts(y: Array) -> tuple[torch.Tensor, torch.Tensor]:
        w, u = torch.from_numpy(y).split([W.numel(), U.numel()])
        return w.view_as(W), u.view_as(U)

    def slope(_: float, y: Array) -> Array:
        w, u = (x.clone().requires_grad_() for x in parts(y))
        value(w, u).backward()
        down = -w.grad - s.lambda_W * w.detach(), -u.grad - s.lambda_U * u.detach()
        return torch.cat([x.flatten() for x in down]).numpy()

    start = torch.cat([W.flatten(), U.flatten()]).numpy()
    states = solve_ivp(slope, (0, times[-1]), start, method="LSODA", t_eval=times, rtol=1e-7, atol=1e-10).y
    losses, words, norms = [], [], []
    for y in states.T:
        w, u = parts(y)
        phi = torch.nn.functional.layer_norm(w, (d,), eps=s.eps) if s.normalised else w
        losses.append(value(w, u).item())
        words.append(phi[:s_c].norm(dim=1).numpy())
        norms.append(u.norm(dim=2).mean().item())
    return np.array(losses), np.array(words), np.array(norms)


@pytest.mark.parametrize("setting", [PLAIN, replace(PLAIN, lambda_U=0.001), STAR, replace(STAR, lambda_W=0.002)])
def test_the_reduced_flow_is_that_of_all_weights(setting: Setting) -> None:
    """Where all sequences are classes and the start has the form of type III, the form is kept."""
    end = 1.5 * reached(setting, 0.98)
    times = np.linspace(0, end, 12)
    losses, words, norms = flow_of_all_weights(setting, times)
    curve = learning_curve(setting, times)
    assert losses[0] - losses[-1] > 0.9
    assert curve.loss == pytest.approx(losses, rel=1e-4)
    assert curve.norm_words == pytest.approx(words, rel=1e-3)
    assert curve.norm_u == pytest.approx(norms, rel=1e-3)


@pytest.mark.parametrize("setting", [PLAIN, STAR])
def test_the_flow_ends_at_the_theorems_minimum(setting: Setting) -> None:
    s = setting
    predicted = theorems.predict(s.n_c, s.n_c * len(s.mu), s.L, s.K, s.d, s.mu, s.lambda_U, s.normalised)
    end = learning_curve(s, [20 / s.lambda_U])
    assert end.norm_u[0] == pytest.approx(predicted.norm_u, rel=1e-2 if s.normalised else 1e-5)
    assert end.loss[0] == pytest.approx(predicted.cross_entropy, rel=1e-2 if s.normalised else 1e-4)
    if not s.normalised:
        assert end.norm_words[0] == pytest.approx(predicted.norm_words, rel=1e-5)


@pytest.mark.parametrize("setting", [PLAIN, STAR, replace(PLAIN, mu=enumeration.zipf(40, 1))])
@pytest.mark.parametrize("share", [0.5, 0.98])
def test_the_time_at_which_a_share_is_reached_is_that_of_the_curve(setting: Setting, share: float) -> None:
    time = reached(setting, share, n_spl=5)
    least, chance = dynamics.least_loss(setting), math.log(setting.K)
    level = chance + share * (least - chance)
    before, after = learning_curve(setting, [0.997 * time, 1.003 * time], n_spl=5).loss
    assert before > level > after


def test_few_sentences_bring_everything_forward_by_the_ratio_of_rates() -> None:
    rates = growth_rates(3, 2, 9, ZIPF, 2)
    flow = theorems.type_iii_threshold(3, 2, 9, ZIPF)
    factor = (rates.sample - 0.003) / (flow - 0.003)
    assert factor > 1.05
    assert reached(PLAIN, 0.5) / reached(PLAIN, 0.5, 2) == pytest.approx(factor)
    few, many = learning_curve(PLAIN, [100.0], 2), learning_curve(PLAIN, [100.0 * factor])
    assert few.loss[0] == pytest.approx(many.loss[0], rel=1e-6)


def test_nothing_is_reached_above_the_threshold() -> None:
    above = replace(PLAIN, lambda_W=1.0, lambda_U=1.0)
    assert math.isinf(reached(above, 0.5))
    assert learning_curve(above, [1.0, 100.0]).loss == pytest.approx(math.log(9), abs=1e-4)


# Runs


@pytest.mark.parametrize(
    "changes", [{"n_spl": 20, "epochs": 45}, {"n_spl": 5, "epochs": 150}, {"mu": "zipf", "epochs": 25}]
)
def test_half_way_epochs_are_those_of_runs(tiny: Callable[..., Experiment], changes: dict[str, object]) -> None:
    """At toy size, where the n_c - 1 modes differ by per cents and the start is random: mean over two seeds."""
    sizes = {"n_c": 3, "n_w": 60, "L": 20, "K": 100, "d": 30, "n_spl": 20, "n_test": 2}
    e = tiny(**sizes | {"lr": 0.2, "batch_size": 50, "records": 60, "snapshot_classes": 0} | changes)
    seen = []
    for seed in range(2):
        history = train(e, seed, generate(e, seed)).history
        epochs, losses = (np.array([row[key] for row in history]) for key in ("epoch", "train_loss"))
        seen.append(half_way(windows(epochs), losses_within(epochs, losses), e.K))
    assert np.mean(seen) == pytest.approx(predictions.half_way_epoch(e), rel=0.04)


def test_a_run_that_would_stop_in_its_transition_is_warned_about(config: Config) -> None:
    def said(name: str) -> str | None:
        return curves.warned(config.run(f"{name}/seed0").experiment)

    assert said("fig3") is said("fig4b") is said("fig4c") is None
    assert "epochs: 300 end before the transition" in str(said("fig3+epochs=300"))
    assert "epochs: 700 end in the middle of the transition: by theory the loss is half-way at epoch 660" in str(
        said("fig3+epochs=700")
    )
    assert said("fig3+lambda_W=1+lambda_U=1") is None  # nothing is learned however long
    for unknown in ("fig3+epochs=1+architecture=mlp1", "fig3+epochs=1+init_scale_W=1+init_scale_U=1"):
        assert said(unknown) is None  # the theory does not speak of it
