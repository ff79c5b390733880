"""The solvers against printed constants, exact arithmetic, brute force and each other."""

import math
from decimal import Decimal, localcontext
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from feature_collapse.theory import theorems as theory

FIGURE3 = {"n_c": 3, "n_w": 1200, "L": 15, "K": 1000, "lam": 0.001}
FIGURE4A = {"n_c": 3, "L": 15, "K": 1000, "lam": 0.001}
FIGURE4C = {"n_c": 3, "L": 15, "K": 1000, "d": 100, "lam": 0.001}
HUGE = 3**200

repeatable = settings(max_examples=50, deadline=None, derandomize=True)
exponents = st.floats(0, 3)
shares = st.floats(1e-3, 0.999)  # of the threshold


def zipf(s_c: int, exponent: float = 1) -> np.ndarray:
    weights = np.arange(1.0, s_c + 1) ** -exponent
    return weights / weights.sum()


@st.composite
def sizes(draw) -> dict:
    n_c, L = draw(st.integers(2, 6)), draw(st.integers(1, 20))
    return {"n_c": n_c, "L": L, "K": draw(st.integers(2, n_c**L) | st.just(n_c**L))}


def risk_of_sequences(r: np.ndarray, c: float, n_c: int, L: int, K: int, mu: np.ndarray) -> float:
    """The cross-entropy of type III, every sequence of L ranks listed."""
    p = K / n_c**L
    exponentials = 1 + (n_c - 1) * np.exp(-n_c / (n_c - 1) * c * r)
    risk = 0.0
    for betas in product(range(len(mu)), repeat=L):
        probability = math.prod(mu[beta] for beta in betas)
        factors = math.prod(exponentials[beta] for beta in betas)
        risk += probability * math.log(1 - p + p * factors)
    return risk


# Constants


def test_constants_of_theorem1():
    solution = theory.theorem1(**FIGURE3)
    assert round(solution.tau, 2) == 2426.98
    assert round(solution.c, 5) == 1.42214
    assert round(solution.c_prime, 5) == 0.40224
    assert round(solution.value, 5) == 2.95613
    assert round(theory.theorem1(**FIGURE3 | {"K": 50}).c, 5) == 0.61602


def test_constants_of_theorem3():
    solution = theory.theorem3(**FIGURE4C)
    assert round(solution.tau, 4) == 11.9470
    assert round(solution.c, 7) == 0.0975471
    assert round(solution.value, 7) == 0.0920594


def test_constants_of_type_iii():
    solution = theory.type_iii(mu=zipf(400), **FIGURE4A)
    assert (round(solution.r[0], 2), round(solution.r[9], 2)) == (6.83, 2.99)
    assert round(solution.c, 4) == 0.2801
    assert round(3 * (solution.r**2).sum(), 1) == 1176.7
    assert round(15 * 1000 * solution.c**2, 1) == 1176.7
    assert round(theory.type_iii_threshold(3, 15, 1000, zipf(400)), 4) == 0.0138


# Exact arithmetic: the formulas of the paper, as written, to 150 digits


def exact_root(log_eta_squared: tuple, lam: Decimal, n_c: int, L: int, K: int, quadratic: bool):
    """Minimiser and minimum of H (or H*, `quadratic`), with eta^2 a ratio of integers."""
    with localcontext(prec=150):
        numerator, denominator = log_eta_squared
        eta = (Decimal(numerator) / Decimal(denominator)).sqrt()
        p = Decimal(K) / Decimal(n_c**L)

        def slope(t):
            e = (n_c - 1) * (-eta * t).exp()
            falling = p * L * eta * e * (1 + e) ** (L - 1) / (1 - p + p * (1 + e) ** L)
            return lam * (t if quadratic else 1) - falling

        low, high = Decimal(0), 1 / eta
        while slope(high) < 0:
            high *= 2
        for _ in range(240):  # the root may be far below 1 / eta
            middle = (low + high) / 2
            low, high = (middle, high) if slope(middle) < 0 else (low, middle)
        e = (n_c - 1) * (-eta * low).exp()
        cross_entropy = (1 - p + p * (1 + e) ** L).ln()
        value = cross_entropy + (lam * low**2 / 2 if quadratic else lam * low)
        return float(low), float(cross_entropy), float(value)


