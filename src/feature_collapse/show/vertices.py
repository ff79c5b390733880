"""Where theory puts the collapsed words and u_{k,l} on their principal plane: the vertices of a triangle."""

import numpy as np
from numpy.typing import NDArray

from feature_collapse.model.experiment import Experiment
from feature_collapse.theory import predictions

# Concept 1 is upwards on every principal plane and concept 2 to the left, see `model.features.upright`.
DIRECTIONS = np.stack([[-np.sin(a), np.cos(a)] for a in 2 * np.pi * np.arange(3) / 3])  # (3, 2)


def norms(experiment: Experiment) -> dict[str, float] | None:
    """The norms that theory predicts of the `words`, the largest of them, and of the `u`.

    None where it predicts nothing, or that nothing is learned, and where concepts are not three: the means of more than
    three do not lie in a plane.
    """
    if experiment.n_c != 3:
        return None
    try:
        prediction = predictions.predict(experiment)
    except ValueError:
        return None
    return {"words": float(prediction.norm_words.max()), "u": prediction.norm_u} if prediction.norm_u else None


def vertices(experiment: Experiment, vectors: str) -> NDArray[np.float64]:
    """The predicted places (3, 2) of the words or of the u of each concept, none (0, 2) where there are no `norms`. The
    origin is the zero vector."""
    predicted = norms(experiment)
    return DIRECTIONS * predicted[vectors] if predicted else np.zeros((0, 2))
