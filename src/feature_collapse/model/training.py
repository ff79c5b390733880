"""Training: plain SGD on the mean cross-entropy with weight decay (§2.1 of the paper), and its record.

A step on a batch of B sentences is three matrix products of 2 B (L d) K operations each, and little else:

    S    = X U^T                              scores,                     X = features of the batch (B, L d)
    G    = (softmax(S) - onehot(labels)) / B  gradient of the loss to S
    dX   = G U                                gradient to the features, carried on to W by autograd
    U^T <- (1 - lr lambda_U) U^T - lr X^T G   gradient, decay and step on U at once, in place

The last line is done in place: no gradient of U is ever stored, nor passed over by an optimiser. dX is
taken before U changes, so that this is SGD on all weights simultaneously, the same numbers as the textbook loop up to
rounding. This is a linear cross-entropy fused with the optimiser step. The products themselves are in `products`.
"""

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from feature_collapse.model import products
from feature_collapse.model.collapse import measure
from feature_collapse.model.data import draw_words, generator
from feature_collapse.model.experiment import Experiment
from feature_collapse.model.functions import CrossEntropy, one_thread
from feature_collapse.model.networks import Network

EVALUATION_BATCH = 1000


class TrainingError(Exception):
    """Training that cannot go on, in one line."""


def decay(name: str, e: Experiment) -> float:
    """Weight decay of a parameter, by its name: `lambda_W` for the words and what normalises them, `lambda_U` for all
    that comes after."""
    return e.lambda_W if name == "W" or name.startswith("phi.") else e.lambda_U


class FusedStep:
    """One step of SGD for a network with a linear classifier on top: `features(sentences)` (B, F) times `U_blocks`
    [(F, K_1), ...], no bias. Nothing of the size of U is allocated."""

    def __init__(self, network: torch.nn.Module, e: Experiment):
        self.network, self.lr = network, e.lr
        self.cross_entropy = CrossEntropy(list(network.U_blocks), e.batch_size)
        self.keep_U = 1 - e.lr * e.lambda_U
        below = [(name, p) for name, p in network.named_parameters() if not name.startswith("U_blocks.")]
        self.upstream = [(p, 1 - e.lr * decay(name, e)) for name, p in below]

    def __call__(self, sentences: Tensor, labels: Tensor) -> tuple[float, Tensor]:
        """Take a step on sentences (B, L) of classes labels (B,). Returns the loss and the scores (B, K), both before
        the step."""
        U_T = list(self.network.U_blocks)
        X = self.network.features(sentences)
        with torch.no_grad():
            S = products.scores(X, U_T)
            losses, G = self.cross_entropy(S, labels)
            X.backward(products.gradient_to_features(G, U_T))
            products.descend(U_T, X, G, self.lr, self.keep_U)
            for p, keep in self.upstream:
                p.mul_(keep).add_(p.grad, alpha=-self.lr)
                p.grad = None
        return math.fsum(losses) / len(losses), torch.cat(S, 1)


class AutogradStep:
    """One step of SGD for any other network that returns scores (B, K): loss by autograd, step by `torch.optim`."""

    def __init__(self, network: torch.nn.Module, e: Experiment):
        self.network = network
        groups = [{"params": [p], "weight_decay": decay(name, e)} for name, p in network.named_parameters()]
        self.optimiser = torch.optim.SGD(groups, lr=e.lr)

    def __call__(self, sentences: Tensor, labels: Tensor) -> tuple[float, Tensor]:
        """As `FusedStep.__call__`."""
        self.optimiser.zero_grad()
        S = self.network(sentences)
        loss = F.cross_entropy(S, labels)
        loss.backward()
        self.optimiser.step()
        return loss.item(), S.detach()


def make_step(network: torch.nn.Module, e: Experiment) -> Callable[[Tensor, Tensor], tuple[float, Tensor]]:
    """The step for a network: fused where there is a linear classifier to fuse with."""
    return FusedStep(network, e) if hasattr(network, "U_blocks") else AutogradStep(network, e)


