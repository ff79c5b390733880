"""The explorer: whole in one file, the same bytes each time, and in a real browser it shows what was recorded."""

import base64
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from moving import four_runs, show
from selenium import webdriver
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from feature_collapse.model.collapse import MEASURES
from feature_collapse.model.experiment import Experiment
from feature_collapse.show import explorer, trajectories
from feature_collapse.show.diagrams import MARKERS
from feature_collapse.show.trajectories import Trajectory
from feature_collapse.workflow.config import Config, Run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("explorer")


@pytest.fixture(scope="module")
def runs(tiny: Callable[..., Experiment], folder: Path) -> dict[str, Run]:
    return four_runs(tiny, folder)


@pytest.fixture(scope="module")
def page(runs: dict[str, Run], folder: Path, config: Config) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        show(runs, folder, patch)
        explorer.make("", config)
    return folder / "results" / "explorer.html"


@pytest.fixture(scope="module")
def shown(runs: dict[str, Run], folder: Path) -> dict[str, Trajectory]:
    with pytest.MonkeyPatch.context() as patch:
        show(runs, folder, patch)
        return {name: trajectories.read(run) for name, run in runs.items()}


# The file


@pytest.mark.parametrize("size", [1e-30, 1e-5, 1, 1e4])
def test_packed_numbers_are_as_precise_in_every_row(size: float) -> None:
    rows = np.random.default_rng(0).normal(size=(3, 50)).astype(np.float32) * size * np.array([[1], [1e-3], [0]])
    packed = explorer.pack(rows)
    whole = np.frombuffer(base64.b64decode(packed["base64"]), "<i2").reshape(rows.shape)
    unpacked = whole * np.array(packed["units"])[:, None]
    assert np.all(np.abs(unpacked - rows) <= 2e-5 * np.abs(rows).max(axis=1, keepdims=True))
    assert (unpacked[2] == 0).all()


