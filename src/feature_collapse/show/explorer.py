"""The explorer: one page, complete in itself, to go through the snapshots of the four experiments by hand."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.colors import to_hex
from plotly.offline import get_plotlyjs

from feature_collapse.show import paper as figures
from feature_collapse.show import trajectories
from feature_collapse.show.diagrams import MARKERS
from feature_collapse.show.trajectories import Trajectory
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Config

PAGE = Path(__file__).with_name("explorer.html")
SYMBOLS = {"s": "square", "o": "circle", "^": "triangle-up"}  # Plotly's names for matplotlib's marks
# What the table of the page shows: columns of history.csv, those of the words or those of the u_kl.
MEASURES = {
    "test_accuracy": "test accuracy",
    "train_accuracy": "train accuracy",
    "train_loss": "train loss",
    "VECTORS_cdnv": "spread in a concept (CDNV)",
    "VECTORS_nc1": "spread in a concept (NC1)",
    "VECTORS_direction_spread": "spread of directions",
    "VECTORS_size_spread": "spread of sizes",
    "VECTORS_equiangularity": "unequal angles of the means",
    "VECTORS_equinorm": "unequal norms of the means",
    "alignment": "words not along the u",
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
        "name": name,
        "title": title,
        "caption": re.sub(r"\$.*?\$", "n_spl", figures.caption(e)),  # its only formula
        "n_c": e.n_c,
        "L": e.L,
        "rank": pd.Series(t.concepts["words"]).groupby(t.concepts["words"]).cumcount().add(1).tolist(),
        "mu": [float(f"{mu:.6g}") for mu in t.mu],
        "history": {column: _plain(t.history[column]) for column in ("epoch", *sorted(columns))},
        **{
            vectors: {
                "concept": t.concepts[vectors].tolist(),
                **{axis: pack(t.plane[vectors][..., i]) for i, axis in enumerate("xyz")},
                "norm": pack(t.norm[vectors]),
            }
            for vectors in ("words", "u")
        },
    }


def _plain(column: pd.Series) -> list[float | None]:
    return [float(f"{x:.6g}") if np.isfinite(x) else None for x in column]


def page(experiments: list[dict[str, Any]]) -> str:
    """The page with its data and Plotly inside it. Nothing in it depends on when or where it was made."""
    data = {
        "experiments": experiments,
        "measures": [
            {"name": name, "label": label, "percent": name.endswith("accuracy")} for name, label in MEASURES.items()
        ],
        "concepts": [
            {"colour": to_hex(figures.concept_colour(g)), "symbol": SYMBOLS[MARKERS[g % len(MARKERS)]]}
            for g in range(max(experiment["n_c"] for experiment in experiments))
        ],
    }
    text = json.dumps(data, allow_nan=False, separators=(",", ":")).replace("</", "<\\/")
    template = PAGE.read_text(encoding="utf-8")
    return template.replace("/* data */", text).replace(
        "/* plotly.js */", get_plotlyjs().replace("</script", "<\\/script")
    )


def make(scale: str, config: Config) -> None:
    """Write `results/[SCALE/]explorer.html` of the first seed of the four experiments."""
    experiments = [
        content(panel, figures.PANELS[panel], trajectories.read(run))
        for panel, run in figures.shown_runs(scale, config).items()
    ]
    with artifacts.atomic(Path("results") / scale / "explorer.html") as temporary:
        temporary.write_text(page(experiments), encoding="utf-8")
