"""The table of the paper's numbers beside ours: its tolerances, its verdicts, and the paper's numbers themselves."""

import math
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from feature_collapse.evidence import reproduction
from feature_collapse.evidence.reproduction import Paper, Tolerance
from feature_collapse.evidence.rows import numbers as flat
from feature_collapse.stages import reproduction as stage
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.artifacts import ArtifactError
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.run import ConfigError

# What the authors' notebooks printed at the last epoch, and the norms of §3.2: copied from there, not from paper.yaml.
TRAINING = {
    "fig3": {"train_loss": 0.5131, "train_accuracy": 1.0, "test_accuracy": 1.0},
    "fig4a": {"train_loss": 0.3809, "train_accuracy": 1.0, "test_accuracy": 0.999},
    "fig4b": {"train_loss": 0.2003, "train_accuracy": 1.0, "test_accuracy": 0.437, "peak_test_accuracy": 0.67},
    "fig4c": {"train_loss": 0.01675, "train_accuracy": 1.0, "test_accuracy": 1.0},
}
SIGMA = {
    "fig3": ([35.05, 34.46, 0.1841], [35.07, 34.48, 0.1842]),
    "fig4a": ([24.24, 24.20, 3.366e-4], [24.34, 24.30, 2.350e-4]),
    "fig4b": ([19.14, 18.85, 7.842], [19.19, 18.89, 7.875]),
    "fig4c": ([238.7, 237.5, 5.228], [8.387, 8.377, 0.1145]),
}
NORMS = {"fig3": (1.41, 0.13), "fig3_k50": (0.61, 0.06)}

positive = st.floats(1e-6, 1e6)


def printed() -> dict[str, dict[str, Any]]:
    """The metrics of runs that give exactly the paper's numbers."""
    metrics: dict[str, dict[str, Any]] = {name: {"training": dict(values)} for name, values in TRAINING.items()}
    for name, (words, u) in SIGMA.items():
        metrics[name] |= {"words": {"sigma": list(words)}, "u": {"sigma": list(u)}}
    for name, (mean, std) in NORMS.items():
        metrics.setdefault(name, {}).setdefault("words", {}).update(norm_mean=mean, norm_std=std)
    return metrics


def numbers() -> dict[tuple[str, str], float]:
    """The paper's numbers by experiment and column."""
    found = {}
    for experiment, values in TRAINING.items():
        found |= {(experiment, name): value for name, value in values.items()}
    for experiment, spectra in SIGMA.items():
        for name, sigma in zip(("words", "u"), spectra, strict=True):
            found |= {(experiment, f"{name}_sigma_{i + 1}"): value for i, value in enumerate(sigma)}
    for experiment, (mean, std) in NORMS.items():
        found |= {(experiment, "words_norm_mean"): mean, (experiment, "words_norm_std"): std}
    return found


def printed_rows(seeds: Iterable[int] = (0,)) -> pd.DataFrame:
    """A table of runs that give exactly the paper's numbers."""
    found = [
        {"experiment": name, "seed": seed, "distinct_share": 1.0, **flat(metrics)}
        for name, metrics in printed().items()
        for seed in seeds
    ]
    return pd.DataFrame(found)


def put(rows: pd.DataFrame, experiment: str, column: str, value: float, seed: int = 0) -> pd.DataFrame:
    """The table with another number."""
    rows.loc[(rows["experiment"] == experiment) & (rows["seed"] == seed), column] = value
    return rows


@pytest.fixture(scope="module")
def paper(root: Path) -> Paper:
    return reproduction.read_paper(root / "config/paper.yaml")


def test_every_number_of_paper_yaml_is_the_paper_s_and_none_is_left_out(paper: Paper) -> None:
    recorded = {
        (experiment, path): value
        for experiment, quantities in paper.experiments.items()
        for path, (value, _) in quantities.items()
    }
    assert recorded == numbers()


