"""The explorer: whole in one file, the same bytes each time, and in a real browser it shows what was recorded."""

import base64
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from moving import four_runs, read, show
from selenium import webdriver
from selenium.webdriver import ActionChains, Keys
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.chrome.webdriver import WebDriver
from selenium.webdriver.common.by import By
from selenium.webdriver.support.select import Select
from selenium.webdriver.support.wait import WebDriverWait

from feature_collapse.model.collapse import MEASURES
from feature_collapse.model.experiment import Experiment
from feature_collapse.show import explorer
from feature_collapse.show.style import MARKERS
from feature_collapse.show.trajectories import Trajectory
from feature_collapse.stages import explorer as stage
from feature_collapse.theory import predictions
from feature_collapse.workflow.config import Config
from feature_collapse.workflow.figures import Figures
from feature_collapse.workflow.run import Run


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
        stage.make("", config)
    return folder / "results" / "explorer.html"


@pytest.fixture(scope="module")
def shown(runs: dict[str, Run], folder: Path) -> dict[str, Trajectory]:
    with pytest.MonkeyPatch.context() as patch:
        show(runs, folder, patch)
        return {name: read(run) for name, run in runs.items()}


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
    stage.make("again", config)
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


def test_every_measure_of_collapse_is_shown_and_explained() -> None:
    assert {f"VECTORS_{name}" for name in MEASURES} <= set(explorer.MEASURES)
    assert all(measure.label and measure.why.endswith(".") for measure in explorer.MEASURES.values())
    assert set(explorer.SYMBOLS) == set(MARKERS)


