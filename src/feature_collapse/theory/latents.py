"""The theorems' configurations for the K latents that a run has drawn, in the place of the symmetry assumption.

Where words of a concept are alike, a score depends on the concepts of a sentence only, and those are its class's: the
true risk is a mean over the K classes, a multinomial regression on their latents Z (K, L). Its minimum needs no
assumption on Z, and says what is left of a deviation from the theorems once the latents are known.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp

from feature_collapse.theory import theorems
from feature_collapse.theory.theorems import Array

OPTIONS = {"maxiter": 20_000, "maxfun": 40_000, "maxcor": 20, "ftol": 0, "gtol": 1e-8}


@dataclass(frozen=True)
class WithLatents:
    """The minimum for given latents. Words are those after LayerNorm if there is one."""

    norm_words: Array  # (n_c,): of the words of each concept
    norm_u: Array  # (K, L)
    sigma_words: Array  # (3,): leading singular values of the centred words
    sigma_u: Array  # (3,): the same of the K L vectors u_{k,l}
    cross_entropy: float
    value: float  # true risk plus penalty


def type_i_with_latents(Z: NDArray[np.integer], n_c: int, n_w: int, lam: float) -> WithLatents:
    """The least true risk plus penalty of h under uniform mu, for latents Z (K, L) of concepts 0 to n_c - 1.

    The risk is convex in `Y = <u_{k,l}, w>` and does not change when words of a concept are exchanged, nor does the
    penalty `lambda ||Y||_*`: some minimiser is the same for all words of a concept. So it is enough to minimise over
    one word per concept, counted n_w / n_c times. In n_c dimensions such a problem has no local minima but global ones
    that leave a dimension unused (Haeffele and Vidal, 2015, https://arxiv.org/abs/1506.07540), and the n_c concepts,
    of mean zero, use n_c - 1. Raises ArithmeticError if the minimum is not reached.
    """
    (K, L), s_c = Z.shape, n_w // n_c
    theorem = theorems.theorem1(n_c, n_w, L, K, lam)
    start = theorems.equiangular(n_c, n_c)
    # Not from zero, which is critical, where the theorem has nothing learned: its latents may still have something.
    c, c_prime = max(theorem.c, 0.1 / math.sqrt(n_w)), max(theorem.c_prime, 0.1 / math.sqrt(K * L))
    stream = np.random.default_rng(0)
    noise = 1e-3 * c * stream.standard_normal((n_c, n_c))  # into all dimensions

    root = math.sqrt(s_c)  # words are counted s_c times: times this both penalties weigh alike

    def value_and_gradient(x: Array) -> tuple[float, Array]:
        w, U = x[: n_c**2].reshape(n_c, n_c) / root, x[n_c**2 :].reshape(L * n_c, K)
        features = w[Z].reshape(K, L * n_c)
        risk, error = _risk(features @ U)
        dU, df = features.T @ error, error @ U.T
        dw = np.zeros_like(w)
        np.add.at(dw, Z, df.reshape(K, L, n_c))
        gradient = np.concatenate([(dw / root).ravel(), dU.ravel()]) + lam * x
        return risk + lam / 2 * (x @ x), gradient

    first = (c_prime * start[Z]).reshape(K, L * n_c).T
    x = _minimum(value_and_gradient, np.concatenate([root * (c * start + noise).ravel(), first.ravel()]))
    w, U = x[: n_c**2].reshape(n_c, n_c) / root, x[n_c**2 :].reshape(L, n_c, K)
    return _described(Z, w, U.transpose(2, 0, 1), s_c, lam, s_c * (w**2).sum())


def type_ii_with_latents(Z: NDArray[np.integer], n_c: int, n_w: int, size: float, lam: float) -> WithLatents:
    """The least true risk plus penalty of h* over the u_{k,l}, for latents Z (K, L) and words `size f_alpha` with
    equiangular f: convex. At type II the size is sqrt(d); with LayerNorm's eps, and after finite time, it is less (see
    `dynamics`). Raises ArithmeticError if the minimum is not reached."""
    (K, L), s_c = Z.shape, n_w // n_c
    f = theorems.equiangular(n_c, n_c)
    features = size * f[Z].reshape(K, L * n_c)

    def value_and_gradient(x: Array) -> tuple[float, Array]:
        U = x.reshape(L * n_c, K)
        risk, error = _risk(features @ U)
        return risk + lam / 2 * (x @ x), (features.T @ error).ravel() + lam * x

    U = _minimum(value_and_gradient, np.zeros(L * n_c * K)).reshape(L, n_c, K)
    return _described(Z, size * f, U.transpose(2, 0, 1), s_c, lam, 0.0)


def _risk(scores: Array) -> tuple[float, Array]:
    """The mean cross-entropy of the K classes, of scores (K, K), and its gradient in them."""
    K = len(scores)
    logarithms = scores - logsumexp(scores, axis=1, keepdims=True)
    error = np.exp(logarithms)
    error[np.arange(K), np.arange(K)] -= 1
    return float(-np.trace(logarithms) / K), error / K


def _minimum(function: object, start: Array) -> Array:
    found = minimize(function, start, jac=True, method="L-BFGS-B", options=OPTIONS)
    if np.abs(found.jac).max() > 1e-6:
        raise ArithmeticError(f"the minimum for given latents was not reached: {found.message}")
    return found.x


def _described(Z: NDArray[np.integer], w: Array, U: Array, s_c: int, lam: float, squares: float) -> WithLatents:
    """Of one word per concept w (n_c, n_c) and U (K, L, n_c); `squares` is the sum of squares of penalised words."""
    K, L = Z.shape
    risk, _ = _risk(w[Z].reshape(K, -1) @ U.reshape(K, -1).T)
    sigma_words = math.sqrt(s_c) * np.linalg.svd(w - w.mean(0), compute_uv=False)
    rows = U.reshape(K * L, -1)
    sigma_u = np.linalg.svd(rows - rows.mean(0), compute_uv=False)
    return WithLatents(
        norm_words=np.linalg.norm(w, axis=1),
        norm_u=np.linalg.norm(U, axis=2),
        sigma_words=np.append(sigma_words, [0.0, 0.0])[:3],
        sigma_u=np.append(sigma_u, [0.0, 0.0])[:3],
        cross_entropy=risk,
        value=risk + lam / 2 * float(squares + (U**2).sum()),
    )