def test_every_number_has_a_known_experiment_and_a_tolerance_with_a_reason(paper: Paper, config: Config) -> None:
    assert set(paper.experiments) <= set(config.experiments())
    used = {tolerance for quantities in paper.experiments.values() for _, tolerance in quantities.values()}
    assert used == set(paper.tolerances)
    assert all(len(tolerance.reason) > 20 for tolerance in paper.tolerances.values())


@given(absolute=positive, number=positive, ours=st.floats(-1e6, 1e6))
def test_absolute_tolerance_is_a_distance(absolute: float, number: float, ours: float) -> None:
    distance = abs(ours - number) / absolute
    assume(not math.isclose(distance, 1))
    assert Tolerance(absolute=absolute, reason="").holds(number, ours) == (distance < 1)


@given(relative=st.floats(1e-3, 0.9), number=positive, ratio=st.floats(0, 3))
def test_relative_tolerance_is_a_share_of_the_paper_s_number(relative: float, number: float, ratio: float) -> None:
    assume(not math.isclose(abs(ratio - 1), relative))
    assert Tolerance(relative=relative, reason="").holds(number, ratio * number) == (
        1 - relative < ratio < 1 + relative
    )


@given(factor=st.floats(1.01, 100), number=positive, ratio=st.floats(1e-3, 1e3))
def test_factor_is_the_same_up_and_down(factor: float, number: float, ratio: float) -> None:
    assume(not math.isclose(ratio, factor) and not math.isclose(ratio, 1 / factor))
    tolerance = Tolerance(factor=factor, reason="")
    assert tolerance.holds(number, ratio * number) == (1 / factor < ratio < factor)
    assert tolerance.holds(number, number / ratio) == tolerance.holds(number, number * ratio)


@given(way=st.sampled_from(["absolute", "relative", "factor"]), number=positive)
def test_the_number_itself_is_within_and_what_is_no_number_is_not(way: str, number: float) -> None:
    tolerance = Tolerance(**{way: 1.5}, reason="")
    assert tolerance.holds(number, number)
    assert not tolerance.holds(number, math.nan)
    assert not tolerance.holds(number, math.inf)


def test_tolerance_includes_its_limits(paper: Paper) -> None:
    fitted = paper.tolerances["fitted"]  # up to five of the 5000 training sentences
    assert fitted.holds(1, 4995 / 5000)
    assert not fitted.holds(1, 4994 / 5000)


@pytest.mark.parametrize(("way", "value", "text"), [("absolute", 0.005, "± 0.005"), ("relative", 0.02, "± 2%")])
def test_tolerance_is_written_for_readers(way: str, value: float, text: str) -> None:
    assert str(Tolerance(**{way: value}, reason="")) == text
    assert str(Tolerance(factor=3, reason="")) == "× or ÷ 3"


def test_runs_that_give_the_paper_s_numbers_are_within_in_every_row(paper: Paper) -> None:
    rows = reproduction.table(paper, printed_rows(), full_size=True)
    assert len(rows) == len(numbers())
    assert set(rows["verdict"]) == {"within"}
    assert rows["ours"].tolist() == rows["paper"].tolist()
    assert set(rows["deviation"]) == {0}
    assert set(rows["figure"]) == {"3", "3 (K = 50)", "4a", "4b", "4c"}


@pytest.mark.parametrize(("experiment", "column"), numbers(), ids=lambda part: part)
def test_a_number_moved_out_of_its_tolerance_is_out_and_no_other(paper: Paper, experiment: str, column: str) -> None:
    number, name = paper.experiments[experiment][column]
    tolerance = paper.tolerances[name]
    reach = tolerance.absolute or number * (tolerance.relative or tolerance.factor - 1)
    for share, verdict in ((0.99, "within"), (1.01, "OUT")):
        runs = put(printed_rows(), experiment, column, number + share * reach)
        rows = reproduction.table(paper, runs, full_size=True)
        moved = rows["ours"] != rows["paper"]
        assert moved.sum() == 1
        assert rows.loc[moved, "verdict"].item() == verdict
        assert rows.loc[moved, "deviation"].item() == pytest.approx(share * reach / number)
        assert set(rows.loc[~moved, "verdict"]) == {"within"}


