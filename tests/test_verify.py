"""Publishing runs and comparing others with them: what is the same, what is not, and what is not comparable."""

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import workflow

from feature_collapse.evidence import agreement
from feature_collapse.model.experiment import Experiment
from feature_collapse.stages import adopt, data, features, publish, train, verify
from feature_collapse.stages.verify import Verdict, finding
from feature_collapse.workflow import artifacts
from feature_collapse.workflow import published as published_runs
from feature_collapse.workflow.artifacts import ArtifactError
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.published import CHECKSUMS, FILES, TRAINED, Published
from feature_collapse.workflow.run import Run

NAME = "smoke/fig4c+epochs=2+records=2/seed{}"
ROWS = Path("docs/runs/smoke/fig4c.jsonl")


def make(run: Run) -> None:
    data.make(run)
    train.make(run, quiet=True)
    features.make(run)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which three seeds of one configuration, and another configuration, are made and published."""
    folder = workflow.copy_project(tmp_path_factory.mktemp("published") / "project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        config = Config()
        for name in (*(NAME.format(seed) for seed in (0, 1, 2)), "smoke/fig3+epochs=2+records=2/seed0"):
            make(config.run(name))
        publish.make([], config, quiet=True)
    return folder


@pytest.fixture
def project(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, process: None) -> Path:
    """A copy of it to be spoiled, the working directory of the test."""
    folder = Path(shutil.copytree(trained, tmp_path / "project"))
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def run(project: Path) -> Run:
    return Config().run(NAME.format(0))


def checked(run: Run) -> verify.Finding:
    return finding(run, Published())


def rewrite(run: Run, name: str, change: Callable[[dict[str, Any]], Any]) -> None:
    """Write a JSON artifact of a run anew with other content, whole by its own checksum."""
    content = artifacts.read_json(run.folder / name, run)
    change(content)
    artifacts.write_json(run.folder / name, run, content)


def numbers_differ(run: Run, name: str, factor: float) -> None:
    """Multiply a metric, `words.cdnv`, and train to other weights, which are whole."""
    part, key = name.split(".")
    rewrite(run, "metrics.json", lambda metrics: metrics[part].update({key: metrics[part][key] * factor}))
    arrays, _ = artifacts.read_arrays(run.folder / "weights.safetensors", run)
    arrays["W"][0, 0] += 1
    artifacts.write_arrays(run.folder / "weights.safetensors", run, arrays)
    digest = artifacts.checksum(run.folder / "weights.safetensors")
    rewrite(run, "run.json", lambda record: record["outputs"].update({"weights.safetensors": digest}))


# What is published


def test_what_is_published_is_what_was_measured(project: Path) -> None:
    config, published = Config(), Published()
    assert published.names == ["smoke/fig3+epochs=2+records=2/seed0", *(NAME.format(seed) for seed in (0, 1, 2))]
    for run in map(config.run, published.names):
        assert published.metrics(run.name) == artifacts.read_json(run.folder / "metrics.json", run)
        assert published.obstacle(run) is None
        record = artifacts.read_json(run.folder / "run.json", run)
        made = published.made[run.name]
        assert made.items() >= {key: record[key] for key in ("code", "machine", "threads", "seconds")}.items()
        for name in FILES:
            assert published.checksums[run.name][name] == artifacts.checksum(run.folder / name)


def test_publishing_again_changes_nothing_and_the_order_of_publishing_does_not_matter(
    project: Path, capsys: pytest.CaptureFixture
) -> None:
    before = workflow.contents(project / "docs")
    publish.make([], Config(), quiet=True)
    assert capsys.readouterr().out == "4 published before\n"
    assert workflow.contents(project / "docs") == before
    shutil.rmtree("docs")
    for seed in (2, 0, 1):
        publish.make([Config().run(NAME.format(seed))], Config(), quiet=True)
    publish.make([], Config(), quiet=True)
    assert workflow.contents(project / "docs") == before


def test_a_line_of_a_run_is_its_metrics_byte_for_byte(project: Path, run: Run) -> None:
    line = json.loads(ROWS.read_text(encoding="utf-8").splitlines()[0])
    del line["made"]
    assert artifacts.json_text(line).encode() == (run.folder / "metrics.json").read_bytes()


def test_what_two_people_publish_is_merged_line_by_line(project: Path, root: Path) -> None:
    """As git's `union` does, which `.gitattributes` asks for: in any order, with what both have published twice."""
    attributes = (root / ".gitattributes").read_text(encoding="utf-8").splitlines()
    assert {f"{CHECKSUMS} merge=union", "docs/runs/**/*.jsonl merge=union"} <= set(attributes)
    before, whole = workflow.contents(project / "docs"), Published()
    header, *rows = CHECKSUMS.read_text(encoding="utf-8").splitlines()
    CHECKSUMS.write_text("\n".join([header, *reversed(rows), rows[0]]) + "\n", encoding="utf-8")
    lines = ROWS.read_text(encoding="utf-8").splitlines()
    slower = lines[0].replace('"threads":1', '"threads":2')
    assert slower != lines[0]
    ROWS.write_text("\n".join([*reversed(lines), slower]) + "\n", encoding="utf-8")
    merged = Published()
    assert merged.checksums == whole.checksums and merged.names == whole.names
    merged.write()
    assert workflow.contents(project / "docs") == before


