"""Training: the fused step against autograd and the textbook, schedule, records, resumption, threads, failures."""

import copy
import errno
import json
import math
import os
import re
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from feature_collapse.model import data, networks, textbook, training
from feature_collapse.model.experiment import Experiment
from feature_collapse.model.networks import ARCHITECTURES, NORMALISATIONS, Network
from feature_collapse.model.textbook import TextbookNetwork, textbook_optimiser, textbook_step
from feature_collapse.model.training import AutogradStep, FusedStep, Training, TrainingError, record_steps
from feature_collapse.stages import data as data_stage
from feature_collapse.stages import train
from feature_collapse.workflow import artifacts, provenance
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.run import Run

INITIAL = {"init_scale_W": 1, "init_scale_U": 1, "init_scale_layers": 1}


def batches(e: Experiment, number: int) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of training sentences with their labels, drawn with replacement."""
    tensors = data.generate(e, seed=0)
    stream = torch.Generator().manual_seed(0)
    for _ in range(number):
        chosen = torch.randint(e.N, (e.batch_size,), generator=stream)
        yield tensors["train_sentences"][chosen].long(), tensors["train_labels"][chosen].long()


def trained(e: Experiment, seed: int = 0) -> Training:
    return training.train(e, seed, data.generate(e, seed))


def same(x: dict[str, Tensor], y: dict[str, Tensor]) -> bool:
    return x.keys() == y.keys() and all(torch.equal(x[name], y[name]) for name in x)


@settings(max_examples=60)
@given(
    normalisation=st.sampled_from(sorted(NORMALISATIONS)),
    s_c=st.integers(1, 4),
    sizes=st.fixed_dictionaries({"L": st.integers(1, 4), "K": st.integers(2, 6), "d": st.integers(2, 6)}),
    batch_size=st.integers(1, 9),
    missing=st.integers(0, 3),
    lr=st.floats(1e-3, 10),
    lambda_W=st.floats(0, 1),
    lambda_U=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
def test_one_step_is_a_step_down_the_gradient_of_loss_plus_penalty(
    tiny: Callable,
    normalisation: str,
    s_c: int,
    sizes: dict,
    batch_size: int,
    missing: int,
    lr: float,
    lambda_W: float,
    lambda_U: float,
    seed: int,
) -> None:
    schedule = {"lr": lr, "lambda_W": lambda_W, "lambda_U": lambda_U, "batch_size": batch_size, **INITIAL}
    B = max(1, batch_size - missing)
    assume(normalisation != "batchnorm" or B * sizes["L"] > 1)
    e = tiny(n_w=3 * s_c, normalisation=normalisation, distinct_latents=False, **schedule, **sizes)
    network = Network(e, seed).double()
    stream = torch.Generator().manual_seed(seed)
    sentences = torch.randint(e.n_w, (B, e.L), generator=stream)
    labels = torch.randint(e.K, (B,), generator=stream)

    W = network.W.detach().clone().requires_grad_()
    U = network.U_T.detach().T.clone().requires_grad_()
    scores = textbook.NORMALISATIONS[normalisation](e.d, e.eps).double()(W[sentences]).flatten(1) @ U.T
    loss = -scores.log_softmax(1)[range(B), labels].mean()
    penalty = lambda_W / 2 * W.square().sum() + lambda_U / 2 * U.square().sum()
    gradient_W, gradient_U = torch.autograd.grad(loss + penalty, [W, U])

    taken, found = FusedStep(network, e)(sentences, labels)
    assert taken == pytest.approx(loss.item(), rel=1e-12)
    assert torch.allclose(found, scores, rtol=1e-10, atol=1e-12)
    assert torch.allclose(network.W, W - lr * gradient_W, rtol=1e-10, atol=1e-12)
    assert torch.allclose(network.U_T.T, U - lr * gradient_U, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    ("normalisation", "architecture"), [*((n, "linear") for n in NORMALISATIONS), *(("none", a) for a in ARCHITECTURES)]
)
@pytest.mark.parametrize(
    ("dtype", "loss_tolerance", "weight_tolerance"),
    [(torch.float32, 1e-5, 1e-4), (torch.float64, 1e-10, 1e-10)],
    ids=["float32", "float64"],
)
def test_200_steps_equal_the_textbook_s(
    tiny: Callable,
    normalisation: str,
    architecture: str,
    dtype: torch.dtype,
    loss_tolerance: float,
    weight_tolerance: float,
) -> None:
    sizes = {"n_w": 60, "L": 8, "K": 50, "n_spl": 10, "d": 20, "batch_size": 100, "mu": "zipf"}
    sizes |= dict.fromkeys(INITIAL, 0.05)
    # words of norm sqrt(d) learn faster, and a tiny loss is all rounding
    lr = 0.5 if normalisation in ("none", "l2") else 0.02
    if architecture != "linear":
        lr = 0.1
        sizes |= INITIAL
        if dtype == torch.float32:
            loss_tolerance, weight_tolerance = 1e-3, 1e-3  # a ReLU that rounding has put on its other side
    e = tiny(normalisation=normalisation, architecture=architecture, lr=lr, lambda_W=0.002, lambda_U=0.001, **sizes)
    ours = Network(e, seed=0).to(dtype)
    first = TextbookNetwork(ours, e)
    step, optimiser = training.make_step(ours, e), textbook_optimiser(first, e)
    assert isinstance(step, FusedStep)

    def our_step(sentences: Tensor, labels: Tensor) -> float:
        loss, _ = step(sentences, labels)
        ours.constrain()
        return loss

    pairs = [(our_step(*batch), textbook_step(first, optimiser, *batch)) for batch in batches(e, 200)]
    losses, expected = torch.tensor(pairs, dtype=torch.float64).T
    assert expected[-1] < 0.5 * expected[0]  # something has been learned: equality is not that of two networks at rest
    assert ((losses - expected).abs() / expected).max() <= loss_tolerance
    for weights, oracle in ((ours.W, first.embedding.weight), (ours.U_T.T, first.classifier.weight)):
        assert (weights - oracle).abs().max() <= weight_tolerance * oracle.abs().max()


@pytest.mark.parametrize("normalisation", NORMALISATIONS)
def test_autograd_step_equals_the_fused_step(tiny: Callable, normalisation: str) -> None:
    e = tiny(normalisation=normalisation, init_scale_W=0.5, init_scale_U=0.5, lambda_W=0.01, lambda_U=0.01)
    fused, plain = Network(e, seed=0).double(), Network(e, seed=0).double()
    fused_step, plain_step = FusedStep(fused, e), AutogradStep(plain, e)
    for batch in batches(e, 30):
        (loss, scores), (plain_loss, plain_scores) = fused_step(*batch), plain_step(*batch)
        assert loss == pytest.approx(plain_loss, rel=1e-10)
        assert torch.allclose(scores, plain_scores, rtol=1e-9, atol=1e-10)
    assert torch.allclose(fused.W, plain.W, rtol=1e-10, atol=1e-12)
    assert torch.allclose(fused.U_T, plain.U_T, rtol=1e-10, atol=1e-12)


def test_network_without_a_linear_classifier_takes_the_textbook_step(tiny: Callable[..., Experiment]) -> None:
    e = tiny(lambda_W=0.5, lambda_U=0.01)
    assert isinstance(training.make_step(Network(e, 0), e), FusedStep)
    deep = nn.Sequential(nn.Embedding(e.n_w, e.d), nn.Flatten(), nn.Linear(e.L * e.d, e.K), nn.Tanh()).double()
    before = copy.deepcopy(deep)
    step = training.make_step(deep, e)
    assert isinstance(step, AutogradStep)

    sentences, labels = next(batches(e, 1))
    loss, _ = step(sentences, labels)
    expected = F.cross_entropy(before(sentences), labels)
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    gradients = torch.autograd.grad(expected, list(before.parameters()))
    for p, old, gradient in zip(deep.parameters(), before.parameters(), gradients, strict=True):
        assert torch.allclose(p, old - e.lr * (gradient + 0.01 * old), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(
    "kind",
    [{"normalisation": n} for n in NORMALISATIONS] + [{"architecture": a} for a in ("mlp1", "transformer")],
    ids=str,
)
def test_number_of_threads_does_not_change_a_byte(config: Config, kind: dict[str, str]) -> None:
    paper = config.run("fig4b/seed0").experiment.model_dump()  # at these sizes every product and sum is shared out
    short = {"n_spl": 1, "n_test": 1, "epochs": 2, "records": 1, "snapshot_classes": 1, **INITIAL}
    e = Experiment.model_validate(paper | short | kind)
    tensors = data.generate(e, seed=0)
    threads = torch.get_num_threads()
    results = []
    try:
        for number in (1, 2, 4):
            torch.set_num_threads(number)
            results.append(training.train(e, 0, tensors))
            assert torch.get_num_threads() == number
    finally:
        torch.set_num_threads(threads)
    one, *others = results
    assert one.steps == 20
    for other in others:
        assert same(one.network.weights(), other.network.weights())
        assert one.history == other.history and one.losses == other.losses


@given(
    epochs=st.integers(1, 300),
    records=st.integers(1, 60),
    sentences=st.integers(2, 60),
    batch_size=st.integers(1, 40),
)
def test_half_of_the_records_are_evenly_spaced_and_half_logarithmically(
    tiny: Callable, epochs: int, records: int, sentences: int, batch_size: int
) -> None:
    e = tiny(epochs=epochs, records=records, K=sentences, n_spl=1, batch_size=batch_size)
    steps = record_steps(e)
    assert {e.steps_per_epoch, e.steps} <= steps
    assert min(steps) >= 1 and max(steps) == e.steps
    assert len(steps) <= records + 1
    late = e.steps_per_epoch if epochs >= records else 1
    assert all(step % late == 0 for step in steps if step > e.steps_per_epoch)
    even = (records + 1) // 2
    for i in range(1, even + 1):
        assert min(abs(step - i * e.steps / even) for step in steps) <= max(late / 2, 1)
    if records > 1:
        assert 1 in steps
        ratio = e.steps ** (1 / (records // 2))
        ordered = sorted(steps)
        for step, following in pairwise(ordered):  # no gap on the logarithmic axis but that of the rounding
            assert following <= ratio * (step + late / 2) + late / 2


@pytest.mark.parametrize("scale", ["", "quick", "smoke"])
def test_every_experiment_records_at_least_thirty_rows_and_epoch_one(config: Config, scale: str) -> None:
    for name in config.experiments(scale):
        e = config.run(f"{scale}/{name}/seed0".lstrip("/")).experiment
        steps = record_steps(e)
        assert len(steps) >= 30
        assert {e.steps_per_epoch, e.steps} <= steps


def test_history_has_a_row_for_each_record_in_order(tiny: Callable[..., Experiment]) -> None:
    e = tiny(epochs=6, records=3)  # 24 sentences in 4 batches
    assert [row["epoch"] for row in trained(e).history] == [0.25, 1, 3, 6]
    e = tiny(epochs=1, records=3)
    assert [row["epoch"] for row in trained(e).history] == [0.25, 0.5, 1]
    assert [row["epoch"] for row in trained(tiny(epochs=6, records=1)).history] == [1, 6]


def test_train_loss_and_accuracy_are_means_over_the_batches_of_the_epoch_so_far(
    tiny: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    e = tiny(epochs=5, records=5)
    taken: list[tuple[float, float]] = []

    def make_step(network: nn.Module, e: Experiment) -> Callable[[Tensor, Tensor], tuple[float, Tensor]]:
        step = FusedStep(network, e)

        def spy(sentences: Tensor, labels: Tensor) -> tuple[float, Tensor]:
            loss, scores = step(sentences, labels)
            taken.append((loss, (scores.argmax(1) == labels).double().mean().item()))
            return loss, scores

        return spy

    monkeypatch.setattr(training, "make_step", make_step)
    history = trained(e).history
    assert any(row["epoch"] % 1 for row in history) and any(row["epoch"] > 1 for row in history)
    for row in history:
        step = round(row["epoch"] * e.steps_per_epoch)
        first = (step - 1) // e.steps_per_epoch * e.steps_per_epoch
        losses, accuracies = zip(*taken[first:step], strict=True)
        assert row["train_loss"] == pytest.approx(sum(losses) / len(losses), rel=1e-12)
        assert row["train_accuracy"] == pytest.approx(sum(accuracies) / len(accuracies), rel=1e-12)


def test_test_accuracy_is_the_share_of_test_sentences_with_the_highest_score_on_their_class(
    tiny: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    e = tiny(normalisation="layernorm", mu="zipf", n_w=30, n_spl=1, n_test=5, epochs=12)
    tensors = data.generate(e, 0)
    done = training.train(e, 0, tensors)
    scores = done.network(tensors["test_sentences"].long())
    right = sum(int(row.argmax()) == int(k) for row, k in zip(scores, tensors["test_labels"], strict=True))
    assert done.history[-1]["test_accuracy"] == right / (e.K * e.n_test)
    assert 0 < right < e.K * e.n_test  # else the test could not tell
    monkeypatch.setattr(training, "EVALUATION_BATCH", 3)
    assert training.accuracy(done.network, tensors["test_sentences"], tensors["test_labels"]) == right / len(scores)
    assert done.network.training and math.isnan(
        training.accuracy(done.network.eval(), *(tensors[f"test_{x}"][:0] for x in ("sentences", "labels")))
    )
    assert not done.network.training


@settings(max_examples=20)
@given(n_spl=st.integers(1, 5), batch_size=st.integers(1, 50), seed=st.integers(0, 100))
def test_every_epoch_visits_every_sentence_once_in_batches(
    tiny: Callable, n_spl: int, batch_size: int, seed: int
) -> None:
    e = tiny(n_spl=n_spl, batch_size=batch_size, epochs=3, records=1, snapshot_classes=0)
    tensors = data.generate(e, seed)
    expected = Counter(
        (*x, k) for x, k in zip(tensors["train_sentences"].tolist(), tensors["train_labels"].tolist(), strict=True)
    )
    seen: list[list[tuple[int, ...]]] = []

    def note(sentences: Tensor, labels: Tensor) -> tuple[float, Tensor]:
        seen.append([(*x, k) for x, k in zip(sentences.tolist(), labels.tolist(), strict=True)])
        return 0.0, torch.zeros(len(labels), e.K)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "make_step", lambda network, e: note)
        training.train(e, seed, tensors)
    full, rest = divmod(e.N, batch_size)
    sizes = [batch_size] * full + [rest] * (rest > 0)
    for epoch in range(e.epochs):
        of_epoch = seen[epoch * len(sizes) : (epoch + 1) * len(sizes)]
        assert [len(batch) for batch in of_epoch] == sizes
        assert Counter(x for batch in of_epoch for x in batch) == expected


def test_order_differs_between_epochs_and_seeds_and_not_between_runs(tiny: Callable[..., Experiment]) -> None:
    e = tiny(n_spl=20, batch_size=160, epochs=2, records=1)
    tensors = data.generate(e, 0)
    orders = []

    def note(sentences: Tensor, labels: Tensor) -> tuple[float, Tensor]:
        orders.append(labels.tolist())
        return 0.0, torch.zeros(len(labels), e.K)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "make_step", lambda network, e: note)
        for seed in (0, 0, 1):
            training.train(e, seed, tensors)
    first, second, first_again, second_again, other, _ = orders
    assert (first, second) == (first_again, second_again)
    assert first != second and first != other
    assert first != sorted(first)


def test_fresh_sentences_are_new_in_every_epoch_and_of_their_classes(tiny: Callable[..., Experiment]) -> None:
    e = tiny(fresh=True, epochs=3, records=1, n_w=60, mu="zipf")
    tensors = data.generate(e, 0)
    seen: list[tuple[Tensor, Tensor]] = []

    def note(sentences: Tensor, labels: Tensor) -> tuple[float, Tensor]:
        seen.append((sentences, labels))
        return 0.0, torch.zeros(len(labels), e.K)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "make_step", lambda network, e: note)
        training.train(e, 0, tensors)
    for sentences, labels in seen:
        assert torch.equal(sentences // e.s_c, tensors["Z"][labels].long())
    epochs = [torch.cat([x for x, _ in seen[i :: e.steps_per_epoch]]) for i in range(e.steps_per_epoch)]
    rows = [tuple(row) for x in epochs for row in x.tolist()]
    assert len(set(rows)) > 0.9 * len(rows)
    for epoch in range(e.epochs):
        labels = torch.cat([k for _, k in seen[epoch * e.steps_per_epoch : (epoch + 1) * e.steps_per_epoch]])
        assert torch.equal(labels.sort().values, tensors["train_labels"].long().sort().values)


def test_training_is_the_seed_s(tiny: Callable[..., Experiment]) -> None:
    one, again, other = trained(tiny(), 0), trained(tiny(), 0), trained(tiny(), 1)
    assert same(one.network.weights(), again.network.weights()) and one.history == again.history
    assert not torch.equal(one.network.weights()["W"], other.network.weights()["W"])


def test_weights_are_given_as_in_the_paper(tiny: Callable[..., Experiment]) -> None:
    e = tiny()
    done = trained(e)
    weights = done.network.weights()
    assert weights["W"].shape == (e.n_w, e.d)
    assert weights["U"].shape == (e.K, e.L * e.d)
    assert torch.equal(weights["U"].reshape(e.K, e.L, e.d), done.network.u())


def test_snapshots_begin_with_the_initial_weights_and_follow_the_records(tiny: Callable[..., Experiment]) -> None:
    e = tiny(snapshot_classes=2)
    done = trained(e)
    assert [epoch.item() for epoch in done.snapshots["epoch"]] == [0, *(row["epoch"] for row in done.history)]
    assert torch.equal(done.snapshots["words"][0], Network(e, 0).words().half())
    assert torch.equal(done.snapshots["words"][-1], done.network.words().half())
    assert torch.equal(done.snapshots["u"][-1], done.network.u()[:2].half())
    assert trained(tiny(snapshot_classes=0)).snapshots == {"epoch": [], "words": [], "u": []}
    assert trained(tiny(snapshot_classes=99)).snapshots["u"][0].shape == (e.K, e.L, e.d)


@settings(max_examples=25)
@given(
    at=st.lists(st.integers(0, 16), min_size=1, max_size=3).map(sorted),
    epochs_and_records=st.sampled_from([(4, 4), (4, 16), (4, 1)]),
    normalisation=st.sampled_from(sorted(NORMALISATIONS)),
    snapshot_classes=st.sampled_from([0, 2]),
    fresh=st.booleans(),
)
def test_resumed_training_ends_where_an_uninterrupted_one_does(
    tiny: Callable,
    at: list[int],
    epochs_and_records: tuple[int, int],
    normalisation: str,
    snapshot_classes: int,
    fresh: bool,
) -> None:
    epochs, records = epochs_and_records
    kind = {"normalisation": normalisation, "snapshot_classes": snapshot_classes, "fresh": fresh}
    e = tiny(epochs=epochs, records=records, **kind)
    tensors = data.generate(e, 0)
    whole = training.train(e, 0, tensors)
    part = Training(e, 0, tensors)
    for stop in at:
        while part.steps < stop:
            part.step()
        state, notes = copy.deepcopy(part.state())
        part = Training(e, 0, tensors)
        part.resume(state, json.loads(json.dumps(notes)))
        assert part.steps == stop
    while not part.done:
        part.step()
    assert same(part.network.weights(), whole.network.weights())
    assert part.history == whole.history
    assert part.snapshots.keys() == whole.snapshots.keys()
    for name, snapshots in whole.snapshots.items():
        assert len(part.snapshots[name]) == len(snapshots)
        assert all(torch.equal(x, y) for x, y in zip(part.snapshots[name], snapshots, strict=True))


def test_training_can_go_back_to_an_earlier_state(tiny: Callable[..., Experiment]) -> None:
    e = tiny()
    tensors = data.generate(e, 0)
    part = Training(e, 0, tensors)
    for _ in range(2):
        part.step()
    state, notes = copy.deepcopy(part.state())
    for _ in range(5):  # into the next epoch, which has another order
        part.step()
    part.resume(state, notes)
    while not part.done:
        part.step()
    whole = training.train(e, 0, tensors)
    assert same(part.network.weights(), whole.network.weights()) and part.history == whole.history


def test_state_does_not_change_when_training_goes_on(tiny: Callable[..., Experiment]) -> None:
    e = tiny()
    part = Training(e, 0, data.generate(e, 0))
    part.step()
    state, notes = part.state()
    kept_state, kept_notes = copy.deepcopy((state, notes))
    part.step()
    assert same(state, kept_state)
    assert notes == kept_notes


@pytest.mark.parametrize("records", [1, 16], ids=["seen in the loss", "seen in the weights"])
def test_training_that_diverges_fails_and_names_the_step(tiny: Callable[..., Experiment], records: int) -> None:
    e = tiny(lr=1000, init_scale_W=1000, init_scale_U=1000, records=records, epochs=40)
    with pytest.raises(TrainingError, match=r"(the loss is (nan|inf)|a weight is not finite) at step \d+ \(epoch "):
        trained(e)


def test_loss_that_is_not_finite_fails_at_once(tiny: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    e = tiny(epochs=2, records=1)
    losses = iter([1.0, 2.0, 3.0, 4.0, 5.0, math.nan])
    monkeypatch.setattr(training, "make_step", lambda network, e: lambda x, k: (next(losses), torch.zeros(len(k), e.K)))
    with pytest.raises(TrainingError, match=r"the loss is nan at step 6 \(epoch 2\)"):
        trained(e)


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_device_that_is_not_there_fails_in_one_line(
    tiny: Callable, monkeypatch: pytest.MonkeyPatch, device: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    e = tiny(device=device)
    with pytest.raises(TrainingError) as caught:
        Training(e, 0, data.generate(e, 0))
    assert str(caught.value) == f"device: {device} is configured, but torch finds none on this machine"


@pytest.fixture
def prepared(run: Run, process: None) -> Run:
    """A tiny run with its data on disk."""
    data_stage.make(run)
    return run


OUTPUTS = ("weights.safetensors", "snapshots.safetensors", "history.csv")


def outputs(run: Run) -> dict[str, bytes]:
    return {name: (run.folder / name).read_bytes() for name in OUTPUTS}


def test_make_writes_what_training_gives(prepared: Run) -> None:
    train.make(prepared, quiet=True)
    whole = trained(prepared.experiment)
    arrays, _ = artifacts.read_arrays(prepared.folder / "weights.safetensors", prepared)
    assert same({name: torch.from_numpy(array) for name, array in arrays.items()}, whole.network.weights())
    history = pd.read_csv(prepared.folder / "history.csv")
    assert history.to_dict("records") == whole.history
    record = artifacts.read_json(prepared.folder / "run.json", prepared)
    assert record["outputs"] == {name: artifacts.checksum(prepared.folder / name) for name in OUTPUTS}
    assert record["inputs"] == {"data.safetensors": artifacts.checksum(prepared.folder / "data.safetensors")}
    assert record["experiment"] == prepared.experiment.model_dump()
    assert {"python", "torch", "numpy", "blas", "cpu_capability"} <= record["machine"].keys()
    assert record["seconds"] > 0 and record["peak_memory_mb"] > 1 and record["threads"] == 1


def git(*command: str) -> None:
    who = ("-c", "user.name=n", "-c", "user.email=e@example.org", "-c", "init.defaultBranch=main")
    subprocess.run(["git", *who, *command], check=True, capture_output=True)


@pytest.mark.skipif(shutil.which("git") is None, reason="there is no git here")
def test_run_json_names_the_commit_and_whether_code_or_configuration_have_changed_since(prepared: Run) -> None:
    unknown = {"commit": None, "changed": None}
    assert provenance.checkout() == unknown  # no repository
    for name in ("src", "docs"):
        Path(name).mkdir()
        Path(name, "file").write_text("as committed")
    git("init")
    assert provenance.checkout() == unknown  # no commit
    git("add", "src", "docs")
    git("commit", "-m", "first")
    Path("docs/file").write_text("changed")  # what decides no run
    train.make(prepared, quiet=True)
    clean = artifacts.read_json(prepared.folder / "run.json", prepared)["code"]
    assert re.fullmatch("[0-9a-f]{40}", clean["commit"]) and clean["changed"] is False
    Path("src/new").write_text("a module that git does not know")
    assert provenance.checkout() == clean | {"changed": True}
    os.chdir("src")  # a project inside another repository, whose commit says nothing of it
    assert provenance.checkout() == unknown


def test_without_git_the_commit_is_unknown(prepared: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    assert provenance.checkout() == {"commit": None, "changed": None}


def stop_at(run: Run, steps: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Begin to train a run and send a signal after so many steps."""
    step = Training.step

    def interrupted(self: Training) -> None:
        step(self)
        if self.steps == steps:
            signal.raise_signal(number)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Training, "step", interrupted)
        with pytest.raises(SystemExit, match="a rerun goes on from there"):
            train.make(run, quiet=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signal_leaves_a_checkpoint_from_which_the_same_bytes_come(
    prepared: Run, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    train.make(prepared, quiet=True)
    expected = outputs(prepared)
    for name in (*OUTPUTS, "run.json"):
        (prepared.folder / name).unlink()

    step = Training.step
    stop_at(prepared, 6, number)
    assert (prepared.folder / "checkpoint.safetensors").exists()
    assert not (prepared.folder / "weights.safetensors").exists()

    taken = []
    monkeypatch.setattr(Training, "step", lambda self: (taken.append(self.steps), step(self)))
    train.make(prepared, quiet=True)
    assert taken == list(range(6, prepared.experiment.steps))
    assert outputs(prepared) == expected
    assert not (prepared.folder / "checkpoint.safetensors").exists()


def test_checkpoint_of_another_configuration_is_not_taken_up(
    prepared: Run, tiny: Callable, capsys: pytest.CaptureFixture
) -> None:
    other = Run(prepared.name, "", tiny(lr=0.5), 0)
    state, notes = Training(other.experiment, 0, data.generate(other.experiment, 0)).state()
    arrays = {name: tensor.numpy() for name, tensor in state.items()}
    artifacts.write_arrays(prepared.folder / "checkpoint.safetensors", other, arrays, seconds=1.0, **notes)
    train.make(prepared, quiet=True)
    assert "starting anew" in capsys.readouterr().err
    weights, _ = artifacts.read_arrays(prepared.folder / "weights.safetensors", prepared)
    assert same({k: torch.from_numpy(v) for k, v in weights.items()}, trained(prepared.experiment).network.weights())


def test_checkpoint_made_from_other_data_is_not_taken_up(prepared: Run, capsys: pytest.CaptureFixture) -> None:
    stop_at(prepared, 6)
    other = data.generate(prepared.experiment, 1)
    arrays = {name: tensor.numpy() for name, tensor in other.items()}
    artifacts.write_arrays(prepared.folder / "data.safetensors", prepared, arrays)
    train.make(prepared, quiet=True)
    assert "starting anew" in capsys.readouterr().err
    whole = training.train(prepared.experiment, 0, other)
    weights, _ = artifacts.read_arrays(prepared.folder / "weights.safetensors", prepared)
    assert same({k: torch.from_numpy(v) for k, v in weights.items()}, whole.network.weights())


def test_checkpoint_made_by_other_code_is_not_taken_up(
    prepared: Run, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stop_at(prepared, 6)
    edited = Path(shutil.copy(networks.__file__, tmp_path))
    edited.write_text(edited.read_text("utf-8") + "# edited\n", "utf-8")
    monkeypatch.setattr(networks, "__file__", str(edited))
    train.make(prepared, quiet=True)
    assert "starting anew" in capsys.readouterr().err


OF_THE_PACKAGE = [
    f"feature_collapse.{name}" for name in ("model.training", "model.data", "stages.train", "workflow.run")
]


def test_the_code_a_checkpoint_depends_on_is_what_training_imports(prepared: Run) -> None:
    script = "from feature_collapse.stages.train import Path, _made_from; print(*_made_from(Path('data.safetensors')))"
    command = [sys.executable, "-c", script]
    printed = subprocess.run(command, cwd=prepared.folder, capture_output=True, text=True, check=True).stdout
    assert {"data.safetensors", *OF_THE_PACKAGE} <= set(printed.split())
    assert "figures" not in printed


def test_training_gives_back_the_handlers_of_signals(prepared: Run) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    train.make(prepared, quiet=True)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
    stop_at(prepared, 3)
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before


def full_disk(*arguments: object, **notes: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device", "checkpoint.safetensors")


def test_training_goes_on_where_a_checkpoint_finds_no_room(
    prepared: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    write_arrays = artifacts.write_arrays

    def refuse(path: Path, *rest: object, **notes: object) -> None:
        (full_disk if path.stem == "checkpoint" else write_arrays)(path, *rest, **notes)

    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", 0)
    monkeypatch.setattr(artifacts, "write_arrays", refuse)
    train.make(prepared)
    assert "tiny/seed0: no checkpoint: [Errno 28] No space left on device" in capsys.readouterr().err
    assert artifacts.read_json(prepared.folder / "run.json", prepared)
    for name in OUTPUTS:
        (prepared.folder / name).unlink()
    with pytest.raises(OSError, match="No space left"):
        stop_at(prepared, 6)


def test_training_goes_on_where_its_progress_cannot_be_written(prepared: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", SimpleNamespace(isatty=lambda: False, write=full_disk, flush=full_disk))
    train.make(prepared)
    assert artifacts.read_json(prepared.folder / "run.json", prepared)


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("parameter", ["W", "U_blocks.0"])
def test_weight_that_is_not_finite_ends_training_at_once_and_keeps_the_last_good_checkpoint(
    prepared: Run, monkeypatch: pytest.MonkeyPatch, wrong: float, parameter: str
) -> None:
    monkeypatch.setattr(train, "CHECKPOINT_SECONDS", 0)
    step = Training.step

    def spoiled(self: Training) -> None:
        step(self)
        if self.steps == 6:  # no row of history is due
            with torch.no_grad():
                self.network.get_parameter(parameter)[0, -1] = wrong

    with monkeypatch.context() as patch:
        patch.setattr(Training, "step", spoiled)
        with pytest.raises(TrainingError, match=r"a weight is not finite at step 6 \(epoch 1\.5\)"):
            train.make(prepared, quiet=True)
    _, notes = artifacts.read_arrays(prepared.folder / "checkpoint.safetensors", prepared)
    assert notes["steps"] == 5
    assert sorted(path.name for path in prepared.folder.iterdir()) == ["checkpoint.safetensors", "data.safetensors"]
    train.make(prepared, quiet=True)
    assert pd.read_csv(prepared.folder / "history.csv").to_dict("records") == trained(prepared.experiment).history


def test_training_says_where_it_is(prepared: Run, capsys: pytest.CaptureFixture) -> None:
    train.make(prepared)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 4
    assert lines[1].startswith("tiny/seed0: epoch 1 of 4, loss ")
    assert lines[1].endswith(" left")


def test_training_does_not_begin_without_its_data(run: Run) -> None:
    with pytest.raises(artifacts.ArtifactError, match=r"data\.safetensors: is missing"):
        train.make(run, quiet=True)
    assert not list(Path().rglob("*.csv"))


@pytest.mark.parametrize("sizes", [{"n_c": 5, "n_w": 10, "K": 2, "L": 2}, {"n_c": 3, "K": 2, "L": 1}], ids=str)
def test_concepts_that_no_latent_holds_do_not_stop_training(tiny: Callable[..., Experiment], sizes: dict) -> None:
    done = trained(tiny(**sizes))
    assert math.isfinite(done.history[-1]["words_cdnv"])
    assert math.isfinite(done.history[-1]["u_cdnv"])


def test_peak_memory_is_that_of_the_process_and_not_of_the_one_that_started_it() -> None:
    own = "from feature_collapse.workflow.provenance import peak_memory_mb as peak; print(peak())"
    start = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {own!r}], check=True)"
    lean, beside = (
        float(subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout)
        for code in (start, f"kept = b'x' * 1_500_000_000; {start}")
    )
    assert lean == pytest.approx(beside, rel=0.1)
    assert lean < 1000
