"""Predicted learning curves of experiments, and what is to be said of one before it trains.

Imported when a workflow is planned, and so without torch.
"""

import math

import numpy as np
from numpy.typing import NDArray

from feature_collapse.model.experiment import Experiment
from feature_collapse.theory import dynamics
from feature_collapse.theory.dynamics import Setting

SMALL = 0.01  # scores at the start, beyond which it is not the fastest modes alone that decide


def law(experiment: Experiment) -> np.ndarray:
    """mu (s_c,) of an experiment."""
    weights = np.arange(1.0, experiment.s_c + 1) ** -(experiment.zipf_exponent if experiment.mu == "zipf" else 0)
    return weights / weights.sum()


def is_normalised(e: Experiment) -> bool:
    """Whether the network is h* and not h. Raises ValueError where the theory speaks of neither network nor data."""
    for key, known in {
        "data": ["model"],
        "architecture": ["linear"],
        "normalisation": ["none", "layernorm"],
        "label_noise": [0],
    }.items():
        if getattr(e, key) not in known:
            raise ValueError(f"{key}: the theorems do not speak of {getattr(e, key)}")
    return e.normalisation == "layernorm"


def setting(experiment: Experiment) -> Setting:
    """What the experiment's learning curve depends on. Raises ValueError where the theory does not speak of it, and
    where the start is not small: its random scores have the standard deviation
    `init_scale_W init_scale_U / sqrt(3)`, for h* over the words' initial rho."""
    e, normalised = experiment, is_normalised(experiment)
    rho = math.hypot(e.init_scale_W, math.sqrt(e.eps)) if normalised else 1.0
    if e.init_scale_W / rho * e.init_scale_U / math.sqrt(3) > SMALL:
        raise ValueError(f"init_scale_W, init_scale_U: {e.init_scale_W} and {e.init_scale_U} are no small start")
    return Setting(
        n_c=e.n_c,
        L=e.L,
        K=e.K,
        d=e.d,
        mu=tuple(law(e)),
        lambda_W=e.lambda_W,
        lambda_U=e.lambda_U,
        init_scale_W=e.init_scale_W,
        init_scale_U=e.init_scale_U,
        normalised=normalised,
        eps=e.eps,
    )


def learning_curve(experiment: Experiment, epochs: NDArray[np.floating]) -> dynamics.LearningCurve:
    """Predicted losses and norms at epochs (T,), which do not fall. Raises ValueError as `setting`."""
    e = experiment
    times = np.asarray(epochs, dtype=float) * e.steps_per_epoch * e.lr
    return dynamics.learning_curve(setting(e), times, None if e.fresh else e.n_spl)


def epoch_reached(experiment: Experiment, share: float) -> float:
    """The epoch at which the predicted loss has come this share of its way from log K to its least; infinite where
    nothing is learned. Raises ValueError as `setting`."""
    e = experiment
    return dynamics.reached(setting(e), share, None if e.fresh else e.n_spl) / (e.steps_per_epoch * e.lr)


def warned(experiment: Experiment) -> str | None:
    """What is to be said of a configuration before it trains: that its epochs end before or within the transition in
    which it learns. None if they do not, where nothing is ever learned, and where the theory does not speak of it.
    Takes milliseconds, and once for all numbers of sentences, seeds, batch sizes, learning rates and epochs."""
    e = experiment
    try:
        start, settled = epoch_reached(e, 0.5), epoch_reached(e, dynamics.SETTLED)
    except ValueError:
        return None
    if settled <= e.epochs or math.isinf(settled):
        return None
    where = "before" if e.epochs < start else "in the middle of"
    return (
        f"epochs: {e.epochs} end {where} the transition: by theory the loss is half-way at epoch {start:.4g}, and "
        f"has come {dynamics.SETTLED:.0%} of its way at epoch {settled:.4g}"
    )
