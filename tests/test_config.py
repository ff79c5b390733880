"""The configuration: every bad input is refused in one line, and a run's name means what it says."""

import copy
import datetime
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from ruamel.yaml import YAML

from feature_collapse.model.experiment import Experiment
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.run import ConfigError, Run

SIZES = ["n_c", "n_w", "L", "K", "n_spl", "n_test", "d", "batch_size", "epochs", "records"]
REALS = ["zipf_exponent", "eps", "init_scale_W", "init_scale_U", "init_scale_layers", "lr", "lambda_W", "lambda_U"]


@pytest.fixture(scope="session")
def pristine(root: Path) -> dict[str, Any]:
    """The delivered configuration, cut down to two experiments and one scale."""
    content = YAML(typ="safe", pure=True).load((root / "config/experiments.yaml").read_text(encoding="utf-8"))
    return content | {
        "experiments": {name: content["experiments"][name] for name in ("fig3", "fig4b")},
        "scales": {"quick": {"leave_out": [], "override": {"K": 200}}},
    }


@pytest.fixture
def content(pristine: dict[str, Any]) -> dict[str, Any]:
    return copy.deepcopy(pristine)


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    """Write bytes, text or a mapping to a file and return its path."""

    def write(content: Any) -> Path:
        path = tmp_path / "experiments.yaml"
        if isinstance(content, bytes):
            path.write_bytes(content)
        elif isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        else:
            yaml = YAML(typ="safe", pure=True)
            yaml.default_flow_style = False
            yaml.dump(content, path)
        return path

    return write


@pytest.fixture
def text(content: dict[str, Any], write: Callable[[Any], Path]) -> str:
    return write(content).read_text(encoding="utf-8")


def refusal(call: Callable[[], object]) -> str:
    """The message with which a call refuses its input: one line that can be printed."""
    with pytest.raises(ConfigError) as caught:
        call()
    message = str(caught.value)
    assert message.splitlines() == [message]
    return message


def refused(path: Path, *words: str) -> None:
    """Assert that a file is refused in one line that begins with its path and holds the words."""
    message = refusal(lambda: Config(path))
    assert message.startswith(f"{path}: ")
    for word in words:
        assert word in message


def refused_entry(content: dict, write: Callable[[Any], Path], key: str, value: Any, *words: str) -> None:
    """Assert that an experiment's entry with a bad value is refused by the name of the experiment and of the key."""
    content["experiments"]["fig4b"][key] = value
    refused(write(content), f"experiments.fig4b: {key}: ", *words)


def test_delivered_configuration_is_valid(config: Config) -> None:
    assert config.experiments() == ["fig3", "fig3_k50", "fig4a", "fig4b", "fig4c"]
    assert {"quick", "smoke"} <= set(config.scales)
    assert config.seeds == [0]


def test_delivered_configuration_is_the_paper_s(config: Config) -> None:
    common = {"n_c": 3, "n_w": 1200, "L": 15, "K": 1000, "n_test": 5, "d": 100, "lr": 0.1, "batch_size": 100}
    common |= {"init_scale_W": 0.001, "init_scale_U": 0.001, "zipf_exponent": 1, "lambda_U": 0.001}
    common |= {"init_scale_layers": 1, "eps": 1e-5, "data": "model", "distinct_latents": False}
    uniform, zipf = {"mu": "uniform"}, {"mu": "zipf"}
    plain, layernorm = {"normalisation": "none", "lambda_W": 0.001}, {"normalisation": "layernorm", "lambda_W": 0}
    paper = {
        "fig3": uniform | plain | {"n_spl": 5, "epochs": 1200},
        "fig3_k50": uniform | plain | {"n_spl": 100, "epochs": 1200, "K": 50},
        "fig4a": zipf | plain | {"n_spl": 500, "epochs": 10},
        "fig4b": zipf | plain | {"n_spl": 5, "epochs": 3000},
        "fig4c": zipf | layernorm | {"n_spl": 5, "epochs": 500},
    }
    for name, settings_ in paper.items():
        assert (common | settings_).items() <= config.run(f"{name}/seed0").experiment.model_dump().items()


