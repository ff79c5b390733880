"""Matrix products and sums in float32 whose every rounding is defined, so that they have the same bits on every x86-64
processor with AVX2 and FMA, on any number of threads.

Every sum is cut into the fewest equal parts of at most 500 terms, which are added in order. A part of a product, the
sum over k of A[i, k] B[k, j], is summed from zero in the order of k, one fused multiply-add a term. A part of a sum of
numbers is taken as `torch.sum` does, on 32 accumulators. `docs/arithmetic.md` has the whole definition,
`tests/reference.py` is it in plain numpy.

On a CPU this is what oneDNN's compiled kernels do with so few terms (longer sums it cuts as suits the processor; MKL,
behind `torch.mm`, sums in an order of its own). Elsewhere (float64, GPUs, builds of torch without oneDNN) `torch.mm` is
used, and the same up to rounding. The operators called are those that torch's own compiler emits on CPUs for a linear
layer, and for a convolution added to what is there.

The classifier is held in blocks of classes, U_T = [(F, K_1), (F, K_2), ...], contiguous each, since oneDNN is slow on
pieces cut out of a matrix. X (B, F) are the features of a batch, G = [(B, K_1), ...] the gradient of the loss to its
scores.
"""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
TERMS = 500  # of a sum without a cut; oneDNN has been found to cut sums of 750


def parts(x: Tensor, dim: int) -> tuple[Tensor, ...]:
    """x cut along `dim` into the fewest parts of at most 500, whose lengths differ by one at most."""
    return x.tensor_split(-(-x.shape[dim] // TERMS), dim) if x.shape[dim] > TERMS else (x,)


def product(A: Tensor, B: Tensor) -> Tensor:
    """`A B`, (..., M, N), of A (..., M, k) and B (..., k, N)."""
    if A.dim() > 2:
        return torch.stack([product(a, b) for a, b in zip(A, B, strict=True)])
    return _sum_of_products(parts(A, 1), parts(B, 0))


def sums(x: Tensor) -> Tensor:
    """The sum of each row of x (M, k): (M, 1)."""
    return _add_up(part.sum(1, keepdim=True) for part in parts(x.contiguous(), 1))


def scores(X: Tensor, U_T: Sequence[Tensor]) -> list[Tensor]:
    """`X U^T`, block by block."""
    X_parts = [part.contiguous() for part in parts(X, 1)]
    return [_sum_of_products(X_parts, parts(u, 0)) for u in U_T]


def gradient_to_features(G: Sequence[Tensor], U_T: Sequence[Tensor]) -> Tensor:
    """`G U`, (B, F)."""
    return _sum_of_products(G, [u.T for u in U_T])


def descend(U_T: Sequence[Tensor], X: Tensor, G: Sequence[Tensor], lr: float, decay: float) -> None:
    """`U_T <- decay U_T + X^T (-lr G)` in place: no gradient of U is ever stored. G is used up."""
    X_parts = [part.T.contiguous() for part in parts(X, 0)]
    for u, g in zip(U_T, G, strict=True):
        u.mul_(decay)
        g.mul_(-lr)
        for x, part in zip(X_parts, parts(g, 0), strict=True):
            _add_product(u, x, part)


def _onednn(x: Tensor) -> bool:
    return ONEDNN and x.device.type == "cpu" and x.dtype == torch.float32


def _sum_of_products(A: Sequence[Tensor], B: Sequence[Tensor]) -> Tensor:
    """`A_1 B_1 + A_2 B_2 + ...` of pieces with at most 500 terms a sum."""
    return _add_up(_uncut_product(a, b) for a, b in zip(A, B, strict=True))


def _add_up(terms: Iterable[Tensor]) -> Tensor:
    first, *others = terms
    for other in others:
        first += other
    return first


def _uncut_product(A: Tensor, B: Tensor) -> Tensor:
    if not _onednn(A):
        return torch.mm(A, B)
    # A single column, and in one layout a single row, is what other kernels are for, which sum in another order.
    if B.shape[1] == 1:
        return _uncut_product(A, B.expand(-1, 2))[:, :1]
    if len(A) == 1:
        return _uncut_product(A.expand(2, -1), B)[:1]
    rows = B.T if B.is_contiguous() or B.T.is_contiguous() else B.contiguous().T
    return torch.ops.mkldnn._linear_pointwise(A, rows, None, "none", [], "")


def _add_product(there: Tensor, A: Tensor, B: Tensor) -> None:
    """`there <- there + A B` in place, for contiguous matrices."""
    if not _onednn(there):
        there.addmm_(A, B)
        return
    # oneDNN adds a product to what is there only for convolutions. A product is one of width 1: the F rows of A are
    # pixels, its columns the channels that come in, those of B the channels that go out.
    (F, terms), K = A.shape, B.shape[1]
    pixels = A.view(1, F, 1, terms).permute(0, 3, 1, 2)
    kernel = B.T.view(K, terms, 1, 1)
    out = there.view(1, F, 1, K).permute(0, 3, 1, 2)  # (1, K, F, 1), the memory of `there`
    torch.ops.mkldnn._convolution_pointwise_.binary(
        out, pixels, kernel, None, [0, 0], [1, 1], [1, 1], 1, "add", 1.0, None, [], None
    )