def test_seeds_are_counted_and_give_an_interval_for_one_more_run(paper: Paper) -> None:
    runs = printed_rows(seeds=(0, 1, 2))
    for seed, value in enumerate((0.44, 0.45, 0.9)):
        runs = put(runs, "fig4b", "test_accuracy", value, seed)
    rows = reproduction.table(paper, runs, full_size=True).set_index(["figure", "id"])
    row = rows.loc["4b", "test_accuracy"]
    assert (row["ours"], row["verdict"], row["seeds"], row["seeds_within"]) == (0.44, "within", 3, 2)
    x, t = np.array([0.44, 0.45, 0.9]), 4.302653
    reach = t * x.std(ddof=1) * np.sqrt(4 / 3)
    assert (row["low"], row["high"]) == pytest.approx((x.mean() - reach, x.mean() + reach), rel=1e-6)
    assert row["inside"] == "yes"
    assert rows.loc["4b", "train_accuracy"]["inside"] == ""  # which does not move with the seed


def test_a_number_outside_of_what_seeds_do_is_told(paper: Paper) -> None:
    runs = printed_rows(seeds=(0, 1, 2))
    for seed, value in enumerate((0.45, 0.4501, 0.4502)):
        runs = put(runs, "fig4b", "test_accuracy", value, seed)
    rows = reproduction.table(paper, runs, full_size=True).set_index(["figure", "id"])
    assert rows.loc["4b", "test_accuracy"]["inside"] == "no"
    assert rows.loc["4b", "test_accuracy"]["verdict"] == "within"


def test_smaller_runs_are_not_compared(paper: Paper) -> None:
    rows = reproduction.table(paper, put(printed_rows(), "fig3", "train_loss", 100), full_size=False)
    assert set(rows["verdict"]) == {"not comparable"}
    text = reproduction.markdown(rows)
    assert "not comparable" in text and "OUT" not in text


def test_markdown_counts_what_is_within_and_gives_every_row_and_reason(paper: Paper) -> None:
    rows = reproduction.table(paper, put(printed_rows(), "fig4b", "test_accuracy", 0.5), full_size=True)
    text = reproduction.markdown(rows)
    assert f"{len(rows) - 1} of {len(rows)} numbers are within" in text
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert len(lines) == len(rows) + 2
    (out,) = [line for line in lines if "OUT" in line]
    cells = [cell.strip() for cell in out.strip("|").split("|")]
    assert cells[:7] == ["4b", "test accuracy", "0.437", "0.5", "+14.4%", "± 0.03", "OUT"]
    for tolerance in paper.tolerances.values():
        assert tolerance.reason in text


