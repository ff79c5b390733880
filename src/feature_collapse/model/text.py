"""The data model found in text: words with the roles they play, sentences that are windows of a text.

A concept is a role, a sentence is a window of L consecutive words of a verse, a class is the pattern of its roles.
Words, their long tail, their order and the dependence of neighbours are the text's; only the label is computed.
"""

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from feature_collapse.model.data import smallest_integer

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