@pytest.mark.parametrize("device, capability", [("cuda", "AVX2"), ("cpu", "NO AVX"), ("cpu", "DEFAULT")])
def test_a_run_whose_bytes_are_its_machine_s_own_is_not_published(
    run: Run, capsys: pytest.CaptureFixture, device: str, capability: str
) -> None:
    before = workflow.contents(Path("docs"))
    elsewhere = replace(run, experiment=run.experiment.model_copy(update={"device": device}))
    record = artifacts.read_json(run.folder / "run.json", run)
    record["machine"]["cpu_capability"] = capability
    record["experiment"]["device"] = device
    artifacts.write_json(run.folder / "run.json", elsewhere, record)
    with pytest.raises(SystemExit) as ended:
        publish.make([elsewhere], Config(), quiet=True)
    assert ended.value.code == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"not published: {run.name}: trained ")
    assert workflow.contents(Path("docs")) == before


def test_training_that_gave_other_bytes_is_not_published(run: Run, capsys: pytest.CaptureFixture) -> None:
    before = workflow.contents(Path("docs"))
    numbers_differ(run, "words.cdnv", 1.0)
    with pytest.raises(SystemExit) as ended:
        publish.make([], Config(), quiet=True)
    assert ended.value.code == 1
    said = capsys.readouterr()
    assert said.out == "3 published before\n"
    assert said.err.startswith(f"not published: {run.name}: weights.safetensors would have to")
    assert workflow.contents(Path("docs")) == before


def test_other_measures_of_the_same_weights_take_the_place_of_the_published(
    run: Run, capsys: pytest.CaptureFixture
) -> None:
    rewrite(run, "metrics.json", lambda metrics: metrics.update({"new": 0.5}))
    publish.make([], Config(), quiet=True)
    assert capsys.readouterr().out == "1 measured anew, 3 published before\n"
    assert Published().metrics(run.name)["new"] == 0.5
    assert checked(run).verdict is Verdict.BYTES


@pytest.mark.parametrize("name", [*FILES, "run.json"])
def test_a_run_with_a_damaged_or_missing_file_is_not_published(
    run: Run, capsys: pytest.CaptureFixture, name: str
) -> None:
    shutil.rmtree("docs")
    path = run.folder / name
    path.write_bytes(path.read_bytes().replace(b"0", b"1"))
    for again in (False, True):
        with pytest.raises(SystemExit):
            publish.make([run], Config(), quiet=True)
        said = capsys.readouterr()
        assert said.out == "no finished run\n" and f"not published: {run.name}: {path}: " in said.err
        assert not Published().names
        if not again:
            path.unlink()


# Damage of what is published


@pytest.mark.parametrize("path", [CHECKSUMS, ROWS], ids=str)
@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(
            lambda text: re.sub(r"\d(?=\D*(\n|,\"made\"))", lambda d: str((int(d[0]) + 1) % 10), text, count=1),
            id="digit",
        ),
        pytest.param(lambda text: text.replace("seed1", "seed7"), id="name"),
        pytest.param(lambda text: "".join(text.splitlines(keepends=True)[:-1]), id="row missing"),
        pytest.param(lambda text: text[: len(text) // 2], id="half"),
        pytest.param(lambda text: "\0" + text, id="zero byte"),
        pytest.param(lambda text: "[]\n" + text, id="foreign line"),
        pytest.param(lambda text: text + text.splitlines()[-1].replace("0", "1") + "\n", id="two different rows"),
        pytest.param(lambda text: "", id="empty"),
    ],
)
def test_damage_of_what_is_published_is_named_in_one_line(
    project: Path, path: Path, damage: Callable[[str], str]
) -> None:
    text = path.read_text(encoding="utf-8")
    damaged = damage(text)
    assert damaged != text
    path.write_text(damaged, encoding="utf-8")
    with pytest.raises(ArtifactError) as caught:
        published = Published()
        for name in published.names:
            published.metrics(name)
    message = str(caught.value)
    assert len(message.splitlines()) == 1 and message.startswith("docs/")
    assert message.endswith("git checkout -- docs")


