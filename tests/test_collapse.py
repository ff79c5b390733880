"""Each measure of collapse on configurations where its value is known exactly."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from configurations import Configuration, equiangular, type_one, type_three, type_two
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from feature_collapse.model import collapse
from feature_collapse.model.collapse import MEASURES, alignment
from feature_collapse.model.networks import NORMALISATIONS

seeds = st.integers(0, 10**6)


def vectors(seed: int, n_c: int = 3, members: int = 4, d: int = 5) -> tuple[Tensor, Tensor]:
    """Vectors in general position with their groups, in no order."""
    stream = torch.Generator().manual_seed(seed)
    groups = torch.arange(n_c).repeat(members)[torch.randperm(n_c * members, generator=stream)]
    return torch.randn(n_c * members, d, dtype=torch.float64, generator=stream) + 2 * groups[:, None] ** 2, groups


def weights(seed: int, n: int) -> Tensor:
    return torch.rand(n, dtype=torch.float64, generator=torch.Generator().manual_seed(seed)) + 0.01


def rotation(d: int, seed: int) -> Tensor:
    return torch.linalg.qr(torch.randn(d, d, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))).Q


@given(n_c=st.integers(2, 6), more=st.integers(0, 20), mean_zero=st.booleans(), seed=seeds)
def test_equiangular_vectors_are_as_defined(n_c: int, more: int, mean_zero: bool, seed: int) -> None:
    f = equiangular(n_c, n_c + more, seed, mean_zero)
    angles = torch.full((n_c, n_c), -1 / (n_c - 1), dtype=torch.float64).fill_diagonal_(1)
    assert torch.allclose(f @ f.T, angles, atol=1e-12)
    assert f.sum(0).abs().max() < 1e-12
    if mean_zero:
        assert f.sum(1).abs().max() < 1e-12


@pytest.mark.parametrize("n_c", [2, 3, 5])
@pytest.mark.parametrize("build", [lambda n_c: type_one(n_c, 4, 10, 1.42, 0.4), lambda n_c: type_two(n_c, 4, 10, 0.1)])
@pytest.mark.parametrize("measure", MEASURES)
def test_every_measure_is_zero_at_types_one_and_two(
    build: Callable[[int], Configuration], n_c: int, measure: str
) -> None:
    words, concepts, u, z = build(n_c)
    mu = weights(0, len(words))
    assert MEASURES[measure](words, concepts) == pytest.approx(0, abs=1e-7)
    assert MEASURES[measure](words, concepts, mu) == pytest.approx(0, abs=1e-7)
    assert MEASURES[measure](u, z) == pytest.approx(0, abs=1e-7)
    assert alignment(words, concepts, u, z) == pytest.approx(0, abs=1e-12)
    assert alignment(words, concepts, u, z, mu) == pytest.approx(0, abs=1e-12)


def test_type_two_is_a_fixed_point_of_layernorm() -> None:
    words = type_two(3, 4, 10, 0.1).words
    assert torch.allclose(NORMALISATIONS["layernorm"](words.shape[1], 1e-5)(words), words, atol=1e-4)


@given(
    n_c=st.integers(2, 5),
    r=st.lists(st.floats(0.1, 10), min_size=1, max_size=6),
    weighted=st.booleans(),
)
def test_type_three_has_the_spreads_of_its_sizes_and_none_of_direction(
    n_c: int, r: list[float], weighted: bool
) -> None:
    mu = weights(0, len(r)) if weighted else torch.ones(len(r), dtype=torch.float64)
    words, concepts, u, z = type_three(n_c, torch.tensor(r), 8, 0.3)
    r_beta = torch.tensor(r).double()
    mean = (mu / mu.sum() * r_beta).sum().item()
    variance = (mu / mu.sum() * (r_beta - mean) ** 2).sum().item()
    a = n_c / (n_c - 1)
    weight = mu.repeat(n_c) if weighted else None
    expected = {
        "direction_spread": 0,
        "size_spread": math.sqrt(variance) / mean,
        # v_g = var(r) for each concept, and ||m_g - m_g'||^2 = 2 a mean(r)^2
        "cdnv": variance / (2 * a * mean**2),
        # S_W = var(r) F and S_B = mean(r)^2 F with the same F of rank n_c - 1
        "nc1": variance / mean**2 * (n_c - 1) / n_c,
        "equiangularity": 0,
        "equinorm": 0,
    }
    assert expected.keys() == MEASURES.keys()
    for name, value in expected.items():
        assert MEASURES[name](words, concepts, weight) == pytest.approx(value, rel=1e-6, abs=1e-7)
    assert alignment(words, concepts, u, z, weight) == pytest.approx(0, abs=1e-12)


def test_random_vectors_have_the_spreads_of_no_collapse() -> None:
    n_c, members, d = 3, 25, 4000
    stream = torch.Generator().manual_seed(0)
    x = torch.randn(n_c * members, d, dtype=torch.float64, generator=stream)
    groups = torch.arange(n_c).repeat(members)
    # Independent vectors of norm sqrt(d) at right angles; means of `members` of them have norm sqrt(d / members).
    assert collapse.cdnv(x, groups) == pytest.approx((members - 1) / 2, rel=0.02)
    assert collapse.direction_spread(x, groups) == pytest.approx(1 - members**-0.5, rel=0.02)
    assert collapse.size_spread(x, groups) == pytest.approx((2 * d) ** -0.5, rel=0.2)
    assert alignment(x, groups, torch.randn(30, d, generator=stream), torch.arange(30) % 3) == pytest.approx(1, abs=0.1)


SQUARE = torch.tensor([[3.0, 1.0], [3.0, -1.0], [-1.0, 2.0], [-1.0, -2.0]]), torch.tensor([0, 0, 1, 1])


def test_cdnv_of_a_small_example() -> None:
    # Means (3, 0) and (-1, 0); v = 1 and 4; (1 + 4) / (2 * 16).
    assert collapse.cdnv(*SQUARE) == pytest.approx(5 / 32, rel=1e-12)


def test_nc1_of_a_small_example() -> None:
    # Along the line of the means nothing varies; turn each pair into it and S_W = (1 + 4) / 2, S_B = 4, two groups.
    assert collapse.nc1(*SQUARE) == pytest.approx(0, abs=1e-12)
    x, groups = torch.tensor([[4.0, 0.0], [2.0, 0.0], [1.0, 0.0], [-3.0, 0.0]]), torch.tensor([0, 0, 1, 1])
    assert collapse.nc1(x, groups) == pytest.approx(2.5 / 4 / 2, rel=1e-12)


def test_direction_spread_of_a_small_example() -> None:
    # cos((3, 1), (3, 0)) = 3 / sqrt(10) and cos((-1, 2), (-1, 0)) = 1 / sqrt(5), twice each.
    expected = 1 - (3 / math.sqrt(10) + 1 / math.sqrt(5)) / 2
    assert collapse.direction_spread(*SQUARE) == pytest.approx(expected, rel=1e-12)


def test_size_spread_of_a_small_example() -> None:
    x = torch.tensor([[1.0, 0.0], [0.0, 3.0], [2.0, 0.0], [0.0, 2.0]])
    # Norms 1 and 3: standard deviation 1, mean 2; norms 2 and 2: none.
    assert collapse.size_spread(x, torch.tensor([0, 0, 1, 1])) == pytest.approx(0.25, rel=1e-12)


def test_equiangularity_and_equinorm_of_a_small_example() -> None:
    # Three means; about their mean (0, 1) they are (2, -1), (-2, -1) and (0, 2).
    x, groups = torch.tensor([[2.0, 0.0], [-2.0, 0.0], [0.0, 3.0]]), torch.tensor([0, 1, 2])
    first_and_second, first_and_third = -3 / 5, -1 / math.sqrt(5)
    expected = max(abs(first_and_second + 1 / 2), abs(first_and_third + 1 / 2))
    assert collapse.equiangularity(x, groups) == pytest.approx(expected, rel=1e-12)
    norms = [math.sqrt(5), math.sqrt(5), 2]
    assert collapse.equinorm(x, groups) == pytest.approx(np.std(norms) / np.mean(norms), rel=1e-12)


def test_equal_angles_alone_are_equiangular_and_not_equinorm() -> None:
    f = equiangular(3, 6)
    stretched = torch.tensor([[1.0], [1.0], [2.0]]) * f  # no longer of sum zero
    assert collapse.equinorm(stretched, torch.arange(3)) > 0.1
    assert collapse.equiangularity(3 * f + 7, torch.arange(3)) == pytest.approx(0, abs=1e-12)
    assert collapse.equinorm(3 * f + 7, torch.arange(3)) == pytest.approx(0, abs=1e-12)


def test_alignment_of_a_small_example() -> None:
    words, u = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([[1.0, 1.0], [0.0, -3.0]])
    # cos = 1 / sqrt(2) for the first concept and -1 for the second.
    expected = 1 - (1 / math.sqrt(2) - 1) / 2
    assert alignment(words, torch.tensor([0, 1]), u, torch.tensor([0, 1])) == pytest.approx(expected, rel=1e-12)


@given(seed=seeds, weighted=st.booleans())
def test_measures_equal_their_sums_written_out(seed: int, weighted: bool) -> None:
    x, groups = vectors(seed)
    weight = weights(seed, len(x)) if weighted else None
    w = weight.tolist() if weighted else [1.0] * len(x)
    rows, G = x.numpy(), 3
    members = [[i for i in range(len(rows)) if groups[i] == g] for g in range(G)]
    total = [sum(w[i] for i in m) for m in members]
    means = [sum(w[i] * rows[i] for i in m) / t for m, t in zip(members, total, strict=True)]

    def mean_over_members(value: Callable[[int, int], float]) -> list[float]:
        return [sum(w[i] * value(i, g) for i in members[g]) / total[g] for g in range(G)]

    v = mean_over_members(lambda i, g: float(((rows[i] - means[g]) ** 2).sum()))
    pairs = [(0, 1), (0, 2), (1, 2)]
    cdnv = np.mean([(v[g] + v[h]) / (2 * ((means[g] - means[h]) ** 2).sum()) for g, h in pairs])
    assert collapse.cdnv(x, groups, weight) == pytest.approx(cdnv, rel=1e-9)

    norm = np.linalg.norm
    cosines = mean_over_members(lambda i, g: float(rows[i] @ means[g] / norm(rows[i]) / norm(means[g])))
    assert collapse.direction_spread(x, groups, weight) == pytest.approx(1 - np.mean(cosines), rel=1e-9)

    sizes = mean_over_members(lambda i, g: float(norm(rows[i])))
    squares = mean_over_members(lambda i, g: (float(norm(rows[i])) - sizes[g]) ** 2)
    size_spread = np.mean([math.sqrt(square) / size for square, size in zip(squares, sizes, strict=True)])
    assert collapse.size_spread(x, groups, weight) == pytest.approx(size_spread, rel=1e-9)

    centred = np.array(means) - np.mean(means, axis=0)
    angles = [abs(centred[g] @ centred[h] / norm(centred[g]) / norm(centred[h]) + 1 / 2) for g, h in pairs]
    assert collapse.equiangularity(x, groups, weight) == pytest.approx(max(angles), rel=1e-9)
    lengths = norm(centred, axis=1)
    assert collapse.equinorm(x, groups, weight) == pytest.approx(lengths.std() / lengths.mean(), rel=1e-9)

    deviations = [
        np.outer(rows[i] - means[g], rows[i] - means[g]) * w[i] / total[g] for g in range(G) for i in members[g]
    ]
    within, between = sum(deviations) / G, centred.T @ centred / G
    rank = G - 1
    values, axes = np.linalg.eigh(between)
    inverse = axes[:, -rank:] @ np.diag(1 / values[-rank:]) @ axes[:, -rank:].T
    assert np.allclose(inverse, np.linalg.pinv(between, rcond=1e-9))
    assert collapse.nc1(x, groups, weight) == pytest.approx(np.trace(within @ inverse) / G, rel=1e-7)


@pytest.mark.parametrize("measure", MEASURES)
@given(seed=seeds, scale=st.floats(1e-3, 1e3), weighted=st.booleans())
def test_measures_do_not_see_rotation_scale_and_order(measure: str, seed: int, scale: float, weighted: bool) -> None:
    x, groups = vectors(seed)
    weight = weights(seed, len(x)) if weighted else None
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))
    value = MEASURES[measure](x, groups, weight)
    turned = MEASURES[measure](scale * x[order] @ rotation(5, seed), groups[order], weight[order] if weighted else None)
    assert turned == pytest.approx(value, rel=1e-7, abs=1e-9)


@pytest.mark.parametrize("measure", ["cdnv", "nc1", "equiangularity", "equinorm"])
@given(seed=seeds)
def test_measures_of_differences_do_not_see_a_shift(measure: str, seed: int) -> None:
    x, groups = vectors(seed)
    assert MEASURES[measure](x + 100, groups) == pytest.approx(MEASURES[measure](x, groups), rel=1e-7)


@pytest.mark.parametrize("measure", MEASURES)
@given(seed=seeds)
def test_weight_counts_as_repetition(measure: str, seed: int) -> None:
    x, groups = vectors(seed)
    times = torch.randint(1, 4, (len(x),), generator=torch.Generator().manual_seed(seed))
    repeated = MEASURES[measure](x.repeat_interleave(times, 0), groups.repeat_interleave(times))
    assert MEASURES[measure](x, groups, times) == pytest.approx(repeated, rel=1e-9)
    assert MEASURES[measure](x, groups, torch.ones(len(x))) == pytest.approx(MEASURES[measure](x, groups), rel=1e-12)


@given(seed=seeds, scale=st.floats(1e-3, 1e3))
def test_alignment_sees_neither_a_common_rotation_nor_either_scale(seed: int, scale: float) -> None:
    (words, concepts), (u, z) = vectors(seed), vectors(seed + 1, members=7)
    Q = rotation(5, seed)
    value = alignment(words, concepts, u, z)
    assert alignment(scale * words @ Q, concepts, u @ Q / scale, z) == pytest.approx(value, rel=1e-9)
    # Concepts of few words and of many count alike, and words count by their weights.
    times = torch.randint(1, 4, (len(words),), generator=torch.Generator().manual_seed(seed))
    repeated = alignment(words.repeat_interleave(times, 0), concepts.repeat_interleave(times), u, z)
    assert alignment(words, concepts, u, z, times) == pytest.approx(repeated, rel=1e-9)


def test_measure_gives_all_measures_of_words_and_of_u() -> None:
    (words, concepts), (u, z) = vectors(0), vectors(1, members=7)
    everything = collapse.measure(words, concepts, u, z)
    assert everything.keys() == {"alignment", *(f"{of}_{name}" for of in ("words", "u") for name in MEASURES)}
    for name, f in MEASURES.items():
        assert everything[f"words_{name}"] == f(words, concepts)
        assert everything[f"u_{name}"] == f(u, z)
    assert everything["alignment"] == alignment(words, concepts, u, z)


def test_measures_are_taken_in_float64() -> None:
    words, concepts, *_ = type_one(3, 4, 10, 1.0, 1.0)
    far = (1e-3 * words + 1e3).float()  # in float32 the squares of these differences would be lost
    exact = collapse.cdnv(far.double(), concepts)
    assert collapse.cdnv(far, concepts) == exact
    assert all(0 <= MEASURES[name](words.float(), concepts.to(torch.uint8)) < 1e-6 for name in MEASURES)


def test_group_without_members_counts_for_nothing() -> None:
    x, groups = vectors(0)
    for f in MEASURES.values():
        assert f(x, 2 * groups) == pytest.approx(f(x, groups), rel=1e-12)
    words, concepts = vectors(1)
    some = concepts != 2
    expected = alignment(words[some], concepts[some], x[groups != 2], groups[groups != 2])
    assert alignment(words, concepts, x[groups != 2], groups[groups != 2]) == pytest.approx(expected, rel=1e-12)
