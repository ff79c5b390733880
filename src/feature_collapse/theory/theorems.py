"""The theorems of §2 as solvers: sizes of the collapsed configurations, their risk, predictions.

Symbols are the paper's; `p = K / n_c^L` and `a = n_c / (n_c - 1)`. At a configuration of type I, II
or III a class that differs from the true one on a set D of positions scores less by a sum over D,
and by the symmetry assumption on the latents there are `p (n_c - 1)^|D|` such classes for each D.
Hence every cross-entropy here is a mean of `log(1 - p + p prod_l (1 + (n_c - 1) e^{-x_l}))`, where
`x_l` is what position l contributes to the margin. K and n_c^L are exact integers and enter through
their logarithms, so that nothing overflows.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Integral

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
    """`w_{(alpha,beta)} = c f_alpha`, `u_{k,l} = c_prime f_{z_{k,l}}`, f equiangular (§2.2)."""

    tau: float
    c: float
    c_prime: float
    value: float  # true risk plus penalty, H(tau)
    cross_entropy: float


@dataclass(frozen=True)
class TypeII:
    """`phi(w_{(alpha,beta)}) = sqrt(d) f_alpha`, `u_{k,l} = c f_{z_{k,l}}`, f equiangular of mean
    zero (§2.3)."""

    tau: float
    c: float
    value: float  # true risk plus penalty, H*(tau)
    cross_entropy: float


@dataclass(frozen=True)
class TypeIII:
    """`w_{(alpha,beta)} = r_beta f_alpha`, `u_{k,l} = c f_{z_{k,l}}`, f equiangular (§2.3)."""

    r: Array  # (s_c,)
    c: float
    value: float  # true risk plus penalty
    cross_entropy: float
    learned: bool  # False: lambda is at or above the threshold, and r and c are zero


@dataclass(frozen=True)
class Prediction:
    """What a trained network is held against. Words are those after LayerNorm if there is one."""

    norm_words: Array  # (s_c,): at place beta the norm of the words (alpha, beta)
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
    """The type I of least true risk plus penalty of h under uniform mu, a global minimiser.

    `tau` minimises H (see `risk_h`) over t >= 0, `c = sqrt(tau / n_w)`, `c' = sqrt(tau / (K L))`;
    all are 0 from `theorem1_threshold` on. Relative accuracy 1e-9. Raises ValueError naming a
    parameter out of its range.
    """
    (n_c, L, K, n_w), lam = checked_sizes(n_c, L, K, n_w=n_w), _positive("lam", lam)
    # In s = eta t, the slope of H is lambda / eta - exp(_log_slope(s)), the latter falling in s.
    log_eta = _log_eta(1 / n_w, n_c, L, K)
    target = math.log(lam) - log_eta
    s = 0.0
    if lam < theorem1_threshold(n_c, n_w, L, K) and _log_slope(s, n_c, L, K) > target:
        end = max(0.0, math.log(L) + math.log(n_c - 1) - target) + 1
        s = _root(lambda s: _log_slope(s, n_c, L, K) - target, 0.0, end)
    tau = s * math.exp(-log_eta)
    c_prime = math.sqrt(tau) * math.exp(-(math.log(K) + math.log(L)) / 2)
    cross_entropy = float(_cross_entropy(s, n_c, L, K))
    return TypeI(tau, math.sqrt(tau / n_w), c_prime, cross_entropy + lam * tau, cross_entropy)


def theorem1_threshold(n_c: int, n_w: int, L: int, K: int) -> float:
    """`sqrt(L / (n_w K)) K / (K + 1 - p)`: in Theorem 1, tau > 0 if and only if lambda is below.

    H is strictly convex and `H'(0) = lambda - threshold`, so that at the threshold itself tau = 0.
    Raises ValueError naming a parameter out of its range.
    """
    n_c, L, K, n_w = checked_sizes(n_c, L, K, n_w=n_w)
    return math.exp((math.log(L) - math.log(n_w) - math.log(K)) / 2) * _seen(n_c, L, K)


def risk_h(t: ArrayLike, n_c: int, n_w: int, L: int, K: int, lam: float) -> Array:
    """`H(t) = log(1 - p + p (1 + (n_c - 1) e^{-eta t})^L) + lambda t`, `eta = a / sqrt(n_w K L)`.

    True risk plus penalty of h under uniform mu at the type I with `c = sqrt(t / n_w)` and
    `c' = sqrt(t / (K L))` (Theorem 1). `t` >= 0 of any shape, result of the same. Raises ValueError
    naming a parameter out of its range.
    """
    (n_c, L, K, n_w), lam = checked_sizes(n_c, L, K, n_w=n_w), _positive("lam", lam)
    t = _numbers("t", t, least=0)
    return _cross_entropy(math.exp(_log_eta(1 / n_w, n_c, L, K)) * t, n_c, L, K) + lam * t


def theorem3(n_c: int, L: int, K: int, d: int, lam: float) -> TypeII:
    """The type II of least true risk plus penalty of h*, a global minimiser for any mu.

    `tau` minimises H* (see `risk_h_star`) and `c = tau / sqrt(K L)`, positive for every lambda.
    Relative accuracy 1e-9. Raises ValueError naming a parameter out of its range: d is at least
    n_c, or there are no mean-zero equiangular vectors.
    """
    (n_c, L, K, d), lam = checked_sizes(n_c, L, K, d=d), _positive("lam", lam)
    _room("d", d, n_c)
    log_eta = _log_eta(d, n_c, L, K)
    target = math.log(lam) - 2 * log_eta

    # In s = eta* t, the slope of H* is lambda s / eta*^2 - exp(_log_slope(s)). The root may be of
    # any size, and so it is sought in log s.
    def excess(log_s: float) -> float:
        return _log_slope(math.exp(log_s), n_c, L, K) - log_s - target

    start = min(0.0, _log_slope(1.0, n_c, L, K) - target)
    end = math.log(max(1.0, math.log(L) + math.log(n_c - 1) - target))
    s = math.exp(_root(excess, start - 1, end + 1))
    tau = s * math.exp(-log_eta)
    c = tau * math.exp(-(math.log(K) + math.log(L)) / 2)
    cross_entropy = float(_cross_entropy(s, n_c, L, K))
    return TypeII(tau, c, cross_entropy + lam / 2 * tau**2, cross_entropy)


def risk_h_star(t: ArrayLike, n_c: int, L: int, K: int, d: int, lam: float) -> Array:
    """`H*(t) = log(1 - p + p (1 + (n_c - 1) e^{-eta* t})^L) + (lambda / 2) t^2`,
    `eta* = a sqrt(d / (K L))`.

    True risk plus penalty of h* at the type II with `c = t / sqrt(K L)` (Theorem 3). `t` >= 0 of
    any shape, result of the same. Raises ValueError naming a parameter out of its range.
    """
    (n_c, L, K, d), lam = checked_sizes(n_c, L, K, d=d), _positive("lam", lam)
    t = _numbers("t", t, least=0)
    return _cross_entropy(math.exp(_log_eta(d, n_c, L, K)) * t, n_c, L, K) + lam / 2 * t**2


def type_iii_threshold(n_c: int, L: int, K: int, mu: ArrayLike) -> float:
    """`||mu|| sqrt(L / (n_c K)) K / (K + 1 - p)`: type III is learned only if lambda is below.

    And if it is below: the first term of the objective that `type_iii` minimises has at x = 0 a
    gradient of norm `(L / a) ||mu|| K / (K + 1 - p)`, and zero is the minimiser just when this is
    at most kappa. For K = n_c^L it is the condition of Theorem 2, for uniform mu the threshold of
    Theorem 1. Raises ValueError naming a parameter out of its range.
    """
    (n_c, L, K), mu = checked_sizes(n_c, L, K), checked_law(mu)
    scale = math.exp((math.log(L) - math.log(n_c) - math.log(K)) / 2)
    return float(np.linalg.norm(mu)) * scale * _seen(n_c, L, K)


def type_iii(n_c: int, L: int, K: int, mu: ArrayLike, lam: float) -> TypeIII:
    """The type III of least true risk plus penalty of h, for any mu (s_c,) and any K.

    With `y_beta = log(1 + (n_c - 1) e^{-a c r_beta})`, and words drawn independently from mu, it
    minimises `E log(1 - p + p exp(y_{beta_1} + ... + y_{beta_L}))` plus the penalty
    `(lambda / 2) (n_c sum_beta r_beta^2 + K L c^2)`; for K = n_c^L its critical points are those of
    Theorem 2. For given `x_beta = a c r_beta` the penalty is least where
    `n_c sum_beta r_beta^2 = K L c^2`. There it is `kappa ||x||`, kappa = lambda sqrt(n_c K L) / a.
    What is left is a convex function of x, as the expectation is one of logarithms of sums of
    exponentials of -x: its minimiser is its only critical point, and Newton's method finds it.

    Relative accuracy 1e-7 in each r_beta if lambda > 1e-8. Works on matrices (s_c, s_c). Raises
    ValueError naming a parameter out of its range, and ArithmeticError if it does not converge.
    """
    (n_c, L, K), mu, lam = checked_sizes(n_c, L, K), checked_law(mu), _positive("lam", lam)
    a = n_c / (n_c - 1)
    kappa = lam / a * math.exp((math.log(n_c) + math.log(K) + math.log(L)) / 2)

    # The start is a critical point on the curve x e^x = t mu, Theorem 2's system without the term
    # n_c - 1. The curve leaves zero along mu, which is optimal near the threshold, and far below it
    # sizes grow as logarithms.
    def slope_along_curve(t: float) -> float:
        x = lambertw(t * mu).real
        unit = (x if t else mu) / np.linalg.norm(x if t else mu)
        return (expected_risk(x, n_c, L, K, mu)[1] + kappa * unit) @ (unit / (1 + x))

    # Within rounding of the threshold it counts as reached.
    if lam >= (1 - 1e-14) * type_iii_threshold(n_c, L, K, mu):
        value = float(_cross_entropy(0.0, n_c, L, K))
        return TypeIII(np.zeros(len(mu)), 0.0, value, value, False)
    end = 1.0
    while slope_along_curve(end) < 0:
        end *= 10
    x = lambertw(_root(slope_along_curve, 0.0, end) * mu).real
    risk, gradient, hessian = expected_risk(x, n_c, L, K, mu)
    for _ in range(200):
        size = np.linalg.norm(x)
        slope = gradient + kappa * x / size
        curvature = hessian() + kappa / size * (np.eye(len(x)) - np.outer(x, x) / size**2)
        step = solve(curvature, -slope, assume_a="pos")
        value, length = risk + kappa * size, 1 / max(1.0, np.abs(step).max())
        while True:
            trial = x + length * step
            risk, gradient, hessian = expected_risk(trial, n_c, L, K, mu)
            # The slack lets full steps through once the value has converged to rounding.
            bound = value + 1e-4 * length * (slope @ step) + 1e-13 * L
            if risk + kappa * np.linalg.norm(trial) <= bound:
                break
            length /= 2
        x = trial
        # The error that is left is of the order of the square of this step.
        if (np.abs(step) < 1e-8 * x + 1e-13).all():
            break
    else:
        raise ArithmeticError(f"type III did not converge at {n_c=}, {L=}, {K=}, {lam=}")
    size = float(np.linalg.norm(x))
    c = math.sqrt(size / a) * math.exp((math.log(n_c) - math.log(K) - math.log(L)) / 4)
    return TypeIII(x / (a * c), c, risk + kappa * size, risk, True)


def theorem2_residual(n_c: int, L: int, mu: ArrayLike, lam: float, r: ArrayLike, c: float) -> Array:
    """Relative residuals (s_c + 1,) of Theorem 2's system: 0 where the type III (r, c) is critical.

    First `(lambda / L) (r_beta / c) (n_c - 1 + e^{a c r_beta}) / mu_beta - 1` for each beta, then
    `sum_beta (r_beta / c)^2 / (L n_c^{L-1}) - 1`. Raises ValueError naming a parameter out of its
    range.
    """
    (n_c, L, _), mu, lam, c = checked_sizes(n_c, L, 2), checked_law(mu), _positive("lam", lam), _positive("c", c)
    r = _numbers("r", r, least=0)
    if r.shape != mu.shape:
        raise ValueError(f"r: has the shape {r.shape}, and mu {mu.shape}")
    each = lam / L * r / c * (n_c - 1 + np.exp(n_c / (n_c - 1) * c * r)) / mu - 1
    total = (r / c) @ (r / c) / L * math.exp(-(L - 1) * math.log(n_c)) - 1
    return np.append(each, total)


def predict(
    n_c: int,
    n_w: int,
    L: int,
    K: int,
    d: int,
    mu: ArrayLike,
    lam: float,
    normalised: bool,
) -> Prediction:
    """Where training to the minimum leads: Theorem 3 for h* (`normalised`), Theorem 1 for h under
    uniform mu (s_c,), type III for h under any other mu.

    The `n_w` vectors `r_beta f_alpha` have mean zero and second moments `a (sum_beta r_beta^2) P`,
    P the projection on the n_c - 1 dimensions of the f: n_c - 1 of their singular values are
    `sqrt(a sum_beta r_beta^2)`, the others zero. For the u_{k,l}, K L vectors of norm c that are
    spread evenly over the concepts, they are `c sqrt(K L / (n_c - 1))`. Raises ValueError naming a
    parameter out of its range.
    """
    (n_c, L, K, n_w, d), mu = checked_sizes(n_c, L, K, n_w=n_w, d=d), checked_law(mu)
    if n_w != n_c * len(mu):
        raise ValueError(f"n_w: {n_w} words are not {n_c} concepts of the {len(mu)} that mu has")
    _room("d", d + 1, n_c)
    if normalised:
        solution, theorem = theorem3(n_c, L, K, d, lam), "Theorem 3"
        norm_words, norm_u = np.full(len(mu), math.sqrt(d)), solution.c
    elif np.allclose(mu, 1 / len(mu), rtol=1e-12, atol=0):
        solution, theorem = theorem1(n_c, n_w, L, K, lam), "Theorem 1"
        norm_words, norm_u = np.full(len(mu), solution.c), solution.c_prime
    else:
        solution, theorem = type_iii(n_c, L, K, mu, lam), "type III"
        norm_words, norm_u = solution.r, solution.c
    spanned = np.arange(3) < n_c - 1
    return Prediction(
        norm_words,
        norm_u,
        sigma_words=spanned * math.sqrt(n_c / (n_c - 1)) * np.linalg.norm(norm_words),
        sigma_u=spanned * norm_u * math.exp((math.log(K) + math.log(L) - math.log(n_c - 1)) / 2),
        cross_entropy=solution.cross_entropy,
        value=solution.value,
        theorem=theorem,
    )


def equiangular(n_c: int, d: int) -> Array:
    """Mean-zero equiangular f (n_c, d): unit vectors of sum zero, with cosines -1/(n_c - 1) (§2.2).

    Raises ValueError naming a parameter out of its range: d is at least n_c, or there are none.
    """
    n_c, _, _, d = checked_sizes(n_c, 1, 2, d=d)
    _room("d", d, n_c)
    f = np.zeros((n_c, d))
    f[:, :n_c] = np.eye(n_c) - 1 / n_c
    return f * math.sqrt(n_c / (n_c - 1))


def expected_risk(
    x: Array,
    n_c: int,
    L: int,
    K: int,
    mu: Array,
) -> tuple[float, Array, Callable[[], Array]]:
    """`E log(1 - p + p e^S)`, its gradient (s_c,) in x, and a function for its Hessian (s_c, s_c).

    S is the sum of L independent `y_beta = log(1 + (n_c - 1) e^{-x_beta})`, beta drawn from mu. Its
    law is the L-fold convolution of that of one y; here it is the L-th power of the characteristic
    function psi. With `e^o = p / (1 - p)`, the derivatives of `log(1 - p + p e^S)` in S are, at
    s = S + o, the logistic function `1/2 + int_0^inf sin(omega s) / sinh(pi omega) d omega` and its
    slope. The midpoint rule of step h has an error of the order of `e^{|s| - 2 pi / h}`, so that a
    few hundred frequencies give all digits.
    """
    odds = SATURATED
    if n_c**L > K:
        odds = min(odds, math.log(K) - math.log(n_c**L - K))
    y = np.log1p((n_c - 1) * np.exp(-x))
    s = expit(math.log(n_c - 1) - x)  # -dy/dx
    h = 2 * math.pi / (max(abs(odds), abs(odds + L * y.max())) + SATURATED)
    omega = (np.arange(math.ceil(FREQUENCIES_UP_TO / h)) + 0.5) * h
    kernel = h * np.exp(1j * omega * odds) / np.sinh(np.pi * omega)
    waves = np.exp(1j * np.outer(omega, y))  # (frequencies, s_c)
    psi = waves @ mu

    risk = L * (mu @ y) / 2 + float((kernel / omega * (1 - psi**L)).real.sum())
    given_one = kernel * psi ** (L - 1)  # one word is beta, the others are drawn
    first = 0.5 + (given_one @ waves).imag
    gradient = -L * mu * s * first

    def hessian() -> Array:
        second = ((omega * given_one) @ waves).real
        diagonal = np.diag(L * mu * s * (first * (1 - s) + second * s))
        if L == 1:
            return diagonal
        given_two = omega * kernel * psi ** (L - 2)
        mixed = ((waves.T * given_two) @ waves).real
        return L * (L - 1) * np.outer(mu * s, mu * s) * mixed + diagonal

    return risk, gradient, hessian


def _cross_entropy(s: ArrayLike, n_c: int, L: int, K: int) -> Array:
    """`log(1 - p + p (1 + (n_c - 1) e^{-s})^L)`, accurate where it is small; s of any shape."""
    y = L * np.log1p((n_c - 1) * np.exp(-np.asarray(s, dtype=float)))
    with np.errstate(divide="ignore"):
        return np.logaddexp(0, _log_p(n_c, L, K) + y + np.log(-np.expm1(-y)))


def _log_slope(s: float, n_c: int, L: int, K: int) -> float:
    """Logarithm of minus the derivative of `_cross_entropy` in s."""
    y = math.log1p((n_c - 1) * math.exp(-s))
    posterior = _log_p(n_c, L, K) + L * y - float(_cross_entropy(s, n_c, L, K))
    return math.log(L) + math.log(n_c - 1) - s - y + posterior


def _log_eta(size: float, n_c: int, L: int, K: int) -> float:
    """`log(a sqrt(size / (K L)))`: log eta at size 1 / n_w, log eta* at size d."""
    return math.log(n_c / (n_c - 1)) + (math.log(size) - math.log(K) - math.log(L)) / 2


def _log_p(n_c: int, L: int, K: int) -> float:
    return math.log(K) - math.log(n_c**L)


def _seen(n_c: int, L: int, K: int) -> float:
    """`K / (K + 1 - p)`, the factor in both thresholds."""
    return 1 / (1 - math.expm1(_log_p(n_c, L, K)) / K)


def _root(function: Callable[[float], float], start: float, end: float) -> float:
    return brentq(function, start, end, xtol=1e-300, rtol=1e-15, maxiter=2000)


def checked_sizes(n_c: int, L: int, K: int, **others: int) -> tuple[int, ...]:
    """The sizes as exact integers, in this order, or ValueError naming one out of its range."""
    sizes = {"n_c": n_c, "L": L, "K": K, **others}
    for name, size in sizes.items():
        least = 2 if name in ("n_c", "K") else 1
        if not isinstance(size, Integral) or size < least:
            raise ValueError(f"{name}: {size!r} is not an integer of at least {least}")
        sizes[name] = int(size)
    if sizes["K"] > sizes["n_c"] ** sizes["L"]:
        raise ValueError(f"K: {K} classes are more than the {n_c}^{L} sequences of L concepts")
    return tuple(sizes.values())


def _room(name: str, d: int, n_c: int) -> None:
    if d < n_c:
        raise ValueError(f"{name}: too few dimensions for {n_c} equiangular vectors")


def _numbers(name: str, values: ArrayLike, least: float) -> Array:
    try:
        numbers = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: {values!r} is not made of numbers") from None
    if not (numbers >= least).all():
        raise ValueError(f"{name}: {values!r} is not all {least} or more")
    return numbers


def _positive(name: str, value: float) -> float:
    number = _numbers(name, value, least=0)
    if number.ndim or not 0 < number < math.inf:
        raise ValueError(f"{name}: {value!r} is not a positive number")
    return float(number)


def checked_law(mu: ArrayLike) -> Array:
    law = _numbers("mu", mu, least=0)
    if law.ndim != 1 or not law.all() or abs(law.sum() - 1) > 1e-9:
        raise ValueError("mu: not a law of positive frequencies (s_c,) that sum to 1")
    return law