def test_every_number_and_setting_of_a_row_is_covered_by_its_checksum(project: Path, run: Run) -> None:
    lines = ROWS.read_text(encoding="utf-8").splitlines(keepends=True)
    plain = json.loads(lines[0])
    del plain["made"]
    spoilt = 0
    for key in ("seed", "arithmetic", "experiment", "training", "words", "layers"):
        other = json.dumps(plain[key]).replace("0", "1").replace("2", "3")
        if other == json.dumps(plain[key]):
            continue
        row = json.loads(lines[0]) | {key: json.loads(other)}
        ROWS.write_text("".join([json.dumps(row) + "\n", *lines[1:]]), encoding="utf-8")
        with pytest.raises(ArtifactError, match="does not have the checksum"):
            Published().metrics(run.name)
        spoilt += 1
    assert spoilt >= 4


# What is compared


def test_runs_as_published_have_the_same_bytes(project: Path, capsys: pytest.CaptureFixture) -> None:
    verify.make([], None, Config())
    assert capsys.readouterr().out == "Compared with the published runs: 4 same bytes.\n"


def test_a_run_made_again_has_the_same_bytes(run: Run) -> None:
    shutil.rmtree(run.folder)
    assert checked(run).verdict is Verdict.MISSING
    make(run)
    assert checked(run).verdict is Verdict.BYTES


@pytest.mark.parametrize("name", [*FILES, "run.json"])
def test_a_damaged_file_is_found(run: Run, capsys: pytest.CaptureFixture, name: str) -> None:
    path = run.folder / name
    path.write_bytes(path.read_bytes()[:-3] + b"0\n}")
    found = checked(run)
    assert found.verdict is Verdict.DAMAGED
    assert f"{path}: " in found.detail
    with pytest.raises(SystemExit) as ended:
        verify.make([], None, Config())
    assert ended.value.code == 1
    assert capsys.readouterr().out.splitlines() == [
        str(found),
        "Compared with the published runs: 3 same bytes, 1 damaged.",
    ]


@pytest.mark.parametrize("name", [*FILES, "run.json"])
def test_a_missing_file_is_named_and_the_run_is_not_counted(run: Run, capsys: pytest.CaptureFixture, name: str) -> None:
    (run.folder / name).unlink()
    verify.make([], None, Config())
    assert "3 same bytes.\nNot counted: 1 missing here.\n" in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        verify.make([run], None, Config())  # whoever names a run wants it compared
    assert ended.value.code == 2
    assert f"{run.name}: missing here ({name})" in capsys.readouterr().out


@pytest.mark.parametrize("name", [name for name in TRAINED if name.endswith("safetensors")])
def test_a_file_that_is_whole_and_not_the_published_is_named(run: Run, name: str) -> None:
    arrays, _ = artifacts.read_arrays(run.folder / name, run)
    next(iter(arrays.values())).flat[0] += 1
    artifacts.write_arrays(run.folder / name, run, arrays)
    assert checked(run).verdict is Verdict.DAMAGED  # not what run.json recorded
    digest = artifacts.checksum(run.folder / name)
    part = "inputs" if name == "data.safetensors" else "outputs"
    rewrite(run, "run.json", lambda record: record[part].update({name: digest}))
    found = checked(run)
    assert found.verdict is Verdict.NUMBERS
    assert found.detail == f"no number differs; other bytes: {name}"


def test_numbers_are_the_same_within_rounding_within_the_spread_of_seeds_or_different(
    run: Run, capsys: pytest.CaptureFixture
) -> None:
    published = Published()
    norms = [published.metrics(NAME.format(seed))["words"]["cdnv"] for seed in (0, 1, 2)]
    spread = (max(norms) - min(norms)) / norms[0]
    assert spread > 10 * agreement.ROUNDING
    for difference, verdict in [
        (0.9 * agreement.ROUNDING, Verdict.NUMBERS),
        (1.1 * agreement.ROUNDING, Verdict.SEEDS),
        (0.9 * spread, Verdict.SEEDS),
        (1.1 * spread, Verdict.DIFFERENT),
    ]:
        make(run)
        numbers_differ(run, "words.cdnv", 1 + difference)
        found = checked(run)
        assert found.verdict is verdict
        assert f"largest relative difference {difference:.1e}, of words.cdnv" in found.detail
        assert ("of seeds" in found.detail) == (verdict is not Verdict.NUMBERS)
        assert found.detail.endswith("other bytes: weights.safetensors, metrics.json")
        status = 0
        try:
            verify.make([run], None, Config())
        except SystemExit as ended:
            status = ended.code
        assert status == (verdict is Verdict.DIFFERENT)
        assert str(found) in capsys.readouterr().out


