"""Draw the latents and sentences of a run."""

from feature_collapse.model.data import generate
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Run


def make(run: Run) -> None:
    """Write `data.safetensors`, the arrays of `model.data.generate`."""
    tensors = generate(run.experiment, run.seed)
    artifacts.write_arrays(run.folder / "data.safetensors", run, {k: v.numpy() for k, v in tensors.items()})