def test_derived_sizes(tiny: Callable[..., Experiment]) -> None:
    e = tiny(n_c=3, n_w=12, K=8, n_spl=3, batch_size=7, epochs=4)
    assert (e.s_c, e.N, e.steps_per_epoch, e.steps) == (4, 24, 4, 16)


@pytest.mark.parametrize("section", ["defaults", "experiments.fig4b", "scales.quick.override"])
def test_unknown_key_is_refused(content: dict, write: Callable, section: str) -> None:
    place = content
    for part in section.split("."):
        place = place[part]
    place["learning_rate"] = 0.1
    refused(write(content), "learning_rate: unknown key", "lr")


@pytest.mark.parametrize("section", ["", "scales.quick"])
def test_unknown_key_of_the_file_s_own_structure_is_refused(content: dict, write: Callable, section: str) -> None:
    place = content
    for part in filter(None, section.split(".")):
        place = place[part]
    place["overrides"] = {}
    refused(write(content), f"{section}.overrides: unknown key".lstrip("."))


@pytest.mark.parametrize("key", Experiment.model_fields)
def test_missing_key_is_refused(content: dict, write: Callable, key: str) -> None:
    for place in (content["defaults"], *content["experiments"].values()):
        place.pop(key, None)
    refused(write(content), f"experiments.fig3: {key}: missing key")


@pytest.mark.parametrize("key", ["seeds", "defaults", "experiments", "scales"])
def test_missing_section_is_refused(content: dict, write: Callable, key: str) -> None:
    del content[key]
    refused(write(content), f"{key}: missing key")


@pytest.mark.parametrize("value", ["ten", None, [], {}, datetime.date(2023, 5, 25)], ids=str)
@pytest.mark.parametrize("key", Experiment.model_fields)
def test_wrong_type_is_refused(content: dict, write: Callable, key: str, value: Any) -> None:
    refused_entry(content, write, key, value, "not ")


@pytest.mark.parametrize("key", SIZES)
@pytest.mark.parametrize("value", [True, 4.0, "4"], ids=repr)
def test_size_that_only_looks_like_an_integer_is_refused(content: dict, write: Callable, key: str, value: Any) -> None:
    refused_entry(content, write, key, value, "valid integer")


@pytest.mark.parametrize("key", SIZES)
@pytest.mark.parametrize("value", [0, -1, -(2**70)])
def test_negative_or_zero_size_is_refused(content: dict, write: Callable, key: str, value: int) -> None:
    refused_entry(content, write, key, value, "greater than or equal to", f"not {value}")


