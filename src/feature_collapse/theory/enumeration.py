"""The theorems checked by enumeration: exact true risk plus penalty on small problems.

Every latent sequence is a class (K = n_c^L), so that the symmetry assumption holds exactly, and
every sentence is listed with its probability, so that nothing is sampled. What is stated by
Theorem 1 (h, uniform mu), Theorem 3 (h*, any mu) and the conjecture after Theorem 2 (h, any mu: that
type III is a global minimiser) is certified: a lower bound by duality on all other points leaves no
gap (`certify`). Where the objective cannot be bounded so, for d < n_c - 1, it is minimised from
random starts (`check`), and so it is for h*, to see that all lead to the configuration stated.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Literal

import numpy as np
import pandas as pd
import torch
from scipy.optimize import minimize
from scipy.special import logsumexp

from feature_collapse.model.data import word_frequencies
from feature_collapse.theory import theorems as theory
from feature_collapse.theory.certificate import Optimality, normalised_optimality, optimality
from feature_collapse.theory.theorems import Array

CERTIFIED = 720  # problems; 600 of h and 120 of h*
TOLERANCE = 1e-8  # on values: nearer than this they are the same, further below is a counterexample


@dataclass(frozen=True)
class Problem:
    """A problem small enough to list every sentence: n_w^L of them, in n_c^L classes."""

    n_c: int
    L: int
    d: int
    mu: tuple[float, ...]  # (s_c,)
    network: Literal["h", "h*"]
    lam: float

    @property
    def K(self) -> int:
        return self.n_c**self.L

    @property
    def s_c(self) -> int:
        return len(self.mu)

    @property
    def n_w(self) -> int:
        return self.n_c * self.s_c

    @property
    def narrow(self) -> bool:
        """There is no room for the configuration that the theorems of h state."""
        return self.network == "h" and self.d < self.n_c - 1

    @property
    def predicted(self) -> theory.Prediction:
        """What Theorem 1, type III or Theorem 3 says; for h in too few dimensions, what it says with enough.
        Raises ValueError as `theory.predict`."""
        normalised = self.network == "h*"
        d = max(self.d, self.n_c - 1) if self.narrow else self.d
        return theory.predict(self.n_c, self.n_w, self.L, self.K, d, self.mu, self.lam, normalised)

    @property
    def setting(self) -> dict[str, float | int | str]:
        """Of the columns of a table."""
        frequencies = " ".join(f"{frequency:.4g}" for frequency in self.mu)
        sizes = {name: getattr(self, name) for name in ("network", "n_c", "L", "s_c", "d", "K")}
        return {**sizes, "mu": frequencies, "lambda": self.lam}

    def at(self, share: float) -> "Problem":
        """The same for h at lambda = share * threshold: below 1 something is learned."""
        threshold = theory.type_iii_threshold(self.n_c, self.L, self.K, self.mu)
        return replace(self, lam=share * threshold)


@dataclass(frozen=True)
class Check:
    """The outcome of one problem."""

    problem: Problem
    theorem: str
    theorem_value: float
    least: float  # least value found
    deviation: float  # of the parameters that attain it, see `deviation`
    starts: int
    reached: int  # starts that ended within TOLERANCE of the theorem's value
    below: int  # starts that ended further below it: counterexamples
    seconds: float
    W: Array = field(repr=False)  # (n_w, d), the parameters that attain the least value
    U: Array = field(repr=False)  # (K, L, d)

    @property
    def row(self) -> dict[str, float | int | str]:
        """Everything but the parameters, as a row of a table."""
        return {
            **self.problem.setting,
            "starts": self.starts,
            "theorem": self.theorem,
            "theorem_value": self.theorem_value,
            "least": self.least,
            "gap": self.least - self.theorem_value,
            "deviation": self.deviation,
            "reached": self.reached,
            "below": self.below,
            "seconds": self.seconds,
        }


@dataclass(frozen=True)
class TypeIGradient:
    """How near to critical a type I configuration can be, see `type_i_gradient`."""

    relative: float  # the least found over c, c_prime > 0
    c: float
    c_prime: float
    exact: float  # the least in closed form
    type_iii: float  # the same measure at the type III configuration


def zipf(s_c: int, exponent: float) -> tuple[float, ...]:
    """mu (s_c,) proportional to `beta ** -exponent`; uniform at 0."""
    return tuple(word_frequencies("zipf", s_c, exponent).tolist())


def problems() -> list[Problem]:
    """Those that are minimised from random starts: eight sizes of h* with uniform and Zipf mu, and h with fewer than
    n_c - 1 dimensions."""
    listed = []
    for n_c, L, s_c in product((2, 3), (2, 3), (2, 3)):
        listed += [Problem(n_c, L, 4, zipf(s_c, s), "h*", lam) for s, lam in ((0, 0.01), (1, 0.1))]
    for n_c, L, s_c, d in ((3, 1, 3, 1), (3, 2, 2, 1), (3, 2, 3, 1), (4, 1, 2, 2), (4, 2, 2, 1), (4, 2, 2, 2)):
        listed += [Problem(n_c, L, d, zipf(s_c, s), "h", lam=1).at(share) for s, share in ((0, 0.3), (1, 0.1))]
    return listed


def long_tailed() -> list[Problem]:
    """Problems of h below the threshold whose mu is not uniform, for `type_i_gradient`."""
    sizes = product((2, 3), (2, 3), (2, 3))
    listed = [Problem(n_c, L, 4, zipf(s_c, 1), "h", lam=1) for n_c, L, s_c in sizes]
    listed = [problem.at(share) for problem in listed for share in (0.1, 0.6)]
    steeper = Problem(3, 2, 4, zipf(3, 2), "h", lam=1), Problem(2, 3, 4, zipf(3, 3), "h", lam=1)
    return listed + [problem.at(0.3) for problem in steeper]


def random_problems(number: int, seed: int = 0) -> list[Problem]:
    """Problems drawn from `seed` to be certified: n_c 2 to 4, L 1 to 3, s_c 1 to 5, mu uniform in every fourth and over
    eight decades in the others. Of every six five are of h, with lambda from 0.001 to 1.5 of the threshold, and one of
    h*, with lambda from 1e-4 to 10."""
    stream = np.random.default_rng(seed)
    listed = []
    for i in range(number):
        n_c, L, s_c = (int(stream.integers(low, high + 1)) for low, high in ((2, 4), (1, 3), (1, 5)))
        weights = np.ones(s_c) if i % 4 == 0 else 10 ** -stream.uniform(0, 8, s_c)
        problem = Problem(n_c, L, n_c, tuple((weights / weights.sum()).tolist()), "h", lam=1)
        if i % 6:
            listed.append(problem.at(10 ** stream.uniform(-3, np.log10(1.5))))
        else:
            listed.append(replace(problem, network="h*", lam=10 ** stream.uniform(-4, 1)))
    return listed


@dataclass(frozen=True)
class Certificate:
    """What a theorem states for one problem, and what no point is below."""

    problem: Problem
    theorem: str
    theorem_value: float
    optimality: Optimality  # of the configuration that the theorem states

    @property
    def row(self) -> dict[str, float | int | str]:
        """As a row of a table: `gap` in nats; `ratio` the largest singular value of the dual point over what it may be,
        `rest` the largest beyond the n_c - 1 that the configuration has."""
        sigma = self.optimality.sigma
        return {
            **self.problem.setting,
            "theorem": self.theorem,
            "theorem_value": self.theorem_value,
            "value": self.optimality.value,
            "gap": self.optimality.value - self.optimality.bound,
            "ratio": sigma[0],
            "rest": sigma[self.problem.n_c - 1],
        }


def certify(problem: Problem) -> Certificate:
    """The configuration that the theorem states, of h or h*, against a lower bound on all others, with no starts.

    Its value and the bound are sums over all sentences, and independent of how the theorem found the configuration.
    Raises ValueError if the problem is not one of the theorems', or d too small for its configuration.
    """
    p, predicted = problem, problem.predicted
    W, U = (torch.from_numpy(x) for x in configuration(p, predicted.norm_words, predicted.norm_u))
    sentences, probability, label = (torch.from_numpy(x) for x in _listed(p))
    if p.network == "h":
        found = optimality(W, U, sentences.T, label, p.lam, p.lam, probability)
    else:
        weights = torch.tensor(p.mu, dtype=torch.float64).repeat(p.n_c) / p.n_c
        found = normalised_optimality(W, U, sentences.T, label, p.lam, weights, probability)
    return Certificate(p, predicted.theorem, predicted.value, found)


def check(problem: Problem, starts: int = 50, seed: int = 0) -> Check:
    """Minimise true risk plus penalty over W and U from `starts` random points drawn from `seed`.

    Deterministic, but for the seconds. Raises ValueError if `starts` is below 1 or the problem is
    not one of the theorems'.
    """
    if starts < 1:
        raise ValueError(f"starts: {starts} is below 1")
    begin = time.perf_counter()
    predicted, value_and_gradient = problem.predicted, objective(problem)
    stream = np.random.default_rng(seed)
    size = (problem.n_w + problem.K * problem.L) * problem.d
    options = {"maxiter": 50_000, "maxfun": 100_000, "maxcor": 20, "ftol": 0, "gtol": 1e-10}
    ends = []
    for _ in range(starts):
        start = stream.standard_normal(size) * 10 ** stream.uniform(-1, 0.5)
        ends.append(
            minimize(value_and_gradient, start, jac=True, method="L-BFGS-B", options=options),
        )
    values = np.array([end.fun for end in ends])
    W, U = unpack(ends[values.argmin()].x, problem)
    return Check(
        problem=problem,
        theorem="d < n_c - 1" if problem.narrow else predicted.theorem,
        theorem_value=predicted.value,
        least=float(values.min()),
        deviation=math.nan if problem.narrow else deviation(problem, W, U),
        starts=starts,
        reached=int((np.abs(values - predicted.value) <= TOLERANCE).sum()),
        below=int((values < predicted.value - TOLERANCE).sum()),
        seconds=time.perf_counter() - begin,
        W=W,
        U=U,
    )


def objective(problem: Problem) -> Callable[[Array], tuple[float, Array]]:
    """The function from W (n_w, d) and U (K, L, d), packed in one vector, to true risk plus penalty
    and its gradient.

    The penalty is `(lambda / 2) (||W||_F^2 + ||U||_F^2)` for h and `(lambda / 2) ||U||_F^2` for h*.
    """
    p, normalised = problem, problem.network == "h*"
    sentences, probability, label = _listed(p)
    every = np.arange(len(label))
    # holds[l, w, x] is 1 where sentence x has word w at position l.
    holds = (sentences[:, None] == np.arange(p.n_w)[:, None]).astype(float)

    def value_and_gradient(parameters: Array) -> tuple[float, Array]:
        W, U = unpack(parameters, p)
        V = layer_norm(W) if normalised else W
        products = np.einsum("wd,kld->lwk", V, U)
        scores = sum(products[place, words] for place, words in enumerate(sentences))  # (S, K)
        margins = scores - scores[every, label][:, None]
        losses = logsumexp(margins, axis=1)  # (S,)
        error = probability[:, None] * np.exp(margins - losses[:, None])
        error[every, label] -= probability
        errors = holds @ error  # (L, n_w, K)
        dV = np.einsum("lwk,kld->wd", errors, U)
        dU = np.einsum("lwk,wd->kld", errors, V) + p.lam * U
        value = probability @ losses + p.lam / 2 * (U**2).sum()
        if not normalised:
            return value + p.lam / 2 * (W**2).sum(), pack(dV + p.lam * W, dU)
        # LayerNorm is blind to the mean and the size of a word.
        dW = dV - dV.mean(1, keepdims=True) - V * (V * dV).mean(1, keepdims=True)
        return value, pack(dW / W.std(1, keepdims=True), dU)

    return value_and_gradient


def _listed(problem: Problem) -> tuple[np.ndarray, Array, np.ndarray]:
    """Every sentence (L, S), its probability (S,) and its class (S,)."""
    p = problem
    sentences = np.indices((p.n_w,) * p.L).reshape(p.L, -1)
    probability = np.array(p.mu)[sentences % p.s_c].prod(0) / p.K
    return sentences, probability, np.ravel_multi_index(tuple(sentences // p.s_c), (p.n_c,) * p.L)


def deviation(problem: Problem, W: Array, U: Array) -> float:
    """How far W (n_w, d) and U (K, L, d) are from the type I, II or III that the theory states.

    With f_alpha the direction of the mean u_{k,l} of concept alpha, it is the largest of: the
    distance of a word (after LayerNorm for h*) from `r_beta f_alpha`, relative to r_beta; that of a
    u_{k,l} from `c f_{z_{k,l}}`, relative to c; and `|<f_alpha, f_alpha'> + 1/(n_c - 1)|`. So it is
    zero only where directions have collapsed, are equiangular, are the same in W and U, and all
    sizes are the theory's. Where these are zero, it is the largest norm of a word or u_{k,l}.
    """
    p, predicted = problem, problem.predicted
    words = (layer_norm(W) if p.network == "h*" else W).reshape(p.n_c, p.s_c, p.d)
    if predicted.norm_u == 0:
        return float(max(np.linalg.norm(words, axis=-1).max(), np.linalg.norm(U, axis=-1).max()))
    z = latents(p)
    f = np.array([U[z == alpha].mean(0) for alpha in range(p.n_c)])
    f /= np.linalg.norm(f, axis=1, keepdims=True)
    r, c = predicted.norm_words, predicted.norm_u
    of_words = np.linalg.norm(words - r[:, None] * f[:, None], axis=-1) / r
    of_u = np.linalg.norm(U - c * f[z], axis=-1) / c
    of_angles = (f @ f.T + 1 / (p.n_c - 1))[~np.eye(p.n_c, dtype=bool)]
    return float(max(of_words.max(), of_u.max(), np.abs(of_angles).max()))


def type_i_gradient(problem: Problem) -> TypeIGradient:
    """The least gradient of true risk plus penalty of h over the type I with c, c' > 0.

    Gradients are measured relative to that of the penalty: `||gradient|| / (lambda ||(W, U)||)`.
    The norm alone would say nothing, as it falls to zero near c = c' = 0, which is critical for any
    mu. With `A = ||W||_F`, `B = ||U||_F` and `k = 1 / sqrt(s_c sum_beta mu_beta^2)`, the penalty
    pushes by `lambda A` in W, in a direction e, and by `lambda B` in U; the risk pulls by `g B` in
    W, where frequent words feel more of it and its direction has cosine k with e, and by `g k A` in
    U. As `c c'` grows, g falls from the threshold to zero. The least over g and A / B is
    `sqrt(1 - (2 k / (1 + k))^2)` for every lambda below the threshold: zero for uniform mu only.

    Raises ValueError if the network is not h, lambda not below the threshold, or d below n_c.
    """
    p = problem
    if p.network != "h":
        raise ValueError(f"network: type I is a configuration of h, not of {p.network!r}")
    solution = theory.type_iii(p.n_c, p.L, p.K, p.mu, p.lam)
    if not solution.learned:
        raise ValueError(f"lam: {p.lam} is not below the threshold, and zero the only minimiser")
    value_and_gradient = objective(p)

    def relative(r: Array, c: float) -> float:
        parameters = pack(*configuration(p, r, c))
        gradient = value_and_gradient(parameters)[1]
        return float(np.linalg.norm(gradient) / (p.lam * np.linalg.norm(parameters)))

    def at_type_i(log_scales: Array) -> float:
        c, c_prime = np.exp(log_scales)
        return relative(np.full(p.s_c, c), c_prime)

    options = {"xatol": 1e-8, "fatol": 1e-12}
    starts = product((-1.0, 1.0), repeat=2)
    ends = [minimize(at_type_i, s, method="Nelder-Mead", options=options) for s in starts]
    best = min(ends, key=lambda end: end.fun)
    c, c_prime = np.exp(best.x).tolist()
    k = 1 / np.sqrt(p.s_c * np.square(p.mu).sum())
    exact = np.sqrt(max(0.0, 1 - (2 * k / (1 + k)) ** 2))
    at_type_iii = relative(solution.r, solution.c)
    return TypeIGradient(float(best.fun), c, c_prime, float(exact), at_type_iii)


def configuration(problem: Problem, r: Array, c: float) -> tuple[Array, Array]:
    """W (n_w, d) of words `r_beta f_alpha` and U (K, L, d) of `c f_{z_{k,l}}`, for r (s_c,): type I
    if all r_beta are one, else type III. Raises ValueError if d is below n_c."""
    f = theory.equiangular(problem.n_c, problem.d)
    return (r[:, None] * f[:, None]).reshape(-1, problem.d), c * f[latents(problem)]


def latents(problem: Problem) -> np.ndarray:
    """(K, L): all sequences of L concepts, in the order of the classes."""
    return np.indices((problem.n_c,) * problem.L).reshape(problem.L, -1).T


def layer_norm(W: Array) -> Array:
    """phi as the theorems have it, with no small constant in the denominator: each row of (n_w, d)
    gets mean 0 and norm sqrt(d)."""
    return (W - W.mean(1, keepdims=True)) / W.std(1, keepdims=True)


def pack(W: Array, U: Array) -> Array:
    """W and U as one vector."""
    return np.concatenate([W.ravel(), U.ravel()])


def unpack(parameters: Array, problem: Problem) -> tuple[Array, Array]:
    """W (n_w, d) and U (K, L, d) of one vector."""
    p = problem
    W, U = np.split(parameters, [p.n_w * p.d])
    return W.reshape(p.n_w, p.d), U.reshape(p.K, p.L, p.d)


def gradients(checked: list[Problem]) -> pd.DataFrame:
    """`type_i_gradient` of problems, one row each."""
    rows = []
    for p in checked:
        least = type_i_gradient(p)
        rows.append(
            {
                **p.setting,
                "type_i_gradient": least.relative,
                "at_c": least.c,
                "at_c_prime": least.c_prime,
                "type_iii_gradient": least.type_iii,
            }
        )
    return pd.DataFrame(rows)


def markdown(certified: pd.DataFrame, rows: pd.DataFrame, slopes: pd.DataFrame) -> str:
    """A summary for each theorem, then every problem from random starts."""
    proved = certified.groupby("theorem").agg(
        problems=("gap", "size"),
        **{"largest gap": ("gap", "max"), "largest singular value less 1": ("ratio", lambda ratio: (ratio - 1).max())},
        **{"largest beyond the n_c - 1": ("rest", "max")},
    )
    summary = rows.groupby("theorem").agg(
        problems=("gap", "size"),
        starts=("starts", "sum"),
        **{"reached its value": ("reached", "sum"), "ended below it": ("below", "sum")},
        **{"least gap": ("gap", "min"), "largest gap": ("gap", "max"), "largest deviation": ("deviation", "max")},
    )
    parts = [
        "# The theorems checked by enumeration",
        "Problems small enough to list every sentence; every latent sequence is a class.",
        "## Certified",
        "The configuration that a theorem states is evaluated, and its softmax gives a lower bound on the objective at "
        "all other weights ([proof](proof.md)). The gap between the two is in nats; where it is zero the configuration "
        "is a global minimum. No random starts are involved. `type III` is Theorem 2's conjecture.",
        proved.reset_index().to_markdown(index=False, floatfmt=".1e"),
        "## From random starts",
        "The gap is the least value found less the theorem's; the deviation is how far the minimiser is from the "
        "configuration stated, in relative units. With d < n_c - 1 there is no room for type III, and the least value "
        "lies above the one that more dimensions allow.",
        summary.reset_index().to_markdown(index=False, floatfmt=".1e"),
        f"Under a law that is not uniform no configuration of type I is critical: over {len(slopes)} such problems the "
        f"gradient of the best is at least {slopes['type_i_gradient'].min():.2g} of the penalty's, and at most "
        f"{slopes['type_iii_gradient'].max():.1e} at type III.",
        rows.drop(columns="theorem_value").to_markdown(index=False, floatfmt=".3g"),
    ]
    return "\n\n".join(parts) + "\n"
