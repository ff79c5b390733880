"""How fast a training step is, against the textbook's and against its three matrix products alone: `make bench`.

All contenders are timed in turn, block by block, within one process, so that a machine whose speed drifts slows all of
them alike; a ratio is taken within a turn and its median over the turns is reported.
"""

import functools
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from torch import Tensor

from feature_collapse.model import products
from feature_collapse.model.data import generate
from feature_collapse.model.experiment import Experiment
from feature_collapse.model.networks import Network
from feature_collapse.model.textbook import TextbookNetwork, textbook_optimiser, textbook_step
from feature_collapse.model.training import make_step
from feature_collapse.show.style import COLOURS, WIDTH, legend_below
from feature_collapse.workflow import artifacts, tables
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.progress import track
from feature_collapse.workflow.resources import makespan

CLASSES = (250, 500, 1000, 2000)
TURNS = 9
LABELS = {
    "ours": "this artifact",
    "textbook": "textbook loop",
    "products": "three products, as here",
    "torch_products": "three products, as in the textbook",
}
CONTENDERS = ("ours", "textbook", "products", "torch_products")


def three_products(e: Experiment, by_torch: bool = False) -> Callable[[Tensor, Tensor], None]:
    """The three matrix products of a step and nothing else, as `training` has them, or by `torch.mm` in their fastest
    layout: the difference is the library's."""
    stream = torch.Generator().manual_seed(0)
    X = torch.randn(e.batch_size, e.L * e.d, generator=stream)
    U_T = torch.randn(e.L * e.d, e.K, generator=stream)
    G = torch.randn(e.batch_size, e.K, generator=stream) / e.batch_size

    U_blocks, G_blocks = ([block.contiguous() for block in products.parts(x, 1)] for x in (U_T, G))

    def step(sentences: Tensor, labels: Tensor) -> None:
        products.scores(X, U_blocks)
        products.gradient_to_features(G_blocks, U_blocks)
        products.descend(U_blocks, X, G_blocks, lr=1, decay=1)

    def torch_step(sentences: Tensor, labels: Tensor) -> None:
        torch.mm(X, U_T)
        torch.mm(G, U_T.T)
        U_T.addmm_(X.T, G, beta=1, alpha=-1)

    return torch_step if by_torch else step


def batches(e: Experiment) -> Iterator[tuple[Tensor, Tensor]]:
    """Batches of the experiment's training sentences, over and over."""
    data = generate(e, seed=0)
    order = torch.randperm(e.N, generator=torch.Generator().manual_seed(0))
    while True:
        for chosen in order.split(e.batch_size):
            yield data["train_sentences"][chosen].long(), data["train_labels"][chosen].long()


def best_rate(size: int = 2000) -> float:
    """GFLOP/s of a large matrix product, the best of a few."""
    A = torch.ones(size, size)
    return 2 * size**3 / min(_seconds(lambda: products.product(A, A)) for _ in range(6)) / 1e9