@pytest.mark.parametrize("key", REALS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_number_that_is_not_finite_is_refused(content: dict, write: Callable, key: str, value: float) -> None:
    refused_entry(content, write, key, value, "finite number")


@pytest.mark.parametrize("key", REALS)
def test_negative_real_is_refused(content: dict, write: Callable, key: str) -> None:
    refused_entry(content, write, key, -1e-9, "greater than")


@pytest.mark.parametrize("key", ["lr", "eps", "init_scale_W", "init_scale_U", "init_scale_layers"])
def test_zero_learning_rate_or_initial_scale_is_refused(content: dict, write: Callable, key: str) -> None:
    refused_entry(content, write, key, 0, "greater than 0")


def test_negative_snapshot_classes_is_refused(content: dict, write: Callable) -> None:
    refused_entry(content, write, "snapshot_classes", -1, "greater than or equal to 0")


@pytest.mark.parametrize(
    ("key", "allowed"),
    [("mu", "'uniform' or 'zipf'"), ("normalisation", "'layernorm'"), ("device", "'cpu', 'cuda' or 'mps'")],
)
def test_unknown_choice_is_refused_and_the_known_ones_named(
    content: dict, write: Callable, key: str, allowed: str
) -> None:
    refused_entry(content, write, key, "gaussian", allowed, "not gaussian")


def test_n_w_not_divisible_by_n_c_is_refused(content: dict, write: Callable) -> None:
    content["experiments"]["fig4b"] |= {"n_w": 1201}
    refused(write(content), "experiments.fig4b: n_w: 1201 is not divisible by n_c = 3")


def test_more_distinct_latents_than_there_are_is_refused(content: dict, write: Callable) -> None:
    content["experiments"]["fig4b"] |= {"distinct_latents": True, "L": 6}
    refused(write(content), "experiments.fig4b: K: 1000 distinct latents asked for", "n_c ** L = 729")
    content["experiments"]["fig4b"] |= {"K": 729}
    assert Config(write(content)).run("fig4b/seed0").experiment.K == 729


@pytest.mark.parametrize(
    ("key", "changes"),
    [
        ("n_spl", {"n_spl": 10_000_000}),
        ("n_test", {"n_test": 10_000_000}),
        ("n_w", {"n_w": 9_000_000, "d": 1000}),
        ("K", {"K": 10_000_000}),
    ],
)
def test_array_that_fits_no_machine_is_refused(content: dict, write: Callable, key: str, changes: dict) -> None:
    content["experiments"]["fig4b"] |= changes
    refused(write(content), f"experiments.fig4b: {key}: ", "elements")


def test_mistake_that_shows_only_at_a_scale_is_refused_when_the_file_is_read(content: dict, write: Callable) -> None:
    content["scales"]["quick"]["override"]["n_c"] = 7
    refused(write(content), "experiments.fig3 at scale quick: n_w: ", "not divisible by n_c = 7")


@pytest.mark.parametrize(
    ("section", "value", "key"),
    [
        ("seeds", [], "seeds"),
        ("seeds", 0, "seeds"),
        ("seeds", ["0"], "seeds.0"),
        ("seeds", [-1], "seeds"),
        ("seeds", [10**9], "seeds"),
        ("defaults", [], "defaults"),
        ("experiments", {}, "experiments"),
        ("experiments", {"fig3": None}, "experiments.fig3"),
        ("experiments", {"fig 3": {"epochs": 1}}, "fig 3"),
        ("experiments", {"fig\n3": {"epochs": 1}}, "experiments"),
        ("experiments", {"fig\n3": {"epochs": -1}}, "experiments"),
        ("scales", {"quick": {"override": {}}}, "scales.quick.leave_out"),
        ("scales", {"quick": {"leave_out": ["fig5"], "override": {}}}, "fig5"),
        ("scales", {"very quick": {"leave_out": [], "override": {}}}, "very quick"),
    ],
    ids=repr,
)
def test_bad_section_is_refused(content: dict, write: Callable, section: str, value: Any, key: str) -> None:
    content[section] = value
    refused(write(content), key)


@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (lambda text: text.replace("  lr: 0.1", "  lr: 0.1\n  lr: 0.2"), "duplicate key"),
        (lambda text: text.replace("  lr: 0.1", "  lr: !!python/object/apply:os.system [exit 3]"), "not plain YAML"),
        (lambda text: text.replace("  lr: 0.1", "  lr: !!python/name:os.system"), "not plain YAML"),
        (lambda text: text.replace("  lr: 0.1", "  lr: !!bool perhaps"), "not plain YAML"),
        (lambda text: text.replace("  lr: 0.1", "  lr: !!int ''"), "not plain YAML"),
        (lambda text: text.replace("  lr: 0.1", "  lr: !!float ''"), "not plain YAML"),
        (lambda text: text.replace("  lr: 0.1", "  lr: 2023-25-05"), "not plain YAML"),
        (lambda text: text.replace("  lr: 0.1", "  lr: *unknown"), "not plain YAML"),
        (lambda text: text.replace("  lr: 0.1", "  lr: &a [*a]"), "lr: "),
        (lambda text: text.replace("  lr: 0.1", "  lr: 0x" + 5000 * "f"), "lr: "),
        (lambda text: text.replace("  lr: 0.1", "  lr: " + 5000 * "9"), ""),
        (lambda text: text.replace("  lr: 0.1", "lr: 0.1"), "not plain YAML"),
        (lambda text: text.replace("  lr: 0.1", "  lr: " + 300 * "[" + 300 * "]"), ""),
        (lambda text: text + "\n---\n" + text, "not plain YAML"),
        (lambda text: 1000 * "[", "not plain YAML"),
        (lambda text: "", "valid dictionary"),
        (lambda text: "# nothing", "valid dictionary"),
        (lambda text: "- fig3\n", "valid dictionary"),
        (lambda text: "fig3", "valid dictionary"),
        (lambda text: "\0", "not plain YAML"),
        (lambda text: text.encode("utf-16"), "cannot be read"),
        (lambda text: text.encode() + b"\xff", "cannot be read"),
        (lambda text: b"\x89PNG\r\n\x1a\n", "cannot be read"),
    ],
)
def test_text_that_is_no_configuration_is_refused(text: str, write: Callable, damage: Callable, word: str) -> None:
    assert damage(text) != text
    refused(write(damage(text)), word)


