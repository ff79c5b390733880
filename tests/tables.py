"""Tables of the studies as their runs would fill them, from numbers that are made up."""

from functools import cache

import numpy as np
import pandas as pd

from feature_collapse.evidence.rows import row
from feature_collapse.model.experiment import Experiment
from feature_collapse.workflow.config import Config

NOISE = 0.05  # standard deviation of what the seed adds, relative
SIGMA = (35.0, 34.0, 0.2)


def metrics(e: Experiment, seed: int) -> dict:
    """Plausible measures of a run: the plain network fails where words are long-tailed and sentences few."""
    stream = np.random.default_rng([seed, e.K, e.n_spl, round(100 * e.label_noise), round(1e4 * e.lambda_U)])
    noise = dict(zip("cuw", 1 + NOISE * stream.normal(size=3), strict=True))  # of collapse, of u_kl and of words
    fails = e.normalisation == "none" and e.mu == "zipf"
    few = 0 if e.fresh else (0.5 * e.zipf_exponent if fails else 0.05) / e.n_spl
    collapse = 0.01 + few * noise["c"] + e.label_noise
    accuracy = float(np.clip(1.1 - 5 * collapse * noise["u"], 0.02, 1))
    part = {"cdnv": collapse, "norm_mean": noise["w"], "norm_std": 0.1, "size_spread": 0.3, "direction_spread": 0.01}
    part |= {"sigma": [noise["u"] * sigma for sigma in SIGMA]}
    training = {"train_loss": 0.5, "train_accuracy": 1.0, "test_accuracy": accuracy}
    return {
        "training": training | {"peak_test_accuracy": accuracy},
        **dict.fromkeys(("words", "words_weighted_by_mu", "u"), part),
        "objective": {"value": 1.0},
        **dict.fromkeys(("alignment", "alignment_weighted_by_mu", "norm_follows_mu", "u_norm_follows_met"), 0.8),
        "distinct_latents_drawn": round(e.K * (0.7 if e.L < 8 else 1)),
        "layers": [{"cdnv": collapse}] * {"mlp1": 1, "mlp2": 2, "transformer": 2}.get(e.architecture, 0),
    }


@cache
def table(config: Config, study: str, scale: str = "") -> pd.DataFrame:
    """The rows of a study, one a run."""
    return pd.DataFrame(row(run, metrics(run.experiment, run.seed)) for run in config.study(study, scale))
