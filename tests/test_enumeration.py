"""The enumerated risk against its definition, and what is found on the smallest problems."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from feature_collapse.theory import enumeration
from feature_collapse.theory import theorems as theory
from feature_collapse.theory.enumeration import Problem

UNIFORM, ZIPF = enumeration.zipf(2, 0), enumeration.zipf(2, 1)
H = Problem(n_c=2, L=2, d=3, mu=ZIPF, network="h", lam=0.05)
H_STAR = replace(H, network="h*")
THREE = Problem(n_c=3, L=2, d=4, mu=ZIPF, network="h", lam=0.02)


def random_point(problem: Problem, seed: int = 0) -> np.ndarray:
    size = (problem.n_w + problem.K * problem.L) * problem.d
    return np.random.default_rng(seed).standard_normal(size)


def stated(problem: Problem) -> tuple[np.ndarray, np.ndarray]:
    """W and U of the configuration that the theory states."""
    predicted = problem.predicted
    return enumeration.configuration(problem, predicted.norm_words, predicted.norm_u)


# The objective


@pytest.mark.parametrize("problem", [H, H_STAR, THREE])
def test_the_objective_is_the_definition(problem):
    """Sentence by sentence and class by class, in the words of §2."""
    p = problem
    parameters = random_point(p)
    W, U = enumeration.unpack(parameters, p)
    assert (W.shape, U.shape) == ((p.n_w, p.d), (p.K, p.L, p.d))
    phi = [(w - w.mean()) / w.std() if p.network == "h*" else w for w in W]
    classes = list(product(range(p.n_c), repeat=p.L))
    risk = 0.0
    for k, z in enumerate(classes):
        for betas in product(range(p.s_c), repeat=p.L):
            words = [alpha * p.s_c + beta for alpha, beta in zip(z, betas, strict=True)]
            seen = np.concatenate([phi[word] for word in words])
            scores = [U[j].ravel() @ seen for j in range(p.K)]
            loss = math.log(sum(math.exp(score - scores[k]) for score in scores))
            risk += math.prod(p.mu[beta] for beta in betas) / p.K * loss
    penalty = (U**2).sum() + ((W**2).sum() if p.network == "h" else 0)
    value, _ = enumeration.objective(p)(parameters)
    assert value == pytest.approx(risk + p.lam / 2 * penalty, rel=1e-13)


@pytest.mark.parametrize("problem", [H, H_STAR, THREE, replace(THREE, network="h*", L=1)])
def test_the_gradient_is_that_of_the_objective(problem):
    objective, x = enumeration.objective(problem), random_point(problem)
    steps = 1e-5 * np.eye(len(x))
    differences = [(objective(x + step)[0] - objective(x - step)[0]) / 2e-5 for step in steps]
    assert objective(x)[1] == pytest.approx(np.array(differences), abs=1e-9)


@pytest.mark.parametrize("t", [0.0, 0.7, 5.0, 40.0])
def test_type_i_and_ii_have_the_risk_of_the_theorems(t):
    p = replace(THREE, mu=UNIFORM)
    r, c = np.full(p.s_c, math.sqrt(t / p.n_w)), math.sqrt(t / (p.K * p.L))
    value, _ = enumeration.objective(p)(enumeration.pack(*enumeration.configuration(p, r, c)))
    expected = theory.risk_h(t, p.n_c, p.n_w, p.L, p.K, p.lam)
    assert value == pytest.approx(float(expected), rel=1e-13)

    p = replace(THREE, network="h*")
    r, c = np.full(p.s_c, math.sqrt(p.d)), t / math.sqrt(p.K * p.L)
    value, _ = enumeration.objective(p)(enumeration.pack(*enumeration.configuration(p, r, c)))
    expected = theory.risk_h_star(t, p.n_c, p.L, p.K, p.d, p.lam)
    assert value == pytest.approx(float(expected), rel=1e-13)


@pytest.mark.parametrize("problem", [H, H_STAR, THREE, replace(THREE, mu=UNIFORM)])
def test_the_stated_configuration_is_critical_and_has_the_stated_value(problem):
    p = problem
    value, gradient = enumeration.objective(p)(enumeration.pack(*stated(p)))
    assert value == pytest.approx(p.predicted.value, rel=1e-12)
    assert np.abs(gradient).max() < 1e-9


# The checks


@pytest.mark.parametrize(
    ("problem", "theorem"),
    [
        (replace(H, mu=UNIFORM).at(0.3), "Theorem 1"),
        (replace(THREE, mu=UNIFORM).at(0.3), "Theorem 1"),
        (replace(H, d=4, network="h*"), "Theorem 3"),
        (replace(THREE, mu=UNIFORM, network="h*"), "Theorem 3"),
        (H.at(0.1), "type III"),
        (THREE.at(0.6), "type III"),
    ],
)
def test_the_least_value_is_the_theorems_and_so_is_its_configuration(problem, theorem):
    check = enumeration.check(problem, starts=6)
    assert check.theorem == theorem
    assert check.least == pytest.approx(check.theorem_value, abs=1e-8)
    assert check.theorem_value < math.log(problem.K) - 1e-3
    assert check.deviation < 1e-4
    assert check.below == 0
    assert check.reached >= 1


@pytest.mark.parametrize("mu", [UNIFORM, ZIPF])
def test_above_the_threshold_nothing_is_learned(mu):
    problem = replace(THREE, mu=mu).at(1.25)
    check = enumeration.check(problem, starts=4)
    assert check.least == pytest.approx(math.log(problem.K), abs=1e-8)
    assert check.deviation < 1e-4
    assert check.reached == 4


def test_a_start_below_the_theorems_value_is_a_counterexample(monkeypatch):
    true = H.predicted
    monkeypatch.setattr(Problem, "predicted", replace(true, value=true.value + 0.01))
    check = enumeration.check(H, starts=3)
    assert (check.below, check.reached) == (3, 0)
    assert check.row["gap"] == pytest.approx(-0.01)
    value, _ = enumeration.objective(H)(enumeration.pack(check.W, check.U))
    assert value == check.least


def test_a_check_is_a_row_and_depends_on_its_seed_only():
    first, second, other = (enumeration.check(H, starts=2, seed=seed) for seed in (1, 1, 2))
    assert (first.W == second.W).all()
    assert (first.U == second.U).all()
    assert not (first.W == other.W).all()
    rows = [{**check.row, "seconds": None} for check in (first, second)]
    assert rows[0] == rows[1]
    assert rows[0]["mu"] == "0.6667 0.3333"
    assert [rows[0][key] for key in ("K", "s_c", "starts", "lambda")] == [4, 2, 2, 0.05]


def test_checks_without_starts_or_room_are_refused():
    with pytest.raises(ValueError, match=r"^starts: "):
        enumeration.check(H, starts=0)
    with pytest.raises(ValueError, match=r"^d: "):
        enumeration.check(replace(THREE, d=2, network="h*"))


def test_too_few_dimensions_do_not_reach_what_more_allow():
    """With d < n_c - 1 equiangular vectors have no room, and the least value lies above that of type III."""
    check = enumeration.check(replace(THREE, d=1).at(0.3), starts=5)
    assert check.theorem == "d < n_c - 1"
    assert (check.reached, check.below) == (0, 0)
    assert check.least > check.theorem_value + 0.1
    assert math.isnan(check.deviation)
    wide = enumeration.check(replace(THREE, d=2).at(0.3), starts=5)
    assert wide.least == pytest.approx(check.theorem_value, abs=1e-8)


def test_the_default_problems_are_those_that_are_not_certified():
    listed = enumeration.problems()
    assert len(set(listed)) == len(listed) <= 50
    uniform = {p: len(set(p.mu)) == 1 for p in listed}
    assert {(p.network, uniform[p], p.narrow) for p in listed} == {
        *product(["h*"], [False, True], [False]),
        *product(["h"], [False, True], [True]),
    }
    assert all(p.n_w**p.L <= 729 and p.predicted.norm_u > 0 for p in listed)
    assert all(len(set(p.mu)) > 1 and p.predicted.norm_u > 0 for p in enumeration.long_tailed())


# The certificates


def test_what_the_theorems_state_is_certified_over_the_whole_range():
    listed = enumeration.random_problems(300, seed=1)
    assert {p.n_c for p in listed} == {2, 3, 4} and {p.L for p in listed} == {1, 2, 3}
    assert {p.s_c for p in listed} == {1, 2, 3, 4, 5}
    plain = [p for p in listed if p.network == "h"]
    shares = [p.lam / p.at(1).lam for p in plain]
    assert min(shares) < 0.01 and 1.2 < max(shares) < 1.5
    assert max(max(p.mu) / min(p.mu) for p in listed) > 1e7
    for p in listed:
        found = enumeration.certify(p)
        assert found.row["value"] == pytest.approx(found.theorem_value, abs=1e-12)
        assert abs(found.row["gap"]) < 1e-10
        learned = p.predicted.norm_u > 0
        assert found.row["ratio"] == pytest.approx(1, abs=1e-10) if learned else found.row["ratio"] < 1
        assert found.row["rest"] < 1e-6


@pytest.mark.parametrize("problem", [H, H_STAR, THREE, replace(THREE, mu=UNIFORM)])
def test_away_from_what_a_theorem_states_there_is_a_gap(monkeypatch, problem):
    """A wrong size of the u_{k,l} is found out, and by a gap no smaller than what it costs."""
    true = problem.predicted
    monkeypatch.setattr(Problem, "predicted", replace(true, norm_u=1.1 * true.norm_u))
    found = enumeration.certify(problem)
    assert found.row["gap"] > found.optimality.value - true.value > 1e-5


@pytest.mark.parametrize("problem", [H, H_STAR, THREE])
def test_no_point_is_below_the_bound(problem):
    bound = enumeration.certify(problem).optimality.bound
    objective = enumeration.objective(problem)
    assert all(objective(random_point(problem, seed))[0] > bound for seed in range(50))


# Deviation


def rotation(d: int) -> np.ndarray:
    return np.linalg.qr(np.random.default_rng(0).standard_normal((d, d)))[0]


@pytest.mark.parametrize("problem", [H, THREE, replace(THREE, network="h*")])
def test_deviation_is_zero_at_the_stated_configuration(problem):
    W, U = stated(problem)
    assert enumeration.deviation(problem, W, U) < 1e-12
    if problem.network == "h":
        Q = rotation(problem.d)
        assert enumeration.deviation(problem, W @ Q, U @ Q) < 1e-12
    else:
        assert enumeration.deviation(problem, 3 * W + 1, U) < 1e-12


@pytest.mark.parametrize("problem", [THREE, replace(THREE, network="h*")])
def test_deviation_sees_every_departure(problem):
    W, U = stated(problem)
    Q = rotation(problem.d)
    one_word, one_u = np.ones_like(W), np.ones_like(U)
    one_word[1, 0] = one_u[2, 1] = 1.01
    predicted, f = problem.predicted, theory.equiangular(problem.n_c, problem.d)
    f[0] += 0.01 * f[1]
    f[0] /= np.linalg.norm(f[0])
    words = (predicted.norm_words[:, None] * f[:, None]).reshape(W.shape)
    departures = {
        "one word": (W * one_word, U),
        "one u": (W, U * one_u),
        "all u": (W, U * 1.01),
        "alignment": (W @ Q, U),
        "angles": (words, predicted.norm_u * f[enumeration.latents(problem)]),
    }
    if problem.network == "h":
        departures["all words"] = (W * 1.01, U)
        departures["exchange of scales"] = (W * 1.01, U / 1.01)
    for name, (other_W, other_U) in departures.items():
        assert enumeration.deviation(problem, other_W, other_U) > 2e-3, name


def test_deviation_from_zero_is_the_largest_norm():
    problem = THREE.at(2)
    W, U = np.zeros((problem.n_w, problem.d)), np.zeros((problem.K, problem.L, problem.d))
    U[3, 1] = [3, 4, 0, 0]
    assert enumeration.deviation(problem, W, U) == 5
    assert enumeration.deviation(problem, W, 0 * U) == 0


# Type I under non-uniform mu


def test_type_i_is_critical_for_uniform_mu_only():
    uniform = enumeration.type_i_gradient(replace(H, mu=UNIFORM))
    assert uniform.relative < 1e-6
    assert uniform.exact < 1e-6
    one = theory.theorem1(2, 4, 2, 4, H.lam)
    assert (uniform.c, uniform.c_prime) == pytest.approx((one.c, one.c_prime), rel=1e-4)
    long_tailed = enumeration.type_i_gradient(H)
    assert long_tailed.relative > 0.1
    assert long_tailed.type_iii < 1e-12


@pytest.mark.parametrize("problem", [H, THREE.at(0.9), replace(THREE, mu=enumeration.zipf(2, 3))])
def test_type_i_gradient_is_the_least(problem):
    p = problem
    least, objective = enumeration.type_i_gradient(p), enumeration.objective(p)
    assert least.relative == pytest.approx(least.exact, rel=1e-7)
    for c, c_prime in np.exp(np.random.default_rng(0).uniform(-4, 3, (200, 2))):
        W, U = enumeration.configuration(p, np.full(p.s_c, c), c_prime)
        gradient = objective(enumeration.pack(W, U))[1]
        penalty = p.lam * math.sqrt((W**2).sum() + (U**2).sum())
        assert np.linalg.norm(gradient) >= penalty * least.exact * (1 - 1e-9)


def test_type_i_is_asked_of_h_below_the_threshold_only():
    with pytest.raises(ValueError, match=r"^network: "):
        enumeration.type_i_gradient(H_STAR)
    with pytest.raises(ValueError, match=r"^lam: "):
        enumeration.type_i_gradient(H.at(1.25))
    with pytest.raises(ValueError, match=r"^d: "):
        enumeration.type_i_gradient(replace(THREE, d=2))
