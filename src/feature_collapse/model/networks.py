"""The networks: embed, normalise each word, concatenate, classify. `h` and `h*` are the paper's (§2.1, §2.3); the
others answer what its readers asked: other normalisations, and layers between words and classifier."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from feature_collapse.model.data import generator
from feature_collapse.model.experiment import Experiment

EPSILON = 1e-5  # PyTorch's default in LayerNorm, for all alike


class L2(nn.Module):
    """w / ||w||."""

    def forward(self, w: Tensor) -> Tensor:
        return F.normalize(w, dim=-1)


class BatchNorm(nn.BatchNorm1d):
    """Each of the d coordinates to mean 0 and variance 1 over all words of a batch of sentences; over running averages
    when the network is evaluated."""

    def forward(self, w: Tensor) -> Tensor:
        return super().forward(w.reshape(-1, w.shape[-1])).view_as(w)


class FixedNorm(nn.Identity):
    """Nothing in the network: the table of words itself is kept at norm sqrt(d), see `Network.constrain`."""


# phi, from (..., d) to (..., d), for each `normalisation` of the configuration.
NORMALISATIONS = {
    "none": lambda d: nn.Identity(),
    "layernorm": lambda d: nn.LayerNorm(d, EPSILON, elementwise_affine=False),
    "layernorm_affine": lambda d: nn.LayerNorm(d, EPSILON),  # with trainable scale and shift
    "rmsnorm": lambda d: nn.RMSNorm(d, EPSILON, elementwise_affine=False),
    "l2": lambda d: L2(),
    "batchnorm": lambda d: BatchNorm(d, EPSILON, affine=False),
    "fixed_norm": lambda d: FixedNorm(),
}


# Those whose sums torch takes in the same order on any number of threads; what else there is upstream of the classifier
# is computed on one, see `training`.
ANY_THREADS = ("none", "layernorm")


class Attention(nn.Module):
    """Self-attention of one head over the positions of a sentence, added to what comes in. It knows no positions: the
    classifier does."""

    def __init__(self, d: int):
        super().__init__()
        self.to_qkv = nn.Linear(d, 3 * d, bias=False)
        self.out = nn.Linear(d, d, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.to_qkv(x).chunk(3, dim=-1)  # each (B, L, d)
        share = (q @ k.mT / math.sqrt(x.shape[-1])).softmax(-1)  # (B, L, L)
        return x + self.out(share @ v)


class FeedForward(nn.Module):
    """Two linear layers with a ReLU between them on each position, added to what comes in."""

    def __init__(self, d: int):
        super().__init__()
        self.up = nn.Linear(d, 2 * d, bias=False)
        self.down = nn.Linear(2 * d, d, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(self.up(x).relu())


def _hidden(d: int) -> nn.Module:
    return nn.Sequential(nn.Linear(d, d, bias=False), nn.ReLU())


# Layers between words and classifier, each from (B, L, d) to (B, L, d), for each `architecture` of the configuration.
# All keep one vector a position, so that collapse can be measured behind each. No biases, as in the paper's networks;
# no normalisation inside, so that the one of the words is the only one.
ARCHITECTURES = {
    "linear": lambda d: [],
    "mlp1": lambda d: [_hidden(d)],
    "mlp2": lambda d: [_hidden(d), _hidden(d)],
    "transformer": lambda d: [Attention(d), FeedForward(d)],
}


class Network(nn.Module):
    """`h(x) = U [phi(w_{x_1}); ...; phi(w_{x_L})]`; with `phi` = LayerNorm it is `h*`. An `architecture` other than
    linear has layers between phi and U.

    The word embeddings `W` are held as rows, (n_w, d). The classifier is held transposed, `U_T` (L d, K): in this
    layout all products of a training step are fast (see `training`).
    """

    def __init__(self, experiment: Experiment, seed: int):
        """PyTorch's default initial weights of `Embedding` (standard normal) and `Linear` (uniform in
        +-1/sqrt(inputs)), times `init_scale` (§2.1)."""
        super().__init__()
        e = experiment
        self.L, self.d, self.K = e.L, e.d, e.K
        self.any_threads = e.normalisation in ANY_THREADS and e.architecture == "linear"
        self.phi = NORMALISATIONS[e.normalisation](e.d)
        self.layers = nn.ModuleList(ARCHITECTURES[e.architecture](e.d))
        W = torch.randn(e.n_w, e.d, generator=generator(seed, "initial words"))
        self.W = nn.Parameter(W * e.init_scale)
        self.U_T = nn.Parameter(_uniform(e.K, e.L * e.d, e.init_scale, seed, "initial classifier").T.contiguous())
        for name, p in self.layers.named_parameters():
            p.data = _uniform(*p.shape, e.init_scale, seed, f"initial {name}")
        self.constrain()

    def features(self, sentences: Tensor) -> Tensor:
        """What the classifier sees of sentences (B, L): (B, L d)."""
        x = self.phi(F.embedding(sentences, self.W))
        for layer in self.layers:
            x = layer(x)
        return x.flatten(1)

    def forward(self, sentences: Tensor) -> Tensor:
        """Scores (B, K) of sentences (B, L)."""
        return self.features(sentences) @ self.U_T

    @torch.no_grad()
    def constrain(self) -> None:
        """What holds after each step: the words of a fixed-norm table have norm sqrt(d)."""
        if isinstance(self.phi, FixedNorm):
            self.W.mul_(self.d**0.5 / self.W.norm(dim=1, keepdim=True))

    @torch.no_grad()
    def words(self) -> Tensor:
        """phi of every word embedding, (n_w, d), as when the network is evaluated."""
        training = self.training
        words = self.eval().phi(self.W.detach())
        self.train(training)
        return words

    @torch.no_grad()
    def activations(self, sentences: Tensor) -> list[Tensor]:
        """What comes out of each layer between words and classifier for sentences (B, L): (B, L, d) each."""
        x, out = self.phi(F.embedding(sentences, self.W)), []
        for layer in self.layers:
            x = layer(x)
            out.append(x)
        return out

    def u(self) -> Tensor:
        """The vectors u_{k,l} of the classifier, (K, L, d)."""
        return self.U_T.T.reshape(self.K, self.L, self.d)

    def weights(self) -> dict[str, Tensor]:
        """All that was learned, on the CPU: `W` (n_w, d), `U` (K, L d) and, where there are any, the weights of the
        layers and what phi has learned, under torch's names."""
        state = {name: tensor.detach().cpu() for name, tensor in self.state_dict().items()}
        return {"W": state.pop("W"), "U": state.pop("U_T").T.contiguous(), **state}

    def load(self, weights: dict[str, Tensor]) -> "Network":
        """Take up what `weights` gave. Returns the network."""
        rest = {name: tensor for name, tensor in weights.items() if name != "U"}
        self.load_state_dict({**rest, "U_T": weights["U"].T})
        return self


def _uniform(rows: int, inputs: int, scale: float, seed: int, purpose: str) -> Tensor:
    """(rows, inputs) of a linear layer, uniform in +-scale/sqrt(inputs)."""
    draw = torch.rand(rows, inputs, generator=generator(seed, purpose)) * 2 - 1
    return draw * (scale / inputs**0.5)
