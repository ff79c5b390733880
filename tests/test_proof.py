"""The identities of docs/proof.md at random parameters, each by listing all sentences and classes."""

import math
from dataclasses import dataclass
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from feature_collapse.theory import theorems
from feature_collapse.theory.theorems import Array


@dataclass
class Exact:
    """A problem with all n_c^L sequences as classes, and all its sentences."""

    n_c: int
    L: int
    mu: Array

    def __post_init__(self) -> None:
        self.K, self.s_c = self.n_c**self.L, len(self.mu)
        self.z = np.array(list(product(range(self.n_c), repeat=self.L)))  # (K, L)
        ranks = np.array(list(product(range(self.s_c), repeat=self.L)))
        self.label = np.repeat(np.arange(self.K), len(ranks))
        self.words = (self.z[:, None] * self.s_c + ranks).reshape(-1, self.L)  # sentence by sentence
        self.share = np.tile(self.mu[ranks].prod(1), self.K) / self.K
        self.A = np.eye(self.n_c)[self.z].reshape(self.K * self.L, self.n_c) - 1 / self.n_c

    def laws(self, Y: Array) -> Array:
        """The softmax of each sentence, for Y (K L, n_w)."""
        Y = Y.reshape(self.K, self.L, -1)
        return softmax(sum(Y[:, place, word] for place, word in enumerate(self.words.T)).T, axis=1)

    def risk(self, Y: Array) -> float:
        return float(-self.share @ np.log(self.laws(Y)[np.arange(len(self.label)), self.label]))

    def G(self, Y: Array) -> Array:
        """Minus the gradient of the risk."""
        error = self.share[:, None] * (np.eye(self.K)[self.label] - self.laws(Y))
        G = np.zeros((self.K, self.L, self.n_c * self.s_c))
        for place, word in enumerate(self.words.T):
            np.add.at(G[:, place].T, word, error)
        return G.reshape(self.K * self.L, -1)

    def type_iii(self, r: Array, c: float) -> tuple[Array, Array]:
        """W (n_w, d) and U (K L, d), with the least d."""
        f = np.linalg.svd(np.eye(self.n_c) - 1 / self.n_c)[0][:, : self.n_c - 1]
        f *= math.sqrt(self.n_c / (self.n_c - 1))
        return np.kron(f, r[:, None]), c * f[self.z].reshape(self.K * self.L, -1)


@st.composite
def problems(draw: st.DrawFn) -> Exact:
    n_c, L, s_c = draw(st.sampled_from([(2, 1, 3), (2, 2, 3), (2, 3, 2), (3, 1, 4), (3, 2, 2), (4, 2, 2)]))
    weights = 10.0 ** -np.array(draw(st.lists(st.floats(0, 4), min_size=s_c, max_size=s_c)))
    return Exact(n_c, L, weights / weights.sum())


shares = st.floats(0.001, 0.99)
norm = np.linalg.norm


def nuclear(Y: Array) -> float:
    return float(np.linalg.svd(Y, compute_uv=False).sum())


@given(seed=st.integers(0, 10**6), d=st.integers(1, 6))
def test_the_penalty_is_at_least_the_nuclear_norm(seed: int, d: int) -> None:
    """Lemma 1; equality for balanced factors, which a singular value decomposition gives."""
    stream = np.random.default_rng(seed)
    U, W = stream.standard_normal((7, d)), stream.standard_normal((5, d))
    Y = U @ W.T
    assert (norm(U) ** 2 + norm(W) ** 2) / 2 >= nuclear(Y) - 1e-12
    P, S, Q = np.linalg.svd(Y, full_matrices=False)
    U, W = P * np.sqrt(S), Q.T * np.sqrt(S)
    assert pytest.approx(W.T @ W, abs=1e-9) == U.T @ U
    assert (norm(U) ** 2 + norm(W) ** 2) / 2 == pytest.approx(nuclear(Y), rel=1e-9)


@given(problem=problems(), seed=st.integers(0, 10**6), c=st.floats(0.1, 3))
def test_the_gradient_at_any_type_iii_is_a_product(problem: Exact, seed: int, c: float) -> None:
    """Section 3, without Theorem 2's system."""
    p, r = problem, np.random.default_rng(seed).uniform(0.1, 2, problem.s_c)
    a = p.n_c / (p.n_c - 1)
    W, U = p.type_iii(r, c)
    assert pytest.approx(a * c * np.kron(p.A, r), abs=1e-12) == U @ W.T
    q = 1 / (1 + (p.n_c - 1) * np.exp(-a * c * r))
    assert p.G(U @ W.T) == pytest.approx(a / p.K * np.kron(p.A, p.mu * (1 - q)), abs=1e-14)
    rest = np.eye(p.n_c) - 1 / p.n_c
    assert pytest.approx(p.K * p.L / p.n_c * rest, abs=1e-9) == p.A.T @ p.A


