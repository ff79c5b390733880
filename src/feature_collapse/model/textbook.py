"""The networks and their training step as one would write them first: the oracle of the fused step."""

import copy

import torch
from torch import Tensor, nn

from feature_collapse.model.experiment import Experiment
from feature_collapse.model.networks import FixedNorm, Network


class TextbookNetwork(nn.Module):
    """`nn.Embedding`, phi, what layers there are, `nn.Linear` without bias."""

    def __init__(self, network: Network):
        """A copy of the weights of `network`, of the same type."""
        super().__init__()
        n_w, d = network.W.shape
        self.embedding = nn.Embedding(n_w, d, dtype=network.W.dtype)
        self.phi, self.layers = copy.deepcopy(network.phi), nn.Sequential(*copy.deepcopy(network.layers))
        self.classifier = nn.Linear(network.L * d, network.K, bias=False, dtype=network.W.dtype)
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
    if isinstance(network.phi, FixedNorm):
        w = network.embedding.weight.data
        w.copy_(w.shape[1] ** 0.5 * nn.functional.normalize(w))
    return loss.item()
