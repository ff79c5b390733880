"""The collapsed configurations of the paper (§2), built from their definitions: words, concepts, u, and concepts of u.

Each has `s_c` words a concept and the vectors u_{k,l} of the latents `z`, and is turned at random in R^d.
"""

from typing import NamedTuple

import torch
from torch import Tensor


class Configuration(NamedTuple):
    """What the measures of collapse are taken of."""

    words: Tensor  # (n_w, d)
    concepts: Tensor  # (n_w,)
    u: Tensor  # (n, d)
    z: Tensor  # (n,)


def equiangular(n_c: int, d: int, seed: int = 0, mean_zero: bool = False) -> Tensor:
    """Vectors f (n_c, d) of norm 1 and sum zero with `<f_alpha, f_alpha'> = -1/(n_c - 1)`; with `mean_zero` the entries
    of each sum to zero too, for which d >= n_c."""
    simplex = (n_c / (n_c - 1)) ** 0.5 * (torch.eye(n_c, dtype=torch.float64) - 1 / n_c)
    _, _, axes = torch.linalg.svd(simplex)
    coordinates = simplex @ axes[: n_c - 1].T  # (n_c, n_c - 1): the same angles, without the empty dimension
    directions = torch.randn(d, n_c - 1, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    if mean_zero:
        directions -= directions.mean(0)
    return coordinates @ torch.linalg.qr(directions).Q.T


def latents(n_c: int, n: int, seed: int = 0) -> Tensor:
    """Concepts (n,) in which each occurs."""
    z = torch.arange(n) % n_c
    return z[torch.randperm(n, generator=torch.Generator().manual_seed(seed))]


def type_one(n_c: int, s_c: int, d: int, c: float, c_prime: float, n: int = 20) -> Configuration:
    """`w_{(alpha,beta)} = c f_alpha`, `u_{k,l} = c' f_{z_{k,l}}`."""
    f, concepts, z = equiangular(n_c, d), torch.arange(n_c).repeat_interleave(s_c), latents(n_c, n)
    return Configuration(c * f[concepts], concepts, c_prime * f[z], z)


def type_two(n_c: int, s_c: int, d: int, c: float, n: int = 20) -> Configuration:
    """`phi(w_{(alpha,beta)}) = sqrt(d) f_alpha`, `u_{k,l} = c f_{z_{k,l}}`, f of mean zero. The words are after phi."""
    f, concepts, z = equiangular(n_c, d, mean_zero=True), torch.arange(n_c).repeat_interleave(s_c), latents(n_c, n)
    return Configuration(d**0.5 * f[concepts], concepts, c * f[z], z)


def type_three(n_c: int, r: Tensor, d: int, c: float, n: int = 20) -> Configuration:
    """`w_{(alpha,beta)} = r_beta f_alpha`, `u_{k,l} = c f_{z_{k,l}}`; r (s_c,)."""
    f, concepts, z = equiangular(n_c, d), torch.arange(n_c).repeat_interleave(len(r)), latents(n_c, n)
    return Configuration(r.double().repeat(n_c)[:, None] * f[concepts], concepts, c * f[z], z)
