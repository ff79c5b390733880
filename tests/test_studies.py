"""Studies: the grid of runs, the file that asks a question, its answer, the tables, and all of them at toy size."""

import math
import os
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path

import matplotlib
import pandas as pd
import pytest
import workflow
from ruamel.yaml import YAML

from feature_collapse.evidence import studies
from feature_collapse.evidence.rows import row, summarise
from feature_collapse.model.experiment import Experiment
from feature_collapse.stages import data as data_stage
from feature_collapse.stages import features as features_stage
from feature_collapse.stages import study as study_stage
from feature_collapse.stages import study_figure as figure_stage
from feature_collapse.stages import train
from feature_collapse.theory import predictions
from feature_collapse.theory.theorems import type_iii_threshold
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.measures import known
from feature_collapse.workflow.run import ConfigError, Run
from feature_collapse.workflow.studies import Study


@pytest.fixture
def with_studies(root: Path, tmp_path: Path) -> Callable[[dict], Config]:
    """The delivered configuration with other studies."""

    def build(studies: dict) -> Config:
        shutil.copy(root / "config/experiments.yaml", tmp_path)
        shutil.rmtree(tmp_path / "studies", ignore_errors=True)
        (tmp_path / "studies").mkdir()
        for name, study in studies.items():
            YAML().dump({"question": "?"} | study, tmp_path / f"studies/{name}.yaml")
        return Config(tmp_path / "experiments.yaml")

    return build


def grid(base: list[str], vary: dict, seeds: tuple[int, ...] | list[int] = (0,), **more: object) -> dict:
    """A study of one grid."""
    return {"runs": [{"base": base, "vary": vary}], "seeds": list(seeds), **more}


def names(runs: list[Run]) -> list[str]:
    return [run.name for run in runs]


def test_a_grid_is_every_base_with_every_value_and_seed(with_studies: Callable) -> None:
    config = with_studies({"s": grid(["fig3", "fig4c+K=200"], {"d": [2, 3]}, seeds=[0, 7])})
    assert names(config.study("s")) == [
        "fig3+d=2/seed0",
        "fig3+d=2/seed7",
        "fig3+d=3/seed0",
        "fig3+d=3/seed7",
        "fig4c+K=200+d=2/seed0",
        "fig4c+K=200+d=2/seed7",
        "fig4c+K=200+d=3/seed0",
        "fig4c+K=200+d=3/seed7",
    ]


def test_a_run_takes_as_many_steps_as_its_base_unless_it_is_told_its_epochs(with_studies: Callable) -> None:
    base = with_studies({}).run("fig4b/seed0").experiment
    config = with_studies({"s": grid(["fig4b"], {"n_spl": [5, 50]}), "t": grid(["fig4b"], {"K": [500], "epochs": [7]})})
    assert [run.experiment.steps for run in config.study("s")] == [base.steps] * 2
    assert config.study("s")[1].experiment.epochs == base.epochs / 10
    assert config.study("t")[0].experiment.epochs == 7


def test_grids_follow_one_another_and_a_run_in_two_of_them_counts_once(with_studies: Callable) -> None:
    grids = [{"base": ["fig3"], "vary": {"d": [50, 100]}}, {"base": ["fig3"], "vary": {"L": [15, 10]}}]
    runs = with_studies({"s": {"runs": grids, "seeds": [0]}}).study("s")
    assert names(runs) == ["fig3+d=50/seed0", "fig3/seed0", "fig3+L=10/seed0"]


def test_a_grid_may_have_seeds_of_its_own(with_studies: Callable) -> None:
    grids = [{"base": ["fig3"], "vary": {"d": [2, 3]}, "seeds": [4]}, {"base": ["fig3"], "vary": {"d": [3]}}]
    assert names(with_studies({"s": {"runs": grids, "seeds": [0, 1]}}).study("s")) == [
        "fig3+d=2/seed4",
        "fig3+d=3/seed4",
        "fig3+d=3/seed0",
        "fig3+d=3/seed1",
    ]


def test_thin_studies_keep_the_ends_of_each_axis_and_two_seeds(with_studies: Callable) -> None:
    config = with_studies({"s": grid(["study/fig3"], {"d": [5, 6, 7]}, seeds=[0, 1, 2])})
    assert names(config.study("s", "smoke")) == [f"smoke/fig3+d={d}/seed{seed}" for d in (5, 7) for seed in (0, 1)]


def test_every_run_of_a_study_is_the_one_its_name_stands_for(config: Config) -> None:
    for study in config.studies:
        for scale in ("", "smoke"):
            for run in config.study(study, scale):
                assert config.run(run.name) == run


