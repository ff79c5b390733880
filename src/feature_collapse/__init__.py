"""Feature Collapse (Laurent, von Brecht, Bresson, 2023, https://arxiv.org/abs/2305.16162), reproduced."""

__version__ = "0.1.0"
