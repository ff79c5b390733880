"""Studies: the grid of runs, the runs that studies share, the tables, and all of them at toy size."""

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

from feature_collapse.evidence import answers
from feature_collapse.evidence.studies import NUMBERS, row
from feature_collapse.model.experiment import Experiment
from feature_collapse.show import studies as study_figures
from feature_collapse.stages import data as data_stage
from feature_collapse.stages import features as features_stage
from feature_collapse.stages import study as study_stage
from feature_collapse.stages import study_figure, train
from feature_collapse.workflow import artifacts
from feature_collapse.workflow.config import Config, ConfigError, Run


@pytest.fixture
def with_studies(root: Path, tmp_path: Path) -> Callable[[dict], Config]:
    """The delivered configuration with other studies."""

    def build(studies: dict) -> Config:
        yaml = YAML()
        content = yaml.load(root / "config/experiments.yaml")
        content["studies"] = {name: {"question": "?"} | study for name, study in studies.items()}
        yaml.dump(content, tmp_path / "experiments.yaml")
        return Config(tmp_path / "experiments.yaml")

    return build


def grid(base: list[str], vary: dict, seeds: tuple[int, ...] | list[int] = (0,)) -> dict:
    """A study of one grid."""
    return {"grids": [{"base": base, "vary": vary}], "seeds": list(seeds)}


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
    runs = with_studies({"s": {"grids": grids, "seeds": [0]}}).study("s")
    assert names(runs) == ["fig3+d=50/seed0", "fig3/seed0", "fig3+L=10/seed0"]


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


def test_the_transition_is_crossed_by_both_laws(config: Config) -> None:
    from feature_collapse.theory.predictions import predict

    for law in ("uniform", "zipf"):
        learned = {predict(r.experiment).norm_u > 0 for r in config.study("lambda") if r.experiment.mu == law}
        assert learned == {True, False}


def test_depth_is_studied_at_the_settings_that_the_search_recommends(config: Config, root: Path) -> None:
    tried = pd.read_csv(root / "docs/studies/depth_search.csv")
    trained = tried.groupby(["architecture", "init_scale_W", "lr"], as_index=False)["training_train_accuracy"].min()
    trained = trained[trained["training_train_accuracy"] >= answers.FITTED]
    studied = {(e.architecture, e.init_scale_W, e.lr) for e in (run.experiment for run in config.study("depth"))}
    for architecture, settings in trained.groupby("architecture"):
        least = settings[settings["init_scale_W"] == settings["init_scale_W"].min()]
        assert {s[1:] for s in studied if s[0] == architecture} == {(least["init_scale_W"].min(), least["lr"].max())}
    assert {s[0] for s in studied} == {"linear", *trained["architecture"]}


@pytest.mark.parametrize(
    "study",
    [
        {"grids": [{"base": ["fig9"], "vary": {}}], "seeds": [0]},
        {"grids": [{"base": ["fig3"], "vary": {"colour": [1]}}], "seeds": [0]},
        {"grids": [{"base": ["fig3"], "vary": {"d": ["many"]}}], "seeds": [0]},
        {"grids": [{"base": ["fig3"], "vary": {"d": []}}], "seeds": [0]},
        {"grids": [{"base": ["nowhere/fig3"], "vary": {}}], "seeds": [0]},
        {"grids": [{"base": [], "vary": {}}], "seeds": [0]},
        {"grids": [], "seeds": [0]},
        {"grids": [{"base": ["fig3"], "vary": {}}], "seeds": []},
        {"grids": [{"base": ["fig3"], "vary": {}}]},
    ],
)
def test_a_bad_study_is_refused_when_the_configuration_is_read(with_studies: Callable, study: dict) -> None:
    with pytest.raises(ConfigError, match=r"experiments\.yaml"):
        with_studies({"s": study})


def test_an_unknown_study_is_named(config: Config) -> None:
    with pytest.raises(ConfigError, match="studies: no 'nope'; there are lambda"):
        config.study("nope")


