"""The networks: embed, normalise each word, concatenate, classify. `h` and `h*` are the paper's (§2.1, §2.3); the
others answer what its readers asked: other normalisations, and layers between words and classifier."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from feature_collapse.model.data import generator
from feature_collapse.model.experiment import Experiment
from feature_collapse.model.functions import Affine, Normalise, Product, Softmax
from feature_collapse.model.products import parts, sums


class Linear(nn.Module):
    """`x weight^T`, on the last dimension of x."""

    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(outputs, inputs))

    def forward(self, x: Tensor) -> Tensor:
        return Product.apply(x.reshape(-1, x.shape[-1]), self.weight.T).view(*x.shape[:-1], -1)


class LayerNorm(nn.Module):
    """Each vector to mean 0 and variance 1; `affine` with trainable scale and shift of each coordinate."""

    def __init__(self, d: int, eps: float, affine: bool = False):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(d)) if affine else None
        self.bias = nn.Parameter(torch.zeros(d)) if affine else None

    def forward(self, w: Tensor) -> Tensor:
        y = Normalise.apply(w, True, w.shape[1], self.eps)
        return y if self.weight is None else Affine.apply(y, self.weight, self.bias)


class RMSNorm(nn.Module):
    """Each vector to mean square 1."""

    def __init__(self, d: int, eps: float):
        super().__init__()
        self.eps = eps

    def forward(self, w: Tensor) -> Tensor:
        return Normalise.apply(w, False, w.shape[1], self.eps)


class L2(nn.Module):
    """w / ||w||."""

    def forward(self, w: Tensor) -> Tensor:
        return Normalise.apply(w, False, 1, 0.0)


class BatchNorm(nn.Module):
    """Each of the d coordinates to mean 0 and variance 1 over all words of a batch of sentences; over running averages
    (of momentum 0.1) when the network is evaluated."""

    def __init__(self, d: int, eps: float):
        super().__init__()
        self.eps = eps
        self.register_buffer("running_mean", torch.zeros(d))
        self.register_buffer("running_var", torch.ones(d))

    def forward(self, w: Tensor) -> Tensor:
        if not self.training:
            return (w - self.running_mean) * (self.running_var + self.eps).rsqrt()
        with torch.no_grad():
            mean = sums(w.T) / len(w)
            variance = sums((w.T - mean).square()) / (len(w) - 1)
            for running, new in ((self.running_mean, mean), (self.running_var, variance)):
                running.mul_(0.9).add_(new[:, 0] * 0.1)
        return Normalise.apply(w.T, True, len(w), self.eps).T


class FixedNorm(nn.Identity):
    """Nothing in the network: the table of words itself is kept at norm sqrt(d), see `Network.constrain`."""


# phi, from (n, d) to (n, d), for each `normalisation` of the configuration, given d and eps.
NORMALISATIONS: dict[str, Callable[[int, float], nn.Module]] = {
    "none": lambda d, eps: nn.Identity(),
    "layernorm": LayerNorm,
    "layernorm_affine": lambda d, eps: LayerNorm(d, eps, affine=True),
    "rmsnorm": RMSNorm,
    "l2": lambda d, eps: L2(),
    "batchnorm": BatchNorm,
    "fixed_norm": lambda d, eps: FixedNorm(),
}


class Attention(nn.Module):
    """Self-attention of one head over the positions of a sentence, added to what comes in. It knows no positions: the
    classifier does."""

    def __init__(self, d: int):
        super().__init__()
        self.to_qkv, self.out = Linear(d, 3 * d), Linear(d, d)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.to_qkv(x).chunk(3, dim=-1)  # each (B, L, d)
        closeness = Product.apply(q, k.mT) / math.sqrt(x.shape[-1])  # (B, L, L)
        share = Softmax.apply(closeness.flatten(0, 1)).view_as(closeness)
        return x + self.out(Product.apply(share, v))


class FeedForward(nn.Module):
    """Two linear layers with a ReLU between them on each position, added to what comes in."""

    def __init__(self, d: int):
        super().__init__()
        self.up, self.down = Linear(d, 2 * d), Linear(2 * d, d)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(self.up(x).relu())


def _hidden(d: int) -> nn.Module:
    return nn.Sequential(Linear(d, d), nn.ReLU())


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

    The word embeddings `W` are held as rows, (n_w, d). The classifier is held transposed and in blocks of classes,
    `U_blocks` [(L d, K_1), ...]: in this layout all products of a training step are fast (see `products`).
    """

    def __init__(self, experiment: Experiment, seed: int):
        """PyTorch's default initial weights of `Embedding` (standard normal) and `Linear` (uniform in
        +-1/sqrt(inputs)), times `init_scale_W` and `init_scale_U` (§2.1), or `init_scale_layers` between them."""
        super().__init__()
        e = experiment
        self.L, self.d, self.K = e.L, e.d, e.K
        self.phi = NORMALISATIONS[e.normalisation](e.d, e.eps)
        self.layers = nn.ModuleList(ARCHITECTURES[e.architecture](e.d))
        W = torch.randn(e.n_w, e.d, generator=generator(seed, "initial words"))
        self.W = nn.Parameter(W * e.init_scale_W)
        U = _uniform(e.K, e.L * e.d, e.init_scale_U, seed, "initial classifier")
        self.U_blocks = nn.ParameterList(_blocks(U))
        for name, p in self.layers.named_parameters():
            p.data = _uniform(*p.shape, e.init_scale_layers, seed, f"initial {name}")
        self.constrain()

    def features(self, sentences: Tensor) -> Tensor:
        """What the classifier sees of sentences (B, L): (B, L d)."""
        x = self._words_of(sentences)
        for layer in self.layers:
            x = layer(x)
        return x.flatten(1)

    def forward(self, sentences: Tensor) -> Tensor:
        """Scores (B, K) of sentences (B, L)."""
        X = self.features(sentences)
        return torch.cat([Product.apply(X, u) for u in self.U_blocks], 1)

    @torch.no_grad()
    def constrain(self) -> None:
        """What holds after each step: the words of a fixed-norm table have norm sqrt(d)."""
        if isinstance(self.phi, FixedNorm):
            self.W.mul_(sums(self.W.square()).rsqrt() * self.d**0.5)

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
        x, out = self._words_of(sentences), []
        for layer in self.layers:
            x = layer(x)
            out.append(x)
        return out

    @property
    def U_T(self) -> Tensor:
        """The whole classifier, (L d, K)."""
        return torch.cat(list(self.U_blocks), 1)

    def u(self) -> Tensor:
        """The vectors u_{k,l} of the classifier, (K, L, d)."""
        return self.U_T.T.reshape(self.K, self.L, self.d)

    def weights(self) -> dict[str, Tensor]:
        """All that was learned, on the CPU: `W` (n_w, d), `U` (K, L d) and, where there are any, the weights of the
        layers and what phi has learned, under torch's names."""
        state = {name: p.detach().cpu() for name, p in self.state_dict().items() if not name.startswith("U_blocks.")}
        return {"W": state.pop("W"), "U": self.U_T.detach().T.contiguous().cpu(), **state}

    def load(self, weights: dict[str, Tensor]) -> "Network":
        """Take up what `weights` gave. Returns the network."""
        rest = {name: tensor for name, tensor in weights.items() if name != "U"}
        blocks = {f"U_blocks.{i}": block for i, block in enumerate(_blocks(weights["U"]))}
        self.load_state_dict({**rest, **blocks})
        return self

    def _words_of(self, sentences: Tensor) -> Tensor:
        """phi of the words of sentences (B, L): (B, L, d)."""
        return self.phi(F.embedding(sentences.flatten(), self.W)).view(*sentences.shape, self.d)


def _blocks(U: Tensor) -> list[Tensor]:
    """U (K, L d) transposed, in blocks of classes that are contiguous each."""
    return [block.T.contiguous() for block in parts(U, 0)]


def _uniform(rows: int, inputs: int, scale: float, seed: int, purpose: str) -> Tensor:
    """(rows, inputs) of a linear layer, uniform in +-scale/sqrt(inputs)."""
    draw = torch.rand(rows, inputs, generator=generator(seed, purpose)) * 2 - 1
    return draw * (scale / inputs**0.5)
