"""Learning curves without a fitted parameter: gradient flow of the true risk plus penalty from the random start.

Plain gradient descent with small steps follows `dW/dt = -grad_W`, `dU/dt = -grad_U` in the time t = lr * steps. At the
small start the flow is linear, and what grows are the singular vectors of minus the gradient of the risk at Y = 0 (Y as
in `certificate`), each at its singular value less the decay. The n_c - 1 largest are those that tell concepts apart:
along mu for the words of each concept. So the flow soon has the form of type III,

    w_{(alpha,beta)} = r_beta f_alpha      u_{k,l} = c f_{z_{k,l}}

and keeps it under the symmetry assumption. With `x_beta = a c r_beta`, a = n_c / (n_c - 1), and R the expected
cross-entropy as a function of x, the sizes follow

    dr_beta/dt = -(a c / n_c) dR/dx_beta - lambda_W r_beta
    dc/dt      = -(a / (K L)) sum_beta r_beta dR/dx_beta - lambda_U c

Few sentences let the leading modes grow faster (see `growth_rates`); until the transition this is a change of the unit
of time, and so the solution is stretched by the ratio of the rates.

LayerNorm: only the part s_beta of a word along f_alpha is learned; the rest, of norm n_beta, stays random, and phi
divides by `rho = sqrt((s^2 + n^2) / d + eps)`. With `e = s / rho` in the place of r, x = a c e and
`g = -(a c / n_c) dR/dx`, it is `ds/dt = g (1 / rho - s^2 / (d rho^3))`, `dn/dt = -g s n / (d rho^3)` less the decay.
There the transition comes within few steps, before any sentence is met again: time is not stretched.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import ArrayLike
from scipy.integrate import solve_ivp

from feature_collapse.theory import theorems
from feature_collapse.theory.theorems import Array

LIKE = 1.25  # words whose frequencies are within this factor grow as one where only times are asked for
SETTLED = 0.98  # of the way of the loss from log K to its end: the transition is over


@dataclass(frozen=True)
class GrowthRates:
    """Singular values of minus the gradient of the risk at the origin, per unit of time lr * steps."""

    population: float  # the n_c - 1 that tell concepts apart, in the limit of many sentences
    sample: float  # their root mean square with n_spl sentences per class
    common: float  # the largest mode that all concepts share: the chance frequencies of frequent words


@cache
def _rates(n_c: int, L: int, K: int, mu: tuple[float, ...], n_spl: int | None) -> GrowthRates:
    law = np.array(mu)
    drawn = (1 - 1 / K) * L / (n_c * K)  # 1 - 1/K: a class is compared with all, itself included
    population = math.sqrt(drawn) * float(np.linalg.norm(law))
    if n_spl is None:
        return GrowthRates(population, population, 0.0)
    chance = np.diag(law) - np.outer(law, law)
    b = np.linalg.eigvalsh(np.outer(law, law) + chance / n_spl)[::-1]
    c = np.linalg.eigvalsh(chance / n_spl)[::-1].clip(0)
    spread = ((n_c - 1) * (b[1:] / (b[0] - b[1:])).sum() + (c / (b[0] - c)).sum()) / (K * L)
    sample, common = math.sqrt(drawn * b[0] * (1 + spread)), math.sqrt(drawn * c[0])
    return GrowthRates(population, float(sample), float(common))


def growth_rates(n_c: int, L: int, K: int, mu: ArrayLike, n_spl: int | None = None) -> GrowthRates:
    """At which rates modes leave the origin, for K random latents, mu (s_c,), and n_spl sentences per class (None: the
    limit of many). Weight decay is to be subtracted, so that the sample's rate is also the threshold in lambda.

    Position l of class k meets the words of its concept with empirical frequencies, of second moment `b = (1 - 1/n) mu
    mu^T + diag(mu)/n`; of these K L / n_c vectors per concept, and to first order in 1/(K L), the leading singular
    values have the mean square `(L / (n_c K)) b_1 (1 + [(n_c - 1) sum_{j>1} b_j / (b_1 - b_j) + sum_j c_j / (b_1 -
    c_j)] / (K L))`, with b_j the eigenvalues of b and c_j those of `(diag(mu) - mu mu^T) / n`, the mode common to all
    concepts (perturbation of a sample covariance: Lawley, 1956, https://doi.org/10.1093/biomet/43.1-2.128).
    Raises ValueError naming a parameter out of its range.
    """
    (n_c, L, K), law = theorems.checked_sizes(n_c, L, K), theorems.checked_law(mu)
    if n_spl is not None and n_spl < 1:
        raise ValueError(f"n_spl: {n_spl} is not a positive number of sentences")
    return _rates(n_c, L, K, tuple(law), n_spl)


@dataclass(frozen=True)
class Setting:
    """What a learning curve depends on, beside the unit of time."""

    n_c: int
    L: int
    K: int
    d: int
    mu: tuple[float, ...]  # (s_c,)
    lambda_W: float
    lambda_U: float
    init_scale_W: float  # of standard normal words
    init_scale_U: float  # of u_{k,l} uniform in +-1/sqrt(L d)
    normalised: bool  # h* instead of h
    eps: float = 1e-5  # of LayerNorm


@dataclass(frozen=True)
class LearningCurve:
    """The flow at some times."""

    loss: Array  # (T,), nats
    norm_words: Array  # (T, s_c), after LayerNorm if there is one
    norm_u: Array  # (T,)


def growth(setting: Setting, sigma: float) -> float:
    """The rate at which a mode of singular value sigma grows from the start, decay subtracted; negative if it decays.

    For h the larger eigenvalue of `[[-lambda_W, sigma], [sigma, -lambda_U]]`; for h* words enter over their initial
    `rho`, and so does the gradient that comes back.
    """
    s = setting
    if s.normalised:
        sigma /= math.sqrt(s.init_scale_W**2 + s.eps)
    mean, half = (s.lambda_W + s.lambda_U) / 2, (s.lambda_W - s.lambda_U) / 2
    return math.hypot(sigma, half) - mean


def stretch(setting: Setting, n_spl: int | None) -> float:
    """Growth rate of the leading modes with n_spl sentences per class over that of the flow: by this factor all comes
    earlier. 1 for h*, and where nothing grows."""
    s = setting
    if n_spl is None or s.normalised:
        return 1.0
    of_flow = growth(s, theorems.type_iii_threshold(s.n_c, s.L, s.K, s.mu))
    of_sample = growth(s, _rates(s.n_c, s.L, s.K, s.mu, n_spl).sample)
    return of_sample / of_flow if min(of_flow, of_sample) > 0 else 1.0


@cache
def least_loss(setting: Setting) -> float:
    """Cross-entropy where the flow ends, at type III or II: that of the theorem, 0 without a penalty."""
    s = setting
    penalty = s.lambda_U if s.normalised else math.sqrt(s.lambda_W * s.lambda_U)
    if not penalty:
        return 0.0
    return theorems.predict(s.n_c, s.n_c * len(s.mu), s.L, s.K, s.d, s.mu, penalty, s.normalised).cross_entropy


def learning_curve(setting: Setting, times: Sequence[float] | Array, n_spl: int | None = None) -> LearningCurve:
    """The flow at `times` lr * steps (T,), which do not fall, with n_spl sentences per class (None: the limit of many).

    The loss is that on fresh sentences; for h it is close to the loss on the training sentences until the transition,
    see the limits in `docs/theory.md`. Raises ArithmeticError where the equations cannot be solved.
    """
    s = setting
    flow = _Flow(s, like=1.0)
    states = flow.solve(np.asarray(times, dtype=float) * stretch(s, n_spl))
    sizes, norms = zip(*map(flow.words, states.T), strict=True)
    loss = [flow.risk(x, y[-1])[0] for x, y in zip(sizes, states.T, strict=True)]
    return LearningCurve(np.array(loss), np.array(norms)[:, flow.group], states[-1])


def reached(setting: Setting, share: float, n_spl: int | None = None) -> float:
    """The time lr * steps at which the loss has come this share of its way from log K to `least_loss`; infinite where
    nothing grows. Off by less than 0.1 % from `learning_curve`, in a tenth of its time."""
    time = _reached(setting, share)
    return time / stretch(setting, n_spl)


@cache
def _reached(setting: Setting, share: float) -> float:
    s = setting
    flow = _Flow(s, LIKE)
    rate = growth(s, flow.sigma)
    if rate <= 0:
        return math.inf
    level = math.log(s.K) + share * (least_loss(s) - math.log(s.K))
    return flow.first_below(level) * rate / growth(s, theorems.type_iii_threshold(s.n_c, s.L, s.K, s.mu))


class _Flow:
    """The equations, with words of (nearly) the same frequency taken together."""

    def __init__(self, setting: Setting, like: float):
        s = self.setting = setting
        mu = np.array(s.mu)
        order = np.argsort(-mu, kind="stable")
        starts = [0]
        for i, frequency in enumerate(mu[order]):
            if frequency * like < mu[order[starts[-1]]] * (1 - 1e-12):
                starts.append(i)
        self.group = np.empty(len(mu), dtype=int)  # of each word
        self.group[order] = np.searchsorted(starts, np.arange(len(mu)), side="right") - 1
        self.count = np.bincount(self.group)
        self.mass = np.bincount(self.group, mu)
        frequency = self.mass / self.count
        size = math.sqrt(self.mass @ frequency)  # ||mu||
        self.a = s.n_c / (s.n_c - 1)
        self.sigma = theorems.type_iii_threshold(s.n_c, s.L, s.K, s.mu) * size / float(np.linalg.norm(mu))
        # What the random start has along each growing pair of singular vectors: standard normal words of init_scale_W
        # give d squares of it, the u_{k,l} 1 / (3 L) squares of init_scale_U. For h both sides then grow together, with
        # half of the sum of squares each.
        of_W, of_U = s.init_scale_W**2 * s.d, s.init_scale_U**2 / (3 * s.L)
        if not s.normalised:
            of_W = of_U = (of_W + of_U) / 4
        r = math.sqrt((s.n_c - 1) * of_W / s.n_c) * frequency / size
        c = math.sqrt((s.n_c - 1) * of_U / (s.K * s.L))
        rest = np.full(len(r) if s.normalised else 0, s.init_scale_W * math.sqrt(s.d))
        self.start = np.concatenate([r, rest, [c]])

    def words(self, y: Array) -> tuple[Array, Array]:
        """Of each group of words the size along its direction, and the norm, both after LayerNorm if there is one."""
        s, m = self.setting, len(self.mass)
        r = y[:m]
        if not s.normalised:
            return r, np.abs(r)
        norm = np.hypot(r, y[m:-1])
        rho = np.sqrt(norm**2 / s.d + s.eps)
        return r / rho, norm / rho

    def risk(self, x: Array, c: float) -> tuple[float, Array]:
        """Expected cross-entropy, and its gradient in the `a c r_beta` of each group."""
        s = self.setting
        return theorems.expected_risk(self.a * c * x, s.n_c, s.L, s.K, self.mass)[:2]

    def slope(self, _: float, y: Array) -> Array:
        s, m, c = self.setting, len(self.mass), y[-1]
        x, _ = self.words(y)
        gradient = self.risk(x, c)[1]
        force = -self.a * c / s.n_c * gradient / self.count
        dc = -self.a / (s.K * s.L) * (x @ gradient) - s.lambda_U * c
        r, n = y[:m], y[m:-1]
        if not s.normalised:
            return np.append(force - s.lambda_W * r, dc)
        rho = np.sqrt((r**2 + n**2) / s.d + s.eps)
        dr = force * (1 / rho - r**2 / (s.d * rho**3)) - s.lambda_W * r
        dn = -force * r * n / (s.d * rho**3) - s.lambda_W * n
        return np.concatenate([dr, dn, [dc]])

    def solve(self, times: Array) -> Array:
        """States, one column a time."""
        solution = solve_ivp(
            self.slope, (0, times[-1]), self.start, method="LSODA", t_eval=times, rtol=1e-8, atol=1e-12
        )
        if not solution.success:
            raise ArithmeticError(f"the flow could not be followed: {solution.message}")
        return solution.y

    def first_below(self, level: float) -> float:
        """The time at which the expected cross-entropy falls below a level."""
        rate = growth(self.setting, self.sigma)

        def above(_: float, y: Array) -> float:
            return self.risk(self.words(y)[0], y[-1])[0] - level

        above.terminal = True  # type: ignore[attr-defined]
        limit = 1e4 / rate  # growth itself takes tens of these
        solution = solve_ivp(self.slope, (0, limit), self.start, method="LSODA", events=above, rtol=1e-5, atol=1e-12)
        return float(solution.t_events[0][0]) if len(solution.t_events[0]) else math.inf
