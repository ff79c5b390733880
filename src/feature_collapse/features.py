"""Features of a trained network: words and u_{k,l} on their principal components, their norms and their collapse."""

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor

from feature_collapse import artifacts
from feature_collapse.collapse import MEASURES, alignment
from feature_collapse.config import Experiment, Run
from feature_collapse.data import draw_sentences, generator, labels
from feature_collapse.networks import NORMALISATIONS

PLANE = 3  # principal components kept of each vector
FRESH = 20  # fresh sentences of each class, to estimate the true risk


def principal_components(x: Tensor) -> tuple[Tensor, Tensor]:
    """PCA of the centred rows of x (n, d): singular values (min(n, d),) in falling order, and axes (d, min(n, d))."""
    _, sigma, axes = torch.linalg.svd(x.double() - x.double().mean(0), full_matrices=False)
    return sigma, axes.T


def upright(axes: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Turn the first two principal axes (d, 2 or more) within their plane so that the direction `first` (d,) points up
    in it and `second` (d,) to the left.

    The first two singular values nearly tie in every experiment, so that their axes are fixed by rounding and little
    else. The plane is not, and the pictures of it are comparable once they are turned alike.
    """
    up = axes[:, :2].T @ first
    up = up / up.norm()
    left = torch.stack([-up[1], up[0]])
    if left @ (axes[:, :2].T @ second) < 0:
        left = -left
    turned = axes.clone()
    turned[:, :2] = axes[:, :2] @ torch.stack([-left, up], dim=1)
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
    return (x - x.mean(0)) @ axes, axes, sigma


def describe(x: Tensor, groups: Tensor, sigma: Tensor, weight: Tensor | None = None) -> dict:
    """Spectrum, norms and measures of collapse of one set of vectors, as plain numbers."""
    norms = x.double().norm(dim=1)
    return {
        "sigma": sigma[:10].tolist(),
        "norm_mean": norms.mean().item(),
        "norm_std": norms.std(correction=0).item(),
        **{name: f(x, groups, weight) for name, f in MEASURES.items()},
    }


def rank_correlation(x: Tensor, y: Tensor) -> float:
    """Spearman's rank correlation; not a number where x or y is constant."""
    if x.min() == x.max() or y.min() == y.max():
        return float("nan")
    return float(pd.Series(x.numpy()).corr(pd.Series(y.numpy()), method="spearman"))


def objective(experiment: Experiment, words: Tensor, W: Tensor, U: Tensor, data: dict, seed: int) -> dict[str, float]:
    """What the theorems minimise, at a trained network: cross-entropy under the true law of the sentences, estimated on
    fresh ones, plus the penalty `(lambda_W/2) ||W||^2 + (lambda_U/2) ||U||^2`.

    Words (n_w, d) after phi, W (n_w, d), U (K, L d). Returns the cross-entropy, its standard error, the penalty and
    the sum, in nats; and the Frobenius norms of W and U, which a penalty of zero does not tell.
    """
    e = experiment
    sentences = draw_sentences(data["Z"], data["mu"], FRESH, e.n_w, generator(seed, "fresh sentences"))
    losses = [
        F.cross_entropy(words[x.long()].flatten(1) @ U.T, k.long(), reduction="none").double()
        for x, k in zip(sentences.split(1000), labels(e.K, FRESH).split(1000), strict=True)
    ]
    loss = torch.cat(losses)
    norm_W, norm_U = W.double().norm(), U.double().norm()
    penalty = e.lambda_W / 2 * norm_W**2 + e.lambda_U / 2 * norm_U**2
    return {
        "cross_entropy": loss.mean().item(),
        "standard_error": (loss.std() / len(loss) ** 0.5).item(),
        "penalty": penalty.item(),
        "value": (loss.mean() + penalty).item(),
        "norm_W": norm_W.item(),
        "norm_U": norm_U.item(),
    }


def make(run: Run) -> None:
    """Write `features.safetensors` and `metrics.json` of a trained run.

    Arrays: `words` (n_w, d) after phi, `words_plane` (n_w, 3), `words_axes` (d, 3), `words_norm` (n_w,); `u_plane`
    (K L, 3), `u_axes` (d, 3), `u_norm` (K L,); `z` (K L,) the concept of each u_{k,l}; `mu` (s_c,).
    """
    torch.set_num_threads(1)  # sums over many vectors would otherwise depend on the number of threads
    e = run.experiment
    data = {k: torch.from_numpy(v) for k, v in artifacts.read_arrays(run.folder / "data.safetensors", run)[0].items()}
    weights = artifacts.read_arrays(run.folder / "weights.safetensors", run)[0]
    history = pd.read_csv(artifacts.covered(run.folder / "history.csv", run))
    W = torch.from_numpy(weights["W"])
    words = NORMALISATIONS[e.normalisation](W)
    u = torch.from_numpy(weights["U"]).reshape(e.K * e.L, e.d)
    concepts, z = torch.arange(e.n_w) // e.s_c, data["Z"].flatten().long()

    mu = data["mu"].repeat(e.n_c)  # of each word
    words_plane, words_axes, words_sigma = project(words, concepts)
    u_plane, u_axes, u_sigma = project(u, z)
    arrays = {
        "words": words,
        "words_plane": words_plane,
        "words_axes": words_axes,
        "words_norm": words.norm(dim=1),
        "u_plane": u_plane,
        "u_axes": u_axes,
        "u_norm": u.norm(dim=1),
        "z": data["Z"].flatten(),
        "mu": data["mu"],
    }
    artifacts.write_arrays(run.folder / "features.safetensors", run, {k: v.numpy() for k, v in arrays.items()})

    last, peak = history.iloc[-1], history.loc[history["test_accuracy"].idxmax()]
    artifacts.write_json(
        run.folder / "metrics.json",
        run,
        {
            "training": {
                **{name: float(last[name]) for name in ("epoch", "train_loss", "train_accuracy", "test_accuracy")},
                "peak_test_accuracy": float(peak["test_accuracy"]),
                "peak_epoch": float(peak["epoch"]),
            },
            "words": describe(words, concepts, words_sigma),
            "words_weighted_by_mu": describe(words, concepts, words_sigma, mu),
            "u": describe(u, z, u_sigma),
            "norm_follows_mu": rank_correlation(mu, words.norm(dim=1)),
            "objective": objective(e, words, W, u.reshape(e.K, -1), data, run.seed),
            "alignment": alignment(words, concepts, u, z),
            "alignment_weighted_by_mu": alignment(words, concepts, u, z, mu),
        },
    )
