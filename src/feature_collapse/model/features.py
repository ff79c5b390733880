"""Features of a trained network: words and u_{k,l} on their principal components, their norms and their collapse."""

import math
import statistics
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator
from scipy.stats import rankdata
from torch import Tensor

from feature_collapse.model import products
from feature_collapse.model.collapse import MEASURES, alignment
from feature_collapse.model.data import draw_sentences, generator, labels
from feature_collapse.model.experiment import Experiment
from feature_collapse.model.functions import CrossEntropy
from feature_collapse.model.networks import Network
from feature_collapse.model.spectrum import along, cosines, eigen, norms, root
from feature_collapse.model.training import accuracy

Array = NDArray[np.float64]
PLANE = 3  # principal components kept of each vector
EVALUATED = 1000  # test sentences whose activations behind each layer are measured
FRESH = 20  # fresh sentences of each class, to estimate the true risk


def principal_components(x: Tensor) -> tuple[Tensor, Tensor]:
    """PCA of the centred rows of x (n, d): singular values (min(n, d),) in falling order, and axes (d, min(n, d))."""
    x = x.double() - x.double().mean(0)
    axes = eigen(torch.stack([(x * column).sum(0) for column in x.T.contiguous()[:, :, None]]))[1][:, : len(x)]
    # the eigenvalue of x^T x would be the square, with half the digits where it is small
    sigma = norms(along(x, axes).T)
    order = torch.argsort(-sigma, stable=True)
    return sigma[order], axes[:, order]


