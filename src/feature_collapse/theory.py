"""The theorems of §2 as solvers: scales of the collapsed configurations, their risk, and what they predict.

Symbols are the paper's. `p = K / n_c^L` is the share of all latent sequences that are classes, and `a = n_c / (n_c - 1)`.
At a configuration of type I, II or III the score of the true class exceeds that of a class differing from it on a set D
of positions by a sum over D, and by the symmetry assumption on the latents there are `p (n_c - 1)^|D|` such classes for
each D. Hence every cross-entropy here is a mean of `log(1 - p + p prod_l (1 + (n_c - 1) e^{-x_l}))`, where `x_l` is the
part of the margin that position l contributes. Logarithms of K and of n_c^L are taken of exact integers, and K enters
through them only, so nothing overflows.
"""

import math
import operator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import solve
from scipy.optimize import brentq
from scipy.special import expit, lambertw

Array = NDArray[np.float64]
SATURATED = 40.0  # 1 - expit(40) is below the last digit of float64
FREQUENCIES_UP_TO = 12.75  # 1 / sinh(pi omega) is below the last digit of float64 from here on


@dataclass(frozen=True)
class TypeI:
    """`w_{(alpha,beta)} = c f_alpha`, `u_{k,l} = c_prime f_{z_{k,l}}`, with f equiangular (§2.2)."""

    tau: float
    c: float
    c_prime: float
    value: float  # true risk plus penalty, H(tau)
    cross_entropy: float


@dataclass(frozen=True)
class TypeII:
    """`phi(w_{(alpha,beta)}) = sqrt(d) f_alpha`, `u_{k,l} = c f_{z_{k,l}}`, f equiangular of mean zero (§2.3)."""

    tau: float
    c: float
    value: float  # true risk plus penalty, H*(tau)
    cross_entropy: float


@dataclass(frozen=True)
class TypeIII:
    """`w_{(alpha,beta)} = r_beta f_alpha`, `u_{k,l} = c f_{z_{k,l}}`, with f equiangular (§2.3)."""

    r: Array  # (s_c,)
    c: float
    value: float  # true risk plus penalty
    cross_entropy: float
    learned: bool  # False: lambda is at or above the threshold, and r and c are zero


@dataclass(frozen=True)
class Prediction:
    """What a trained network is compared with. Words are taken after LayerNorm where the network has it."""

    norm_words: Array  # (s_c,): the norm of word (alpha, beta), at place beta; the same for every alpha
    norm_u: float
    sigma_words: Array  # (3,): leading singular values of the centred words
    sigma_u: Array  # (3,): the same of the K L vectors u_{k,l}
    cross_entropy: float
    value: float  # true risk plus penalty
    theorem: str

    @property
    def mean_norm_words(self) -> float:
        """Mean norm, every word counted once whatever its frequency."""
        return float(self.norm_words.mean())


def theorem1(n_c: int, n_w: int, L: int, K: int, lam: float) -> TypeI:
    """Theorem 1: the scales at which type I minimises true risk plus penalty of h under uniform mu.

    `tau` is the minimiser of H (see `risk_h`) over t >= 0, `c = sqrt(tau / n_w)`, `c_prime = sqrt(tau / (K L))`. All are
    zero from `theorem1_threshold` on. Relative accuracy 1e-9. Raises ValueError naming a parameter out of its range.
    """
    n_c, L, K, n_w = _sizes(n_c, L, K, n_w=n_w)
    lam = _positive("lam", lam)
    # In the variable s = eta t, H has the slope lambda / eta less `_slope(s)`, which falls as s grows.
    log_eta = math.log(n_c / (n_c - 1)) - (math.log(n_w) + math.log(K) + math.log(L)) / 2
    target = math.log(lam) - log_eta
    if lam >= theorem1_threshold(n_c, n_w, L, K):
        s = 0.0
    else:
        end = max(0.0, math.log(L) + math.log(n_c - 1) - target) + 1
        s = _root(lambda s: _log_slope(s, n_c, L, K) - target, 0.0, end)
    tau = s * math.exp(-log_eta)
    cross_entropy = float(_cross_entropy(s, n_c, L, K))
    c_prime = math.sqrt(tau) * math.exp(-(math.log(K) + math.log(L)) / 2)
    return TypeI(tau, math.sqrt(tau / n_w), c_prime, cross_entropy + lam * tau, cross_entropy)


