"""The functions of a network beside its products, each with its gradient, from products and sums of a defined order and
from elementwise steps that round once: `docs/arithmetic.md`.

Rows are vectors: x is (n, d), and the gradient g of what comes out has its shape.
"""

import functools
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from feature_collapse.model.products import product, sums

LOG2_E = math.log2(math.e)
WHOLE_VECTORS = 64  # elements: a multiple of those that any processor's exponential takes at once
TINY = 1e-24  # of a squared norm: what is shorter than 1e-12 is not made longer than that


@contextmanager
def one_thread() -> Iterator[None]:
    """For what would otherwise depend on the number of threads. Costs less than a microsecond."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def exp_(x: Tensor) -> Tensor:
    """`e^x = 2^(x log2 e)` in place, for x (64 n,) contiguous.

    `torch.exp` is MKL's, which takes other paths on other makers' processors; `torch.exp2` is the same on all as long
    as there is no remainder that fills no vector."""
    with one_thread():
        return x.mul_(LOG2_E).exp2_()


class Product(torch.autograd.Function):
    """`A B`, as `products.product`."""

    @staticmethod
    def forward(ctx: Any, A: Tensor, B: Tensor) -> Tensor:
        ctx.save_for_backward(A, B)
        return product(A, B)

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor]:
        A, B = ctx.saved_tensors
        return product(g, B.mT), product(A.mT, g)


class Normalise(torch.autograd.Function):
    """`y = r x` of each row x, with `r = 1 / sqrt(sum x^2 / n + eps)`; before that, if asked for, x less its mean."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, centred: bool, n: int, eps: float) -> Tensor:
        if centred:
            x = x - sums(x) / x.shape[1]
        r = (sums(x * x) / n + eps).clamp_min_(TINY).rsqrt_()
        y = x * r
        ctx.save_for_backward(y, r)
        ctx.centred, ctx.n = centred, n
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, None, None, None]:
        y, r = ctx.saved_tensors
        t = g * y
        mean = sums(t) / ctx.n
        torch.mul(y, mean, out=t)
        torch.sub(g, t, out=t)
        t *= r
        if ctx.centred:
            t -= sums(t) / t.shape[1]
        return t, None, None, None


class Affine(torch.autograd.Function):
    """`x weight + bias` for every row, weight and bias (d,)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        ctx.save_for_backward(x, weight)
        return x * weight + bias

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensors
        return g * weight, sums((g * x).T)[:, 0], sums(g.T)[:, 0]


class Softmax(torch.autograd.Function):
    """`e^(x - max x) / sum` of each row."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        e = x.new_zeros(_whole_vectors(x.numel()))
        y = e[: x.numel()].view_as(x)
        torch.sub(x, x.amax(1, keepdim=True), out=y)
        exp_(e)
        y /= sums(y)
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        return (g - sums(g * y)) * y


class CrossEntropy:
    """Softmax and cross-entropy of the scores of a batch in blocks of classes, S = [(B, K_1), (B, K_2), ...]. Memory
    for the largest batch is taken once."""

    def __init__(self, U_T: Sequence[Tensor], batch_size: int):
        self.widths = [u.shape[1] for u in U_T]
        self.K = sum(self.widths)
        self.memory = U_T[0].new_zeros(_whole_vectors(batch_size * self.K))
        # of each class: the width of its block, and the first class of it
        widths = torch.tensor(self.widths)
        self.width = widths.repeat_interleave(widths).to(self.memory.device)
        self.first = (widths.cumsum(0) - widths).repeat_interleave(widths).to(self.memory.device)
        self.row = torch.arange(batch_size, device=self.memory.device)

    @torch.no_grad()
    def __call__(self, S: Sequence[Tensor], labels: Tensor) -> tuple[list[float], list[Tensor]]:
        """The loss of each sentence of classes labels (B,), and the gradient of their mean to S, in memory that the
        next call uses again."""
        B, top = len(labels), functools.reduce(torch.maximum, [s.amax(1, keepdim=True) for s in S])
        memory = self.memory[: _whole_vectors(B * self.K)]
        G, end = [], 0
        for s in S:
            begin, end = end, end + s.numel()
            G.append(torch.sub(s, top, out=memory[begin:end].view_as(s)))
        # the rows of a block lie one after the other, behind those of the blocks before it
        first = self.first[labels]
        at = first * (B - 1) + self.width[labels] * self.row[:B] + labels
        below_top = memory[at].tolist()
        exp_(memory)
        Z = functools.reduce(torch.add, [sums(g) for g in G])
        for g in G:
            g /= Z * B
        memory.index_add_(0, at, memory.new_full((B,), -1 / B))
        return [math.log(z) - s for z, s in zip(Z[:, 0].tolist(), below_top, strict=True)], G


def _whole_vectors(elements: int) -> int:
    return -(-elements // WHOLE_VECTORS) * WHOLE_VECTORS
