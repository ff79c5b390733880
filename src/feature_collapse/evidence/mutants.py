"""What a wrong implementation would show: mistakes that are easily made, each trained in the place of the right
network, and which numbers of the reproduction tell."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from feature_collapse.evidence.hypotheses import prediction_interval
from feature_collapse.evidence.reproduction import Paper, by_seed
from feature_collapse.evidence.rows import numbers
from feature_collapse.model.data import generate, generator
from feature_collapse.model.experiment import Experiment
from feature_collapse.model.features import extract
from feature_collapse.model.networks import Network
from feature_collapse.model.training import AutogradStep, Training

SCALE = "quick"
REFERENCE = (0, 1, 2, 3, 4)  # seeds of the right implementation
SEED = 5  # of the mutants
FALSE_ALARMS = 0.05  # of a right implementation, over all numbers together


class Unshuffled(Training):
    """The batches of every epoch in the order of the data, class by class."""

    @property
    def _order(self) -> Tensor:  # type: ignore[override]
        return torch.arange(self.experiment.N)

    @_order.setter
    def _order(self, drawn: Tensor | None) -> None:
        pass


class _BiasedNetwork(Network):
    def __init__(self, e: Experiment, seed: int):
        super().__init__(e, seed)
        draw = torch.rand(e.K, generator=generator(seed, "initial bias")) * 2 - 1
        self.b = nn.Parameter(draw * e.init_scale_U / (e.L * e.d) ** 0.5)

    def forward(self, sentences: Tensor) -> Tensor:
        return super().forward(sentences) + self.b


class Biased(Training):
    """A classifier with a bias, as PyTorch's `Linear` has one unless it is told not to."""

    def __init__(self, experiment: Experiment, seed: int, data: dict[str, Tensor]):
        super().__init__(experiment, seed, data)
        self.network = _BiasedNetwork(experiment, seed)
        self._take_step = AutogradStep(self.network, experiment)


class DecayOfTheTouched(Training):
    """Weight decay only of the words in the batch, as where gradients of embeddings are sparse."""

    def __init__(self, experiment: Experiment, seed: int, data: dict[str, Tensor]):
        super().__init__(experiment, seed, data)
        step = self._take_step

        def take_step(sentences: Tensor, labels: Tensor) -> tuple[float, Tensor]:
            W = self.network.W.data
            before = W.clone()
            done = step(sentences, labels)
            untouched = torch.ones(len(W), dtype=torch.bool)
            untouched[sentences.flatten()] = False
            W[untouched] = before[untouched]
            return done

        self._take_step = take_step


@dataclass(frozen=True)
class Mutant:
    """One mistake. `settings` are those it changes of an experiment, none where it makes no difference."""

    says: str
    settings: Callable[[Experiment], dict[str, Any] | None] = lambda e: {}
    training: type[Training] = Training
    data: Callable[[dict[str, Tensor]], dict[str, Tensor]] = field(default=lambda data: data)


def _tested_on_training(data: dict[str, Tensor]) -> dict[str, Tensor]:
    return data | {"test_sentences": data["train_sentences"], "test_labels": data["train_labels"]}


def _scaled(factor: float) -> Callable[[Experiment], dict[str, Any]]:
    return lambda e: {key: factor * getattr(e, key) for key in ("init_scale_W", "init_scale_U")}


MUTANTS = {
    "right": Mutant("nothing is wrong"),
    "unshuffled": Mutant("batches are not shuffled", training=Unshuffled),
    "larger_start": Mutant("initial weights ten times as large", _scaled(10)),
    "smaller_start": Mutant("initial weights ten times as small", _scaled(0.1)),
    "double_decay": Mutant(
        "weight decay twice as strong", lambda e: {key: 2 * getattr(e, key) for key in ("lambda_W", "lambda_U")}
    ),
    "large_eps": Mutant("LayerNorm's eps is 1e-3", lambda e: {"eps": 1e-3} if e.normalisation != "none" else None),
    "flat_zipf": Mutant("Zipf's exponent is 0.9", lambda e: {"zipf_exponent": 0.9} if e.mu == "zipf" else None),
    "test_on_training": Mutant("tested on the training sentences", data=_tested_on_training),
    "bias": Mutant("the classifier has a bias", training=Biased),
    "decay_of_touched": Mutant(
        "weight decay of the words in the batch only",
        lambda e: {} if e.lambda_W else None,
        training=DecayOfTheTouched,
    ),
}


