"""The data model found in text: words with the roles they play, sentences that are windows of a text.

A concept is a role, a sentence is a window of L consecutive words of a verse, a class is the pattern of its roles.
Words, their long tail, their order and the dependence of neighbours are the text's; only the label is computed.
"""

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from feature_collapse.model.data import draw_data, generator, labelled, smallest_integer, word_frequencies
from feature_collapse.model.experiment import Experiment

ROLES = ("noun", "verb", "other")
WORD = re.compile(r"[a-z]+(?:'[a-z]+)?")


@dataclass(frozen=True)
class Corpus:
    """A text, and its words that have a role."""

    verses: dict[int, str]  # by book * 1,000,000 + chapter * 1000 + verse
    words: list[str]  # the most frequent of the training chapters first
    roles: Tensor  # (len(words),) index into ROLES
    counts: Tensor  # (len(words),) how often the training chapters have each


def words_of(verse: str) -> list[str]:
    """The words of a verse, in lower case and with plain apostrophes."""
    return WORD.findall(verse.replace("’", "'").lower())


def held_out(number: int) -> bool:
    """Whether a verse is kept for tests: every fifth chapter is."""
    return number // 1000 % 1000 % 5 == 0


def windows(corpus: Corpus, n: int, L: int, tests: bool = False) -> Tensor:
    """All windows of L consecutive words of a verse, each among the first n of the corpus: (N, L) indices of words.
    `tests` chooses between the verses that are held out and all others."""
    index = {word: i for i, word in enumerate(corpus.words[:n])}
    places = [-1] * L  # -1 where no window may be: at a word that is none of the n, and behind each verse
    for number, verse in corpus.verses.items():
        if held_out(number) == tests:
            places += [*(index.get(word, -1) for word in words_of(verse)), -1]
    candidates = torch.tensor(places).unfold(0, L, 1)
    return candidates[(candidates >= 0).all(1)].to(smallest_integer(n))


def generate(experiment: Experiment, seed: int, corpus: Corpus) -> dict[str, Tensor]:
    """What `data.generate` gives, from a text, as `data` says:

    - text: windows of the K patterns that are the most frequent in training, of those with `n_test` windows for tests;
    - text_random_roles: the same with the roles dealt anew among the words;
    - text_uniform, text_frequency: the patterns of text, but each word drawn by itself from those of its role, all
      alike or by their frequencies;
    - text_variants: K windows as latents, of words that are concepts of s_c variants each, with the law `mu`.

    The words are the most frequent of the corpus, n_w of them or, for variants, n_c. Raises ValueError where the text
    has less than is asked for.
    """
    e = experiment
    n, key = (e.n_c, "n_c") if e.data == "text_variants" else (e.n_w, "n_w")
    _enough(key, n, len(corpus.words), "words with a role")
    train = windows(corpus, n, e.L)
    if e.data == "text_variants":
        Z, mu = _different(train, e.K, generator(seed, "latents")), word_frequencies(e.mu, e.s_c, e.zipf_exponent)
        return draw_data(e, seed, Z, torch.arange(n).repeat_interleave(e.s_c), mu.repeat(n))

    concepts, counts = corpus.roles[:n], corpus.counts[:n]
    if e.data == "text_random_roles":
        concepts = concepts[torch.randperm(n, generator=generator(seed, "random roles"))]
    if e.data == "text_uniform":
        counts = torch.ones(n)
    mu = counts / torch.zeros(e.n_c, dtype=torch.float64).index_add_(0, concepts, counts.double())[concepts]
    test = windows(corpus, n, e.L, tests=True)
    Z, train_classes, test_classes = _frequent_patterns(concepts[train.long()], concepts[test.long()], e.K, e.n_test)
    if e.data in ("text_uniform", "text_frequency"):
        return draw_data(e, seed, Z, concepts, mu)
    chosen = _choose(train_classes, e.K, e.n_spl, generator(seed, "train sentences"))
    chosen_tests = _choose(test_classes, e.K, e.n_test, generator(seed, "test sentences"))
    return labelled(e, seed, Z, concepts, mu, train[chosen], test[chosen_tests])


def names(experiment: Experiment, corpus: Corpus) -> list[str]:
    """What to call each of the n_w words."""
    e = experiment
    if e.data == "text_variants":
        return [f"{word} {i}" for word in corpus.words[: e.n_c] for i in range(1, e.s_c + 1)]
    return corpus.words[: e.n_w]


def _frequent_patterns(train: Tensor, test: Tensor, K: int, n_test: int) -> tuple[Tensor, Tensor, Tensor]:
    """The classes, from the concepts (N, L) of the words of all windows: the K patterns (K, L) of most training
    windows, of those that at least `n_test` test windows have; equally frequent ones in the order of the concepts.
    With them the class of each window of training and of the tests, -1 for those of other patterns."""
    patterns, pattern = torch.unique(torch.cat([train, test]), dim=0, return_inverse=True)
    of_train, of_test = pattern.split([len(train), len(test)])
    counts, test_counts = (of.bincount(minlength=len(patterns)) for of in (of_train, of_test))
    usable = (test_counts >= n_test).nonzero().flatten()
    _enough("K", K, len(usable), f"patterns with {n_test} test windows")
    chosen = usable[counts[usable].sort(descending=True, stable=True).indices[:K]]
    classes = torch.full((len(patterns),), -1)
    classes[chosen] = torch.arange(K)
    return patterns[chosen], classes[of_train], classes[of_test]


def _choose(classes: Tensor, K: int, n: int, stream: torch.Generator) -> Tensor:
    """`n` windows of each class, drawn without replacement given the class of each window: (K * n,) indices, class by
    class. The first of them do not depend on n."""
    chosen = []
    for k in range(K):
        members = (classes == k).nonzero().flatten()
        _enough("n_spl", n, len(members), f"windows of class {k}")
        chosen.append(members[torch.randperm(len(members), generator=stream)[:n]])
    return torch.cat(chosen)


def _different(windows: Tensor, K: int, stream: torch.Generator) -> Tensor:
    """K of the windows (N, L), drawn at random, no two alike: (K, L)."""
    shuffled = windows[torch.randperm(len(windows), generator=stream)]
    _, which = torch.unique(shuffled, dim=0, return_inverse=True)
    first = torch.full((int(which.max()) + 1,), len(which)).scatter_reduce(0, which, torch.arange(len(which)), "amin")
    _enough("K", K, len(first), "different windows")
    return shuffled[first.sort().values[:K]]


def _enough(key: str, asked: int, there: int, what: str) -> None:
    if asked > there:
        raise ValueError(f"{key}: {asked} asked for, but the text has {there} {what}")