def theorem1_threshold(n_c: int, n_w: int, L: int, K: int) -> float:
    """`sqrt(L / (n_w K)) K / (K + 1 - p)`: type I is learned, tau > 0, if and only if lambda is below (Theorem 1).

    H is strictly convex, so tau > 0 exactly when `H'(0) = lambda - threshold` is negative; at the threshold tau = 0.
    Raises ValueError naming a parameter out of its range.
    """
    n_c, L, K, n_w = _sizes(n_c, L, K, n_w=n_w)
    return math.exp((math.log(L) - math.log(n_w) - math.log(K)) / 2) * _seen(n_c, L, K)


def risk_h(t: ArrayLike, n_c: int, n_w: int, L: int, K: int, lam: float) -> Array:
    """`H(t) = log(1 - p + p (1 + (n_c - 1) e^{-eta t})^L) + lambda t`, `eta = a / sqrt(n_w K L)` (Theorem 1).

    True risk plus penalty of h under uniform mu at type I of scales `c = sqrt(t / n_w)`, `c' = sqrt(t / (K L))`.
    `t` of any shape, result of the same. Raises ValueError naming a parameter out of its range.
    """
    n_c, L, K, n_w = _sizes(n_c, L, K, n_w=n_w)
    t, lam = _not_negative("t", t), _positive("lam", lam)
    eta = n_c / (n_c - 1) * math.exp(-(math.log(n_w) + math.log(K) + math.log(L)) / 2)
    return _cross_entropy(eta * t, n_c, L, K) + lam * t


def theorem3(n_c: int, L: int, K: int, d: int, lam: float) -> TypeII:
    """Theorem 3: the scale at which type II minimises true risk plus penalty of h*, for any mu.

    `tau` is the minimiser of H* (see `risk_h_star`) and `c = tau / sqrt(K L)`; tau is positive at every lambda.
    Relative accuracy 1e-9. Raises ValueError naming a parameter out of its range; d must be at least n_c, or no mean-zero
    equiangular vectors exist.
    """
    n_c, L, K, d = _sizes(n_c, L, K, d=d)
    lam = _positive("lam", lam)
    if d < n_c:
        raise ValueError(f"d: {d} dimensions hold no {n_c} mean-zero equiangular vectors; at least n_c = {n_c} do")
    log_eta = math.log(n_c / (n_c - 1)) + (math.log(d) - math.log(K) - math.log(L)) / 2
    target = math.log(lam) - 2 * log_eta

    # In s = eta* t, H* has the slope (lambda / eta*^2) s - `_slope(s)`. The root is sought in log s: it may be of any size.
    def excess(log_s: float) -> float:
        return _log_slope(math.exp(log_s), n_c, L, K) - log_s - target

    start = min(0.0, _log_slope(1.0, n_c, L, K) - target)
    end = math.log(max(1.0, math.log(L) + math.log(n_c - 1) - target))
    s = math.exp(_root(excess, start - 1, end + 1))
    tau = s * math.exp(-log_eta)
    cross_entropy = float(_cross_entropy(s, n_c, L, K))
    c = tau * math.exp(-(math.log(K) + math.log(L)) / 2)
    return TypeII(tau, c, cross_entropy + lam / 2 * tau**2, cross_entropy)


def risk_h_star(t: ArrayLike, n_c: int, L: int, K: int, d: int, lam: float) -> Array:
    """`H*(t) = log(1 - p + p (1 + (n_c - 1) e^{-eta* t})^L) + (lambda / 2) t^2`, `eta* = a sqrt(d / (K L))` (Theorem 3).

    True risk plus penalty of h* at type II of scale `c = t / sqrt(K L)`. `t` of any shape, result of the same. Raises
    ValueError naming a parameter out of its range.
    """
    n_c, L, K, d = _sizes(n_c, L, K, d=d)
    t, lam = _not_negative("t", t), _positive("lam", lam)
    eta = n_c / (n_c - 1) * math.exp((math.log(d) - math.log(K) - math.log(L)) / 2)
    return _cross_entropy(eta * t, n_c, L, K) + lam / 2 * t**2