def test_beyond_rounding_a_run_of_which_one_seed_is_published_is_different(project: Path) -> None:
    run = Config().run("smoke/fig3+epochs=2+records=2/seed0")
    numbers_differ(run, "words.cdnv", 1 + 2 * agreement.ROUNDING)
    found = checked(run)
    assert found.verdict is Verdict.DIFFERENT and "of which one seed is published" in found.detail


def test_a_measure_that_is_gone_is_different_and_a_new_one_is_not_compared(run: Run) -> None:
    rewrite(run, "metrics.json", lambda metrics: metrics.update({"new": 0.5}))
    assert checked(run).verdict is Verdict.NUMBERS
    rewrite(run, "metrics.json", lambda metrics: metrics["words"].pop("cdnv"))
    found = checked(run)
    assert found.verdict is Verdict.DIFFERENT and "inf, of words.cdnv" in found.detail


@pytest.mark.parametrize("device, capability", [("cuda", "AVX512"), ("cpu", "NO AVX")])
def test_numbers_are_compared_where_bytes_cannot_be_the_same(run: Run, device: str, capability: str) -> None:
    """As if trained elsewhere: every file carries the device among its settings."""
    elsewhere = replace(run, experiment=run.experiment.model_copy(update={"device": device}))
    record = artifacts.read_json(run.folder / "run.json", run)
    for name in FILES:
        if name.endswith("safetensors"):
            arrays, _ = artifacts.read_arrays(run.folder / name, run)
            artifacts.write_arrays(run.folder / name, elsewhere, arrays)
    metrics = artifacts.read_json(run.folder / "metrics.json", run)
    metrics["experiment"]["device"] = record["experiment"]["device"] = device
    metrics["words"]["cdnv"] *= 1 + agreement.ROUNDING / 2
    artifacts.write_json(run.folder / "metrics.json", elsewhere, metrics)
    record["machine"]["cpu_capability"] = capability
    for part in ("inputs", "outputs"):
        record[part] = {name: artifacts.checksum(run.folder / name) for name in record[part]}
    artifacts.write_json(run.folder / "run.json", elsewhere, record)
    found = checked(elsewhere)
    assert found.verdict is Verdict.NUMBERS
    assert re.search(r"; trained (on cuda|without AVX2): bytes cannot be the same$", found.detail)


def test_other_settings_are_not_compared(run: Run, capsys: pytest.CaptureFixture) -> None:
    workflow.edit_settings(Path(), lambda content: content["scales"]["smoke"]["override"].update(d=11))
    verify.make([], None, Config())
    none = "Compared with the published runs: none.\nNot counted: 4 of other settings or another arithmetic.\n"
    assert capsys.readouterr().out == none
    again = Config().run(run.name)
    assert Published().obstacle(again) == "is published for other settings (d)"
    make(again)  # and if it is made as configured now
    verify.make([], None, Config())
    assert capsys.readouterr().out == none


def test_a_run_made_with_other_settings_than_the_published_is_not_compared(run: Run) -> None:
    other = replace(run, experiment=run.experiment.model_copy(update={"lr": 0.5}))
    make(other)
    found = checked(run)
    assert found.verdict is Verdict.OTHER and "experiment differs" in found.detail


