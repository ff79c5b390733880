"""The report in a browser: opened from disk with the network off, every result looked at."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import workflow
from selenium import webdriver
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from feature_collapse.workflow.config import Config
from feature_collapse.workflow.figures import Figures

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason="needs Chromium and its driver")

FLAGS = [
    *("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--window-size=1500,950"),
    *("--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND",
]
# Each condition is a function body in JavaScript. An image that is broken has no natural width.
LOADED = (
    "const image = document.querySelector('#app img:not(nav img)'); return image?.complete && image.naturalWidth > 300"
)
DRAWN = "return [...document.querySelectorAll(arguments[0])].some(c => c.getBoundingClientRect().width > 50)"


class Page:
    """The report in Chromium, with what a reader does in it."""

    def __init__(self, driver: webdriver.Chrome):
        self.driver = driver

    def wait(self, script: str, *arguments: str) -> None:
        WebDriverWait(self.driver, 20).until(lambda d: d.execute_script(script, *arguments), script)

    def links(self) -> list[WebElement]:
        return self.driver.find_elements(By.CSS_SELECTOR, "nav a")

    def click(self, text: str) -> None:
        WebDriverWait(self.driver, 20).until(lambda d: text in [link.text for link in self.links()])
        next(link for link in self.links() if link.text == text).click()

    def home(self) -> None:
        self.driver.switch_to.default_content()
        self.links()[1].click()  # the first is to hide the list
        WebDriverWait(self.driver, 20).until(lambda d: "Statistics" in [link.text for link in self.links()])

    def rows(self) -> list[list[str]]:
        rows = self.driver.find_elements(By.CSS_SELECTOR, "nav tbody tr")
        return [[cell.text for cell in row.find_elements(By.TAG_NAME, "td")][:-1] for row in rows]

    def buttons(self, row: int) -> list[WebElement]:
        """The eye and the i of a result."""
        rows = self.driver.find_elements(By.CSS_SELECTOR, "nav tbody tr")
        return rows[row].find_elements(By.CSS_SELECTOR, "td:last-child a")

    def complaints(self) -> list[str]:
        """Errors on the console since the last call, and whatever was asked of the network."""
        errors = [entry["message"] for entry in self.driver.get_log("browser") if entry["level"] == "SEVERE"]
        events = [json.loads(entry["message"])["message"] for entry in self.driver.get_log("performance")]
        asked = [
            event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"
        ]
        return errors + [url for url in asked if url.startswith(("http", "ws", "ftp", "//"))]


@pytest.fixture(scope="module")
def report(smoke: workflow.Smoke, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of the workflow at toy size, alone in a folder."""
    project = Path(shutil.copytree(smoke.first, tmp_path_factory.mktemp("report") / "project"))
    file = tmp_path_factory.mktemp("from disk") / "report.html"
    done = workflow.snakemake(project, "--report", str(file), "smoke")
    assert done.returncode == 0, done.stderr
    shutil.rmtree(project)
    return file


@pytest.fixture(scope="module")
def opened(report: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    """The report in a browser without a network."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    driver.get(report.as_uri())
    yield Page(driver)
    driver.quit()


@pytest.fixture
def page(opened: Page) -> Iterator[Page]:
    """The report at its menu. Whatever a test then does must be without complaint and without the network."""
    opened.home()
    yield opened
    assert opened.complaints() == []


ENTRIES = Figures(Config(workflow.PROJECT / workflow.SETTINGS)).entries()
# The toy size has no studies.
RESULTS = {name: entry for name, entry in ENTRIES.items() if entry.category != "Studies"}


def test_all_results_are_in_their_categories_with_their_labels(page: Page) -> None:
    found = {}
    for category in {entry.category for entry in RESULTS.values()}:
        page.click(category)
        found |= {row[2]: (category, *row[:2]) for row in page.rows()}
        page.home()
    assert found == {name: (entry.category, entry.title, entry.theme) for name, entry in RESULTS.items()}


@pytest.mark.parametrize("name", RESULTS)
def test_a_result_is_shown_with_what_was_expected_and_what_is_seen(page: Page, name: str) -> None:
    page.click(RESULTS[name].category)
    row = next(i for i, cells in enumerate(page.rows()) if cells[2] == name)
    eye, about = page.buttons(row)
    eye.click()
    if RESULTS[name].category != "Tables":
        page.wait(LOADED)
    else:
        frame = page.driver.find_element(By.TAG_NAME, "iframe")
        page.driver.switch_to.frame(frame)
        page.wait("return document.querySelectorAll('td').length > 10")
        page.driver.switch_to.default_content()
    about.click()
    text = page.driver.find_element(By.CSS_SELECTOR, "nav .prose").text
    assert text.startswith(RESULTS[name].shows[1:10], 1)
    expected, seen = text.partition("Expected.")[2].split("Seen.")
    assert len(expected) > 30
    assert len(seen.partition("This result is of the scale smoke")[0]) > 30
    assert "(not run)" not in seen and "{" not in text


def test_the_rule_graph_and_the_runtimes_are_drawn(page: Page) -> None:
    page.click("Workflow")
    page.wait(DRAWN, "#rulegraph canvas, #rulegraph svg")
    page.click("Statistics")
    page.wait(DRAWN, "#runtimes canvas, #runtimes svg")
    page.wait(DRAWN, "#timeline canvas, #timeline svg")


def test_a_broken_picture_or_an_error_would_be_noticed(page: Page) -> None:
    page.driver.execute_script("app.setView({content: 'img', contentPath: 'data:image/png;base64,AAAA'})")
    page.wait("return document.querySelector('#app img:not(nav img)')?.complete")
    assert not page.driver.execute_script(LOADED)
    page.driver.execute_script("console.error('a complaint'); fetch('https://example.org/asked').catch(() => {})")
    page.wait("return performance.getEntriesByType('resource').some(entry => entry.name.endsWith('asked'))")
    complaints = page.complaints()
    assert any("a complaint" in complaint for complaint in complaints)
    assert "https://example.org/asked" in complaints