def test_axes_are_combined_and_tied_keys_vary_together(with_studies: Callable) -> None:
    vary = {"lambda_W=lambda_U": [0.01, 0.02], "d": [3, 10]}
    runs = with_studies({"s": grid(["fig3"], vary)}).study("s")
    assert [(r.experiment.lambda_W, r.experiment.lambda_U, r.experiment.d) for r in runs] == [
        (0.01, 0.01, 3),
        (0.01, 0.01, 10),
        (0.02, 0.02, 3),
        (0.02, 0.02, 10),
    ]


def test_studies_share_the_runs_they_have_in_common(with_studies: Callable) -> None:
    one = grid(["fig4b+K=200"], {"n_spl": [5, 10]})
    other = grid(["fig4b+K=200"], {"zipf_exponent": [1, 2]})
    config = with_studies({"one": one, "other": other})
    shared = set(names(config.study("one"))) & set(names(config.study("other")))
    assert shared == {"fig4b+K=200/seed0"}  # n_spl = 5 and exponent 1 are the experiment's own


def test_a_study_at_a_scale_runs_at_that_scale(config: Config) -> None:
    assert all(name.startswith("smoke/") for name in names(config.study("lambda", "smoke")))


def test_lambda_brackets_each_threshold_within_three_per_cent(config: Config) -> None:
    experiments = [run.experiment for run in config.study("lambda")]
    for law in ("uniform", "zipf"):
        of = [e for e in experiments if e.mu == law]
        threshold = type_iii_threshold(of[0].n_c, of[0].L, of[0].K, predictions.law(of[0]))
        shares = [e.lambda_U / threshold for e in of]
        assert max(share for share in shares if share < 1) >= 0.97
        assert min(share for share in shares if share > 1) <= 1.03
        assert all(e.n_c**e.L == e.K and e.distinct_latents for e in of)  # the symmetry assumption holds exactly