def test_yaml_tag_runs_no_code(tmp_path: Path, text: str, write: Callable) -> None:
    proof = tmp_path / "proof"
    code = f'!!python/object/apply:pathlib.Path.touch [!!python/object/apply:pathlib.Path ["{proof}"]]'
    refused(write(text.replace("  lr: 0.1", f"  lr: {code}")), "not plain YAML")
    assert not proof.exists()


def test_small_text_that_unfolds_into_a_vast_value_is_refused_in_a_short_line(text: str, write: Callable) -> None:
    doubled = "".join(f"  a{i + 1}: &a{i + 1} [*a{i}, *a{i}]\n" for i in range(18))
    path = write(text.replace("  lr: 0.1\n", f"  a0: &a0 [x]\n{doubled}  lr: *a18\n"))
    assert len(refusal(lambda: Config(path))) < 2000


def test_missing_file_and_folder_are_refused(tmp_path: Path) -> None:
    refused(tmp_path / "missing.yaml", "cannot be read")
    refused(tmp_path, "cannot be read")


JUNK = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(),
        st.integers(min_value=-(10**400), max_value=10**400),
        st.floats(),
        st.text(max_size=8),
        st.binary(max_size=4),
        st.dates(),
        st.sampled_from(["zipf", "layernorm", "fig3+K=50", "a=b", "", "fig4b/seed0"]),
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3),
    max_leaves=4,
)


def mutate(content: Any, data: st.DataObject) -> Any:
    """Replace, remove or add one thing somewhere in nested mappings and lists."""
    if not isinstance(content, dict | list) or not content or data.draw(st.integers(0, 9), "depth") == 0:
        return data.draw(JUNK, "junk")
    key = data.draw(st.sampled_from(list(content) if isinstance(content, dict) else range(len(content))), "key")
    action = data.draw(st.sampled_from(["descend", "descend", "remove", "add"]), "action")
    if action == "remove":
        del content[key]
    elif action == "add" and isinstance(content, dict):
        content[data.draw(st.text(max_size=8) | st.sampled_from(list(Experiment.model_fields)), "new key")] = data.draw(
            JUNK, "junk"
        )
    elif action == "add":
        content.insert(key, data.draw(JUNK, "junk"))
    else:
        content[key] = mutate(content[key], data)
    return content


