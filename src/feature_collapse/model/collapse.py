"""Measures of collapse: functions of vectors `x` (n, d) and of the group of each, `groups` (n,) in 0..G-1.

In this project a group is a concept, and its members are word embeddings (after `phi` where there is one) or the
vectors u_{k,l} with z_{k,l} in it. Means over the members of a group are uniform unless `weight` (n,) is given, for
instance the frequency `mu_beta` of each word; means over groups are uniform. Every measure is 0 at complete collapse
(type I or II); at type III only the directions collapse. All are computed in float64.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor


class Grouped(NamedTuple):
    """Vectors with their groups, as every measure needs them."""

    x: Tensor  # (n, d) float64
    groups: Tensor  # (n,) int64
    share: Tensor  # (n, G): weight of each vector in the mean of each group; columns sum to 1
    means: Tensor  # (G, d)

    @property
    def deviations(self) -> Tensor:
        """x - m_g, (n, d)."""
        return self.x - self.means[self.groups]

    @property
    def pairs(self) -> tuple[Tensor, Tensor]:
        """First and second of each pair of groups."""
        first, second = torch.triu_indices(len(self.means), len(self.means), 1)
        return first, second


def grouped(x: Tensor, groups: Tensor, weight: Tensor | None = None) -> Grouped:
    """Vectors (n, d) with their groups (n,), and their weights (n,) if these are not all alike. A group without a
    member does not count."""
    x, groups = x.double(), torch.unique(groups.long(), return_inverse=True)[1]
    share = torch.nn.functional.one_hot(groups).double()
    if weight is not None:
        share *= weight.double()[:, None]
    share /= share.sum(0)
    return Grouped(x, groups, share, share.T @ x)


def cdnv(x: Tensor, groups: Tensor, weight: Tensor | None = None) -> float:
    """Class-distance normalised variance: mean over pairs g != g' of `(v_g + v_g') / (2 ||m_g - m_g'||^2)`.

    Galanti, György, Hutter, 2021, https://arxiv.org/abs/2112.15121
    """
    g = grouped(x, groups, weight)
    v = g.share.T @ g.deviations.square().sum(1)  # (G,)
    first, second = g.pairs
    return ((v[first] + v[second]) / (2 * (g.means[first] - g.means[second]).square().sum(1))).mean().item()


def nc1(x: Tensor, groups: Tensor, weight: Tensor | None = None) -> float:
    """Within-group relative to between-group covariance: `trace(S_W pinv(S_B)) / G`, pinv of rank G - 1.

    Papyan, Han, Donoho, 2020, https://arxiv.org/abs/2008.08186
    """
    g = grouped(x, groups, weight)
    G = len(g.means)
    # S_B = (1/G) sum_g (m_g - m)(m_g - m)^T has the eigenvalues s^2 / G along the right singular vectors of the means.
    _, s, axes = torch.linalg.svd(g.means - g.means.mean(0), full_matrices=False)
    within = g.share.T @ (g.deviations @ axes[: G - 1].T).square()  # (G, G - 1)
    return (within.mean(0) / (s[: G - 1].square() / G)).sum().item() / G


def direction_spread(x: Tensor, groups: Tensor, weight: Tensor | None = None) -> float:
    """`1 - mean cos(x, m_g)` over the members of each group: 0 when directions have collapsed."""
    g = grouped(x, groups, weight)
    cosines = torch.cosine_similarity(g.x, g.means[g.groups], eps=0)
    return 1 - (g.share.T @ cosines).mean().item()


def size_spread(x: Tensor, groups: Tensor, weight: Tensor | None = None) -> float:
    """Standard deviation of `||x||` inside a group over its mean, averaged over groups: 0 when sizes have collapsed."""
    g = grouped(x, groups, weight)
    norms = g.x.norm(dim=1)
    means = g.share.T @ norms  # (G,)
    return ((g.share.T @ (norms - means[g.groups]).square()).sqrt() / means).mean().item()


def equiangularity(x: Tensor, groups: Tensor, weight: Tensor | None = None) -> float:
    """`max |cos(m_g - m, m_g' - m) + 1/(G - 1)|`, how far the means are from equal, maximal angles (NC2 of Papyan, Han,
    Donoho, 2020, https://arxiv.org/abs/2008.08186)."""
    g = grouped(x, groups, weight)
    if len(g.means) < 2:
        return math.nan
    directions = torch.nn.functional.normalize(g.means - g.means.mean(0), dim=1, eps=0)
    first, second = g.pairs
    return ((directions[first] * directions[second]).sum(1) + 1 / (len(g.means) - 1)).abs().max().item()


def equinorm(x: Tensor, groups: Tensor, weight: Tensor | None = None) -> float:
    """Standard deviation over mean of `||m_g - m||` (NC2 of Papyan, Han, Donoho, 2020)."""
    means = grouped(x, groups, weight).means
    norms = (means - means.mean(0)).norm(dim=1)
    return (norms.std(correction=0) / norms.mean()).item()


MEASURES = {f.__name__: f for f in (cdnv, nc1, direction_spread, size_spread, equiangularity, equinorm)}


def alignment(words: Tensor, concepts: Tensor, u: Tensor, z: Tensor, weight: Tensor | None = None) -> float:
    """`1 - cos` of the mean word and the mean u_{k,l} of a concept, averaged over concepts (self-duality, NC3 of
    Papyan, Han, Donoho, 2020). Words (n_w, d) with concepts (n_w,); u (n, d) with concepts z (n,), of all concepts or
    of some; `weight` is that of the words."""
    met = torch.isin(concepts, z.long())
    weight = None if weight is None else weight[met]
    means = grouped(words[met], concepts[met], weight).means, grouped(u, z).means
    return 1 - torch.cosine_similarity(*means, eps=0).mean().item()


def measure(words: Tensor, concepts: Tensor, u: Tensor, z: Tensor) -> dict[str, float]:
    """All measures, as `words_<measure>`, `u_<measure>` and `alignment`, of words (n_w, d) with concepts (n_w,) and of
    u (n, d) with concepts z (n,)."""
    return {
        **{f"words_{name}": f(words, concepts) for name, f in MEASURES.items()},
        **{f"u_{name}": f(u, z) for name, f in MEASURES.items()},
        "alignment": alignment(words, concepts, u, z),
    }