def test_a_row_has_every_setting_every_measure_and_the_prediction(config: Config) -> None:
    run = config.run("fig3+K=50/seed3")
    part = {"sigma": [3.0, 2.0, 1.0, 0.5], "cdnv": 0.1}
    metrics = {"training": {"test_accuracy": 1.0}, "words": part, "words_weighted_by_mu": part, "u": part}
    numbers = dict.fromkeys(NUMBERS)
    found = row(run, metrics | numbers | {"objective": {"value": 2.0}, "layers": [{"cdnv": 0.2}]})
    assert found["run"] == "fig3+K=50/seed3"
    assert found["seed"] == 3
    assert found.items() >= run.experiment.model_dump().items()
    assert (found["words_sigma_1"], found["u_sigma_3"], found["words_cdnv"]) == (3.0, 1.0, 0.1)
    assert found["layer1_cdnv"] == 0.2
    assert found["predicted_words_norm_mean"] == pytest.approx(0.61602, abs=5e-6)
    assert found["learnable"] is True


def test_a_row_of_a_network_without_theorem_has_no_prediction(config: Config) -> None:
    part = {"sigma": [], "cdnv": 0.1}
    parts = {"training": {}, "words": part, "words_weighted_by_mu": part, "u": part, "objective": {}}
    metrics = parts | dict.fromkeys(NUMBERS) | {"layers": []}
    assert "learnable" not in row(config.run("fig3+lambda_W=0/seed0"), metrics)


def seen(normalisation: str, follows: float, words: float, u: float) -> dict[str, object]:
    measures = {"u_norm_follows_met": follows, "words_weighted_by_mu_size_spread": words, "u_size_spread": u}
    return {"normalisation": normalisation, **measures}


@pytest.mark.parametrize(
    ("follows", "spread", "said"),
    [
        (0.9, 0.1, "As the paper explains, the size of u_kl grows with the sizes of the words that it met: "),
        (0.9, 0.6, "but against the paper LayerNorm does not make it vary less: "),
        (0.0, 0.1, "Against the paper, the size of u_kl does not follow the sizes of the words that it met: "),
    ],
)
def test_the_mechanism_is_told_as_it_is(follows: float, spread: float, said: str) -> None:
    rows = pd.DataFrame([seen("none", follows, 1.0, 0.4), seen("layernorm", 0.0, 0.0, spread)])
    answer = answers.ANSWERS["mechanism"](rows)
    assert said in answer
    assert f"the rank correlation is {follows:.2f} in the plain network" in answer


def test_every_study_has_an_answer_and_a_figure(config: Config) -> None:
    assert set(config.studies) == set(answers.ANSWERS) == {*study_figures.FIGURES, "mechanism"}


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
                study_figure.make(study, "smoke", config)
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


def test_every_study_is_answered_from_its_table(made: Path, config: Config, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(made)
    for study in config.studies:
        rows = artifacts.read_csv(Path(f"results/smoke/studies/{study}.csv"))
        question, answer, *rest = Path(f"results/smoke/studies/{study}.md").read_text("utf-8").split("\n\n")
        assert question == f"# {config.question(study).question}"
        assert answer == answers.ANSWERS[study](rows)
        assert f"; {len(rows)} runs. " in rest[0]


def test_every_study_has_its_summary_and_its_figure(made: Path, config: Config) -> None:
    for study in config.studies:
        summary = pd.read_csv(made / f"results/smoke/studies/{study}_summary.csv")
        seeds = {run.seed for run in config.study(study, "smoke")}
        if study != "seeds":  # at toy size Figures 4a and 4b have the same settings
            assert set(summary["seeds"]) == {len(seeds)}
        assert summary["low"].notna().all() == (len(seeds) > 1)
        stem = made / f"figures/smoke/study_{study}"
        assert stem.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
        assert stem.with_suffix(".pdf").read_bytes()[:4] == b"%PDF"
