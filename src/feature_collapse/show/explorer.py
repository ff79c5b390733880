"""The explorer: one page, complete in itself, to go through the training of two experiments side by side."""

import base64
import json
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from plotly.offline import get_plotlyjs

from feature_collapse.show.style import MARKERS, concept_colour, describe
from feature_collapse.show.trajectories import Trajectory
from feature_collapse.show.vertices import vertices

PAGE = Path(__file__).with_name("explorer.html")
SYMBOLS = {"s": "square", "o": "circle", "^": "triangle-up"}  # Plotly's names for matplotlib's marks


@dataclass(frozen=True)
class Measure:
    """A column of history.csv that the page shows, of the words or of the u_kl; and what it says."""

    label: str
    why: str


MEASURES = {
    "test_accuracy": Measure(
        "test accuracy", "Share of fresh sentences, never seen in training, put into their class."
    ),
    "train_accuracy": Measure(
        "train accuracy", "Share of this epoch's sentences put into their class, as they were met."
    ),
    "train_loss": Measure("train loss", "Mean cross-entropy of this epoch's sentences, in nats, as they were met."),
    "VECTORS_cdnv": Measure(
        "spread in a concept (CDNV)",
        "Class-distance normalised variance: the squared distance of vectors from the mean of their concept, relative "
        "to the squared distance between the means. 0: collapsed.",
    ),
    "VECTORS_nc1": Measure(
        "spread in a concept (NC1)",
        "Covariance within concepts relative to the covariance of their means. 0: collapsed.",
    ),
    "VECTORS_direction_spread": Measure(
        "spread of directions",
        "1 minus the mean cosine between a vector and the mean of its concept. 0: one direction per concept, whatever "
        "the sizes.",
    ),
    "VECTORS_size_spread": Measure(
        "spread of sizes", "Standard deviation of the norms within a concept, relative to their mean. 0: one size."
    ),
    "VECTORS_equiangularity": Measure(
        "unequal angles", "How far the angles between the means of the concepts are from equal and largest. 0: equal."
    ),
    "VECTORS_equinorm": Measure(
        "unequal norms",
        "Standard deviation of the distances of the means from their centre, relative to the mean distance. 0: equal.",
    ),
    "alignment": Measure(
        "words against classifier",
        "1 minus the cosine between the mean word and the mean classifier vector of a concept. 0: one direction.",
    ),
}
# What to look for, by experiment; others say nothing.
LOOK_FOR = {
    "fig3": "Words are equally frequent. Words and classifier vectors of a concept gather in one point each.",
    "fig4a": "Words become three rays, with the frequent ones at their tips. With many sentences per class the "
    "classifier vectors still gather in three points.",
    "fig4b": "Classifier vectors become rays, not points. Seen from the side, frequent words leave the plane. Test "
    "accuracy falls after its peak.",
    "fig4c": "The same sentences with LayerNorm: words and classifier vectors gather in three points within a few "
    "epochs.",
}


def pack(rows: np.ndarray) -> dict[str, Any]:
    """Numbers (T, n) as whole numbers of 16 bits, each row in units of its own: as precise at 1e-3 as at 10, and half
    the size of 32 bits."""
    units = np.abs(rows).max(axis=1).astype(float) / np.iinfo(np.int16).max
    units[units == 0] = 1
    whole = np.rint(rows / units[:, None]).astype("<i2")
    return {"base64": base64.b64encode(whole.tobytes()).decode(), "units": [float(f"{unit:.6g}") for unit in units]}


def content(name: str, title: str, t: Trajectory) -> dict[str, Any]:
    """What the page knows of one experiment, as plain values."""
    e = t.experiment
    columns = {column.replace("VECTORS", vectors) for column in MEASURES for vectors in ("words", "u")}
    return {
        "key": name.removeprefix("fig"),
        "title": title,
        "look": LOOK_FOR.get(name, ""),
        "caption": re.sub(r"\$.*?\$", "n_spl", describe(e)),  # its only formula
        "n_c": e.n_c,
        "L": e.L,
        "names": t.names,
        "rank": pd.Series(t.concepts["words"]).groupby(t.concepts["words"]).cumcount().add(1).tolist(),
        "mu": _rounded(t.mu),
        "history": {column: _rounded(t.history[column]) for column in ("epoch", *sorted(columns))},
        **{
            vectors: {
                "concept": t.concepts[vectors].tolist(),
                **{axis: pack(t.plane[vectors][..., i]) for i, axis in enumerate("xyz")},
                "norm": pack(t.norm[vectors]),
                "predicted": [_rounded(place) for place in vertices(e, vectors)],
            }
            for vectors in ("words", "u")
        },
    }


def _rounded(numbers: Iterable[float]) -> list[float | None]:
    return [float(f"{x:.6g}") if np.isfinite(x) else None for x in numbers]


def page(experiments: list[dict[str, Any]]) -> str:
    """The page with its data and Plotly inside it. Nothing in it depends on when or where it was made."""
    data = {
        "experiments": experiments,
        "measures": [
            {"name": name, "percent": name.endswith("accuracy"), **asdict(measure)}
            for name, measure in MEASURES.items()
        ],
        "concepts": [
            {"colour": to_hex(concept_colour(g)), "symbol": SYMBOLS[MARKERS[g % len(MARKERS)]]}
            for g in range(max(experiment["n_c"] for experiment in experiments))
        ],
    }
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("</", "<\\/")
    template = PAGE.read_text(encoding="utf-8")
    return template.replace("/* data */", text).replace(
        "/* plotly.js */", get_plotlyjs().replace("</script", "<\\/script")
    )
