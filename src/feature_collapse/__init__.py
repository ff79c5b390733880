"""Feature Collapse (Laurent, von Brecht, Bresson, 2023, https://arxiv.org/abs/2305.16162), reproduced.

What a library user needs is here: `from feature_collapse import Network, train`. `examples/` shows how.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

# Names and the modules they come from. A module is imported when one of its names is first asked for (PEP 562), and not
# before: `import feature_collapse`, the command line's help and Snakemake do not wait seconds for torch, and a rule of
# the workflow imports the modules it names and no others.
_HOME = {
    "workflow.config": ["Config"],
    "workflow.run": ["ConfigError", "Run"],
    "model.experiment": ["Experiment"],
    "model.data": ["generate", "generator", "word_frequencies", "draw_latents", "draw_sentences", "labels"],
    "model.networks": ["NORMALISATIONS", "Network"],
    "model.training": ["Training", "TrainingError", "accuracy", "train"],
    "model.collapse": [
        "measure",
        "cdnv",
        "nc1",
        "direction_spread",
        "size_spread",
        "equiangularity",
        "equinorm",
        "alignment",
    ],
    "model.features": ["principal_components", "project"],
    "theory.theorems": [
        "Prediction",
        "theorem1",
        "theorem1_threshold",
        "theorem3",
        "type_iii",
        "type_iii_threshold",
        "equiangular",
    ],
    "theory.predictions": ["predict"],
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}

__all__ = list(_MODULE)


def __getattr__(name: str) -> Any:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE})