def test_the_same_runs_give_the_same_page(
    page: Path, runs: dict[str, Run], folder: Path, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    show(runs, folder, monkeypatch)
    explorer.make("again", config)
    assert (folder / "results/again/explorer.html").read_bytes() == page.read_bytes()


def test_the_page_holds_the_library_and_names_no_other_file(page: Path) -> None:
    head, _, rest = page.read_text("utf-8").partition("<script>")
    assert rest.lstrip().startswith("/**\n* plotly.js v")
    assert "default-src 'none'" in head
    assert "src=" not in head.replace("-src", "") and 'href="data:,"' in head
    assert page.stat().st_size < 6e6  # the library; what these tiny runs add is little


def test_no_text_of_an_experiment_can_end_the_script_that_holds_it(shown: dict[str, Trajectory]) -> None:
    entry = explorer.content("fig3", "</script><script>alert(1)", shown["fig3"])
    text = explorer.page([entry])
    assert text.count("</script>") == explorer.PAGE.read_text("utf-8").count("</script>")


def test_captions_are_those_of_the_figures_in_plain_text(shown: dict[str, Trajectory]) -> None:
    captions = [explorer.content(name, "", t)["caption"] for name, t in shown.items()]
    assert captions[0] == "uniform words, n_spl = 3"
    assert captions[3] == "Zipf words, LayerNorm, n_spl = 3"


def test_every_measure_of_collapse_is_shown() -> None:
    assert {f"VECTORS_{name}" for name in MEASURES} <= set(explorer.MEASURES)
    assert set(explorer.SYMBOLS) == set(MARKERS)


# In a browser


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebDriver]:
    """Headless Chromium that keeps what it says and asks for."""
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (browser and driver):
        pytest.skip("no chromium and chromedriver here (Debian's packages chromium and chromium-driver)")
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    silent = ["background-networking", "component-update", "sync", "quic", "gpu"]
    for argument in (
        *("headless=new", "no-sandbox", "no-first-run", "window-size=1200,1000"),
        *(f"disable-{name}" for name in silent),
        f"user-data-dir={tmp_path_factory.mktemp('chromium')}",
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    chrome = webdriver.Chrome(options=options, service=Service(driver))
    yield chrome
    chrome.quit()


@pytest.fixture
def opened(chromium: WebDriver, page: Path) -> Iterator[WebDriver]:
    """The page, opened from disk. After each test: no complaint in the console, nothing asked of any network."""
    for kind in ("browser", "performance"):
        chromium.get_log(kind)
    chromium.get(page.as_uri())
    yield chromium
    assert chromium.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert page.as_uri() in asked
    own = ("file:", "data:", "blob:", "chrome:")  # the last is the tab that Chromium begins with
    assert [url for url in asked if not url.startswith(own)] == []


def traces(browser: WebDriver) -> list[dict[str, Any]]:
    """What Plotly has drawn: the concepts' marks first, then the curves."""
    return browser.execute_script(
        "return document.getElementById('plot').data.map(({name, x, y, customdata}) => ({name, x, y, customdata}))"
    )


def axis(browser: WebDriver) -> list[float]:
    return browser.execute_script("return document.getElementById('plot').layout.yaxis.range")


def slide(browser: WebDriver, *keys: str) -> None:
    browser.find_element(By.ID, "record").send_keys(*keys)


def choose(browser: WebDriver, name: str, value: str | int) -> None:
    browser.find_element(By.CSS_SELECTOR, f"input[name={name}][value='{value}']").click()


def table(browser: WebDriver) -> dict[str, str]:
    rows = browser.find_elements(By.CSS_SELECTOR, "#measures tr")
    return {row.find_element(By.TAG_NAME, "th").text: row.find_element(By.TAG_NAME, "td").text for row in rows}


def assert_shows(browser: WebDriver, t: Trajectory, vectors: str, i: int, upwards: int = 1) -> None:
    """The marks are those of the trajectory's record i, each in its concept, with the first axis to the right."""
    for g, cloud in enumerate(traces(browser)[:3]):
        members, plane = t.concepts[vectors] == g, t.plane[vectors][i][:, [0, upwards]]
        assert cloud["name"] == f"concept {g + 1}"
        drawn = np.array([cloud["x"], cloud["y"]]).T
        assert drawn == pytest.approx(plane[members], abs=1e-4 * float(np.abs(plane).max()))
        norms = [datum[2] for datum in cloud["customdata"]]
        assert norms == pytest.approx(t.norm[vectors][i][members], rel=1e-3)


def test_it_opens_at_the_end_of_the_first_experiment(opened: WebDriver, shown: dict[str, Trajectory]) -> None:
    assert_shows(opened, shown["fig3"], "words", -1)
    assert len(opened.find_elements(By.CSS_SELECTOR, "#plot .main-svg .points path")) == 12
    assert opened.find_element(By.ID, "epoch").text == "epoch 4"


def test_the_slider_moves_the_words(opened: WebDriver, shown: dict[str, Trajectory]) -> None:
    before = traces(opened)
    slide(opened, Keys.ARROW_LEFT)
    assert traces(opened) != before
    assert_shows(opened, shown["fig3"], "words", -2)
    assert opened.find_element(By.ID, "epoch").text == f"epoch {shown['fig3'].epoch[-2]:g}"
    slide(opened, Keys.HOME)
    assert_shows(opened, shown["fig3"], "words", 0)
    slide(opened, Keys.END)
    assert traces(opened) == before


def test_accuracy_and_measures_are_those_of_the_epoch(opened: WebDriver, shown: dict[str, Trajectory]) -> None:
    slide(opened, Keys.ARROW_LEFT, Keys.ARROW_LEFT)
    row = shown["fig3"].history.iloc[2]
    told = table(opened)
    assert float(told["test accuracy"].removesuffix(" %")) == pytest.approx(100 * row["test_accuracy"], abs=0.051)
    for vectors in ("words", "u"):
        choose(opened, "vectors", vectors)
        for name in MEASURES:
            value = float(table(opened)[explorer.MEASURES[f"VECTORS_{name}"]])
            assert value == pytest.approx(row[f"{vectors}_{name}"], rel=6e-3)
    slide(opened, Keys.HOME)
    assert table(opened)["test accuracy"] == "–"
    mark = opened.execute_script("return document.getElementById('plot').layout.shapes[0].x0")
    assert mark == 0


@pytest.mark.parametrize(("place", "name"), [*enumerate(["fig3", "fig4a", "fig4b", "fig4c"])])
def test_experiments_and_vectors_are_switched(
    opened: WebDriver, shown: dict[str, Trajectory], place: int, name: str
) -> None:
    slide(opened, Keys.ARROW_LEFT)
    for vectors in ("u", "words"):
        choose(opened, "experiment", place)
        choose(opened, "vectors", vectors)
        assert_shows(opened, shown[name], vectors, -2)


def test_the_third_axis_is_seen_from_the_side_in_the_same_units(
    opened: WebDriver, shown: dict[str, Trajectory]
) -> None:
    before = axis(opened)
    choose(opened, "view", "z")
    assert_shows(opened, shown["fig3"], "words", -1, upwards=2)
    assert axis(opened) == before


def hover(browser: WebDriver, concept: int, point: int) -> str:
    """What is told of a mark when the pointer is on it."""
    marks = browser.find_elements(By.CSS_SELECTOR, "#plot .scatterlayer .trace")[concept]
    mark = marks.find_elements(By.CSS_SELECTOR, ".points path")[point]
    ActionChains(browser).move_to_element(mark).perform()
    return " ".join(text.text for text in browser.find_elements(By.CSS_SELECTOR, ".hoverlayer .hovertext"))


def test_a_mark_says_what_it_is(opened: WebDriver, shown: dict[str, Trajectory]) -> None:
    choose(opened, "experiment", 1)
    t = shown["fig4a"]
    told = hover(opened, 0, 0)  # the most frequent word of a concept is longest, and lies alone
    assert "concept 1, rank 1" in told
    assert f"frequency {t.mu[0]:.4g}" in told
    assert f"norm {t.norm['words'][-1][0]:.3g}"[:-1] in told
    assert traces(opened)[0]["customdata"][3][:2] == pytest.approx([4, t.mu[3]], rel=1e-5)
    choose(opened, "vectors", "u")
    assert "class k =" in hover(opened, 1, 0)
    z = t.concepts["u"]
    first = traces(opened)[z[5]]["customdata"][[*np.flatnonzero(z == z[5])].index(5)]
    assert first[:2] == [2, 2]  # the sixth of vectors u_kl with L = 4: second class, second position


def test_axes_follow_the_words_or_stay(opened: WebDriver) -> None:
    end = axis(opened)
    slide(opened, Keys.HOME)
    assert axis(opened)[1] < 0.5 * end[1]
    choose(opened, "axes", "fixed")
    whole = axis(opened)
    slide(opened, Keys.END)
    assert axis(opened) == whole
    assert whole[1] >= end[1]


def test_play_goes_to_the_end(opened: WebDriver) -> None:
    slide(opened, Keys.HOME)
    opened.find_element(By.ID, "play").click()
    WebDriverWait(opened, 120).until(lambda b: b.find_element(By.ID, "play").text == "Play")
    assert opened.find_element(By.ID, "epoch").text == "epoch 4"


def test_no_button_sends_the_data_away(opened: WebDriver) -> None:
    buttons = opened.find_elements(By.CSS_SELECTOR, "#plot .modebar-btn")
    titles = {button.get_attribute("data-title") or button.get_attribute("title") for button in buttons}
    assert len(titles) == 4
    assert not [title for title in titles if "cloud" in title.lower() or "plotly" in title.lower()]