CASES = [
    (3, 15, 1000, "1e-3"),
    (3, 15, 1000, "1e-7"),
    (3, 15, 3**15, "1e-6"),
    (3, 15, 3**15 - 1, "1e-6"),
    (2, 1, 2, "1e-2"),
    (3, 200, 1000, "1e-3"),
    (3, 200, HUGE, "1e-50"),
    (3, 200, HUGE - 1, "1e-50"),
    (3, 200, HUGE // 2, "1e-49"),
]


@pytest.mark.parametrize(("n_c", "L", "K", "lam"), CASES)
def test_theorem1_to_nine_digits(n_c, L, K, lam):
    n_w = 400 * n_c
    exact = exact_root((n_c**2, (n_c - 1) ** 2 * n_w * K * L), Decimal(lam), n_c, L, K, False)
    solution = theory.theorem1(n_c, n_w, L, K, float(lam))
    found = solution.tau, solution.cross_entropy, solution.value
    assert found == pytest.approx(exact, rel=1e-9, abs=0)
    assert solution.c**2 * n_w == pytest.approx(exact[0], rel=1e-9)
    assert solution.c_prime**2 * L * float(K) == pytest.approx(exact[0], rel=1e-9)


@pytest.mark.parametrize(("n_c", "L", "K", "lam"), CASES)
def test_theorem3_to_nine_digits(n_c, L, K, lam):
    exact = exact_root((n_c**2 * 100, (n_c - 1) ** 2 * K * L), Decimal(lam), n_c, L, K, True)
    solution = theory.theorem3(n_c, L, K, 100, float(lam))
    found = solution.tau, solution.cross_entropy, solution.value
    assert found == pytest.approx(exact, rel=1e-9, abs=0)
    assert solution.c**2 * L * float(K) == pytest.approx(exact[0] ** 2, rel=1e-9)


# Theorems 1 and 3


@repeatable
@given(sizes(), st.integers(1, 2000), shares)
def test_tau_minimises_the_risk(size, n_w, share):
    lam = share * theory.theorem1_threshold(n_w=n_w, **size)
    one = theory.theorem1(n_w=n_w, lam=lam, **size)
    assert one.value == pytest.approx(float(theory.risk_h(one.tau, n_w=n_w, lam=lam, **size)))
    t = one.tau * np.array([0, 0.5, 0.99, 1.01, 2])
    assert (theory.risk_h(t, n_w=n_w, lam=lam, **size) > one.value).all()
    three = theory.theorem3(d=10, lam=lam, **size)
    assert three.value == pytest.approx(float(theory.risk_h_star(three.tau, d=10, lam=lam, **size)))
    t = three.tau * np.array([0, 0.5, 0.99, 1.01, 2])
    assert (theory.risk_h_star(t, d=10, lam=lam, **size) > three.value).all()


def test_risks_keep_the_shape_of_t():
    t = np.linspace(0, 3000, 6).reshape(2, 3)
    assert theory.risk_h(t, **FIGURE3).shape == (2, 3)
    assert theory.risk_h_star(t, **FIGURE4C).shape == (2, 3)
    assert theory.risk_h(0, **FIGURE3) == pytest.approx(math.log(1001 - 1000 / 3**15), rel=1e-14)


@repeatable
@given(sizes(), st.integers(1, 2000))
def test_theorem1_learns_below_its_threshold_only(size, n_w):
    threshold = theory.theorem1_threshold(n_w=n_w, **size)
    assert theory.theorem1(n_w=n_w, lam=threshold * (1 - 1e-6), **size).tau > 0
    for above in (threshold, threshold * (1 + 1e-12), 2 * threshold):
        solution = theory.theorem1(n_w=n_w, lam=above, **size)
        assert (solution.tau, solution.c, solution.c_prime) == (0, 0, 0)
    # Just below, what is learned is of the order of the distance to the threshold.
    below = [theory.theorem1(n_w=n_w, lam=threshold * (1 - e), **size).tau for e in (1e-4, 1e-5)]
    assert below[0] / below[1] == pytest.approx(10, rel=0.02)


def test_theorem3_learns_at_every_lambda():
    assert theory.theorem3(**FIGURE4C | {"lam": 1e6}).tau > 0


# Type III


@pytest.mark.parametrize(
    ("n_c", "L", "K", "exponent", "share"),
    [
        (2, 3, 8, 1, 0.3),
        (3, 3, 10, 1, 0.1),
        (3, 2, 5, 2, 0.7),
        (4, 3, 63, 0.5, 0.02),
        (3, 1, 2, 1, 0.5),
    ],
)
def test_type_iii_against_brute_force(n_c, L, K, exponent, share):
    mu = zipf(3, exponent)
    lam = share * theory.type_iii_threshold(n_c, L, K, mu)

    def objective(parameters):
        *r, c = parameters
        penalty = lam / 2 * (n_c * np.dot(r, r) + K * L * c**2)
        return risk_of_sequences(np.array(r), c, n_c, L, K, mu) + penalty

    solution = theory.type_iii(n_c, L, K, mu, lam)
    exact = risk_of_sequences(solution.r, solution.c, n_c, L, K, mu)
    assert solution.cross_entropy == pytest.approx(exact, rel=1e-12)
    assert solution.value == pytest.approx(objective([*solution.r, solution.c]), rel=1e-12)
    ends = [
        minimize(objective, start, method="BFGS", options={"gtol": 1e-9})
        for start in np.random.default_rng(0).uniform(0.1, 2, (3, 4))
    ]
    best = min(ends, key=lambda end: end.fun)
    assert solution.value == pytest.approx(best.fun, abs=1e-10)
    assert np.append(solution.r, solution.c) == pytest.approx(np.abs(best.x), rel=1e-4)


@pytest.mark.parametrize(("n_c", "L", "K"), [(3, 3, 10), (2, 4, 16), (4, 1, 3), (3, 2, 8)])
def test_expected_risk_and_its_derivatives(n_c, L, K):
    x, mu, a = np.array([0.3, 1.0, 4.0]), np.array([0.2, 0.5, 0.3]), n_c / (n_c - 1)
    risk, gradient, hessian = theory.expected_risk(x, n_c, L, K, mu)
    assert risk == pytest.approx(risk_of_sequences(x / a, 1.0, n_c, L, K, mu), rel=1e-13)
    steps = 1e-5 * np.eye(3)
    ahead = [theory.expected_risk(x + step, n_c, L, K, mu) for step in steps]
    behind = [theory.expected_risk(x - step, n_c, L, K, mu) for step in steps]
    for order, derivative in ((0, gradient), (1, hessian())):
        differences = [(u[order] - v[order]) / 2e-5 for u, v in zip(ahead, behind, strict=True)]
        assert derivative == pytest.approx(np.array(differences), rel=1e-6, abs=1e-9)


def test_type_iii_against_convolution_on_a_grid():
    """At Figure 4a's settings: the law of the sum of L - 1 terms by direct convolution, and with it
    the condition that r_beta is critical, for grids fine enough for six digits of r_beta."""
    n_c, L, K, lam, mu = 3, 15, 1000, 0.001, zipf(400)
    solution = theory.type_iii(n_c, L, K, mu, lam)
    x = n_c / (n_c - 1) * solution.c * solution.r
    y = np.log1p((n_c - 1) * np.exp(-x))
    p = K / n_c**L
    errors = []
    for cells in (500, 2000):
        step = math.log(n_c) / cells
        place = np.minimum((y / step).astype(int), cells - 1)
        right = y / step - place  # each atom is split between two grid points, its mean preserved
        one = np.bincount(place, mu * (1 - right), cells + 1)
        one += np.bincount(place + 1, mu * right, cells + 1)
        others = one
        for _ in range(L - 2):
            others = np.convolve(others, one)
        assert others.sum() == pytest.approx(1)
        s = np.arange(len(others)) * step
        exponential = p * np.exp(y[:, None] + s)
        weight = (exponential / (1 - p + exponential)) @ others
        pull = L * mu * solution.c * weight / (np.exp(x) + n_c - 1)
        errors.append(np.abs(pull / (lam * solution.r) - 1).max())
    assert errors[1] < 1e-6
    assert errors[1] < errors[0] / 12  # as the grid's own error, of the order of step^2


@repeatable
@given(st.integers(2, 5), st.integers(1, 12), st.integers(1, 30), exponents, shares)
def test_type_iii_solves_theorem2_where_all_sequences_are_classes(n_c, L, s_c, exponent, share):
    mu = zipf(s_c, exponent)
    lam = share * theory.type_iii_threshold(n_c, L, n_c**L, mu)
    solution = theory.type_iii(n_c, L, n_c**L, mu, lam)
    residual = theory.theorem2_residual(n_c, L, mu, lam, solution.r, solution.c)
    assert residual.shape == (s_c + 1,)
    assert np.abs(residual).max() < 1e-6
    wrong = theory.theorem2_residual(n_c, L, mu, lam, solution.r * 1.001, solution.c)
    assert (np.abs(wrong) > 1e-4).all()


@repeatable
@given(sizes(), st.integers(1, 30), shares)
def test_type_iii_is_theorem1_for_uniform_mu(size, s_c, share):
    n_w = size["n_c"] * s_c
    lam = share * theory.theorem1_threshold(n_w=n_w, **size)
    one = theory.theorem1(n_w=n_w, lam=lam, **size)
    three = theory.type_iii(mu=np.full(s_c, 1 / s_c), lam=lam, **size)
    assert three.r == pytest.approx(np.full(s_c, one.c), rel=1e-7)
    assert three.c == pytest.approx(one.c_prime, rel=1e-7)
    assert three.value == pytest.approx(one.value, rel=1e-9)
    assert three.cross_entropy == pytest.approx(one.cross_entropy, rel=1e-6)


@repeatable
@given(sizes(), st.integers(2, 30), exponents, shares)
def test_type_iii_grows_with_frequency_and_is_balanced(size, s_c, exponent, share):
    assume(exponent > 0.01)
    mu = zipf(s_c, exponent)
    lam = share * theory.type_iii_threshold(mu=mu, **size)
    solution = theory.type_iii(mu=mu, lam=lam, **size)
    assert solution.learned
    assert (np.diff(solution.r) < 0).all()
    words, u = size["n_c"] * (solution.r @ solution.r), size["K"] * size["L"] * solution.c**2
    assert words == pytest.approx(u, rel=1e-9)
    assert solution.value == pytest.approx(solution.cross_entropy + lam * words, rel=1e-9)
    assert solution.value < math.log(size["K"] + 1 - size["K"] / size["n_c"] ** size["L"])


def test_thresholds_agree():
    uniform = np.full(400, 1 / 400)
    one = theory.theorem1_threshold(3, 1200, 15, 1000)
    assert theory.type_iii_threshold(3, 15, 1000, uniform) == pytest.approx(one, rel=1e-14)
    mu = zipf(3)
    two = math.sqrt(4 * 2.0**-5 * (mu @ mu))  # the condition of Theorem 2
    assert theory.type_iii_threshold(2, 4, 2**4, mu) == pytest.approx(two, rel=1e-14)


@pytest.mark.parametrize(("n_c", "L", "K"), [(3, 15, 1000), (2, 3, 8), (3, 2, 4)])
def test_type_iii_learns_below_its_threshold_only(n_c, L, K):
    mu = zipf(20)
    threshold = theory.type_iii_threshold(n_c, L, K, mu)
    for above in (threshold, threshold * (1 + 1e-12), 2 * threshold):
        solution = theory.type_iii(n_c, L, K, mu, above)
        assert not solution.learned
        assert solution.c == 0
        assert not solution.r.any()
        assert solution.value == solution.cross_entropy
        assert solution.value == pytest.approx(math.log(K + 1 - K / n_c**L))
    below = [theory.type_iii(n_c, L, K, mu, threshold * (1 - e)) for e in (1e-4, 1e-6, 1e-8)]
    assert all(solution.learned for solution in below)
    # Near zero r and c are of the order of the root of the distance, and r is proportional to mu.
    for near, nearer in pairwise(below):
        assert near.c / nearer.c == pytest.approx(10, rel=0.01)
        assert nearer.r / nearer.r[0] == pytest.approx(mu / mu[0], rel=1e-3)


@repeatable
@given(sizes(), st.integers(1, 10), st.floats(-17, -10))
def test_hardly_below_the_threshold_is_no_error(size, s_c, log10_distance):
    zero = float(theory.risk_h(0, n_w=1, lam=1, **size))
    threshold = theory.type_iii_threshold(mu=zipf(s_c), **size)
    for lam in ((1 - 10**log10_distance) * threshold, math.nextafter(threshold, 0)):
        three = theory.type_iii(mu=zipf(s_c), lam=lam, **size)
        assert three.value == pytest.approx(zero, rel=1e-12)
    threshold = theory.theorem1_threshold(n_w=10, **size)
    for lam in ((1 - 10**log10_distance) * threshold, math.nextafter(threshold, 0)):
        assert theory.theorem1(n_w=10, lam=lam, **size).value == pytest.approx(zero, rel=1e-12)


@pytest.mark.parametrize("K", [1000, HUGE // 7, HUGE])
def test_type_iii_at_huge_sizes(K):
    mu = zipf(50)
    lam = 0.1 * theory.type_iii_threshold(3, 200, K, mu)
    solution = theory.type_iii(3, 200, K, mu, lam)
    assert solution.learned
    assert 0 < solution.cross_entropy < solution.value < math.log(K + 1)
    if K == HUGE:
        residual = theory.theorem2_residual(3, 200, mu, lam, solution.r, solution.c)
        assert np.abs(residual).max() < 1e-6


# Predictions


def spectrum(vectors: np.ndarray) -> np.ndarray:
    """The three leading singular values of the centred rows."""
    sigma = np.linalg.svd(vectors - vectors.mean(0), compute_uv=False)
    return np.pad(sigma, (0, 3))[:3]


@pytest.mark.parametrize("n_c", [2, 3, 5])
@pytest.mark.parametrize(
    ("exponent", "normalised", "theorem"),
    [
        (0, False, "Theorem 1"),
        (1, False, "type III"),
        (0, True, "Theorem 3"),
        (1, True, "Theorem 3"),
    ],
)
def test_predicted_spectra_are_those_of_the_configurations(n_c, exponent, normalised, theorem):
    s_c, L, d, lam = 4, 2, 7, 0.003
    K, mu = n_c**L, zipf(4, exponent)
    predicted = theory.predict(n_c, n_c * s_c, L, K, d, mu, lam, normalised)
    assert predicted.theorem == theorem
    f = theory.equiangular(n_c, d)
    words = (f[:, None] * predicted.norm_words[:, None]).reshape(-1, d)
    u = predicted.norm_u * f[np.indices((n_c,) * L).ravel()]
    assert predicted.sigma_words == pytest.approx(spectrum(words), abs=1e-12)
    assert predicted.sigma_u == pytest.approx(spectrum(u), abs=1e-12)
    assert predicted.mean_norm_words == pytest.approx(np.linalg.norm(words, axis=1).mean())
    assert (predicted.sigma_u > 0).sum() == min(n_c - 1, 3)


def test_predictions_are_the_solutions():
    uniform = theory.predict(3, 1200, 15, 1000, 100, zipf(400, 0), 0.001, False)
    one = theory.theorem1(**FIGURE3)
    assert (uniform.norm_words == one.c).all()
    assert uniform.sigma_words[:2] == pytest.approx(one.c * math.sqrt(400 * 3 / 2))
    assert (uniform.norm_u, uniform.value) == (one.c_prime, one.value)
    assert uniform.cross_entropy == one.cross_entropy
    long_tailed = theory.predict(3, 1200, 15, 1000, 100, zipf(400), 0.001, False)
    assert (long_tailed.norm_words == theory.type_iii(mu=zipf(400), **FIGURE4A).r).all()
    assert long_tailed.sigma_words[:2] == pytest.approx(long_tailed.sigma_u[:2])
    normalised = theory.predict(3, 1200, 15, 1000, 100, zipf(400), 0.001, True)
    assert normalised.norm_words == pytest.approx(np.full(400, 10.0))
    assert normalised.norm_u == theory.theorem3(**FIGURE4C).c
    nothing = theory.predict(3, 1200, 15, 1000, 100, zipf(400), 0.02, False)
    assert not np.any([*nothing.norm_words, nothing.norm_u, *nothing.sigma_words, *nothing.sigma_u])


@pytest.mark.parametrize(("n_c", "d"), [(2, 2), (3, 3), (3, 8), (6, 7)])
def test_equiangular_vectors(n_c, d):
    f = theory.equiangular(n_c, d)
    cosines = (1 + 1 / (n_c - 1)) * np.eye(n_c) - 1 / (n_c - 1)
    assert f.shape == (n_c, d)
    assert f @ f.T == pytest.approx(cosines, abs=1e-14)
    assert f.sum(0) == pytest.approx(np.zeros(d), abs=1e-14)
    assert f.sum(1) == pytest.approx(np.zeros(n_c), abs=1e-14)


# What is refused

GOOD = {"n_c": 3, "n_w": 6, "L": 2, "K": 4, "d": 5, "mu": [0.6, 0.4], "lam": 0.01, "t": 1.0}
GOOD |= {"r": [1.0, 0.5], "c": 1.0, "normalised": False}
TAKES = {
    theory.theorem1: ["n_c", "n_w", "L", "K", "lam"],
    theory.theorem1_threshold: ["n_c", "n_w", "L", "K"],
    theory.risk_h: ["t", "n_c", "n_w", "L", "K", "lam"],
    theory.theorem3: ["n_c", "L", "K", "d", "lam"],
    theory.risk_h_star: ["t", "n_c", "L", "K", "d", "lam"],
    theory.type_iii_threshold: ["n_c", "L", "K", "mu"],
    theory.type_iii: ["n_c", "L", "K", "mu", "lam"],
    theory.theorem2_residual: ["n_c", "L", "mu", "lam", "r", "c"],
    theory.predict: ["n_c", "n_w", "L", "K", "d", "mu", "lam", "normalised"],
    theory.equiangular: ["n_c", "d"],
}
BAD = {
    "n_c": [1, 0, -3, 2.5, 3.0, "3", None],
    "n_w": [0, -6, 6.0, math.nan],
    "L": [0, -1, 1.5, None],
    "K": [1, 0, -1, 10, 4.0, 2.5],
    "d": [0, -1, 5.0],
    "lam": [0, -0.1, math.nan, math.inf, "a", None, [0.1, 0.2]],
    "mu": [[0.6, 0.5], [1.2, -0.2], [1.0, 0.0], [math.nan, 1], [], 1.0, [[0.6, 0.4]], ["a", "b"]],
    "t": [-1.0, math.nan, [1, -2], "a"],
    "r": [[1.0], [1.0, -1.0], [math.nan, 1]],
    "c": [0, -1.0, math.nan],
    "normalised": [],
}


@pytest.mark.parametrize("function", TAKES, ids=lambda function: function.__name__)
def test_bad_parameters_are_named(function):
    good = {name: GOOD[name] for name in TAKES[function]}
    function(**good)
    for name in good:
        for bad in BAD[name]:
            with pytest.raises(ValueError, match=f"^{name}: "):
                function(**good | {name: bad})


def test_dimensions_without_room_are_refused():
    for d in (1, 2):
        with pytest.raises(ValueError, match=r"^d: "):
            theory.theorem3(3, 2, 4, d, 0.1)
        with pytest.raises(ValueError, match=r"^d: "):
            theory.equiangular(3, d)
    with pytest.raises(ValueError, match=r"^d: "):
        theory.predict(3, 6, 2, 4, 1, [0.6, 0.4], 0.01, False)
    assert theory.predict(3, 6, 2, 4, 2, [0.6, 0.4], 0.01, False).norm_u > 0


def test_words_that_do_not_fit_mu_are_refused():
    with pytest.raises(ValueError, match=r"^n_w: "):
        theory.predict(3, 9, 2, 4, 5, [0.6, 0.4], 0.01, False)


def test_integers_of_numpy_are_integers():
    numpy_sizes = [np.int64(size) for size in (3, 1200, 15, 1000)]
    assert theory.theorem1(*numpy_sizes, 0.001) == theory.theorem1(**FIGURE3)
