"""What the numbers of a run are called for readers, and how they are written. A column of a table of runs is named by
its id, which is the key everywhere; its label is for pages and figures."""

import math
import re
from typing import NamedTuple


class Measure(NamedTuple):
    """Of one column: its label, and how a value is written (see `written`)."""

    label: str
    form: str = "number"  # or percent, change (signed per cent)


PARTS = {
    "words": "words",
    "words_weighted_by_mu": "words (weighted by frequency)",
    "words_met": "words met in training",
    "words_weighted_by_count": "words met in training (weighted by count)",
    "u": "u_kl",
    "layer1": "outputs of layer 1",
    "layer2": "outputs of layer 2",
    "last_layer": "outputs of the last layer",
}
OF_PARTS = {
    "cdnv": "CDNV",
    "nc1": "NC1",
    "direction_spread": "direction spread",
    "size_spread": "size spread",
    "equiangularity": "deviation from equal angles",
    "equinorm": "deviation from equal norms",
    "norm_mean": "mean norm",
    "norm_std": "standard deviation of the norm",
    **{f"sigma_{i}": f"singular value {i}" for i in (1, 2, 3)},
}
WHOLE = {
    "epoch": Measure("epochs trained"),
    "train_loss": Measure("training loss"),
    "train_accuracy": Measure("training accuracy", "percent"),
    "test_accuracy": Measure("test accuracy", "percent"),
    "peak_test_accuracy": Measure("highest test accuracy", "percent"),
    "peak_epoch": Measure("epoch of the highest test accuracy"),
    "half_way_epoch": Measure("epoch at which the loss is half-way"),
    "fall_from_peak": Measure("test accuracy lost since its peak", "percent"),
    "accuracy_of_possible": Measure("test accuracy relative to the most that distinct latents allow", "percent"),
    "distinct_share": Measure("share of distinct latents", "percent"),
    "distinct_latents_drawn": Measure("distinct latents"),
    "met_words_share": Measure("share of the words that training meets", "percent"),
    "met_test_share": Measure("share of test sentences of words that training meets", "percent"),
    "met_test_accuracy": Measure("test accuracy on words that training meets", "percent"),
    "met_norm_slope": Measure("slope of log norm over log count of the words met"),
    "test_accuracy_change": Measure("change of test accuracy, last fifth", "change"),
    "words_cdnv_change": Measure("change of the CDNV of words, last fifth", "change"),
    "u_cdnv_change": Measure("change of the CDNV of u_kl, last fifth", "change"),
    "words_sigma_3_change": Measure("change of singular value 3 of words, last fifth", "change"),
    "alignment": Measure("misalignment of words and u_kl"),
    "alignment_weighted_by_mu": Measure("misalignment of words (weighted by frequency) and u_kl"),
    "norm_follows_mu": Measure("rank correlation of a word's norm with its frequency"),
    "u_norm_follows_met": Measure("rank correlation of the norm of u_kl with the norms of the words met"),
    "growth": Measure("norm of words relative to the initial one"),
    "learnable": Measure("below the threshold in lambda"),
    "predicted_words_norm_mean": Measure("mean norm of words, predicted"),
    "predicted_u_norm_mean": Measure("mean norm of u_kl, predicted"),
    "words_norm_error": Measure("norm of words, measured over predicted", "change"),
    "u_norm_error": Measure("norm of u_kl, measured over predicted", "change"),
    "objective_cross_entropy": Measure("cross-entropy on fresh sentences"),
    "objective_standard_error": Measure("its standard error"),
    "objective_penalty": Measure("penalty"),
    "objective_value": Measure("true risk plus penalty"),
    "objective_norm_W": Measure("Frobenius norm of W"),
    "objective_norm_U": Measure("Frobenius norm of U"),
    "optimality_gap_gap": Measure("objective above its global minimum, at most"),
    "optimality_gap_value": Measure("objective on the training sentences"),
    "optimality_gap_bound": Measure("lower bound of the global minimum"),
    **{
        f"optimality_gap_sigma_{i}": Measure(f"singular value {i} of the gradient, relative to lambda")
        for i in (1, 2, 3)
    },
}


def measure(column: str) -> Measure:
    """What is known of a column. Raises KeyError for one that no table of runs has."""
    if column in WHOLE:
        return WHOLE[column]
    match = re.fullmatch(rf"({'|'.join(PARTS)})_({'|'.join(OF_PARTS)})", column)
    if not match:
        raise KeyError(column)
    return Measure(f"{OF_PARTS[match[2]]} of {PARTS[match[1]]}")


def known(column: str) -> bool:
    return column in WHOLE or re.fullmatch(rf"({'|'.join(PARTS)})_({'|'.join(OF_PARTS)})", column) is not None


def written(column: str, value: float, unit: bool = True) -> str:
    """A value as it stands on a page: 75.0 %, +0.45 %, 0.0268. Accuracies near 100 % get the digits that tell them from
    it."""
    form = measure(column).form if known(column) else "number"
    if not math.isfinite(value):
        return "–"
    if form == "number":
        return f"{value:.3g}"
    digits = 2 if form == "change" or (0.999 < value < 1 and form == "percent") else 1
    number = "100" if value == 1 and form == "percent" else f"{100 * value:{'+' if form == 'change' else ''}.{digits}f}"
    return f"{number} %" if unit else number