def test_another_arithmetic_is_not_compared(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(artifacts, "ARITHMETIC", artifacts.ARITHMETIC + 1)
    found = checked(run)
    now = artifacts.ARITHMETIC
    assert found == verify.Finding(run, Verdict.OTHER, f"is published with arithmetic {now - 1}, not {now}")


def test_runs_that_are_not_published_or_not_made_are_said_so(
    run: Run, capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    new = Config().run("smoke/fig4c+epochs=1+records=1/seed0")
    make(new)
    shutil.rmtree(run.folder)
    verify.make([], None, Config())
    counts = "Compared with the published runs: 3 same bytes.\nNot counted: 1 missing here, 1 not published.\n"
    assert capsys.readouterr().out == counts
    verify.make([], "smoke", Config())  # the experiments of a scale, and not what studies make of them
    assert "none.\nNot counted: 5 not published.\n" in capsys.readouterr().out


def test_a_row_of_an_experiment_that_is_not_configured_any_more_is_left_out(
    project: Path, capsys: pytest.CaptureFixture
) -> None:
    def drop(content: dict) -> None:
        studies = content["studies"]
        content["studies"] = {"lambda": studies["lambda"]}
        studies["lambda"]["grids"][0]["base"] = ["threshold/fig3"]
        del content["experiments"]["fig4c"]
        for scale in content["scales"].values():
            scale["leave_out"] = [name for name in scale["leave_out"] if name != "fig4c"]

    workflow.edit_settings(project, drop)
    verify.make([], None, Config())
    assert capsys.readouterr().out == "Compared with the published runs: 1 same bytes.\n"


# Numbers


def test_differences_are_relative_and_of_what_is_nearly_nothing_to_what_it_is_part_of() -> None:
    there = {"u": {"sigma": [100.0, 1e-5], "cdnv": 1e-9, "norm": 2.0}, "seed": 3, "undefined": None}

    def difference(**changes: Any) -> float:
        return agreement.compare({**there, "u": there["u"] | changes}, there).difference

    assert difference() == 0
    assert difference(norm=2.02) == pytest.approx(0.01)
    assert difference(sigma=[100.0, 2e-5]) == pytest.approx(1e-7)
    assert difference(cdnv=2e-9) == pytest.approx(1e-6)
    assert difference(norm=None) == float("inf")
    assert agreement.compare({**there, "undefined": 0.5}, there).difference == float("inf")
    assert agreement.compare({**there, "seed": 4}, there).difference == 0


def test_the_spread_of_seeds_is_of_what_trains_alike_however_it_is_recorded(tiny: Callable[..., Experiment]) -> None:
    assert agreement.trained(tiny()) == agreement.trained(tiny(records=2, snapshot_classes=1).model_dump())
    assert agreement.trained(tiny()) != agreement.trained(tiny(lr=0.5))


# Keeping what was copied


@pytest.fixture
def copied(project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A clone into which somebody has copied results, without times of change and Snakemake's records."""
    clone = workflow.copy_project(tmp_path / "clone")
    for name in ("docs", "results"):
        shutil.copytree(project / name, clone / name, copy_function=shutil.copyfile)
    monkeypatch.chdir(clone)
    monkeypatch.setenv("PYTHONPATH", str(clone / "src"))
    yield clone


def test_copied_runs_with_the_published_bytes_are_kept_and_no_others(
    copied: Path, capfd: pytest.CaptureFixture
) -> None:
    kept, features_differ, spoilt = (Config().run(NAME.format(seed)) for seed in (0, 1, 2))
    targets = [str(run.folder / "metrics.json") for run in (kept, features_differ, spoilt)]
    arrays, _ = artifacts.read_arrays(features_differ.folder / "features.safetensors", features_differ)
    arrays["words_plane"][0] += 1e-6
    artifacts.write_arrays(features_differ.folder / "features.safetensors", features_differ, arrays)
    numbers_differ(spoilt, "words.cdnv", 1.0)
    assert {f"train {run.name}" for run in (kept, features_differ, spoilt)} <= workflow.planned(copied, *targets)
    content = workflow.contents(copied / "results")
    adopt.make(Config())
    assert "Kept: 3 of 4 runs." in capfd.readouterr().out
    left = workflow.contents(copied / "results")
    assert {name: left[name] for name in content} == content
    planned = workflow.planned(copied, *targets)
    assert planned & {f"{verb} {kept.name}" for verb in ("data", "train", "features")} == set()
    assert f"features {features_differ.name}" in planned and f"train {features_differ.name}" not in planned
    assert f"train {spoilt.name}" in planned
    workflow.edit_settings(copied, lambda content: content["scales"]["smoke"]["override"].update(lr=0.5))
    assert {f"{verb} {kept.name}" for verb in ("data", "train", "features")} <= workflow.planned(copied, *targets)


def test_where_no_run_has_the_published_bytes_nothing_is_touched(
    copied: Path, capfd: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree("docs")
    monkeypatch.setattr(adopt.subprocess, "run", lambda *_: pytest.fail("without a file, Snakemake touches everything"))
    adopt.make(Config())
    assert "Kept: 0 of 4 runs." in capfd.readouterr().out


def test_a_name_that_is_none_is_refused() -> None:
    with pytest.raises(ArtifactError, match="is not the name of a run"):
        published_runs.file_of("fig4c")
