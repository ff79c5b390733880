"""Eigenvectors, projections and norms in float64 by steps of a fixed order: LAPACK, BLAS and even the square roots of
torch differ in the last digits from one processor to another.

What is used here is the same on all: elementwise steps, the sums of torch over one dimension on one thread, and the
square root of numpy."""

import numpy as np
import torch
from torch import Tensor


def root(x: Tensor) -> Tensor:
    """The square root, rounded correctly."""
    return torch.from_numpy(np.asarray(np.sqrt(x.numpy())))


def norms(x: Tensor) -> Tensor:
    """The norm of each row of x (n, d): (n,)."""
    return root(x.square().sum(1))


def cosines(x: Tensor, y: Tensor) -> Tensor:
    """The cosine of each row of x (n, d) with that of y: (n,)."""
    return (x * y).sum(1) / (norms(x) * norms(y))


def along(x: Tensor, axes: Tensor) -> Tensor:
    """`x axes`: coordinates (n, m) of x (n, d) along the columns of axes (d, m)."""
    return torch.stack([(x * axis).sum(1) for axis in axes.T.contiguous()], 1)


def eigen(A: Tensor) -> tuple[Tensor, Tensor]:
    """Eigenvalues (n,) of a symmetric A (n, n) in falling order, and its eigenvectors, columns of (n, n).

    By Jacobi's rotations, n/2 of them at once, paired as in a round robin (Brent, Luk, 1985,
    https://doi.org/10.1137/0906007)."""
    size = len(A)
    n = size + size % 2  # one of an odd number of players rests
    a, vectors = np.zeros((n, n)), np.eye(n)
    a[:size, :size] = A.numpy()
    players = np.arange(n)
    while np.abs(a - np.diag(a.diagonal())).max() > 1e-15 * np.abs(a).max():
        for _ in range(n - 1):
            p, q = players[: n // 2], players[n // 2 :][::-1]
            apart, coupled = a[q, q] - a[p, p], 2 * a[p, q]
            with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
                ratio = apart / coupled
                tangent = np.where(ratio < 0, -1.0, 1.0) / (np.abs(ratio) + np.sqrt(ratio * ratio + 1))
            tangent[coupled == 0] = 0
            cosine = 1 / np.sqrt(tangent * tangent + 1)
            sine = tangent * cosine
            for columns in (a, a.T, vectors):  # the second turns the rows of a
                first, second = columns[:, p], columns[:, q]
                columns[:, p], columns[:, q] = first * cosine - second * sine, first * sine + second * cosine
            a[p, q] = a[q, p] = 0
            players[1:] = np.roll(players[1:], 1)
    order = np.argsort(-a.diagonal()[:size], kind="stable")
    return torch.from_numpy(a.diagonal()[order]), torch.from_numpy(vectors[:size, order])
