"""The package as a library: the names it gives, that they come only when asked for, and the example."""

import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import matplotlib
import pytest

import feature_collapse

PACKAGE = Path(feature_collapse.__file__).parent
HEAVY = ("torch", "numpy", "pandas", "matplotlib", "scipy", "snakemake", "rocrate")


def loaded_by(statement: str) -> set[str]:
    """The modules that a new process has once it has run a statement."""
    script = f"import sys; {statement}; print(*sys.modules)"
    return set(
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    )


@pytest.mark.parametrize("name", feature_collapse.__all__)
def test_every_name_is_that_of_a_documented_thing_of_its_module(name: str) -> None:
    thing = getattr(feature_collapse, name)
    assert thing is getattr(import_module(f"feature_collapse.{feature_collapse._MODULE[name]}"), name)
    assert name in dir(feature_collapse)
    assert not callable(thing) or thing.__doc__


def test_data_model_networks_training_measures_and_theory_are_there() -> None:
    assert {"generate", "draw_sentences", "word_frequencies"} <= set(feature_collapse.__all__)
    assert {"Network", "train", "measure", "cdnv", "nc1"} <= set(feature_collapse.__all__)
    assert {"theorem1", "type_iii", "theorem3", "predict"} <= set(feature_collapse.__all__)


def test_a_name_that_is_not_there_is_refused() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = feature_collapse.nope
    with pytest.raises(ImportError):
        exec("from feature_collapse import nope")


def test_importing_the_package_imports_nothing_of_it() -> None:
    loaded = loaded_by("import feature_collapse")
    assert not [name for name in loaded if name.startswith("feature_collapse.")]
    assert not loaded & set(HEAVY)


def test_help_does_not_wait_for_what_training_needs() -> None:
    loaded = loaded_by(
        "from click.testing import CliRunner; from feature_collapse.__main__ import main; "
        "CliRunner().invoke(main, ['train', '--help'], catch_exceptions=False)"
    )
    assert not loaded & {"torch", "matplotlib", "scipy", "snakemake", "rocrate"}


def test_a_name_brings_its_module_and_what_that_needs_only() -> None:
    loaded = loaded_by("from feature_collapse import theorem1")
    assert "feature_collapse.theory.theorems" in loaded
    assert not loaded & {"torch", "feature_collapse.model.training", "feature_collapse.show.paper"}


def test_section_2_of_the_paper_needs_no_table_picture_workflow_or_command_line() -> None:
    """Where these packages cannot be imported, every module of the model can."""
    modules = [f"feature_collapse.model.{path.stem}" for path in (PACKAGE / "model").glob("[!_]*.py")]
    assert len(modules) >= 8
    missing = "; ".join(f"sys.modules[{name!r}] = None" for name in ("click", "matplotlib", "pandas", "snakemake"))
    loaded = loaded_by("; ".join([missing, *(f"import {module}" for module in modules)]))
    assert set(modules) <= loaded
    assert not [name for name in loaded if name.startswith(("feature_collapse.workflow", "feature_collapse.stages"))]


def test_the_example_is_short_and_runs(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    text = (root / "examples/own_experiment.py").read_text("utf-8")
    code = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert len(code) <= 35
    assert text.count("\n# %%") >= 3
    (tmp_path / "config").symlink_to(root / "config")
    monkeypatch.chdir(tmp_path)
    matplotlib.use("agg")
    space: dict = {"__name__": "__main__"}
    exec(compile(text, "own_experiment.py", "exec"), space)
    said = dict(
        re.findall(r"^(\w+): test accuracy \S+ CDNV of the words (\S+)$", capsys.readouterr().out, re.MULTILINE)
    )
    assert float(said["layernorm"]) < float(said["none"]) / 3
    assert (tmp_path / "own_experiment.png").read_bytes().startswith(b"\x89PNG")
