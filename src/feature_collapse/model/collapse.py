"""Measures of collapse: functions of vectors `x` (n, d) and of the group of each, `groups` (n,) in 0..G-1.

In this project a group is a concept, and its members are word embeddings (after `phi` where there is one) or the
vectors u_{k,l} with z_{k,l} in it. Means over the members of a group are uniform unless `weight` (n,) is given, for
instance the frequency `mu_beta` of each word; means over groups are uniform. Every measure is 0 at complete collapse
(type I or II); at type III only the directions collapse. All are computed in float64 by steps of a fixed order, see
`spectrum`, so that they have the same bits wherever x has.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from feature_collapse.model.spectrum import along, cosines, eigen, norms, root


class Grouped(NamedTuple):
    """Vectors with their groups, as every measure needs them."""

    x: Tensor  # (n, d) float64
    groups: Tensor  # (n,) int64
    share: Tensor  # (n,): weight of each vector in the mean of its group; those of a group sum to 1
    means: Tensor  # (G, d)

    @property
    def deviations(self) -> Tensor:
        """x - m_g, (n, d)."""
        return self.x - self.means[self.groups]

    @property
    def centred_means(self) -> Tensor:
        """m_g - m, (G, d)."""
        return self.means - self.means.mean(0)

    def mean(self, values: Tensor) -> Tensor:
        """The mean in each group of values (n, ...): (G, ...)."""
        return _group_sums(self.share.view(-1, *[1] * (values.dim() - 1)) * values, self.groups)

    @property
    def pairs(self) -> tuple[Tensor, Tensor]:
        """First and second of each pair of groups."""
        first, second = torch.triu_indices(len(self.means), len(self.means), 1)
        return first, second


def grouped(x: Tensor, groups: Tensor, weight: Tensor | None = None) -> Grouped:
    """Vectors (n, d) with their groups (n,), and their weights (n,) if these are not all alike. A group without a
    member does not count."""
    x, groups = x.double(), torch.unique(groups.long(), return_inverse=True)[1]
    weight = torch.ones(len(x), dtype=torch.float64) if weight is None else weight.double()
    share = weight / _group_sums(weight, groups)[groups]
    return Grouped(x, groups, share, _group_sums(share[:, None] * x, groups))


def _group_sums(values: Tensor, groups: Tensor) -> Tensor:
    """The sum of values (n, ...) in each group, in their order: (G, ...)."""
    return values.new_zeros(int(groups.max()) + 1, *values.shape[1:]).index_add_(0, groups, values)


def cdnv(x: Tensor, groups: Tensor, weight: Tensor | None = None) -> float:
    """Class-distance normalised variance: mean over pairs g != g' of `(v_g + v_g') / (2 ||m_g - m_g'||^2)`.

    Galanti, György, Hutter, 2021, https://arxiv.org/abs/2112.15121
    """
    g = grouped(x, groups, weight)
    v = g.mean(g.deviations.square().sum(1))  # (G,)
    first, second = g.pairs
    return ((v[first] + v[second]) / (2 * (g.means[first] - g.means[second]).square().sum(1))).mean().item()


def nc1(x: Tensor, groups: Tensor, weight: Tensor | None = None) -> float:
    """Within-group relative to between-group covariance: `trace(S_W pinv(S_B)) / G`, pinv of rank G - 1.

    Papyan, Han, Donoho, 2020, https://arxiv.org/abs/2008.08186
    """
    g = grouped(x, groups, weight)
    G = len(g.means)
    # With rows m_g - m of M, S_B = M^T M / G has the eigenvalues s^2 / G along M^T v / s, where M M^T v = s^2 v.
    M, rank = g.centred_means, min(G - 1, x.shape[1])
    v = eigen(along(M, M.T))[1][:, :rank]
    axes = along(M.T, v)  # (d, rank), of length s each
    squares = axes.square().sum(0)
    within = g.mean(along(g.deviations, axes).square()).mean(0)  # (rank,), s^2 times that along axes of length one
    return (within / squares / (squares / G)).sum().item() / G


def direction_spread(x: Tensor, groups: Tensor, weight: Tensor | None = None) -> float:
    """`1 - mean cos(x, m_g)` over the members of each group: 0 when directions have collapsed."""
    g = grouped(x, groups, weight)
    return 1 - g.mean(cosines(g.x, g.means[g.groups])).mean().item()


def size_spread(x: Tensor, groups: Tensor, weight: Tensor | None = None) -> float:
    """Standard deviation of `||x||` inside a group over its mean, averaged over groups: 0 when sizes have collapsed."""
    g = grouped(x, groups, weight)
    sizes = norms(g.x)
    means = g.mean(sizes)  # (G,)
    return (root(g.mean((sizes - means[g.groups]).square())) / means).mean().item()


def equiangularity(x: Tensor, groups: Tensor, weight: Tensor | None = None) -> float:
    """`max |cos(m_g - m, m_g' - m) + 1/(G - 1)|`, how far the means are from equal, maximal angles (NC2 of Papyan, Han,
    Donoho, 2020, https://arxiv.org/abs/2008.08186)."""
    g = grouped(x, groups, weight)
    if len(g.means) < 2:
        return math.nan
    first, second = g.pairs
    angles = cosines(g.centred_means[first], g.centred_means[second])
    return (angles + 1 / (len(g.means) - 1)).abs().max().item()


def equinorm(x: Tensor, groups: Tensor, weight: Tensor | None = None) -> float:
    """Standard deviation over mean of `||m_g - m||` (NC2 of Papyan, Han, Donoho, 2020)."""
    sizes = norms(grouped(x, groups, weight).centred_means)
    return (root((sizes - sizes.mean()).square().mean()) / sizes.mean()).item()


MEASURES = {f.__name__: f for f in (cdnv, nc1, direction_spread, size_spread, equiangularity, equinorm)}


def alignment(words: Tensor, concepts: Tensor, u: Tensor, z: Tensor, weight: Tensor | None = None) -> float:
    """`1 - cos` of the mean word and the mean u_{k,l} of a concept, averaged over concepts (self-duality, NC3 of
    Papyan, Han, Donoho, 2020). Words (n_w, d) with concepts (n_w,); u (n, d) with concepts z (n,), of all concepts or
    of some; `weight` is that of the words."""
    met = torch.isin(concepts, z.long())
    weight = None if weight is None else weight[met]
    means = grouped(words[met], concepts[met], weight).means, grouped(u, z).means
    return 1 - cosines(*means).mean().item()


def measure(words: Tensor, concepts: Tensor, u: Tensor, z: Tensor) -> dict[str, float]:
    """All measures, as `words_<measure>`, `u_<measure>` and `alignment`, of words (n_w, d) with concepts (n_w,) and of
    u (n, d) with concepts z (n,)."""
    return {
        **{f"words_{name}": f(words, concepts) for name, f in MEASURES.items()},
        **{f"u_{name}": f(u, z) for name, f in MEASURES.items()},
        "alignment": alignment(words, concepts, u, z),
    }
