"""Predicted vertices: the theorems' norms, in the directions in which figures turn the concepts."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from feature_collapse.model.experiment import Experiment
from feature_collapse.model.features import project
from feature_collapse.show.vertices import DIRECTIONS, norms, vertices
from feature_collapse.theory import predictions


@pytest.mark.parametrize("law", ["uniform", "zipf"])
def test_vertices_are_where_collapsed_words_are_drawn(tiny: Callable[..., Experiment], law: str) -> None:
    e = tiny(mu=law)
    r = predictions.predict(e).norm_words
    f = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 1]]) - 1 / 3  # equiangular, in another plane and turned otherwise
    words = np.concatenate([np.outer(r, direction) for direction in f / np.linalg.norm(f[0])])
    drawn, _, _ = project(torch.from_numpy(words), torch.arange(3).repeat_interleave(e.s_c))
    most_frequent = drawn.numpy()[:: e.s_c]
    assert most_frequent[:, :2] == pytest.approx(vertices(e, "words"), abs=1e-9)
    assert most_frequent[:, 2] == pytest.approx(0, abs=1e-9)


def test_directions_are_equiangular() -> None:
    cosines = DIRECTIONS @ DIRECTIONS.T
    assert cosines == pytest.approx(1.5 * np.eye(3) - 0.5)


def test_there_is_no_vertex_where_theory_predicts_none(tiny: Callable[..., Experiment]) -> None:
    unknown = tiny(normalisation="rmsnorm"), tiny(n_c=2), tiny(n_c=4), tiny(lambda_W=10, lambda_U=10)
    for e in unknown:
        assert norms(e) is None
        assert vertices(e, "u").shape == (0, 2)
