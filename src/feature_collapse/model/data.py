"""The data model: words in concepts, latent variables, sentences (§2 of the paper)."""

import hashlib
import math

import numpy as np
import torch
from torch import Tensor

from feature_collapse.model.experiment import Experiment


def generator(seed: int, purpose: str) -> torch.Generator:
    """A random stream of its own for each purpose, so that none depends on how much another has drawn."""
    digest = hashlib.sha256(f"{seed}/{purpose}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8], "big", signed=True))


def word_frequencies(mu: str, s_c: int, zipf_exponent: float = 1.0) -> Tensor:
    """Law `mu` of the words inside a concept, the same for every concept.

    Returns (s_c,) float64 summing to 1: `1/s_c` for 'uniform', proportional to `beta ** -zipf_exponent`,
    beta = 1..s_c, for 'zipf'. Raises ValueError for another law.
    """
    if mu not in ("uniform", "zipf"):
        raise ValueError(f"mu: unknown law {mu!r}; it is 'uniform' or 'zipf'")
    exponent = 0.0 if mu == "uniform" else zipf_exponent
    weights = torch.tensor([beta**-exponent for beta in range(1, s_c + 1)], dtype=torch.float64)
    return weights / math.fsum(weights.tolist())


def draw_latents(n_c: int, L: int, K: int, stream: torch.Generator, distinct: bool = False) -> Tensor:
    """K latent variables, uniform among the `n_c ** L` sequences of L concepts.

    Returns Z (K, L) of the smallest integer type. With `distinct` no two are equal; raises ValueError if
    there are fewer than K sequences.
    """
    if not distinct:
        return torch.randint(n_c, (K, L), generator=stream).to(smallest_integer(n_c))
    if n_c**L < K:
        raise ValueError(f"K: {K} distinct latents asked for, but there are only n_c ** L = {n_c**L}")
    if n_c**L <= 4 * K:  # few sequences: list them all and choose
        chosen = torch.randperm(n_c**L, generator=stream)[:K]
        place = n_c ** torch.arange(L - 1, -1, -1)
        Z = chosen[:, None] // place % n_c
    else:  # draw until K different ones have come, in the order in which they came
        seen: dict[tuple[int, ...], None] = {}
        while len(seen) < K:
            draw = torch.randint(n_c, (K, L), generator=stream)
            seen.update(dict.fromkeys(map(tuple, draw.tolist())))
        Z = torch.tensor(list(seen)[:K])
    return Z.to(smallest_integer(n_c))


def draw_sentences(Z: Tensor, concepts: Tensor, mu: Tensor, n_spl: int, stream: torch.Generator) -> Tensor:
    """`n_spl` sentences of each class: at position l of class k a word of concept `Z[k, l]` drawn from `mu`, given the
    concept and the frequency inside it of each word, both (n_w,).

    Returns (K * n_spl, L) word indices of the smallest integer type, class by class.
    """
    sentences = torch.empty(len(Z), n_spl, Z.shape[1], dtype=smallest_integer(len(concepts)))
    for k, z in enumerate(Z.long()):  # one class at a time bounds memory
        sentences[k] = draw_words(z.expand(n_spl, -1), concepts, mu, stream)
    return sentences.flatten(0, 1)


def draw_words(z: Tensor, concepts: Tensor, mu: Tensor, stream: torch.Generator) -> Tensor:
    """A word of each of the concepts z (N, L), given the concept of each word, `concepts` (n_w,), and its frequency
    inside it, `mu` (n_w,): (N, L) word indices."""
    u = torch.rand(z.shape, dtype=torch.float64, generator=stream)
    words = torch.empty(z.shape, dtype=torch.int64)
    for alpha in z.unique():
        members, here = (concepts == alpha).nonzero().flatten(), z == alpha
        # how many of the cumulated frequencies a uniform draw exceeds
        rank = torch.searchsorted(mu[members].cumsum(0)[:-1], u[here], right=True)
        words[here] = members[rank]
    return words


def wrong_labels(true: Tensor, K: int, share: float, stream: torch.Generator) -> Tensor:
    """Labels (N,) of which a share, rounded to whole sentences and drawn at random, are those of another class, any of
    the K - 1 others alike."""
    chosen = torch.randperm(len(true), generator=stream)[: round(share * len(true))]
    shift = torch.randint(1, K, (len(chosen),), generator=stream)
    given = true.long()
    given[chosen] = (given[chosen] + shift) % K
    return given.to(true.dtype)


def labels(K: int, n_spl: int) -> Tensor:
    """(K * n_spl,) class of each sentence, in the order of `draw_sentences`."""
    return torch.arange(K).repeat_interleave(n_spl).to(smallest_integer(K))


def generate(experiment: Experiment, seed: int) -> dict[str, Tensor]:
    """The data of an experiment: latents `Z` (K, L), the concept and the frequency inside it of each word, `concepts`
    and `mu` (n_w,), training and test sentences (N, L) and their labels (N,). Word `alpha * s_c + beta` is the one of
    rank beta of concept alpha."""
    e = experiment
    Z = draw_latents(e.n_c, e.L, e.K, generator(seed, "latents"), e.distinct_latents)
    concepts = torch.arange(e.n_c).repeat_interleave(e.s_c)
    return draw_data(e, seed, Z, concepts, word_frequencies(e.mu, e.s_c, e.zipf_exponent).repeat(e.n_c))


def draw_data(experiment: Experiment, seed: int, Z: Tensor, concepts: Tensor, mu: Tensor) -> dict[str, Tensor]:
    """As `generate`, with these latents and words."""
    sentences = (
        draw_sentences(Z, concepts, mu, n, generator(seed, f"{part} sentences"))
        for part, n in (("train", experiment.n_spl), ("test", experiment.n_test))
    )
    return labelled(experiment, seed, Z, concepts, mu, *sentences)


def labelled(
    experiment: Experiment, seed: int, Z: Tensor, concepts: Tensor, mu: Tensor, train: Tensor, test: Tensor
) -> dict[str, Tensor]:
    """As `generate`, with these latents, words and sentences, which are in the order of `draw_sentences`. The labels of
    those of training are wrong in a share `label_noise`."""
    e = experiment
    return {
        "Z": Z.to(smallest_integer(e.n_c)),
        "concepts": concepts.to(smallest_integer(e.n_c)),
        "mu": mu,
        "train_sentences": train,
        "train_labels": wrong_labels(labels(e.K, e.n_spl), e.K, e.label_noise, generator(seed, "wrong labels")),
        "test_sentences": test,
        "test_labels": labels(e.K, e.n_test),
    }


def smallest_integer(bound: int) -> torch.dtype:
    """The smallest integer type that holds 0 .. bound - 1."""
    for dtype in (torch.uint8, torch.int16, torch.int32):
        if bound - 1 <= np.iinfo(str(dtype).removeprefix("torch.")).max:
            return dtype
    return torch.int64