@given(problem=problems(), share=shares)
def test_where_theorem_2_holds_all_singular_values_of_the_gradient_are_lambda(problem: Exact, share: float) -> None:
    p = problem
    lam = share * theorems.type_iii_threshold(p.n_c, p.L, p.K, p.mu)
    found = theorems.type_iii(p.n_c, p.L, p.K, p.mu, lam)
    assert np.abs(theorems.theorem2_residual(p.n_c, p.L, p.mu, lam, found.r, found.c)).max() < 1e-6
    W, U = p.type_iii(found.r, found.c)
    G = p.G(U @ W.T)
    sigma = np.linalg.svd(G, compute_uv=False)
    assert sigma[: p.n_c - 1] == pytest.approx(lam, rel=1e-7)
    assert sigma[p.n_c - 1 :] == pytest.approx(0, abs=1e-12)
    assert pytest.approx(lam * U, abs=1e-9) == G @ W
    assert pytest.approx(lam * W, abs=1e-9) == G.T @ U


@given(problem=problems(), share=st.floats(0.01, 2), seed=st.integers(0, 10**6), size=st.floats(0.01, 3))
def test_nothing_is_below_type_iii(problem: Exact, share: float, seed: int, size: float) -> None:
    """The theorem itself, also next to type III, in whatever dimension."""
    p, stream = problem, np.random.default_rng(seed)
    lam = share * theorems.type_iii_threshold(p.n_c, p.L, p.K, p.mu)
    found = theorems.type_iii(p.n_c, p.L, p.K, p.mu, lam)
    W, U = p.type_iii(found.r, found.c)
    value = p.risk(U @ W.T) + lam * nuclear(U @ W.T)
    assert value == pytest.approx(found.value, rel=1e-9)
    noise = stream.standard_normal((p.K * p.L, 2)) @ stream.standard_normal((2, p.n_c * p.s_c))
    for Y in (size * noise, U @ W.T + 0.01 * size * noise):
        assert p.risk(Y) + lam * nuclear(Y) >= value - 1e-12


@given(problem=problems(), share=st.floats(0.05, 0.9), seed=st.integers(0, 10**6))
def test_along_other_directions_with_the_same_singular_vectors_the_risk_curves(
    problem: Exact, share: float, seed: int
) -> None:
    """Uniqueness: Y' of the form that the first step of section 5 leaves is worse, as the risk is strictly convex."""
    p, stream = problem, np.random.default_rng(seed)
    lam = share * theorems.type_iii_threshold(p.n_c, p.L, p.K, p.mu)
    found = theorems.type_iii(p.n_c, p.L, p.K, p.mu, lam)
    E = np.linalg.svd(np.eye(p.n_c) - 1 / p.n_c)[0][:, : p.n_c - 1]
    change = stream.standard_normal((p.n_c - 1, p.n_c - 1))
    T = found.c * p.n_c / (p.n_c - 1) * (np.eye(p.n_c) - 1 / p.n_c)
    other = T + 0.1 * np.abs(T).max() * E @ (change @ change.T) @ E.T
    Y, changed = (np.kron(x[p.z].reshape(p.K * p.L, p.n_c), found.r) for x in (T, other))
    assert nuclear(changed) == pytest.approx(np.vdot(p.G(Y), changed) / lam, rel=1e-6)
    assert p.risk(changed) + lam * nuclear(changed) > p.risk(Y) + lam * nuclear(Y)


@given(problem=problems(), lam=st.floats(1e-3, 10), extra=st.integers(0, 3))
def test_theorem_3_has_the_gradient_that_section_6_asks_for(problem: Exact, lam: float, extra: int) -> None:
    p, d = problem, problem.n_c + extra
    found = theorems.theorem3(p.n_c, p.L, p.K, d, lam)
    f = theorems.equiangular(p.n_c, d)
    Y = found.c * math.sqrt(d) * np.kron((f @ f.T)[p.z].reshape(p.K * p.L, p.n_c), np.ones(p.s_c))
    root = np.sqrt(np.tile(p.mu, p.n_c) / p.n_c)
    gamma, N = norm(p.G(Y) / root, 2), nuclear(Y * root)
    assert pytest.approx(math.sqrt(d * p.K * p.L) * found.c, rel=1e-9) == N
    assert gamma == pytest.approx(lam / d * N, rel=1e-7)
    assert np.vdot(p.G(Y), Y) == pytest.approx(gamma * N, rel=1e-7)