def read_or_refused(path: Path) -> None:
    """Assert that a file is either refused in one line or gives a configuration whose experiments can all be run."""
    try:
        config = Config(path)
    except ConfigError as error:
        assert str(error).splitlines() == [str(error)] and str(error).startswith(f"{path}: ")
        return
    for scale in ("", *config.scales):
        for name in config.experiments(scale):
            assert isinstance(config.run(f"{scale}/{name}/seed0".lstrip("/")).experiment, Experiment)


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_any_content_is_valid_or_refused_in_one_line(pristine: dict, write: Callable, data: st.DataObject) -> None:
    content = copy.deepcopy(pristine)
    for _ in range(data.draw(st.integers(1, 3), "mutations")):
        content = mutate(content, data)
    try:
        path = write(content)
    except Exception:  # what YAML cannot express cannot be in a file
        return
    read_or_refused(path)


@settings(max_examples=500, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(sorted(Experiment.model_fields)), value=JUNK)
def test_any_value_of_a_key_is_valid_or_refused_by_the_name_of_the_key(
    pristine: dict, write: Callable, key: str, value: Any
) -> None:
    one = {"seeds": [0], "defaults": pristine["defaults"], "experiments": {"mine": {"epochs": 1}}}
    content = copy.deepcopy(one | {"scales": {}})
    content["experiments"]["mine"][key] = value
    try:
        path = write(content)
    except Exception:  # what YAML cannot express cannot be in a file
        return
    before = path.read_bytes()
    try:
        Config(path)
    except ConfigError as error:
        assert str(error).splitlines() == [str(error)]
        assert str(error).startswith(f"{path}: ") and key in str(error).removeprefix(f"{path}: ")
    assert [*path.parent.iterdir()] == [path] and path.read_bytes() == before


TAGS = ["!!bool x", "!!int ''", "!!float .", "!!python/name:os.system", "!x y", "&a ", "*a", "<<: {}", "? [1]", "0x_"]
SIGNS = [*"{}[]|>'\"%#,\t\0\ud7ff\u2028", "- ", ": ", "...", "\n---\n"]


@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_text_is_valid_or_refused_in_one_line(text: str, write: Callable, data: st.DataObject) -> None:
    for _ in range(data.draw(st.integers(1, 3), "changes")):
        begin = data.draw(st.integers(0, len(text)), "begin")
        end = begin + data.draw(st.integers(0, 8), "removed")
        text = text[:begin] + data.draw(st.sampled_from(TAGS + SIGNS) | st.text(max_size=4), "inserted") + text[end:]
    read_or_refused(write(text.encode("utf-8", "surrogatepass")))


def test_defaults_give_way_to_entry_to_scale_to_name(content: dict, write: Callable) -> None:
    content["defaults"] |= {"n_spl": 1, "n_test": 1, "d": 2, "batch_size": 1}
    content["experiments"]["fig4b"] |= {"n_test": 2, "d": 3, "batch_size": 2}
    content["scales"]["quick"]["override"] |= {"d": 4, "batch_size": 3}
    e = Config(write(content)).run("quick/fig4b+batch_size=4/seed0").experiment
    assert (e.n_spl, e.n_test, e.d, e.batch_size) == (1, 2, 4, 4)


def test_override_in_a_name_changes_that_key_alone(config: Config) -> None:
    run = config.run("fig4b+n_spl=10/seed3")
    assert run.seed == 3
    assert run.scale == ""
    assert run.folder == Path("results/fig4b+n_spl=10/seed3")
    assert run.experiment == config.run("fig4b/seed0").experiment.model_copy(update={"n_spl": 10})


def test_several_overrides_of_every_type(config: Config) -> None:
    name = "smoke/fig3+mu=zipf+lr=1e-2+lambda_W=0+distinct_latents=false+K=30/seed12"
    e = config.run(name).experiment
    assert (e.mu, e.lr, e.lambda_W, e.distinct_latents, e.K) == ("zipf", 0.01, 0, False, 30)
    assert (config.run(name).scale, config.run(name).seed) == ("smoke", 12)