def whole(config: Config, turns: int = 5, quiet: bool = False) -> pd.DataFrame:
    """Each run of the paper on two cores: by the textbook loop on two threads, one run after the other; and as the
    workflow does it, two runs at a time with one thread each. One row a run, with seconds for all its steps; runs of
    the same kind are measured once.

    Two runs at a time share the cores' caches, so that a step is measured while another process takes the same.
    """
    rows, measured = [], {}
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        for run in track(list(config.runs().values()), "runs on two cores", "run", quiet):
            e = run.experiment
            kind = e.normalisation, e.K
            if kind not in measured:
                torch.set_num_threads(2)
                textbook, stream = TextbookNetwork(Network(e, seed=0), e), batches(e)
                optimiser = textbook_optimiser(textbook, e)
                block = [next(stream) for _ in range(max(20, 40_000 // e.K))]
                times = []
                for turn in range(turns + 1):  # the first is to warm up
                    begun = time.perf_counter()
                    for sentences, labels in block:
                        textbook_step(textbook, optimiser, sentences, labels)
                    alone = (time.perf_counter() - begun) / len(block)
                    together = list(pool.map(_seconds_a_step, [e, e], [len(block)] * 2))
                    times += [(alone, sum(together) / 2)] if turn else []
                measured[kind] = pd.DataFrame(times, columns=["textbook", "ours"]).median()
            rows.append({"run": run.name, **(e.steps * measured[kind]).to_dict()})
    return pd.DataFrame(rows)


def _seconds_a_step(e: Experiment, steps: int) -> float:
    """Seconds a step of ours takes on one thread, in this process."""
    torch.set_num_threads(1)
    step, stream = make_step(Network(e, seed=0), e), batches(e)
    block = [next(stream) for _ in range(steps)]
    step(*block[0])
    begun = time.perf_counter()
    for sentences, labels in block:
        step(sentences, labels)
    return (time.perf_counter() - begun) / steps


def measure(e: Experiment, threads: int, turns: int = TURNS) -> pd.DataFrame:
    """Milliseconds a step of each contender, one row a turn."""
    torch.set_num_threads(threads)
    network = Network(e, seed=0)
    textbook = TextbookNetwork(network, e)
    steps = {
        "ours": make_step(network, e),
        "textbook": functools.partial(textbook_step, textbook, textbook_optimiser(textbook, e)),
        "products": three_products(e),
        "torch_products": three_products(e, by_torch=True),
    }
    stream = batches(e)
    block = [next(stream) for _ in range(max(4, 12_000 // e.K))]

    def run(name: str) -> None:
        for sentences, labels in block:
            steps[name](sentences, labels)

    for name in CONTENDERS:  # warm up
        run(name)
    return pd.DataFrame(
        [{name: 1000 * _seconds(lambda name=name: run(name)) / len(block) for name in CONTENDERS} for _ in range(turns)]
    )


def table(config: Config, threads: tuple[int, ...] = (1, 2), turns: int = TURNS, quiet: bool = False) -> pd.DataFrame:
    """One row for each network, number of threads and K: medians and spread over the turns."""
    rows, best = [], {}
    cases = list(product(threads, ("fig4b", "fig4c"), CLASSES))
    for count, experiment, K in track(cases, "training steps", "case", quiet):
        if count not in best:
            torch.set_num_threads(count)
            best[count] = best_rate()
        e = config.run(f"{experiment}+K={K}/seed0").experiment
        times = measure(e, count, turns)
        row = {"network": e.normalisation, "threads": count, "K": K}
        for name in CONTENDERS:
            low, middle, high = times[name].quantile([0.25, 0.5, 0.75])
            row |= {f"{name}_ms": middle, f"{name}_ms_low": low, f"{name}_ms_high": high}
        gflop = 6 * e.batch_size * e.L * e.d * K / 1e9
        row["textbook_over_ours"] = (times["textbook"] / times["ours"]).median()
        row["ours_over_products"] = (times["ours"] / times["products"]).median()
        row["ours_over_torch_products"] = (times["ours"] / times["torch_products"]).median()
        row["gflop_per_s"] = gflop / times["ours"].median() * 1000
        row["of_best_rate"] = row["gflop_per_s"] / best[count]
        rows.append(row)
    rows = pd.DataFrame(rows)
    # Cost for each class, relative to K = 1000 of the same network and threads: 1 everywhere if cost is linear in K.
    per_class = rows["ours_ms"] / rows["K"]
    reference = per_class.where(rows["K"] == 1000).groupby([rows["network"], rows["threads"]]).transform("max")
    return rows.assign(cost_per_class=per_class / reference)


def off_line(rows: pd.DataFrame) -> float:
    """How far, relatively, a step is at most from a cost of a constant part and one linear in K, fitted to each network
    and number of threads."""
    worst = 0.0
    for _, part in rows.groupby(["network", "threads"]):
        cost, K = part["ours_ms"].to_numpy(), part["K"].to_numpy()
        line = np.polyval(np.polyfit(K, cost, 1, w=1 / cost), K)
        worst = max(worst, float(np.abs(line / cost - 1).max()))
    return worst


def markdown(rows: pd.DataFrame, runs: pd.DataFrame) -> str:
    """The tables for reading: `table` and `whole`."""
    shown = pd.DataFrame(
        {
            "network": rows["network"].map({"none": "h", "layernorm": "h*"}),
            "threads": rows["threads"],
            "K": rows["K"],
            **{
                f"{name.replace('_', ' ')} (ms)": [
                    f"{m:.2f} ({low:.2f} to {high:.2f})"
                    for m, low, high in rows[[f"{name}_ms", f"{name}_ms_low", f"{name}_ms_high"]].itertuples(
                        index=False
                    )
                ]
                for name in CONTENDERS
            },
            "textbook / ours": rows["textbook_over_ours"].map("{:.2f}".format),
            "ours / products": rows["ours_over_products"].map("{:.2f}".format),
            "ours / torch products": rows["ours_over_torch_products"].map("{:.2f}".format),
            "GFLOP/s": rows["gflop_per_s"].map("{:.0f}".format),
            "of best rate": rows["of_best_rate"].map("{:.0%}".format),
            "cost per class": rows["cost_per_class"].map("{:.2f}".format),
        }
    )
    note = (
        "Milliseconds a training step: median over turns, and quartiles. `products` are the three matrix products of "
        "a step alone, `torch products` the same by `torch.mm`, as in the textbook loop; the best rate is that of a "
        "product of two 2000 x 2000 matrices; the cost per class is relative to K = 1000."
    )
    beside = (rows["ours_ms"] - rows["products_ms"])[rows["K"] == 1000]
    stops = (
        f"Beside its products a step takes {beside.min():.1f} to {beside.max():.1f} ms at K = 1000: looking up and "
        "normalising the words and their gradient, the softmax, the step on W, and products whose operands other work "
        "has pushed out of the cache. These do not shrink when products become faster, so that they weigh most where K "
        "is small or threads are two. A constant part and one linear in K describe the cost of a step to "
        f"{off_line(rows):.0%}."
    )
    here, textbook = makespan(runs["ours"], 2), runs["textbook"].sum()
    total = (
        f"All runs of the paper on two cores: {here / 60:.1f} min here, two runs at a time with one thread each; "
        f"{textbook / 60:.1f} min by the textbook loop on two threads. That is {here / textbook:.0%}."
    )
    minutes = runs.assign(textbook=runs["textbook"] / 60, ours=runs["ours"] / 60)
    parts = [
        "# The cost of a training step",
        note,
        shown.to_markdown(index=False, disable_numparse=True),
        stops,
        total,
        minutes.to_markdown(index=False, floatfmt=".1f", headers=["run", "textbook (min)", "ours (min)"]),
    ]
    return "\n\n".join(parts) + "\n"


def figure(rows: pd.DataFrame) -> Figure:
    """Milliseconds a step over K, for both networks and numbers of threads."""
    picture = Figure(figsize=(WIDTH, 3.3), layout="constrained")
    groups = list(rows.groupby(["network", "threads"], sort=False))
    panels = picture.subplots(1, len(groups), sharey=True, squeeze=False)[0]
    styles = {
        "textbook": (COLOURS[1], "o", "-"),
        "torch_products": (COLOURS[1], "v", ":"),
        "ours": (COLOURS[0], "s", "-"),
        "products": (COLOURS[0], "^", ":"),
    }
    for axes, ((network, threads), part) in zip(panels, groups, strict=True):
        for name, (colour, marker, line) in styles.items():
            middle = part[f"{name}_ms"]
            spread = [middle - part[f"{name}_ms_low"], part[f"{name}_ms_high"] - middle]
            label = LABELS[name]
            axes.errorbar(part["K"], middle, spread, color=colour, marker=marker, ls=line, ms=4, label=label)
        axes.set(
            title=f"{'$h$' if network == 'none' else '$h^*$'}, {threads} thread{'s' * (threads > 1)}",
            xlabel="classes $K$",
        )
        axes.set_ylim(bottom=0)
    panels[0].set_ylabel("milliseconds a training step")
    legend_below(picture, panels[0], columns=2)
    return picture


def make(config: Config, quiet: bool = False) -> None:
    """Measure, and write `results/benchmark.csv`, `results/benchmark.md` and `figures/benchmark.pdf` and `.png`."""
    rows = table(config, quiet=quiet)
    tables.write_table(Path("results/benchmark"), rows, markdown(rows, whole(config, quiet=quiet)))
    artifacts.write_figure(Path("figures/benchmark"), figure(rows))


def _seconds(call: Callable[[], object]) -> float:
    begun = time.perf_counter()
    call()
    return time.perf_counter() - begun


if __name__ == "__main__":
    make(Config())