def type_iii_threshold(n_c: int, L: int, K: int, mu: ArrayLike) -> float:
    """`sqrt(L sum_beta mu_beta^2 / (n_c K)) K / (K + 1 - p)`: type III is learned if and only if lambda is below.

    At x = 0 the gradient of the first term of the objective of `type_iii` has the norm `(L / a) ||mu|| K / (K + 1 - p)`,
    and zero is the minimiser of that convex objective exactly when this is at most kappa. At K = n_c^L it is the
    condition of Theorem 2, and with uniform mu the threshold of Theorem 1. Raises ValueError naming a parameter out of
    its range.
    """
    n_c, L, K, mu = *_sizes(n_c, L, K), _law(mu)
    size = float(np.linalg.norm(mu))
    return size * math.exp((math.log(L) - math.log(n_c) - math.log(K)) / 2) * _seen(n_c, L, K)


def type_iii(n_c: int, L: int, K: int, mu: ArrayLike, lam: float) -> TypeIII:
    """The type III of least true risk plus penalty of h, for any mu (s_c,) and any K (Theorem 2 is the case K = n_c^L).

    Minimises over r and c, with `y_beta = log(1 + (n_c - 1) e^{-a c r_beta})` and words drawn independently from mu,
    `E log(1 - p + p exp(y_{beta_1} + ... + y_{beta_L})) + (lambda / 2) (n_c sum_beta r_beta^2 + K L c^2)`.
    For given `x_beta = a c r_beta` the penalty is least at `n_c sum_beta r_beta^2 = K L c^2`, where it equals
    `kappa ||x||`, `kappa = lambda sqrt(n_c K L) / a`. What is left is a convex function of x, since the expectation is one
    of log-sum-exps with positive weights: its minimiser is the only critical point, and Newton's method finds it.

    Relative accuracy 1e-8 in each r_beta for lambda above 1e-8. Time and memory grow as s_c^2 at least: seconds at
    s_c = 4000. Raises ValueError naming a parameter out of its range.
    """
    n_c, L, K, mu = *_sizes(n_c, L, K), _law(mu)
    lam = _positive("lam", lam)
    a = n_c / (n_c - 1)
    kappa = lam / a * math.exp((math.log(n_c) + math.log(K) + math.log(L)) / 2)

    # Start at a critical point on the curve x e^x = t mu, Theorem 2's system with the term n_c - 1 left out: it sets out
    # along mu, the direction that is optimal near the threshold, and far below the threshold sizes grow as logarithms.
    def slope_along_curve(t: float) -> float:
        x = lambertw(t * mu).real
        unit = (x if t else mu) / np.linalg.norm(x if t else mu)
        return (_expected_risk(x, n_c, L, K, mu)[1] + kappa * unit) @ (unit / (1 + x))

    if lam >= type_iii_threshold(n_c, L, K, mu) or slope_along_curve(0.0) >= 0:
        value = float(_cross_entropy(0.0, n_c, L, K))
        return TypeIII(np.zeros(len(mu)), 0.0, value, value, False)
    end = 1.0
    while slope_along_curve(end) < 0:
        end *= 10
    x = lambertw(_root(slope_along_curve, 0.0, end) * mu).real
    risk, gradient, hessian = _expected_risk(x, n_c, L, K, mu)
    for _ in range(200):
        size = np.linalg.norm(x)
        slope = gradient + kappa * x / size
        curvature = hessian + kappa / size * (np.eye(len(x)) - np.outer(x, x) / size**2)
        step = solve(curvature, -slope, assume_a="pos")
        value, length = risk + kappa * size, min(1.0, 1 / np.abs(step).max())
        while True:
            trial = x + length * step
            risk, gradient, hessian = _expected_risk(trial, n_c, L, K, mu)
            # The last term lets full steps through once the value has converged to rounding.
            if risk + kappa * np.linalg.norm(trial) <= value + 1e-4 * length * (slope @ step) + 1e-13:
                break
            length /= 2
        x = trial
        # The next step would be of the order of the square of this one.
        if (np.abs(length * step) < 1e-8 * x + 1e-13).all():
            break
    else:
        raise ArithmeticError(f"type III did not converge at {n_c=}, {L=}, {K=}, {lam=}")
    size = float(np.linalg.norm(x))
    c = math.sqrt(size / a) * math.exp((math.log(n_c) - math.log(K) - math.log(L)) / 4)
    return TypeIII(x / (a * c), c, risk + kappa * size, risk, True)


