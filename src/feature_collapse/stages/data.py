"""Draw the latents and sentences of a run.

The latent variables, the training sentences and the test sentences each come from a random stream derived from the
seed and their purpose, so none depends on how much another has drawn.

\b
Reads:    config/experiments.yaml
Writes:   results/RUN/data.safetensors
Example:  python -m feature_collapse data fig4b/seed0
"""

import bz2
from pathlib import Path

import pandas as pd
import torch

from feature_collapse.model import data, text
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.run import ConfigError, Run

CORPUS = Path("corpus")


def read_corpus(folder: Path = CORPUS) -> text.Corpus:
    """The text and the words of `kjv.txt.bz2` and `words.csv`."""
    lines = bz2.decompress((folder / "kjv.txt.bz2").read_bytes()).decode().splitlines()
    verses = {int(number): verse for number, _, verse in (line.partition(" ") for line in lines)}
    table = pd.read_csv(folder / "words.csv", keep_default_na=False)  # a word may be "nan"
    roles = [text.ROLES.index(role) for role in table["role"]]
    return text.Corpus(verses, table["word"].tolist(), torch.tensor(roles), torch.tensor(table["count"].to_numpy()))


def make(run: Run) -> None:
    """Write `data.safetensors`, the arrays of `model.data.generate` or, with the words as a note, those of
    `model.text.generate`. Raises ConfigError where the text has less than the run asks for."""
    e = run.experiment
    if e.data == "model":
        tensors, notes = data.generate(e, run.seed), {}
    else:
        corpus = read_corpus()
        try:
            tensors, notes = text.generate(e, run.seed, corpus), {"words": text.names(e, corpus)}
        except ValueError as error:
            raise ConfigError(f"{run.name}: {error}") from None
    artifacts.write_arrays(run.folder / "data.safetensors", run, {k: v.numpy() for k, v in tensors.items()}, **notes)