def test_every_experiment_of_the_paper_says_what_to_look_for(config: Config) -> None:
    assert set(explorer.LOOK_FOR) == set(Figures(config).figures["collapse"].of)


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
def quiet(chromium: WebDriver, page: Path) -> Iterator[WebDriver]:
    """After each test: no complaint in the console, nothing asked of any network."""
    for kind in ("browser", "performance"):
        chromium.get_log(kind)
    chromium.set_window_size(1280, 820)
    chromium.get("about:blank")  # an address that differs from the last one by its hash alone loads nothing
    yield chromium
    assert chromium.get_log("browser") == []
    events = [json.loads(entry["message"])["message"] for entry in chromium.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    assert page.as_uri() in asked
    own = ("file:", "data:", "blob:", "chrome:", "about:")  # the last two are tabs that Chromium begins with
    assert [url for url in asked if not url.startswith(own)] == []


@pytest.fixture
def opened(quiet: WebDriver, page: Path) -> WebDriver:
    """The page, opened from disk at the end of the training of Figures 3 and 4a."""
    quiet.get(f"{page.as_uri()}#exp=3,4a&epoch=4")
    return quiet


def traces(browser: WebDriver, panel: int = 0) -> list[dict[str, Any]]:
    """What Plotly has drawn in the plane of a panel: the concepts' marks first, then the predicted places."""
    return browser.execute_script(
        "return document.querySelectorAll('.plane')[arguments[0]].data"
        ".map(({name, x, y, text, customdata}) => ({name, x, y, text, customdata}))",
        panel,
    )


def axis(browser: WebDriver, panel: int = 0) -> list[float]:
    return browser.execute_script("return document.querySelectorAll('.plane')[arguments[0]].layout.yaxis.range", panel)


def address(browser: WebDriver) -> dict[str, list[str]]:
    return parse_qs(urlsplit(browser.current_url).fragment)


def slide(browser: WebDriver, *keys: str) -> None:
    browser.find_element(By.ID, "record").send_keys(*keys)


def choose(browser: WebDriver, name: str, value: str) -> None:
    browser.find_element(By.CSS_SELECTOR, f"input[name={name}][value='{value}']").click()


def table(browser: WebDriver, panel: int = 0) -> dict[str, str]:
    rows = browser.find_elements(By.CSS_SELECTOR, "#measures tr")
    return {row.find_element(By.TAG_NAME, "th").text: row.find_elements(By.TAG_NAME, "td")[panel].text for row in rows}


def epoch(browser: WebDriver) -> str:
    return browser.find_element(By.ID, "epoch").text


def assert_shows(browser: WebDriver, t: Trajectory, vectors: str, i: int, upwards: int = 1, panel: int = 0) -> None:
    """The marks are those of the trajectory's record i, each in its concept, with the first axis to the right."""
    for g, cloud in enumerate(traces(browser, panel)[:3]):
        members, plane = t.concepts[vectors] == g, t.plane[vectors][i][:, [0, upwards]]
        assert cloud["name"] == f"concept {g + 1}"
        drawn = np.array([cloud["x"], cloud["y"]]).T
        assert drawn == pytest.approx(plane[members], abs=1e-4 * float(np.abs(plane).max()))
        assert cloud["customdata"] == pytest.approx(t.norm[vectors][i][members], rel=1e-3)


def test_it_opens_before_training_and_plays_to_the_end(
    quiet: WebDriver, page: Path, shown: dict[str, Trajectory]
) -> None:
    quiet.get(page.as_uri())
    assert quiet.find_element(By.ID, "play").text == "Pause"
    assert epoch(quiet) in ("before training", "epoch 0.25")
    WebDriverWait(quiet, 120).until(lambda b: b.find_element(By.ID, "play").text == "Play")
    assert epoch(quiet) == "epoch 4"
    for panel, name in enumerate(["fig4b", "fig4c"]):
        assert_shows(quiet, shown[name], "words", -1, panel=panel)
        assert len(quiet.find_elements(By.CLASS_NAME, "plane")[panel].find_elements(By.CSS_SELECTOR, ".point")) >= 12
    quiet.find_element(By.ID, "play").click()
    assert quiet.find_element(By.ID, "play").text == "Pause"
    quiet.find_element(By.ID, "play").click()
    assert quiet.find_element(By.ID, "play").text == "Play"


def test_the_slider_moves_the_words_of_both(opened: WebDriver, shown: dict[str, Trajectory]) -> None:
    before = traces(opened)
    slide(opened, Keys.HOME)
    assert epoch(opened) == "before training"
    for panel, name in enumerate(["fig3", "fig4a"]):
        assert_shows(opened, shown[name], "words", 0, panel=panel)
    steps = sorted({*shown["fig3"].epoch, *shown["fig4a"].epoch})
    slide(opened, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    for panel, name in enumerate(["fig3", "fig4a"]):  # the last record that is not after the epoch
        assert_shows(opened, shown[name], "words", np.sum(shown[name].epoch <= steps[2]) - 1, panel=panel)
    slide(opened, Keys.END)
    assert traces(opened) == before


def test_the_address_is_what_is_shown(opened: WebDriver, page: Path, shown: dict[str, Trajectory]) -> None:
    assert opened.find_element(By.ID, "play").text == "Play"  # whoever comes to an epoch stays there
    slide(opened, Keys.ARROW_LEFT)
    for name, value in {"vectors": "u", "seen": "side", "axes": "fixed"}.items():
        choose(opened, name, value)
    Select(opened.find_elements(By.CSS_SELECTOR, "section > select")[1]).select_by_visible_text(
        "Figure 4c: Zipf words, LayerNorm, n_spl = 3"
    )
    told = address(opened)
    assert told == {"exp": ["3,4c"], "epoch": ["2"], "vectors": ["u"], "seen": ["side"], "axes": ["fixed"]}
    link, drawn = opened.current_url, traces(opened, 1)
    opened.get("about:blank")
    opened.get(link)
    assert address(opened) == told
    assert traces(opened, 1) == drawn
    assert_shows(opened, shown["fig4c"], "u", list(shown["fig4c"].epoch).index(2), upwards=2, panel=1)
    opened.execute_script("location.hash = 'exp=4b&epoch=99&vectors=cats&seen=above'")
    WebDriverWait(opened, 20).until(lambda b: epoch(b) == "epoch 4")
    assert address(opened) == {"exp": ["4b,4c"], "epoch": ["4"], "vectors": ["u"], "seen": ["above"], "axes": ["fixed"]}


@pytest.mark.parametrize("rubbish", ["exp=5,,,&epoch=soon", "%E0%A4%A", "exp=4c"])
def test_an_address_that_makes_no_sense_shows_the_beginning(quiet: WebDriver, page: Path, rubbish: str) -> None:
    quiet.get(f"{page.as_uri()}#{rubbish}")
    assert quiet.find_element(By.ID, "play").text == "Pause"
    expected = "4c,4c" if rubbish == "exp=4c" else "4b,4c"
    assert address(quiet)["exp"] == [expected]


def test_accuracy_and_measures_are_those_of_the_epoch(opened: WebDriver, shown: dict[str, Trajectory]) -> None:
    slide(opened, Keys.ARROW_LEFT)
    for panel, name in enumerate(["fig3", "fig4a"]):
        row = shown[name].history.iloc[np.sum(shown[name].epoch <= 2) - 1]
        for vectors in ("words", "u"):
            choose(opened, "vectors", vectors)
            told = table(opened, panel)
            for measure in MEASURES:
                value = float(told[explorer.MEASURES[f"VECTORS_{measure}"].label])
                assert value == pytest.approx(row[f"{vectors}_{measure}"], rel=0.06)
            section = opened.find_elements(By.TAG_NAME, "section")[panel]
            accuracy = section.find_element(By.CSS_SELECTOR, ".test_accuracy").text
            assert accuracy == told["test accuracy"] == f"{100 * row['test_accuracy']:.2f} %"
            cdnv = section.find_element(By.CSS_SELECTOR, ".VECTORS_cdnv").text
            assert cdnv == told["spread in a concept (CDNV)"]
    slide(opened, Keys.HOME)
    assert table(opened)["test accuracy"] == "–"


def test_accuracy_and_cdnv_stand_beside_the_plane_on_a_small_screen(opened: WebDriver) -> None:
    opened.set_window_size(1280, 720)
    height = opened.execute_script("return innerHeight")
    for section in opened.find_elements(By.TAG_NAME, "section"):
        plane = section.find_element(By.CLASS_NAME, "plane").rect
        for beside in section.find_elements(By.CSS_SELECTOR, ".number, .curve"):
            assert beside.is_displayed()
            assert beside.rect["x"] >= plane["x"] + plane["width"]
            assert beside.rect["y"] + beside.rect["height"] < height
        assert plane["y"] + plane["height"] < height


def test_a_phone_has_the_planes_one_above_the_other_and_the_slider_at_hand(opened: WebDriver) -> None:
    phone = {"width": 390, "height": 844, "deviceScaleFactor": 1, "mobile": True}
    opened.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        width = "return document.documentElement.scrollWidth"
        WebDriverWait(opened, 20).until(lambda b: b.execute_script(width) == 390)  # nothing sticks out to the right
        first, second = (section.rect for section in opened.find_elements(By.TAG_NAME, "section"))
        assert first["y"] + first["height"] <= second["y"]
        assert second["y"] + second["height"] < 844  # both can be watched while they play
        slider = opened.find_element(By.ID, "time").rect
        assert slider["y"] + slider["height"] == pytest.approx(844, abs=1)
        assert all(number.is_displayed() for number in opened.find_elements(By.CLASS_NAME, "number"))
    finally:
        opened.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_curves_say_where_training_is(opened: WebDriver, shown: dict[str, Trajectory]) -> None:
    slide(opened, Keys.ARROW_LEFT)
    accuracy, cdnv = opened.execute_script(
        "return [...document.querySelectorAll('section .curve')].slice(0, 2)"
        ".map(({data: [{x, y}], layout: {shapes: [now], xaxis, yaxis}}) => [x, y, now.x0, xaxis.type, yaxis.type])"
    )
    history = shown["fig3"].history[1:]
    for (x, y, now, x_type, y_type), name, unit in ((accuracy, "test_accuracy", 100), (cdnv, "words_cdnv", 1)):
        assert x == pytest.approx(history["epoch"]) and y == pytest.approx(unit * history[name], rel=1e-4)
        assert (now, x_type) == (2, "log")
        assert y_type == ("log" if name == "words_cdnv" else "linear")


def test_ticks_have_no_prefixes_of_units(opened: WebDriver) -> None:
    slide(opened, Keys.HOME)  # where words are a thousand times shorter than one
    ticks = opened.execute_script(
        "return [...document.querySelectorAll('.xtick text, .ytick text')].map(tick => tick.textContent)"
    )
    assert len(ticks) > 20
    assert not [tick for tick in ticks if re.search("[^0-9.−×]", tick)]


def test_the_third_axis_is_seen_from_the_side_in_the_same_units(
    opened: WebDriver, shown: dict[str, Trajectory]
) -> None:
    before = axis(opened)
    choose(opened, "seen", "side")
    assert_shows(opened, shown["fig3"], "words", -1, upwards=2)
    assert axis(opened) == before


def hover(browser: WebDriver, concept: int, point: int) -> str:
    """What is told of a mark of the second panel when the pointer is on it."""
    plane = browser.find_elements(By.CLASS_NAME, "plane")[1]
    marks = plane.find_elements(By.CSS_SELECTOR, ".scatterlayer .trace")[concept]
    ActionChains(browser).move_to_element(marks.find_elements(By.CSS_SELECTOR, ".points path")[point]).perform()
    return " ".join(text.text for text in browser.find_elements(By.CSS_SELECTOR, ".hoverlayer .hovertext"))


def test_a_mark_says_what_it_is(opened: WebDriver, shown: dict[str, Trajectory]) -> None:
    t = shown["fig4a"]
    told = hover(opened, 0, 0)  # the most frequent word of a concept is longest, and lies alone
    assert "word (α, β) = (1, 1)" in told
    assert f"frequency {t.mu[0]:.3g} in its concept" in told
    assert f"norm {t.norm['words'][-1][0]:.3g}"[:-1] in told
    assert "(α, β) = (1, 4)" in traces(opened, 1)[0]["text"][3]
    choose(opened, "vectors", "u")
    assert "class k =" in hover(opened, 1, 0)
    first = traces(opened, 1)[t.concepts["u"][5]]["text"][
        [*np.flatnonzero(t.concepts["u"] == t.concepts["u"][5])].index(5)
    ]
    assert "class k = 2, position ℓ = 2" in first  # the sixth of vectors u_kl with L = 4


def test_words_of_a_text_have_names(quiet: WebDriver, page: Path, shown: dict[str, Trajectory]) -> None:
    names = ["fish", *(f"word {j}" for j in range(11))]
    t = replace(shown["fig4a"], names=names)
    page.with_name("named.html").write_text(explorer.page([explorer.content("fig4a", "Figure 4a", t)]), "utf-8")
    quiet.get(page.as_uri())
    quiet.get(f"{page.with_name('named.html').as_uri()}#exp=4a&epoch=4")
    told = hover(quiet, 0, 0)
    assert "fish" in told and "(α, β) = (1, 1)" in told


def test_crosses_are_where_theory_puts_the_most_frequent_words(opened: WebDriver, shown: dict[str, Trajectory]) -> None:
    predicted = predictions.predict(shown["fig4a"].experiment).norm_words[0]
    *_, crosses = traces(opened, 1)
    assert crosses["name"] == "predicted"
    assert np.hypot(crosses["x"], crosses["y"]) == pytest.approx([predicted] * 3, rel=1e-5)
    assert crosses["x"][0] == pytest.approx(0, abs=1e-6) and crosses["y"][0] > 0 > crosses["x"][1]
    choose(opened, "seen", "side")
    assert traces(opened, 1)[-1]["y"] == [0, 0, 0]


def test_what_is_underlined_explains_itself(opened: WebDriver) -> None:
    underlined = opened.find_elements(By.CSS_SELECTOR, "[data-why]")
    assert len(underlined) == 4 + len(explorer.MEASURES)
    for element in (underlined[0], underlined[-1]):
        ActionChains(opened).move_to_element(element).perform()
        told = opened.execute_script("return getComputedStyle(arguments[0], '::after').content", element)
        assert told == f'"{element.get_attribute("data-why")}"'


def test_axes_fit_the_words_or_stay(opened: WebDriver) -> None:
    end = axis(opened)
    slide(opened, Keys.HOME)
    assert axis(opened)[1] < 0.5 * end[1]
    choose(opened, "axes", "fixed")
    whole = axis(opened)
    slide(opened, Keys.END)
    assert axis(opened) == whole
    assert whole[1] >= end[1]


def test_no_button_sends_the_data_away(opened: WebDriver) -> None:
    buttons = opened.find_elements(By.CSS_SELECTOR, ".plane .modebar-btn")
    titles = {button.get_attribute("data-title") or button.get_attribute("title") for button in buttons}
    assert len(titles) == 4
    assert not [title for title in titles if "cloud" in title.lower() or "plotly" in title.lower()]
