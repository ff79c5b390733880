"""The data law: words fall as mu says, where the latents say, and no random stream depends on another."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chi2_contingency, chisquare

from feature_collapse.model import data
from feature_collapse.model.experiment import Experiment
from feature_collapse.stages import data as data_stage
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.run import Run

LAWS = {"uniform": {"mu": "uniform"}, "zipf": {"mu": "zipf"}, "zipf 0.5": {"mu": "zipf", "zipf_exponent": 0.5}}
UNLIKELY = 1e-4  # a p-value below this in one of the few dozen tests here is no accident; the seeds are fixed


@pytest.fixture(scope="module", params=LAWS)
def drawn(
    request: pytest.FixtureRequest, tiny: Callable[..., Experiment]
) -> tuple[Experiment, dict[str, torch.Tensor]]:
    """An experiment with enough sentences for statistics, and its data."""
    e = tiny(n_c=3, n_w=15, L=4, K=30, n_spl=100, n_test=20, **LAWS[request.param])
    return e, data.generate(e, seed=7)


def numbers(tensors: dict[str, torch.Tensor]) -> dict[str, list]:
    return {name: tensor.tolist() for name, tensor in tensors.items()}


@pytest.mark.parametrize("part", ["train", "test"])
def test_every_word_is_of_the_concept_that_the_latent_of_its_label_has_there(drawn: tuple, part: str) -> None:
    e, tensors = drawn
    sentences, labels = tensors[f"{part}_sentences"].tolist(), tensors[f"{part}_labels"].tolist()
    assert len(sentences) == len(labels)
    for sentence, k in zip(sentences, labels, strict=True):
        assert [word // e.s_c for word in sentence] == tensors["Z"][k].tolist()


@pytest.mark.parametrize("part", ["train", "test"])
def test_every_class_has_its_number_of_sentences(drawn: tuple, part: str) -> None:
    e, tensors = drawn
    expected = e.n_spl if part == "train" else e.n_test
    assert tensors[f"{part}_labels"].bincount(minlength=e.K).tolist() == [expected] * e.K


def test_words_of_each_concept_at_each_position_occur_as_mu_says(drawn: tuple) -> None:
    e, tensors = drawn
    mu = tensors["mu"].numpy()[: e.s_c]
    concept, rank = tensors["train_sentences"] // e.s_c, tensors["train_sentences"] % e.s_c
    for alpha in range(e.n_c):
        for position in range(e.L):
            met = rank[:, position][concept[:, position] == alpha].bincount(minlength=e.s_c).numpy()
            assert chisquare(met, mu * met.sum()).pvalue > UNLIKELY


def test_words_occur_as_mu_says_over_all_sentences(drawn: tuple) -> None:
    e, tensors = drawn
    met = (tensors["train_sentences"] % e.s_c).flatten().bincount(minlength=e.s_c).numpy()
    assert chisquare(met, tensors["mu"].numpy()[: e.s_c] * met.sum()).pvalue > UNLIKELY


def test_words_at_different_positions_are_independent(drawn: tuple) -> None:
    e, tensors = drawn
    rank = tensors["train_sentences"] % e.s_c
    for first, second in ((0, 1), (1, 3)):
        table = (rank[:, first].int() * e.s_c + rank[:, second]).bincount(minlength=e.s_c**2).reshape(e.s_c, e.s_c)
        assert chi2_contingency(table.numpy()).pvalue > UNLIKELY


def test_test_sentences_are_fresh(drawn: tuple) -> None:
    e, tensors = drawn
    assert not torch.equal(tensors["train_sentences"][: e.n_test], tensors["test_sentences"][: e.n_test])
    assert not torch.equal(tensors["train_sentences"][-e.n_test :], tensors["test_sentences"][-e.n_test :])


@given(
    mu=st.sampled_from(["uniform", "zipf"]),
    s_c=st.integers(1, 100),
    exponent=st.floats(0, 10),
)
def test_frequencies_sum_to_one_and_fall_as_a_power_of_the_rank(mu: str, s_c: int, exponent: float) -> None:
    frequencies = data.word_frequencies(mu, s_c, exponent)
    power = exponent if mu == "zipf" else 0
    assert frequencies.dtype == torch.float64
    assert frequencies.shape == (s_c,)
    assert frequencies.sum().item() == pytest.approx(1, abs=1e-12)
    for beta in range(1, s_c + 1):
        assert frequencies[beta - 1].item() == pytest.approx(frequencies[0].item() * beta**-power, rel=1e-12)


def test_zipf_is_one_over_the_rank_unless_told_otherwise() -> None:
    harmonic = 1 + 1 / 2 + 1 / 3 + 1 / 4
    expected = [1 / harmonic / beta for beta in (1, 2, 3, 4)]
    assert data.word_frequencies("zipf", 4).tolist() == pytest.approx(expected, rel=1e-15)


def test_unknown_law_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'gauss'.*'uniform' or 'zipf'"):
        data.word_frequencies("gauss", 4)


def test_latents_are_uniform_among_all_sequences() -> None:
    Z = data.draw_latents(3, 3, 5400, data.generator(0, "latents"))
    place = (Z.int() * torch.tensor([9, 3, 1])).sum(1)
    assert chisquare(place.bincount(minlength=27).numpy()).pvalue > UNLIKELY


@pytest.mark.parametrize("K", [2, 5], ids=["drawn until different", "chosen from the list"])
def test_each_distinct_latent_is_uniform_among_all_sequences(K: int) -> None:
    n_c, L = 3, 2
    assert (n_c**L <= 4 * K) == (K == 5)
    draws = [data.draw_latents(n_c, L, K, data.generator(seed, "latents"), distinct=True) for seed in range(900)]
    places = torch.stack([Z.int() @ torch.tensor([n_c, 1], dtype=torch.int32) for Z in draws])  # (900, K)
    for k in range(K):
        assert chisquare(places[:, k].bincount(minlength=n_c**L).numpy()).pvalue > UNLIKELY


@given(n_c=st.integers(2, 6), L=st.integers(1, 5), share=st.floats(0, 1), seed=st.integers(0, 10**9))
def test_distinct_latents_differ_and_hold_concepts(n_c: int, L: int, share: float, seed: int) -> None:
    K = max(1, round(share * min(n_c**L, 300)))
    Z = data.draw_latents(n_c, L, K, data.generator(seed, "latents"), distinct=True)
    assert Z.shape == (K, L)
    assert len(set(map(tuple, Z.tolist()))) == K
    assert set(Z.flatten().tolist()) <= set(range(n_c))


def test_all_sequences_can_be_asked_for_and_one_more_cannot() -> None:
    Z = data.draw_latents(3, 4, 81, data.generator(0, "latents"), distinct=True)
    assert len(set(map(tuple, Z.tolist()))) == 81
    with pytest.raises(ValueError, match="K: 82 distinct latents"):
        data.draw_latents(3, 4, 82, data.generator(0, "latents"), distinct=True)


def test_latents_drawn_independently_may_coincide(tiny: Callable[..., Experiment]) -> None:
    Z = data.generate(tiny(L=2, K=20, distinct_latents=False), seed=0)["Z"]
    assert len(set(map(tuple, Z.tolist()))) <= 9
    Z = data.generate(tiny(L=2, K=9, distinct_latents=True), seed=0)["Z"]
    assert len(set(map(tuple, Z.tolist()))) == 9


@given(bound=st.integers(1, 2**40))
def test_smallest_integer_holds_all_below_the_bound_and_no_smaller_type_does(bound: int) -> None:
    types = [torch.uint8, torch.int16, torch.int32, torch.int64]
    holds = [bound - 1 <= torch.iinfo(dtype).max for dtype in types]
    assert data.smallest_integer(bound) == types[holds.index(True)]


@pytest.mark.parametrize(
    ("bound", "dtype"),
    [(256, torch.uint8), (257, torch.int16), (2**15, torch.int16), (2**15 + 1, torch.int32), (2**31, torch.int32)],
)
def test_smallest_integer_at_the_edges(bound: int, dtype: torch.dtype) -> None:
    assert data.smallest_integer(bound) == dtype


def test_arrays_are_of_the_smallest_type(config, tiny: Callable[..., Experiment]) -> None:
    tensors = data.generate(tiny(n_w=1200, K=300, L=6), seed=0)
    types = {name: tensor.dtype for name, tensor in tensors.items()}
    assert types == {
        "Z": torch.uint8,
        "concepts": torch.uint8,
        "mu": torch.float64,
        "train_sentences": torch.int16,
        "train_labels": torch.int16,
        "test_sentences": torch.int16,
        "test_labels": torch.int16,
    }


@settings(max_examples=25)
@given(
    sizes=st.fixed_dictionaries(
        {"n_c": st.integers(2, 5), "L": st.integers(1, 4), "n_spl": st.integers(1, 4), "n_test": st.integers(1, 3)}
    ),
    s_c=st.integers(1, 400),
    K=st.integers(2, 300),
    seed=st.integers(0, 999_999_999),
)
def test_shapes_and_concepts_at_any_size(tiny: Callable, sizes: dict, s_c: int, K: int, seed: int) -> None:
    e = tiny(**sizes, K=K, n_w=s_c * sizes["n_c"], distinct_latents=False)
    tensors = data.generate(e, seed)
    assert tensors["Z"].shape == (K, e.L)
    for part, n in (("train", e.n_spl), ("test", e.n_test)):
        sentences, labels = tensors[f"{part}_sentences"].long(), tensors[f"{part}_labels"].long()
        assert sentences.shape == (K * n, e.L)
        assert torch.equal(labels, torch.arange(K).repeat_interleave(n))
        assert torch.equal(sentences // s_c, tensors["Z"][labels].long())


def test_same_seed_gives_the_same_data_and_another_seed_other_data(tiny: Callable[..., Experiment]) -> None:
    first, again, other = (data.generate(tiny(), seed) for seed in (3, 3, 4))
    assert numbers(first) == numbers(again)
    for name in ("Z", "train_sentences", "test_sentences"):
        assert not torch.equal(first[name], other[name])


def test_more_training_sentences_change_neither_latents_nor_test_set(tiny: Callable[..., Experiment]) -> None:
    few, many = data.generate(tiny(n_spl=3), 0), data.generate(tiny(n_spl=30), 0)
    for name in ("Z", "concepts", "mu", "test_sentences", "test_labels"):
        assert torch.equal(few[name], many[name])


def test_more_test_sentences_and_another_law_change_nothing_else(tiny: Callable[..., Experiment]) -> None:
    plain, changed = data.generate(tiny(), 0), data.generate(tiny(n_test=9), 0)
    for name in ("Z", "train_sentences", "train_labels"):
        assert torch.equal(plain[name], changed[name])
    assert torch.equal(plain["Z"], data.generate(tiny(mu="zipf"), 0)["Z"])


def test_streams_of_different_purposes_and_seeds_differ() -> None:
    pairs = [(seed, purpose) for seed in (0, 1, 10) for purpose in ("latents", "train sentences", "order of epoch 0")]
    draws = {tuple(torch.rand(3, generator=data.generator(*pair)).tolist()) for pair in pairs}
    assert len(draws) == len(pairs)


def test_global_random_state_is_neither_used_nor_moved(tiny: Callable[..., Experiment]) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = data.generate(tiny(), 0)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(2)
    assert numbers(first) == numbers(data.generate(tiny(), 0))


def test_make_writes_what_generate_draws(run: Run) -> None:
    data_stage.make(run)
    arrays, _ = artifacts.read_arrays(run.folder / "data.safetensors", run)
    assert {name: array.tolist() for name, array in arrays.items()} == numbers(data.generate(run.experiment, run.seed))


@given(share=st.floats(0, 0.99), K=st.integers(2, 9), n=st.integers(1, 60), seed=st.integers(0, 1000))
def test_a_share_of_the_labels_is_wrong_and_no_more(share: float, K: int, n: int, seed: int) -> None:
    true = torch.arange(n) % K
    given_labels = data.wrong_labels(true.to(torch.uint8), K, share, data.generator(seed, "wrong labels"))
    assert given_labels.dtype == torch.uint8
    assert (given_labels != true).sum() == round(share * n)
    assert int(given_labels.max()) < K


def test_a_wrong_label_is_any_other_class_alike() -> None:
    true = torch.zeros(6000, dtype=torch.int16)
    wrong = data.wrong_labels(true, 4, 0.999, data.generator(0, "wrong labels"))
    counts = torch.bincount(wrong[wrong > 0].long(), minlength=4)[1:]
    assert chisquare(counts.numpy()).pvalue > UNLIKELY


def test_label_noise_leaves_sentences_and_test_labels_as_they_are(tiny: Callable[..., Experiment]) -> None:
    clean, noisy = data.generate(tiny(), 0), data.generate(tiny(label_noise=0.5), 0)
    assert [name for name in clean if not torch.equal(clean[name], noisy[name])] == ["train_labels"]


def test_drawn_words_are_of_their_concepts_and_follow_mu() -> None:
    """Also where concepts have laws and numbers of words of their own, and their words do not stand together."""
    concepts = torch.tensor([2, 0, 1, 1, 0, 2, 1, 0])
    mu = torch.tensor([1.0, 0.1, 0.2, 0.3, 0.6, 0.0, 0.5, 0.3], dtype=torch.float64)
    z = torch.tensor([[0, 2, 1, 0]]).expand(4000, 4)
    words = data.draw_words(z, concepts, mu, data.generator(0, "sentences"))
    assert torch.equal(concepts[words], z)
    for alpha, n in ((0, 8000), (1, 4000)):
        members = concepts == alpha
        met = words.flatten().bincount(minlength=8)[members]
        assert chisquare(met, n * mu[members]).pvalue > UNLIKELY
    assert not (words == 5).any()