def theorem2_residual(n_c: int, L: int, mu: ArrayLike, lam: float, r: ArrayLike, c: float) -> Array:
    """Relative residuals (s_c + 1,) of Theorem 2's system at `r` (s_c,) and `c`: zero where type III is critical.

    First, for each beta, `(lambda / L) (r_beta / c) (n_c - 1 + e^{a c r_beta}) / mu_beta - 1`; last
    `sum_beta (r_beta / c)^2 / (L n_c^{L-1}) - 1`. Raises ValueError naming a parameter out of its range.
    """
    n_c, L, _, mu = *_sizes(n_c, L, 2), _law(mu)
    lam, c = _positive("lam", lam), _positive("c", c)
    r = np.asarray(r, dtype=float)
    if r.shape != mu.shape:
        raise ValueError(f"r: has the shape {r.shape}, and mu {mu.shape}")
    words = lam / L * r / c * (n_c - 1 + np.exp(n_c / (n_c - 1) * c * r)) / mu - 1
    total = math.exp(math.log(r @ r) - 2 * math.log(c) - math.log(L) - (L - 1) * math.log(n_c)) - 1
    return np.append(words, total)


def predict(n_c: int, n_w: int, L: int, K: int, d: int, mu: ArrayLike, lam: float, normalised: bool) -> Prediction:
    """What training to the minimum leads to: Theorem 3 for h* (`normalised`), Theorem 1 for h under uniform mu (s_c,), and
    type III for h under any other.

    Vectors `r_beta f_alpha`, one for each concept and beta, have mean zero and the matrix of second moments
    `a (sum_beta r_beta^2) P`, P the projection on the n_c - 1 dimensions that the f span. So their singular values are
    n_c - 1 times `sqrt(a sum_beta r_beta^2)`, then zero. For the u_{k,l}, K L vectors of norm c shared evenly by the
    concepts, this is `c sqrt(K L / (n_c - 1))`. Raises ValueError naming a parameter out of its range.
    """
    n_c, L, K, n_w, d = _sizes(n_c, L, K, n_w=n_w, d=d)
    mu = _law(mu)
    if n_w != n_c * len(mu):
        raise ValueError(f"n_w: {n_w} is not n_c = {n_c} concepts of the {len(mu)} words that mu has")
    if d < n_c - 1:
        raise ValueError(f"d: {d} dimensions hold no {n_c} equiangular vectors; at least {n_c - 1} do")
    if normalised:
        solution, theorem = theorem3(n_c, L, K, d, lam), "Theorem 3"
        norm_words, norm_u = np.full(len(mu), math.sqrt(d)), solution.c
    elif np.allclose(mu, 1 / len(mu), rtol=1e-12, atol=0):
        solution, theorem = theorem1(n_c, n_w, L, K, lam), "Theorem 1"
        norm_words, norm_u = np.full(len(mu), solution.c), solution.c_prime
    else:
        solution, theorem = type_iii(n_c, L, K, mu, lam), "type III"
        norm_words, norm_u = solution.r, solution.c
    present = np.arange(3) < n_c - 1
    sigma_words = present * math.sqrt(n_c / (n_c - 1) * (norm_words @ norm_words))
    sigma_u = present * norm_u * math.exp((math.log(K) + math.log(L) - math.log(n_c - 1)) / 2)
    return Prediction(norm_words, norm_u, sigma_words, sigma_u, solution.cross_entropy, solution.value, theorem)