class Training:
    """A network, its data and where training has come to. `step()` until `done`."""

    def __init__(self, experiment: Experiment, seed: int, data: dict[str, Tensor]):
        """Set up a network with fresh weights on the data of `data.generate`. Raises TrainingError if the
        configured device is not there."""
        self.experiment, self.seed, self.data = experiment, seed, data
        self.network = Network(experiment, seed).to(_device(experiment.device))
        self._take_step = make_step(self.network, experiment)
        self.steps = 0
        self.losses: list[float] = []  # of the current epoch's batches
        self.accuracies: list[float] = []
        self.history: list[dict[str, float]] = []
        self.snapshots: dict[str, list[Tensor]] = {"epoch": [], "words": [], "u": []}
        self._order: Tensor | None = None
        self._record_steps = record_steps(experiment)
        self._recorded_epochs = {(step - 1) // experiment.steps_per_epoch for step in self._record_steps}
        self._concepts = data["concepts"].long()
        self._snapshot()

    @property
    def done(self) -> bool:
        return self.steps == self.experiment.steps

    @property
    def epoch(self) -> float:
        return self.steps / self.experiment.steps_per_epoch

    def step(self) -> None:
        """One step of SGD on the next batch; at the steps of `record_steps` also a row of `history`.

        Raises TrainingError when the loss is not finite."""
        e = self.experiment
        epoch, batch = divmod(self.steps, e.steps_per_epoch)
        if batch == 0:
            self.losses, self.accuracies = [], []
        if batch == 0 or self._order is None:
            self._order = torch.randperm(e.N, generator=generator(self.seed, f"order of epoch {epoch}"))
        chosen = self._order[batch * e.batch_size : (batch + 1) * e.batch_size]
        device = self.network.W.device
        labels = self.data["train_labels"][chosen].long()
        if e.fresh:
            stream = generator(self.seed, f"fresh sentences of step {self.steps}")
            sentences = draw_words(self.data["Z"][labels].long(), self._concepts, self.data["mu"], stream)
        else:
            sentences = self.data["train_sentences"][chosen].long()
        loss, scores = self._take_step(sentences.to(device), labels.to(device))
        if not math.isfinite(loss):
            raise TrainingError(f"the loss is {loss} at step {self.steps + 1} (epoch {epoch + 1})")
        self.network.constrain()
        self.steps += 1
        self.losses.append(loss)
        if epoch in self._recorded_epochs:
            self.accuracies.append(_correct(scores.cpu(), labels) / len(chosen))
        if self.steps in self._record_steps:
            self._record()

    def _record(self) -> None:
        """Append to the history: loss and accuracy over the epoch's batches so far, as they were met; the rest as of
        now."""
        self.history.append(
            {
                "epoch": self.epoch,
                "train_loss": math.fsum(self.losses) / len(self.losses),
                "train_accuracy": math.fsum(self.accuracies) / len(self.accuracies),
                "test_accuracy": accuracy(self.network, self.data["test_sentences"], self.data["test_labels"]),
                **self._measures(),
            }
        )
        self._snapshot()

    @torch.no_grad()
    def check_weights(self) -> None:
        """Raises TrainingError when a weight is not finite. Their sum is finite only if all are, and cheap."""
        if not all(math.isfinite(p.sum().item()) for p in self.network.parameters()):
            raise TrainingError(f"a weight is not finite at step {self.steps} (epoch {self.epoch:g})")

    @torch.no_grad()
    def _measures(self) -> dict[str, float]:
        self.check_weights()
        with one_thread():
            words, u = self.network.words().cpu(), self.network.u().cpu()
            return measure(words, self._concepts, u.flatten(0, 1), self.data["Z"].flatten())

    @torch.no_grad()
    def _snapshot(self) -> None:
        classes = min(self.experiment.snapshot_classes, self.experiment.K)
        if classes:
            self.snapshots["epoch"].append(torch.tensor(self.epoch, dtype=torch.float32))
            self.snapshots["words"].append(self.network.words().half().cpu())
            self.snapshots["u"].append(self.network.u()[:classes].half().cpu())

    def state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """All that `resume` needs to go on as if nothing had happened: tensors, and JSON values."""
        tensors = {f"weights.{name}": p.detach().cpu().clone() for name, p in self.network.state_dict().items()}
        tensors |= {f"snapshots.{name}": torch.stack(s) for name, s in self.snapshots.items() if s}
        notes = {
            "steps": self.steps,
            "losses": list(self.losses),
            "accuracies": list(self.accuracies),
            # JSON has no numbers that are not finite, as are directions of vectors that have vanished
            "history": [{k: v if math.isfinite(v) else None for k, v in row.items()} for row in self.history],
        }
        return tensors, notes

    def resume(self, tensors: dict[str, Tensor], notes: dict[str, Any]) -> None:
        """Go back to a `state()` of a training of the same experiment and seed."""
        parts: dict[str, dict[str, Tensor]] = {"weights": {}, "snapshots": {}}
        for name, tensor in tensors.items():
            part, _, key = name.partition(".")
            parts[part][key] = tensor
        self.network.load_state_dict(parts["weights"])
        self.snapshots |= {name: list(stack) for name, stack in parts["snapshots"].items()}
        self.steps = notes["steps"]
        self.history = [{k: math.nan if v is None else v for k, v in row.items()} for row in notes["history"]]
        self.losses, self.accuracies = notes["losses"], notes["accuracies"]
        self._order = None


def train(experiment: Experiment, seed: int, data: dict[str, Tensor]) -> Training:
    """Train from beginning to end."""
    training = Training(experiment, seed, data)
    while not training.done:
        training.step()
    return training


def record_steps(experiment: Experiment) -> set[int]:
    """The steps after which a row of history is written: half of the `records` evenly spaced up to the last step, half
    evenly spaced in the logarithm of the step from the first one on, and the end of the first epoch.

    Even steps alone miss what comes first: with LayerNorm words collapse in the first of hundreds of epochs. Where
    there are more epochs than records, every step after the first epoch is rounded to the end of one; steps that
    coincide are recorded once."""
    e = experiment
    even, logarithmic = e.records - e.records // 2, e.records // 2
    wanted = [i * e.steps / even for i in range(1, even + 1)]
    wanted += [e.steps ** (i / logarithmic) for i in range(logarithmic)]
    late = e.steps_per_epoch if e.epochs >= e.records else 1
    units = [late if step > e.steps_per_epoch else 1 for step in wanted]
    return {e.steps_per_epoch, *(max(1, round(step / u)) * u for step, u in zip(wanted, units, strict=True))}


@torch.no_grad()
def accuracy(network: torch.nn.Module, sentences: Tensor, labels: Tensor) -> float:
    """Share of sentences (N, L) that the network, evaluated, puts into their class; not a number of none."""
    device = next(network.parameters()).device
    training = network.training
    network.eval()
    correct = 0
    for x, k in zip(sentences.split(EVALUATION_BATCH), labels.split(EVALUATION_BATCH), strict=True):
        correct += _correct(network(x.long().to(device)).cpu(), k)
    network.train(training)
    return correct / len(labels) if len(labels) else math.nan


def _correct(scores: Tensor, labels: Tensor) -> int:
    """How many of the scores (B, K) are highest at their label (B,)."""
    return int((scores.argmax(1) == labels).sum())


def _device(name: str) -> torch.device:
    there = {"cpu": True, "cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not there[name]:
        raise TrainingError(f"device: {name} is configured, but torch finds none on this machine")
    return torch.device(name)
