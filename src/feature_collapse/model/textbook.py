"""The networks and their training step as one would write them first, from torch's own layers: the oracle of the fused
step."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from feature_collapse.model.experiment import Experiment
from feature_collapse.model.networks import Network


class L2(nn.Module):
    """w / ||w||."""

    def forward(self, w: Tensor) -> Tensor:
        return nn.functional.normalize(w, dim=-1)


class BatchNorm(nn.BatchNorm1d):
    """Over all words of a batch of sentences."""

    def forward(self, w: Tensor) -> Tensor:
        return super().forward(w.reshape(-1, w.shape[-1])).view_as(w)


NORMALISATIONS: dict[str, Callable[[int, float], nn.Module]] = {
    "none": lambda d, eps: nn.Identity(),
    "layernorm": lambda d, eps: nn.LayerNorm(d, eps, elementwise_affine=False),
    "layernorm_affine": lambda d, eps: nn.LayerNorm(d, eps),
    "rmsnorm": lambda d, eps: nn.RMSNorm(d, eps, elementwise_affine=False),
    "l2": lambda d, eps: L2(),
    "batchnorm": lambda d, eps: BatchNorm(d, eps, affine=False),
    "fixed_norm": lambda d, eps: nn.Identity(),
}


class Attention(nn.Module):
    """One head, and what comes in added."""

    def __init__(self, d: int):
        super().__init__()
        self.to_qkv, self.out = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.to_qkv(x).chunk(3, dim=-1)
        return x + self.out((q @ k.mT / math.sqrt(x.shape[-1])).softmax(-1) @ v)


class FeedForward(nn.Module):
    """Two layers, and what comes in added."""

    def __init__(self, d: int):
        super().__init__()
        self.up, self.down = nn.Linear(d, 2 * d, bias=False), nn.Linear(2 * d, d, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.down(self.up(x).relu())


def _hidden(d: int) -> nn.Module:
    return nn.Sequential(nn.Linear(d, d, bias=False), nn.ReLU())


ARCHITECTURES: dict[str, Callable[[int], list[nn.Module]]] = {
    "linear": lambda d: [],
    "mlp1": lambda d: [_hidden(d)],
    "mlp2": lambda d: [_hidden(d), _hidden(d)],
    "transformer": lambda d: [Attention(d), FeedForward(d)],
}


class TextbookNetwork(nn.Module):
    """`nn.Embedding`, phi, what layers there are, `nn.Linear` without bias."""

    def __init__(self, network: Network, e: Experiment):
        """A copy of the weights of `network`, of the same type."""
        super().__init__()
        n_w, d = network.W.shape
        self.embedding = nn.Embedding(n_w, d)
        self.phi, self.layers = (
            NORMALISATIONS[e.normalisation](d, e.eps),
            nn.Sequential(*ARCHITECTURES[e.architecture](d)),
        )
        self.classifier = nn.Linear(network.L * d, network.K, bias=False)
        self.fixed_norm = e.normalisation == "fixed_norm"
        self.to(network.W.dtype)
        self.phi.load_state_dict(network.phi.state_dict(), strict=False)  # BatchNorm counts batches, to no effect
        self.layers.load_state_dict(network.layers.state_dict())
        with torch.no_grad():
            self.embedding.weight.copy_(network.W)
            self.classifier.weight.copy_(network.U_T.T)

    def forward(self, sentences: Tensor) -> Tensor:
        """Scores (B, K) of sentences (B, L)."""
        return self.classifier(self.layers(self.phi(self.embedding(sentences))).flatten(1))


def textbook_optimiser(network: TextbookNetwork, e: Experiment) -> torch.optim.SGD:
    """Plain SGD with the experiment's weight decay on words and what normalises them, and on all behind."""
    return torch.optim.SGD(
        [
            {"params": [*network.embedding.parameters(), *network.phi.parameters()], "weight_decay": e.lambda_W},
            {"params": [*network.layers.parameters(), *network.classifier.parameters()], "weight_decay": e.lambda_U},
        ],
        lr=e.lr,
    )


def textbook_step(
    network: TextbookNetwork, optimiser: torch.optim.Optimizer, sentences: Tensor, labels: Tensor
) -> float:
    """One step of SGD on sentences (B, L) of classes labels (B,). Returns the loss before it."""
    optimiser.zero_grad()
    loss = nn.CrossEntropyLoss()(network(sentences), labels)
    loss.backward()
    optimiser.step()
    if network.fixed_norm:
        w = network.embedding.weight.data
        w.copy_(w.shape[1] ** 0.5 * nn.functional.normalize(w))
    return loss.item()