def _expected_risk(x: Array, n_c: int, L: int, K: int, mu: Array) -> tuple[float, Array, Array]:
    """`E log(1 - p + p exp(S))`, S the sum of L independent `y_beta = log(1 + (n_c - 1) e^{-x_beta})`, beta from mu; its
    gradient (s_c,) and Hessian (s_c, s_c) in x.

    The law of S is used through its characteristic function, which convolution raises to a power: with the odds
    `e^o = p / (1 - p)`, the derivatives of the logarithm in S are the logistic function and its slope at s = S + o,
    `1/2 + int_0^inf sin(omega s) / sinh(pi omega) d omega` and `int_0^inf omega cos(omega s) / sinh(pi omega) d omega`.
    The midpoint rule of step h has an error of `e^{|s| - 2 pi / h}`, so that a few hundred frequencies give all digits.
    """
    odds = min(SATURATED, math.log(K) - math.log(n_c**L - K)) if n_c**L > K else SATURATED
    y = np.log1p((n_c - 1) * np.exp(-x))
    h = 2 * math.pi / (max(abs(odds), abs(odds + L * y.max())) + SATURATED)
    omega = (np.arange(math.ceil(FREQUENCIES_UP_TO / h)) + 0.5) * h
    s = expit(math.log(n_c - 1) - x)  # -dy/dx
    waves = np.exp(1j * np.outer(omega, y))  # (frequencies, s_c)
    psi = waves @ mu  # characteristic function of one y
    kernel = h * np.exp(1j * omega * odds) / np.sinh(np.pi * omega)

    risk = L * (mu @ y) / 2 + float(np.real(kernel / omega * (1 - psi**L)).sum())
    one_known = kernel * psi ** (L - 1)  # the word at one position is given, the others are drawn
    first = 0.5 + np.imag(one_known @ waves)
    second = np.real((omega * one_known) @ waves)
    gradient = -L * mu * first * s
    diagonal = L * mu * (first * s * (1 - s) + second * s**2)
    if L == 1:
        return risk, gradient, np.diag(diagonal)
    two_known = omega * kernel * psi ** (L - 2)
    mixed = np.real((waves.T * two_known) @ waves)
    weights = mu * s
    return risk, gradient, L * (L - 1) * mixed * np.outer(weights, weights) + np.diag(diagonal)


def _cross_entropy(s: ArrayLike, n_c: int, L: int, K: int) -> Array:
    """`log(1 - p + p (1 + (n_c - 1) e^{-s})^L)`, every position contributing s to the margin. Any shape."""
    y = L * np.log1p((n_c - 1) * np.exp(-np.asarray(s, dtype=float)))
    with np.errstate(divide="ignore"):
        return np.logaddexp(0, _log_p(n_c, L, K) + y + np.log(-np.expm1(-y)))


def _log_slope(s: float, n_c: int, L: int, K: int) -> float:
    """Logarithm of minus the derivative of `_cross_entropy` in s."""
    y = L * math.log1p((n_c - 1) * math.exp(-s))
    posterior = _log_p(n_c, L, K) + y - float(_cross_entropy(s, n_c, L, K))
    return math.log(L) + math.log(n_c - 1) - s - y / L + posterior


def _log_p(n_c: int, L: int, K: int) -> float:
    return math.log(K) - math.log(n_c**L)


def _seen(n_c: int, L: int, K: int) -> float:
    """`K / (K + 1 - p)`, the factor of both thresholds."""
    return 1 / (1 + -math.expm1(_log_p(n_c, L, K)) / K)


def _root(f, start: float, end: float) -> float:
    return brentq(f, start, end, xtol=1e-300, rtol=4 * np.finfo(float).eps, maxiter=2000)


def _sizes(n_c: int, L: int, K: int, **others: int) -> tuple[int, ...]:
    """The sizes as exact integers, or ValueError naming the first that is out of its range."""
    sizes = {"n_c": n_c, "L": L, "K": K, **others}
    for name, size in sizes.items():
        least = 2 if name in ("n_c", "K") else 1
        try:
            sizes[name] = operator.index(size)
        except TypeError:
            raise ValueError(f"{name}: {size!r} is not an integer") from None
        if sizes[name] < least:
            raise ValueError(f"{name}: {size} is below {least}")
    n_c, L, K = sizes["n_c"], sizes["L"], sizes["K"]
    if n_c**L < K:
        raise ValueError(f"K: {K} classes, but there are only n_c ** L = {n_c**L} latent sequences")
    return tuple(sizes.values())


def _positive(name: str, value: float) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not 0 < number < math.inf:
        raise ValueError(f"{name}: {value!r} is not a positive number")
    return number


def _not_negative(name: str, value: ArrayLike) -> Array:
    array = np.asarray(value, dtype=float)
    if not (array >= 0).all():
        raise ValueError(f"{name}: not all of it is a number from zero up")
    return array


def _law(mu: ArrayLike) -> Array:
    mu = np.asarray(mu, dtype=float)
    if mu.ndim != 1 or not (mu > 0).all() or abs(mu.sum() - 1) > 1e-9:
        raise ValueError("mu: not a law; it is positive frequencies (s_c,) that sum to 1")
    return mu
