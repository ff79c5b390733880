"""The networks `h` and `h*` (§2.1 and §2.3 of the paper): embed, normalise each word, concatenate, classify."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from feature_collapse.config import Experiment
from feature_collapse.data import generator

# phi, from (..., d) to (..., d). LayerNorm as PyTorch has it by default (eps = 1e-5), without trainable parameters.
NORMALISATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda w: w,
    "layernorm": lambda w: F.layer_norm(w, w.shape[-1:]),
}


class Network(nn.Module):
    """`h(x) = U [phi(w_{x_1}); ...; phi(w_{x_L})]`; with `phi` = LayerNorm it is `h*`.

    The word embeddings `W` are held as rows, (n_w, d). The classifier is held transposed, `U_T` (L d, K): in this
    layout all products of a training step are fast (see `training`).
    """

    def __init__(self, experiment: Experiment, seed: int):
        """PyTorch's default initial weights of `Embedding` (standard normal) and `Linear` (uniform in
        +-1/sqrt(L d)), times `init_scale` (§2.1)."""
        super().__init__()
        e = experiment
        self.L, self.d, self.K = e.L, e.d, e.K
        self.phi = NORMALISATIONS[e.normalisation]
        W = torch.randn(e.n_w, e.d, generator=generator(seed, "initial words"))
        U = torch.rand(e.K, e.L * e.d, generator=generator(seed, "initial classifier")) * 2 - 1
        self.W = nn.Parameter(W * e.init_scale)
        self.U_T = nn.Parameter((U * (e.init_scale / (e.L * e.d) ** 0.5)).T.contiguous())

    def features(self, sentences: Tensor) -> Tensor:
        """What the classifier sees of sentences (B, L): (B, L d)."""
        return self.phi(F.embedding(sentences, self.W)).flatten(1)

    def forward(self, sentences: Tensor) -> Tensor:
        """Scores (B, K) of sentences (B, L)."""
        return self.features(sentences) @ self.U_T

    def words(self) -> Tensor:
        """phi of every word embedding, (n_w, d)."""
        return self.phi(self.W)

    def u(self) -> Tensor:
        """The vectors u_{k,l} of the classifier, (K, L, d)."""
        return self.U_T.T.reshape(self.K, self.L, self.d)