def test_scale_leaves_out_what_it_says(content: dict, write: Callable) -> None:
    content["scales"]["quick"]["leave_out"] = ["fig3"]
    config = Config(write(content))
    assert config.experiments() == ["fig3", "fig4b"]
    assert config.experiments("quick") == ["fig4b"]


def test_experiment_cannot_be_changed_after_it_was_checked(config: Config) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        config.run("fig3/seed0").experiment.K = 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("fig5/seed0", ["experiments: no 'fig5'", "fig4c"]),
        ("tiny/fig3/seed0", ["scales: no 'tiny'", "quick"]),
        ("fig4b+n_spel=10/seed0", ["n_spel: unknown key", "n_spl"]),
        ("fig4b+n_spl=ten/seed0", ["n_spl: ", "integer"]),
        ("fig4b+n_spl=0/seed0", ["n_spl: ", "greater than or equal to 1"]),
        ("fig4b+n_w=1000/seed0", ["n_w: ", "not divisible"]),
        ("fig4b+lr=.nan/seed0", ["lr: ", "finite"]),
        ("fig4b+lr=2023-25-05/seed0", ["lr"]),
        ("fig4b+lr=.../seed0", ["lr"]),
        ("fig4b+lr=0x_/seed0", ["lr"]),
        ("fig4b+lr=/seed0", ["not the name of a run"]),
        ("fig4b+lr/seed0", ["not the name of a run"]),
        ("fig4b+lr=0.1+lr=0.2/seed0", ["lr"]),
        ("fig4b", ["not the name of a run"]),
        ("fig4b/0", ["not the name of a run"]),
        ("fig4b/seed", ["not the name of a run"]),
        ("fig4b/seed-1", ["not the name of a run"]),
        ("fig4b/seed1.5", ["not the name of a run"]),
        ("fig4b/seed٣", ["not the name of a run"]),
        ("fig4b/seed0/", ["not the name of a run"]),
        ("fig4b/seed0\n", ["not the name of a run"]),
        ("/fig4b/seed0", ["not the name of a run"]),
        ("../fig4b/seed0", ["not the name of a run"]),
        ("a/quick/fig4b/seed0", ["not the name of a run"]),
        ("", ["not the name of a run"]),
    ],
)
def test_name_that_stands_for_no_run_is_refused(config: Config, name: str, words: list[str]) -> None:
    message = refusal(lambda: config.run(name))
    for word in words:
        assert word in message


@settings(max_examples=200)
@given(
    name=st.text(max_size=20)
    | st.from_regex(r"(quick/)?fig4b(\+(lr|K|mu|device)=[\w.-]{1,10}){1,2}/seed\d{1,2}", fullmatch=True)
)
def test_any_name_is_a_run_or_refused_in_one_line(config: Config, name: str) -> None:
    try:
        run = config.run(name)
    except ConfigError as error:
        assert len(str(error).splitlines()) == 1
    else:
        assert isinstance(run, Run) and run.name == name


def test_study_is_the_grid_of_its_bases_values_and_seeds(content: dict, write: Callable) -> None:
    path = write(content)
    (path.parent / "studies").mkdir()
    (path.parent / "studies" / "lambda.yaml").write_text(
        "question: What is learned?\nseeds: [0, 1]\n"
        "runs: [{base: [fig3+K=50], vary: {lambda_W=lambda_U: [0.001, 0.5]}}]\n",
        encoding="utf-8",
    )
    runs = Config(path).study("lambda")
    assert [(run.experiment.K, run.experiment.lambda_W, run.experiment.lambda_U, run.seed) for run in runs] == [
        (50, 0.001, 0.001, 0),
        (50, 0.001, 0.001, 1),
        (50, 0.5, 0.5, 0),
        (50, 0.5, 0.5, 1),
    ]
    assert runs[0].name == "fig3+K=50/seed0"