@pytest.fixture
def workspace(root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with the delivered configuration and no results."""
    shutil.copytree(root / "config", tmp_path / "config")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_metrics(config: Config, scale: str) -> None:
    for name in config.experiments(scale):
        run = config.run(f"{scale}/{name}/seed0".lstrip("/"))
        artifacts.write_json(run.folder / "metrics.json", run, printed()[name])


@pytest.mark.parametrize(
    ("scale", "verdict"), [("", "within"), ("quick", "not comparable"), ("smoke", "not comparable")]
)
def test_make_writes_the_table_of_a_scale_twice_alike(
    workspace: Path, config: Config, scale: str, verdict: str
) -> None:
    write_metrics(config, scale)
    stage.make(scale, config)
    csv, markdown = (workspace / "results" / scale / f"reproduction.{suffix}" for suffix in ("csv", "md"))
    rows = pd.read_csv(csv)
    assert set(rows["verdict"]) == {verdict}
    experiments = set(config.experiments(scale))
    assert len(rows) == sum(experiment in experiments for experiment, _ in numbers())
    before = csv.read_bytes(), markdown.read_bytes()
    stage.make(scale, config)
    assert (csv.read_bytes(), markdown.read_bytes()) == before


def test_missing_metrics_are_named_and_nothing_is_written(workspace: Path, config: Config) -> None:
    write_metrics(config, "quick")
    (workspace / "results/quick/fig4b/seed0/metrics.json").unlink()
    with pytest.raises(ArtifactError, match=r"^results/quick/fig4b/seed0/metrics\.json: is missing; rebuild it with: "):
        stage.make("quick", config)
    assert not list(workspace.rglob("reproduction.*"))


def test_unknown_scale_is_refused(workspace: Path, config: Config) -> None:
    with pytest.raises(ConfigError, match=r"scales: no 'tiny'; there are quick, smoke"):
        stage.make("tiny", config)


GOOD = "{relative: 0.1, reason: noise}"
ROW = "test_accuracy: [0.9, t]"


def file(tolerance: str = GOOD, row: str = ROW) -> str:
    return f"tolerances:\n  t: {tolerance}\nexperiments:\n  fig3:\n    {row}\n"


def test_small_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "paper.yaml").write_text(file(), encoding="utf-8")
    assert reproduction.read_paper(tmp_path / "paper.yaml").tolerances["t"].relative == 0.1


@pytest.mark.parametrize(
    ("content", "word"),
    [
        ("", ""),
        ("- 1\n", ""),
        ("tolerances: {", "not plain YAML"),
        ("\0", "not plain YAML"),
        ("tolerances: {}\n", "experiments: missing key"),
        (file() + "more: 1\n", "more: unknown key"),
        (file(tolerance="{reason: noise}"), "one of absolute, relative, factor"),
        (file(tolerance="{relative: 0.1, absolute: 1, reason: noise}"), "one of absolute, relative, factor"),
        (file(tolerance="{relative: 0.1}"), "tolerances.t.reason: missing key"),
        (file(tolerance="{relative: -0.1, reason: noise}"), "tolerances.t.relative"),
        (file(tolerance="{relative: .inf, reason: noise}"), "tolerances.t.relative"),
        (file(tolerance="{relative: .nan, reason: noise}"), "tolerances.t.relative"),
        (file(tolerance="{relative: '0.1', reason: noise}"), "tolerances.t.relative"),
        (file(tolerance="{factor: 1, reason: noise}"), "tolerances.t.factor"),
        (file(tolerance="{percent: 5, reason: noise}"), "tolerances.t.percent: unknown key"),
        (file(row="test_accuracy: 0.9"), "experiments.fig3.test_accuracy"),
        (file(row="test_accuracy: [0.9]"), "experiments.fig3.test_accuracy"),
        (file(row="test_accuracy: [0.9, t, 1]"), "experiments.fig3.test_accuracy"),
        (file(row="test_accuracy: [high, t]"), "experiments.fig3.test_accuracy"),
        (file(row="test_accuracy: [.nan, t]"), "experiments.fig3.test_accuracy"),
        (file(row="test_accuracy: [0, t]"), "experiments.fig3.test_accuracy"),
        (file(row="test_accuracy: [0.9, unknown]"), "unknown"),
        (file(row="test_acuracy: [0.9, t]"), "test_acuracy"),
        (file(row="test_accuracy: &a [*a, t]"), ""),
        (file() + "  fig3: {}\n", "duplicate key"),
        (file().encode("utf-16"), "cannot be read"),
    ],
    ids=repr,
)
def test_bad_paper_file_is_refused_in_one_line(tmp_path: Path, content: str | bytes, word: str) -> None:
    path = tmp_path / "paper.yaml"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ConfigError) as caught:
        reproduction.read_paper(path)
    message = str(caught.value)
    assert message.splitlines() == [message]
    assert message.startswith(f"{path}: ") and word in message


def test_missing_paper_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        reproduction.read_paper(tmp_path / "paper.yaml")
