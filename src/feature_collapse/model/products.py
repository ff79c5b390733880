"""The three matrix products of a training step, by the fastest exact library at hand.

On a CPU in float32 this is oneDNN, which compiles its kernels for the processor it runs on; `torch.mm` asks MKL, which
on some processors leaves half of their vector units idle. The two differ by rounding only. Both give the same bytes for
every number of threads. Elsewhere (float64, GPUs, builds of torch without oneDNN) `torch.mm` is used.

Shapes: X (B, F) the features of a batch, G (B, K) the gradient of the loss to its scores, U_T (F, K) the classifier.
The operators called here are those that torch's own compiler emits for a linear layer, and for a convolution added to
what is there, on CPUs.
"""

import torch
from torch import Tensor

ONEDNN = torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _onednn(U_T: Tensor) -> bool:
    return ONEDNN and U_T.device.type == "cpu" and U_T.dtype == torch.float32


def scores(X: Tensor, U_T: Tensor) -> Tensor:
    """`X U^T`, (B, K)."""
    if _onednn(U_T):
        return torch.ops.mkldnn._linear_pointwise(X, U_T.T, None, "none", [], "")
    return torch.mm(X, U_T)


def gradient_to_features(G: Tensor, U_T: Tensor) -> Tensor:
    """`G U`, (B, F)."""
    if _onednn(U_T):
        return torch.ops.mkldnn._linear_pointwise(G, U_T, None, "none", [], "")
    return torch.mm(G, U_T.T)


def descend(U_T: Tensor, X: Tensor, G: Tensor, lr: float, decay: float) -> None:
    """`U_T <- decay U_T - lr X^T G` in place: no gradient of U is ever stored. G is used up."""
    if not _onednn(U_T):
        U_T.addmm_(X.T, G, beta=decay, alpha=-lr)
        return
    # oneDNN adds a product to what is there only for convolutions. A product is one of width 1: the F rows of U_T are
    # pixels of K channels, made from B channels of X^T.
    (B, F), K = X.shape, U_T.shape[1]
    pixels = X.T.contiguous().view(1, F, 1, B).permute(0, 3, 1, 2)  # (1, B, F, 1)
    kernel = G.mul_(-lr).T.view(K, B, 1, 1)
    there = U_T.mul_(decay).view(1, F, 1, K).permute(0, 3, 1, 2)  # (1, K, F, 1), the memory of U_T
    torch.ops.mkldnn._convolution_pointwise_.binary(
        there, pixels, kernel, None, [0, 0], [1, 1], [1, 1], 1, "add", 1.0, None, [], None
    )