def train(mutant: Mutant, experiment: Experiment, seed: int = SEED) -> dict[str, float] | None:
    """Train an experiment with a mistake and measure it: the numbers of a row of a table of runs. None where the
    mistake makes no difference."""
    settings = mutant.settings(experiment)
    if settings is None:
        return None
    e = Experiment.model_validate(experiment.model_dump() | settings)
    data = mutant.data(generate(e, seed))
    training = mutant.training(e, seed, data)
    while not training.done:
        training.step()
    last, peak = training.history[-1], max(row["test_accuracy"] for row in training.history)
    measured = {name: last[name] for name in ("train_loss", "train_accuracy", "test_accuracy")}
    _, features = extract(e, training.network.eval(), data, seed)
    return numbers({"training": measured | {"peak_test_accuracy": peak}, **features})


def compare(paper: Paper, right: pd.DataFrame, wrong: pd.DataFrame) -> pd.DataFrame:
    """One row for each number of the reproduction and each mutant (column `mutant` of `wrong`): what the right runs
    give on average, what the mutant gives, whether it is out of the tolerance, and whether it is out of the interval in
    which one more right run lies, whichever number one looks at (Bonferroni)."""
    reference = by_seed(paper, right).groupby(["figure", "id"], sort=False)["ours"]
    level = 1 - FALSE_ALARMS / reference.ngroups
    bounds = {key: (values.mean(), *prediction_interval(values, level)) for key, values in reference}
    tolerances = {
        (name.removeprefix("fig"), column): paper.tolerances[tolerance]
        for name, columns in paper.experiments.items()
        for column, (_, tolerance) in columns.items()
    }
    found = []
    for mutant, part in wrong.groupby("mutant", sort=False):
        for row in by_seed(paper, part).to_dict("records"):
            key = row["figure"], row["id"]
            mean, low, high = bounds[key]
            found.append(
                {
                    "mutant": mutant,
                    **{name: row[name] for name in ("figure", "id", "quantity")},
                    "right": mean,
                    "low": low,
                    "high": high,
                    "wrong": row["ours"],
                    "out_of_tolerance": not tolerances[key].holds(mean, row["ours"]),
                    "out_of_interval": not low - 1e-9 <= row["ours"] <= high + 1e-9,
                }
            )
    return pd.DataFrame(found)


def markdown(rows: pd.DataFrame) -> str:
    """What catches each mistake, and what nothing catches."""
    cells = []
    for name, mutant in MUTANTS.items():
        part = rows[rows["mutant"] == name]
        told = {
            "by tolerance": part[part["out_of_tolerance"]],
            "by what seeds do": part[part["out_of_interval"] & ~part["out_of_tolerance"]],
        }
        shown = {
            how: "; ".join(
                f"{figure}: {', '.join(of['quantity'])}" for figure, of in caught.groupby("figure", sort=False)
            )
            for how, caught in told.items()
        }
        numbers_ = f"{(part['out_of_tolerance'] | part['out_of_interval']).sum()} of {len(part)}"
        cells.append({"mistake": mutant.says, "numbers that tell": numbers_, **shown})
    missed = [cell["mistake"] for cell in cells[1:] if cell["numbers that tell"].startswith("0 ")]
    parts = [
        "# What a wrong implementation would show",
        f"Each mistake is trained at the scale {SCALE} with seed {SEED}. It is told by the tolerances of the paper's "
        f"numbers, around the mean of {len(REFERENCE)} right seeds, or by the interval in which one more right run "
        f"lies; a right implementation is outside of any of these in {FALSE_ALARMS:.0%} of cases.",
        pd.DataFrame(cells).to_markdown(index=False, disable_numparse=True),
        f"Nothing tells: {'; '.join(missed)}." if missed else "Each mistake is told by at least one number.",
    ]
    return "\n\n".join(parts) + "\n"
