"""What a wrong implementation would show: each mistake changes what it should, and the table tells it."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from feature_collapse.evidence import mutants
from feature_collapse.evidence.mutants import MUTANTS, Biased, DecayOfTheTouched, Mutant, Unshuffled, compare, train
from feature_collapse.evidence.reproduction import Paper, read_paper
from feature_collapse.evidence.rows import numbers
from feature_collapse.model.data import generate
from feature_collapse.model.experiment import Experiment
from feature_collapse.model.features import extract
from feature_collapse.model.training import Training
from feature_collapse.model.training import train as train_right


@pytest.fixture
def e(tiny: Callable[..., Experiment]) -> Experiment:
    return tiny(mu="zipf", lambda_W=0.1, lambda_U=0.1, lr=0.5, batch_size=3)


def trained(kind: type[Training], e: Experiment, steps: int) -> Training:
    training = kind(e, 0, generate(e, 0))
    for _ in range(steps):
        training.step()
    return training


def test_without_a_mistake_it_is_the_right_implementation(e: Experiment) -> None:
    data = generate(e, 5)
    right = extract(e, train_right(e, 5, data).network.eval(), data, 5)[1]
    found = train(MUTANTS["right"], e)
    assert found is not None
    assert {key: found[key] for key in numbers(right)} == pytest.approx(numbers(right), nan_ok=True)


def test_unshuffled_batches_are_those_of_the_data(e: Experiment, monkeypatch: pytest.MonkeyPatch) -> None:
    data, met = generate(e, 0), []
    training = Unshuffled(e, 0, data)
    step = training._take_step
    monkeypatch.setattr(training, "_take_step", lambda x, k: (met.append(x), step(x, k))[1])
    while training.epoch < 2:
        training.step()
    assert torch.equal(torch.cat(met), data["train_sentences"].long().repeat(2, 1))


def test_decay_of_the_touched_leaves_other_words_alone(e: Experiment) -> None:
    before = Training(e, 0, generate(e, 0)).network.W.detach().clone()
    data = generate(e, 0)
    training = DecayOfTheTouched(e, 0, data)
    order = torch.arange(e.N)
    training._order, training.steps = order, 1  # within an epoch the order is kept
    training.step()
    touched = torch.zeros(e.n_w, dtype=torch.bool)
    touched[data["train_sentences"][e.batch_size : 2 * e.batch_size].long().flatten()] = True
    assert torch.equal(training.network.W[~touched], before[~touched])
    assert (~touched).any() and not torch.equal(training.network.W[touched], before[touched])


def test_the_bias_is_trained_decays_and_counts(e: Experiment) -> None:
    training = trained(Biased, e, 3)
    b = training.network.b
    assert b.grad is not None and b.grad.abs().min() > 0
    with torch.no_grad():
        scores = training.network(training.data["test_sentences"].long())
        b[0] += 100
        moved = training.network(training.data["test_sentences"].long())
    assert torch.allclose(moved[:, 0] - scores[:, 0], torch.tensor(100.0), atol=1e-3)
    assert torch.equal(moved[:, 1:], scores[:, 1:])


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("larger_start", {"init_scale_W": 0.01, "init_scale_U": 0.01}),
        ("smaller_start", {"init_scale_W": 1e-4, "init_scale_U": 1e-4}),
        ("double_decay", {"lambda_W": 0.2, "lambda_U": 0.2}),
        ("flat_zipf", {"zipf_exponent": 0.9}),
        ("large_eps", None),
    ],
)
def test_a_mistake_in_the_settings(e: Experiment, name: str, changed: dict | None) -> None:
    assert MUTANTS[name].settings(e) == (changed if changed is None else pytest.approx(changed))
    assert (train(MUTANTS[name], e) is None) == (changed is None)


def test_tested_on_the_training_sentences_it_looks_as_good_as_it_fits(e: Experiment) -> None:
    data = MUTANTS["test_on_training"].data(generate(e, 0))
    assert torch.equal(data["test_sentences"], data["train_sentences"])


@pytest.fixture
def paper(root: Path) -> Paper:
    return read_paper(root / "config/paper.yaml")


def runs(paper: Paper, seeds: int, spread: float = 1e-4) -> pd.DataFrame:
    """Right runs, around the paper's numbers."""
    stream, found = np.random.default_rng(0), []
    for experiment in ("fig3", "fig4a", "fig4b", "fig4c"):
        for seed in range(seeds):
            values = {
                column: n * (1 + spread * stream.normal()) for column, (n, _) in paper.experiments[experiment].items()
            }
            found.append({"experiment": experiment, "seed": seed, **values})
    return pd.DataFrame(found)


def test_what_is_outside_of_tolerance_or_of_what_seeds_do_is_told(paper: Paper) -> None:
    right = runs(paper, 5)
    wrong = runs(paper, 1).assign(mutant="bias")
    of = (wrong["experiment"] == "fig4c", "words_sigma_1")
    wrong.loc[of] *= 1.05
    small = (wrong["experiment"] == "fig3", "train_loss")
    wrong.loc[small] *= 1.03  # within its tolerance of 5 %
    found = compare(paper, right, wrong).set_index(["figure", "id"])
    assert found.index[found["out_of_tolerance"]].tolist() == [("4c", "words_sigma_1")]
    assert set(found.index[found["out_of_interval"]]) == {("4c", "words_sigma_1"), ("3", "train_loss")}
    assert "2 of 39" in mutants.markdown(found.reset_index())


def test_a_right_implementation_is_hardly_ever_told(paper: Paper) -> None:
    stream, alarms = np.random.default_rng(1), 0
    columns = paper.experiments["fig4b"]
    for _ in range(60):
        table = pd.DataFrame(
            [
                {
                    "experiment": "fig4b",
                    "seed": seed,
                    **{c: n * (1 + 1e-4 * stream.normal()) for c, (n, _) in columns.items()},
                }
                for seed in range(6)
            ]
        )
        alarms += compare(paper, table[:5], table[5:].assign(mutant="right"))["out_of_interval"].any()
    assert alarms / 60 <= 0.12


def test_what_nothing_tells_is_said(paper: Paper) -> None:
    right = runs(paper, 5)
    table = compare(paper, right, right[right["seed"] == 0].assign(mutant="bias"))
    assert f"Nothing tells: {'; '.join(m.says for m in list(MUTANTS.values())[1:])}." in mutants.markdown(table)


def test_every_mutant_is_described() -> None:
    assert all(isinstance(mutant, Mutant) and mutant.says for mutant in MUTANTS.values())
    assert tuple(range(5)) == mutants.REFERENCE  # as in rules/mutants.smk
