"""How far a point can be from the global minimum: lower bounds on the objective of h by convex duality.

With `Y = U^T W`, the K L x n_w matrix of all `<u_{k,l}, w>`, scores are sums of L entries of Y and the risk R(Y) is
convex. For given Y the penalty is least where W and U share its singular values evenly, and there it is
`lambda ||Y||_*`, with `lambda = sqrt(lambda_W lambda_U)` and the nuclear norm. So the objective is at least the minimum
of `P(Y) = R(Y) + lambda ||Y||_*`, and equal to it if d is large enough; `docs/proof.md` has the derivation and what
follows from it at type III. P is bounded from below by its dual: give each sentence i any law q_i over the classes,
with

    G(q) = mean over i of sum_l (onehot(k_i) - q_i) x onehot(word l of i)       K L x n_w.

If no singular value of G(q) exceeds lambda, no Y has a P(Y) below the mean entropy of the q_i. The laws that a network
gives, mixed with the true labels until G is small enough, are such a choice, and exact at a global minimum.

For h* the words are bounded instead, `||phi(w)||^2 <= d`. With any positive weights p_w of the words that sum to 1, and
D the diagonal matrix of these, `||Y D^{1/2}||_* <= ||U||_F ||phi(W) D^{1/2}||_F <= sqrt(d) ||U||_F`. So the penalty is
at least `lambda_U / (2 d) ||Y D^{1/2}||_*^2`, and no objective is below the mean entropy of the q_i less
`d / (2 lambda_U) ||G(q) D^{-1/2}||^2`.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from scipy.linalg import eigvalsh
from torch import Tensor

from feature_collapse.model.experiment import Experiment

LEADING = 10  # singular values of G that are kept
BATCH = 500  # sentences, for speed: their laws over 1000 classes then fit the cache
DIGITS = 6  # sums in another order change the twelfth; those kept are the same on every machine


@dataclass(frozen=True)
class Optimality:
    """A point against the global minimum of the objective that it has on given sentences."""

    value: float  # cross-entropy plus penalty at the point, nats
    bound: float  # no weights give less
    sigma: tuple[float, ...]  # leading singular values of G over lambda, G as in the module's text at the point's laws

    @property
    def gap(self) -> float:
        """`1 - bound / value`: by at most this share of its value the point is above the global minimum."""
        return 1 - self.bound / self.value

    @property
    def row(self) -> dict[str, Any]:
        """Everything as plain numbers, rounded to what does not depend on the machine."""
        value, bound, *sigma = (float(f"{x:.{DIGITS}g}") for x in (self.value, self.bound, *self.sigma))
        return {"gap": round(self.gap, DIGITS), "value": value, "bound": bound, "sigma": sigma}


def optimality(
    W: Tensor,
    U: Tensor,
    sentences: Tensor,
    labels: Tensor,
    lambda_W: float,
    lambda_U: float,
    probability: Tensor | None = None,
) -> Optimality:
    """The network h of words W (n_w, d) and u_{k,l} U (K, L, d) against the global minimum, over all W and U, of its
    mean cross-entropy on sentences (N, L) with labels (N,) plus `(lambda_W/2) ||W||^2 + (lambda_U/2) ||U||^2`.

    `probability` (N,), summing to 1, is the weight of each sentence in the mean; without it all count alike. In
    float64; two arrays of K L n_w numbers are held. Raises ValueError if a penalty is not positive: then nothing bounds
    one of the factors, and the minimum is that of the risk alone.
    """
    if min(lambda_W, lambda_U) <= 0:
        raise ValueError("lambda_W, lambda_U: without a penalty on both factors there is no bound")
    W, U, probability = W.double(), U.double(), _shares(probability, labels)
    losses, entropies, G = _laws(W, U, sentences, labels, probability)
    penalty = lambda_W / 2 * W.square().sum() + lambda_U / 2 * U.square().sum()
    sigma = _singular_values(G) / math.sqrt(lambda_W * lambda_U)
    bound = probability @ _mixed_entropies(1 / max(1.0, sigma[0].item()), losses, entropies)
    return Optimality((probability @ losses + penalty).item(), bound.item(), tuple(sigma.tolist()))


def normalised_optimality(
    words: Tensor,
    U: Tensor,
    sentences: Tensor,
    labels: Tensor,
    lambda_U: float,
    weights: Tensor,
    probability: Tensor | None = None,
) -> Optimality:
    """`optimality` for h*, with words phi(w) (n_w, d) and penalty `(lambda_U/2) ||U||^2`; `weights` (n_w,) are the p_w,
    positive and of sum 1, and the bound holds whatever they are. `sigma` is over what its largest is at a global
    minimum, `lambda_U ||U|| / sqrt(d)`, and of `G D^{-1/2}`. Raises ValueError as `optimality`.
    """
    if lambda_U <= 0:
        raise ValueError("lambda_U: without a penalty there is no bound")
    words, U, probability = words.double(), U.double(), _shares(probability, labels)
    d = words.shape[1]
    losses, entropies, G = _laws(words, U, sentences, labels, probability)
    sigma = _singular_values(G * weights.double().rsqrt()[:, None])
    value = probability @ losses + lambda_U / 2 * U.square().sum()
    bound = probability @ entropies - d / (2 * lambda_U) * sigma[0] ** 2
    return Optimality(value.item(), bound.item(), tuple((sigma * math.sqrt(d) / (lambda_U * U.norm())).tolist()))


def optimality_gap(experiment: Experiment, W: Tensor, U: Tensor, data: dict[str, Tensor]) -> dict[str, Any] | None:
    """`optimality` of a run on its training sentences, as plain numbers: words W (n_w, d), classifier U (K, L, d), and
    the data of `data.generate`. None where the bound says nothing: for networks other than h, without a penalty on
    both factors, and with fresh sentences, where the objective is not that on the training sentences.
    """
    e = experiment
    if (e.normalisation, e.architecture) != ("none", "linear") or e.fresh or not (e.lambda_W and e.lambda_U):
        return None
    return optimality(W, U, data["train_sentences"], data["train_labels"], e.lambda_W, e.lambda_U).row


def _shares(probability: Tensor | None, labels: Tensor) -> Tensor:
    """The weight of each sentence in a mean: as given, or all alike."""
    N = len(labels)
    return torch.full((N,), 1 / N, dtype=torch.float64) if probability is None else probability.double()


def _laws(
    W: Tensor, U: Tensor, sentences: Tensor, labels: Tensor, probability: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Of each sentence the loss and the entropy of its law over the classes (N,), and G as (L, n_w, K)."""
    (K, L, _), n_w = U.shape, len(W)
    Y = torch.einsum("wd,kld->lwk", W, U).reshape(L * n_w, K)
    G = torch.zeros_like(Y)
    places = torch.arange(L) * n_w
    # Written in place: small results kept from each batch would lie scattered between its large ones, and hold them.
    losses, entropies = torch.empty_like(probability), torch.empty_like(probability)
    parts = (x.split(BATCH) for x in (sentences, labels, probability, losses, entropies))
    for x, k, share, loss, entropy in zip(*parts, strict=True):
        rows, k = x.long() + places, k.long()[:, None]
        logarithms = torch.log_softmax(F.embedding_bag(rows, Y, mode="sum"), 1)
        laws = logarithms.exp()
        loss.copy_(-logarithms.gather(1, k)[:, 0])
        entropy.copy_(-(laws * logarithms).sum(1))
        errors = laws.scatter_add_(1, k, laws.new_full(k.shape, -1)) * -share[:, None]
        for place in rows.T:
            G.index_add_(0, place, errors)
    return losses, entropies, G.view(L, n_w, K)


def _singular_values(G: Tensor) -> Tensor:
    """The leading singular values of G (L, n_w, K), read as K L x n_w."""
    L, n_w, K = G.shape
    if n_w <= K * L:
        square = sum((g @ g.T for g in G), G.new_zeros(n_w, n_w))
    else:
        flat = G.transpose(0, 1).reshape(n_w, L * K)
        square = flat.T @ flat
    last = len(square) - 1
    leading = eigvalsh(square.numpy(), subset_by_index=(max(0, last + 1 - LEADING), last))
    return torch.from_numpy(leading[::-1].copy()).clamp(min=0).sqrt()


def _mixed_entropies(share: float, losses: Tensor, entropies: Tensor) -> Tensor:
    """(N,) entropies of `share s + (1 - share) onehot(k)`, for laws s with `losses = -log s_k` and these entropies."""
    missing = -torch.expm1(-losses)  # 1 - s_k
    others = entropies - losses * torch.exp(-losses)  # what the other classes add to the entropy of s
    return share * others - math.log(share) * share * missing + torch.special.entr(1 - share * missing)