def upright(axes: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Turn the first two principal axes (d, 2 or more) within their plane so that the direction `first` (d,) points up
    in it and `second` (d,) to the left.

    The first two singular values nearly tie in every experiment, so that their axes are fixed by rounding and little
    else. The plane is not, and the pictures of it are comparable once they are turned alike.
    """
    up, aside = along(torch.stack([first, second]), axes[:, :2])
    up = up / norms(up[None])
    left = torch.stack([-up[1], up[0]])
    if (left * aside).sum() < 0:
        left = -left
    turned = axes.clone()
    turned[:, :2] = along(axes[:, :2], torch.stack([-left, up], dim=1))
    return turned


def project(x: Tensor, groups: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Coordinates (n, 3) of the centred rows of x (n, d) on their upright principal axes, the axes (d, 3), and all
    singular values. Where d < 3 the missing coordinates are left out."""
    sigma, axes = principal_components(x)
    x = x.double()
    axes = axes[:, :PLANE]
    means = [x[groups == g].mean(0) - x.mean(0) for g in torch.unique(groups)[:2]]
    if axes.shape[1] >= 2 and len(means) == 2:
        axes = upright(axes, *means)
    return along(x - x.mean(0), axes), axes, sigma


def describe(x: Tensor, groups: Tensor, sigma: Tensor, weight: Tensor | None = None) -> dict:
    """Spectrum, norms and measures of collapse of one set of vectors, as plain numbers."""
    sizes = norms(x.double())
    return {
        "sigma": sigma[:10].tolist(),
        "norm_mean": sizes.mean().item(),
        "norm_std": root((sizes - sizes.mean()).square().mean()).item(),
        **{name: f(x, groups, weight) for name, f in MEASURES.items()},
    }


def rank_correlation(x: Tensor, y: Tensor) -> float:
    """Spearman's rank correlation; not a number where x or y is constant."""
    if x.min() == x.max() or y.min() == y.max():
        return float("nan")
    ranks = torch.from_numpy(np.stack([rankdata(x.numpy()), rankdata(y.numpy())]))
    return cosines(*(ranks - ranks.mean(1, keepdim=True))[:, None]).item()


def windows(epochs: Array) -> Array:
    """The part of training that each record at epochs (T,) adds to those before it, as its two ends (T, 2): from the
    last record, or from the start of the epoch if that is later, to the record itself."""
    return np.stack([np.maximum(_starts(epochs), np.append(0, epochs[:-1])), epochs], axis=1)


def losses_within(epochs: Array, losses: Array) -> Array:
    """The mean training loss within each of the `windows`, from recorded losses (T,), which are means since the start
    of an epoch."""
    starts = _starts(epochs)
    totals = losses * (epochs - starts)
    ends = windows(epochs)
    continues = ends[:, 0] > starts
    return (totals - np.where(continues, np.append(0, totals[:-1]), 0)) / (ends[:, 1] - ends[:, 0])


def _starts(epochs: Array) -> Array:
    """The start of the epoch that each record belongs to; the end of an epoch belongs to it."""
    return np.ceil(epochs - 1e-9) - 1


def half_way(windows: Array, losses: Array, K: int) -> float | None:
    """The epoch at which the mean loss (T,) within windows (T, 2) has fallen to half of log K, which is the loss before
    anything is learned; None if it has not.

    Between the middles of the windows the logarithm of `loss / (log K - loss)` is interpolated by a monotone cubic: it
    changes far more evenly than the loss.
    """
    chance = math.log(K)
    below = np.flatnonzero(losses < chance / 2)
    if not len(below) or len(losses) < 2:
        return None
    epochs = np.append(0, windows.mean(1))
    shares = np.clip(np.append(chance, losses) / chance, 1e-6, 1 - 1e-6)
    odds = [math.log(share / (1 - share)) for share in shares.tolist()]
    first = next(i for i, value in enumerate(odds) if value < 0)
    cubic = [float(c) for c in PchipInterpolator(epochs, odds).c[:, first - 1]]
    low, high = 0.0, float(epochs[first] - epochs[first - 1])
    while low < (middle := (low + high) / 2) < high:
        above = ((cubic[0] * middle + cubic[1]) * middle + cubic[2]) * middle + cubic[3] > 0
        low, high = (middle, high) if above else (low, middle)
    return float(epochs[first - 1]) + low


@torch.no_grad()
def objective(experiment: Experiment, network: Network, data: dict, seed: int) -> dict[str, float]:
    """What the theorems minimise, at a trained network: cross-entropy under the true law of the sentences, estimated on
    fresh ones, plus the penalty `(lambda_W/2) ||W||^2 + (lambda_U/2) ||U||^2`. Of windows of a text, which has no such
    law, those kept for tests are the fresh ones.

    Returns the cross-entropy, its standard error, the penalty and the sum, in nats; and the Frobenius norms of W and U,
    which a penalty of zero does not tell.
    """
    e = experiment
    sentences, true = data["test_sentences"], data["test_labels"]
    if e.has_law:
        stream = generator(seed, "fresh sentences")
        sentences, true = draw_sentences(data["Z"], data["concepts"], data["mu"], FRESH, stream), labels(e.K, FRESH)
    U_T, batch = list(network.U_blocks), 1000
    cross_entropy = CrossEntropy(U_T, batch)
    losses = []
    for x, k in zip(sentences.split(batch), true.split(batch), strict=True):
        losses += cross_entropy(products.scores(network.features(x.long()), U_T), k.long())[0]
    square_W, square_U = (float(weights.double().square().sum()) for weights in (network.W, network.U_T))
    mean, penalty = statistics.fmean(losses), e.lambda_W / 2 * square_W + e.lambda_U / 2 * square_U
    return {
        "cross_entropy": mean,
        "standard_error": statistics.stdev(losses, mean) / math.sqrt(len(losses)),
        "penalty": penalty,
        "value": mean + penalty,
        "norm_W": math.sqrt(square_W),
        "norm_U": math.sqrt(square_U),
    }


def times_met(experiment: Experiment, data: dict[str, Tensor]) -> Tensor:
    """How often each word is met in an epoch of training, (n_w,); its expectation where sentences are fresh."""
    e = experiment
    if e.fresh:
        return data["Z"].flatten().bincount(minlength=e.n_c)[data["concepts"].long()] * data["mu"] * e.n_spl
    sentences = data["train_sentences"].split(10_000)  # never copied whole
    return torch.stack([x.flatten().bincount(minlength=e.n_w) for x in sentences]).sum(0).double()


def log_slope(x: Tensor, y: Tensor) -> float:
    """Slope of the least-squares line through (log x, log y), all positive; not a number where x is constant."""
    x, y = (torch.tensor([math.log(value) for value in v.tolist()], dtype=torch.float64) for v in (x, y))
    x, y = x - x.mean(), y - y.mean()
    return ((x * y).sum() / x.square().sum()).item()


def norms_met(sizes: Tensor, sentences: Tensor, labels: Tensor, K: int) -> Tensor:
    """(K, L): the mean norm of the words that position l met in the training sentences of class k, given the norms
    (n_w,) of the words, sentences (N, L) and labels (N,). Not a number for a class without sentences."""
    total = torch.zeros(K, sentences.shape[1], dtype=torch.float64)
    for x, k in zip(sentences.split(10_000), labels.split(10_000), strict=True):  # never copied whole
        total.index_add_(0, k.long(), sizes.double()[x.long()])
    return total / torch.bincount(labels.long(), minlength=K)[:, None]


@torch.no_grad()
def extract(
    experiment: Experiment, network: Network, data: dict[str, Tensor], seed: int
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Features of a trained network on the data of `data.generate`, and every number measured on them.

    Arrays: `words` (n_w, d) after phi, `words_plane` (n_w, 3), `words_axes` (d, 3), `words_norm` (n_w,); `u_plane`
    (K L, 3), `u_axes` (d, 3), `u_norm` (K L,); `z` (K L,) the concept of each u_{k,l}; `met_norm` (K L,) the mean norm
    of the words that it met in training; `concepts` and `mu` (n_w,) of the words; `count` (n_w,) how often training
    meets each in an epoch. A word is met if training meets it at all, a test sentence if all of its words are.
    """
    e = experiment
    words, u = network.words(), network.u().detach().flatten(0, 1)
    concepts, mu, z = data["concepts"].long(), data["mu"], data["Z"].flatten().long()
    words_plane, words_axes, words_sigma = project(words, concepts)
    u_plane, u_axes, u_sigma = project(u, z)
    words_norm, u_norm = norms(words), norms(u)
    count = times_met(e, data)
    met = count > 0
    met_words = (words[met], concepts[met], principal_components(words[met])[0])
    met_tests = met[data["test_sentences"].long()].all(1)
    met_norm = norms_met(words_norm, data["train_sentences"], data["train_labels"], e.K).flatten()
    arrays = {
        "words": words,
        "words_plane": words_plane,
        "words_axes": words_axes,
        "words_norm": words_norm,
        "u_plane": u_plane,
        "u_axes": u_axes,
        "u_norm": u_norm,
        "z": data["Z"].flatten(),
        "met_norm": met_norm,
        "concepts": data["concepts"],
        "mu": mu,
        "count": count,
    }
    seen = data["test_sentences"][:EVALUATED].long()
    true = data["Z"][data["test_labels"][:EVALUATED].long()].flatten()
    numbers = {
        "distinct_latents_drawn": len(torch.unique(data["Z"], dim=0)),
        "words": describe(words, concepts, words_sigma),
        "words_weighted_by_mu": describe(words, concepts, words_sigma, mu),
        "words_met": describe(*met_words),
        "words_weighted_by_count": describe(*met_words, count[met]),
        "met": {
            "words_share": met.double().mean().item(),
            "test_share": met_tests.double().mean().item(),
            "test_accuracy": accuracy(network, data["test_sentences"][met_tests], data["test_labels"][met_tests]),
            "norm_slope": log_slope(count[met], words_norm[met]),
        },
        "u": describe(u, z, u_sigma),
        "norm_follows_mu": rank_correlation(mu, words_norm),
        "u_norm_follows_met": rank_correlation(met_norm[met_norm.isfinite()], u_norm[met_norm.isfinite()]),
        "objective": objective(e, network, data, seed),
        "alignment": alignment(words, concepts, u, z),
        "alignment_weighted_by_mu": alignment(words, concepts, u, z, mu),
        "layers": [
            {name: f(x.flatten(0, 1), true, None) for name, f in MEASURES.items()} for x in network.activations(seen)
        ],
    }
    return arrays, numbers