@pytest.mark.parametrize(
    ("study", "word"),
    [
        (grid(["fig9"], {}), "fig9"),
        (grid(["fig3"], {"colour": [1]}), "colour"),
        (grid(["fig3"], {"d": ["many"]}), "d: "),
        (grid(["fig3"], {"d": []}), "runs.0.vary.d"),
        (grid(["nowhere/fig3"], {}), "nowhere"),
        (grid([], {}), "runs.0.base"),
        ({"runs": [], "seeds": [0]}, "runs"),
        (grid(["fig3"], {}, seeds=[]), "seeds"),
        ({"runs": [{"base": ["fig3"]}]}, "seeds: missing"),
        (grid(["fig3"], {}, colour="red"), "unknown key 'colour'; the keys are question, runs"),
        (grid(["fig3"], {}, columns=["u_cdmv"]), "'u_cdmv' is neither a setting nor a measure"),
        (grid(["fig3"], {}, hypotheses={"h": {"column": "u_cdnv"}}), "hypotheses.h: give one of at_least"),
        (grid(["fig3"], {}, hypotheses={"h": {"column": "u_cdmv", "at_least": 1}}), "u_cdmv"),
        (grid(["fig3"], {}, hypotheses={"h": {"column": "u_cdnv", "at_least": 1, "each": ["dd"]}}), "dd"),
        (
            grid(["fig3"], {"d": [2]}, hypotheses={"h": {"column": "u_cdnv", "of": {"d": 3}, "at_least": 1}}),
            "hypotheses.h: no run has d 3",
        ),
        (
            grid(["fig3"], {}, hypotheses={"h": {"column": "u_cdnv", "above": {"n_spl": 9}}}),
            "hypotheses.h: no run has n_spl 9",
        ),
        (grid(["fig3"], {}, answer={"when": {"h": "supported"}, "text": "."}), "no hypothesis 'h'"),
        (grid(["fig3"], {}, answer={"when": {}, "text": "{h.of}"}), "{h.of}"),
        (grid(["fig3"], {}, answer={"when": {}, "text": "{x}"}), "{x}"),
        (grid(["fig3"], {}, figure={"draw": "nothing"}), "no function 'nothing'; it has transition"),
        (grid(["fig3"], {}, figure={"sweep": "dd"}), "dd"),
        (grid(["fig3"], {}, figure={}), "one of sweep and draw"),
    ],
)
def test_a_bad_study_is_refused_in_one_line_before_anything_trains(
    with_studies: Callable, study: dict, word: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        with_studies({"s": study})
    message = str(caught.value)
    assert "studies/s.yaml: " in message and word in message
    assert "\n" not in message


def test_a_study_is_named_by_a_plain_file_name(with_studies: Callable) -> None:
    with pytest.raises(ConfigError, match="letters, digits and underscores"):
        with_studies({"my study": grid(["fig3"], {})})


def test_an_unknown_study_is_named(config: Config) -> None:
    with pytest.raises(ConfigError, match="studies: no 'nope'; there are depth"):
        config.study("nope")


# Rows


def test_a_row_has_every_setting_every_measure_and_the_prediction(config: Config) -> None:
    run = config.run("fig3+K=50/seed3")
    part = {"sigma": [3.0, 2.0, 1.0, 0.5], "cdnv": 0.1, "norm_mean": 0.6}
    training = {"test_accuracy": 0.9, "peak_test_accuracy": 0.95}
    metrics = {"training": training, "words": part, "u": part, "objective": {"value": 2.0}}
    found = row(
        run, metrics | {"layers": [{"cdnv": 0.3}, {"cdnv": 0.2}], "distinct_latents_drawn": 45, "alignment": None}
    )
    assert found.items() >= {"run": run.name, "seed": 3, "experiment": "fig3", **run.experiment.model_dump()}.items()
    assert (found["words_sigma_1"], found["u_sigma_3"], found["words_cdnv"]) == (3.0, 1.0, 0.1)
    assert (found["layer1_cdnv"], found["last_layer_cdnv"]) == (0.3, 0.2)
    assert found["objective_value"] == 2.0
    assert math.isnan(found["alignment"])
    assert found["predicted_words_norm_mean"] == pytest.approx(0.61602, abs=5e-6)
    assert found["words_norm_error"] == pytest.approx(0.6 / 0.61602 - 1, abs=1e-5)
    assert found["fall_from_peak"] == pytest.approx(0.05)
    assert found["accuracy_of_possible"] == pytest.approx(1)
    assert found["growth"] == pytest.approx(60)
    assert found["learnable"] is True


def test_a_row_of_a_network_without_theorem_has_no_prediction(config: Config) -> None:
    assert "learnable" not in row(config.run("fig3+lambda_W=0/seed0"), {"training": {}, "layers": []})


def test_the_summary_has_means_and_student_s_intervals() -> None:
    rows = pd.DataFrame({"d": [2, 2, 3, 3], "seed": [0, 1, 0, 1], "u_cdnv": [1.0, 2.0, 5.0, 5.0]})
    summary = summarise(rows).set_index("d")
    assert summary["mean"].tolist() == [1.5, 5.0]
    assert summary.loc[2, "high"] == pytest.approx(1.5 + 12.706 * 0.5, rel=1e-4)
    assert (summary.loc[3, "low"], summary.loc[3, "seeds"]) == (5.0, 2)


# Answers


def answered(text: str, **when: str) -> Study:
    hypotheses = {"harms": {"column": "u_cdnv", "of": {"d": 3}, "above": {"d": 2}}}
    values = {"most": {"column": "u_cdnv", "each": ["d"]}}
    answer = {"when": when, "values": values, "text": text}
    return Study.model_validate(
        {"question": "?", **grid(["fig3"], {"d": [2, 3]}), "hypotheses": hypotheses, "answer": answer}
    )


ROWS = pd.DataFrame({"d": [2, 2, 3, 3], "seed": [0, 1, 0, 1], "u_cdnv": [1.0, 2.0, 5.0, 6.0]})


def test_an_answer_is_filled_from_the_table() -> None:
    study = answered("{harms.of} against {harms.other}, by {harms.difference:interval}; {most}.", harms="supported")
    said = studies.say(study, ROWS)
    assert said.fits
    assert said.answer == "5.5 against 1.5, by 4; 1.5 to 5.5."


def test_an_answer_is_shown_only_while_its_verdicts_are_those_it_was_written_for() -> None:
    study = answered("It does.", harms="supported")
    assert "**It does.**" in studies.markdown(study, ROWS)
    changed = ROWS.assign(u_cdnv=[1.0, 9.0, 5.0, 6.0])
    assert not studies.say(study, changed).fits
    page = studies.markdown(study, changed)
    assert "It does." not in page and "does not fit these verdicts" in page


def test_a_page_shows_every_hypothesis_with_its_verdict_and_numbers() -> None:
    table = studies.hypotheses_table(studies.say(answered(".", harms="supported"), ROWS))
    assert table.to_dict("records") == [
        {
            "expected": "",
            "verdict": "supported",
            "settings": 1,
            "measured": "5.5 (-0.853 to 11.9) against 1.5 (-4.85 to 7.85)",
        }
    ]


def published(root: Path, config: Config) -> list[str]:
    """The studies of which `docs/` has every run that is configured."""
    found = []
    for study in config.studies:
        path = root / f"docs/studies/{study}.csv"
        if path.exists() and set(pd.read_csv(path)["run"]) == {run.name for run in config.study(study)}:
            found.append(study)
    return found


def test_no_published_answer_has_parted_from_its_verdicts(root: Path, config: Config) -> None:
    for study in published(root, config):
        said = studies.say(config.question(study), pd.read_csv(root / f"docs/studies/{study}.csv"))
        assert said.fits, f"{study}: {said.verdicts}"


# Adding one


def test_adding_a_study_is_adding_a_file(
    with_studies: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Question, runs and seeds are enough: the rest has defaults, and nobody needs to touch code."""
    monkeypatch.chdir(tmp_path)
    config = with_studies(
        {"width": {"question": "Does the dimension matter?", **grid(["smoke/fig3+epochs=3"], {"d": [3, 6]}, [0, 1])}}
    )
    for run in config.study("width"):
        data_stage.make(run)
        train.make(run, quiet=True)
        features_stage.make(run)
    study_stage.make("width", "", config, quiet=True)
    figure_stage.make("width", "", config)
    page = Path("results/studies/width.md").read_text(encoding="utf-8")
    assert page.startswith("# Does the dimension matter?")
    assert all(words in page for words in ("test accuracy", "CDNV of u_kl"))
    assert len(artifacts.read_csv(Path("results/studies/width.csv"))) == 4
    assert Path("figures/study_width.pdf").read_bytes()[:4] == b"%PDF"


# All studies at toy size: what Snakemake plans, and the same made here, where no process is started for each job.


def test_the_target_of_all_studies_plans_each_run_of_their_grids_once(config: Config, tmp_path: Path) -> None:
    runs = {run.name for study in config.studies for run in config.study(study, "smoke")}
    assert len(runs) < sum(len(config.study(study, "smoke")) for study in config.studies)  # some are shared
    expected = {f"{verb} {run}" for verb in ("data", "train", "features") for run in runs}
    expected |= {f"{verb} {study} smoke" for verb in ("study", "study_figure") for study in config.studies}
    planned = workflow.planned(workflow.copy_project(tmp_path / "project"), "smoke_studies")
    assert {plan for plan in planned if not plan.startswith("page ")} == expected


def short(run: Run) -> Run:
    """The same run of a few steps and sentences."""
    e = run.experiment
    changes = {"batch_size": 2000, "epochs": min(e.epochs, 4), "n_spl": min(e.n_spl, 10), "records": 2}
    return Run(run.name, run.scale, e.model_copy(update=changes), run.seed)


@pytest.fixture(scope="module")
def made(config: Config, root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which every study has been made at toy size, its runs of a few steps only, without a warning."""
    folder, before, grids = tmp_path_factory.mktemp("studies"), Path.cwd(), Config.study
    shutil.copytree(root / "config", folder / "config")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(action="error"):
        patch.setitem(matplotlib.rcParams, "savefig.dpi", 50)  # small, to be quick
        patch.setattr(Config, "study", lambda self, *names: [short(run) for run in grids(self, *names)])
        os.chdir(folder)
        try:
            for run in {run.name: run for study in config.studies for run in config.study(study, "smoke")}.values():
                data_stage.make(run)
                train.make(run, quiet=True)
                features_stage.make(run)
            for study in config.studies:
                study_stage.make(study, "smoke", config, quiet=True)
                figure_stage.make(study, "smoke", config)
        finally:
            os.chdir(before)
    return folder


def test_every_study_has_a_row_for_each_run_with_every_setting(
    made: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    for study in config.studies:
        rows = artifacts.read_csv(Path(f"results/smoke/studies/{study}.csv"))
        runs = config.study(study, "smoke")
        assert list(rows["run"]) == names(runs)
        assert set(Experiment.model_fields) | {"seed", "u_cdnv"} <= set(rows)
        assert list(rows["lambda_U"]) == [run.experiment.lambda_U for run in runs]
        assert rows[["training_test_accuracy", "training_train_accuracy"]].stack().between(0, 1).all()


def test_every_number_of_a_run_has_a_name_for_readers(
    made: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(made)
    for study in config.studies:
        columns = set(artifacts.read_csv(Path(f"results/smoke/studies/{study}.csv"))) - set(Experiment.model_fields)
        assert {column for column in columns - {"run", "seed", "experiment"} if not known(column)} == set()


def test_every_study_has_a_page_with_its_question(made: Path, config: Config) -> None:
    for study in config.studies:
        page = (made / f"results/smoke/studies/{study}.md").read_text("utf-8")
        assert page.startswith(f"# {config.question(study).question}\n")
        assert all(h.says in page for h in config.question(study).hypotheses.values())


def test_every_study_has_its_summary_and_its_figure(made: Path, config: Config) -> None:
    for study in config.studies:
        assert len(pd.read_csv(made / f"results/smoke/studies/{study}_summary.csv"))
        stem = made / f"figures/smoke/study_{study}"
        assert stem.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
        assert stem.with_suffix(".pdf").read_bytes()[:4] == b"%PDF"
