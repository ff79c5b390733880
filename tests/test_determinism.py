"""The comparison of finished workflows, on the two that the tests make."""

import shutil
from pathlib import Path

import determinism
import pytest
import workflow
from workflow import FIGURES, RUN_FILES, Smoke


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    return workflow.smoke_twice(tmp_path_factory)


def test_two_workflows_in_two_folders_on_other_cores_and_in_another_order_make_the_same(smoke: Smoke) -> None:
    folders = {"first": smoke.first, "second": smoke.second}
    text, same = determinism.report(folders)
    assert same and "are the same in all" in text
    rows = determinism.compare(folders).set_index("file")
    assert len(rows) > 2 * len(FIGURES) + len(RUN_FILES) * len(workflow.smoke_runs())
    assert rows.loc["figures/smoke/figure3.pdf", "sha256"] in text
    assert determinism.differing_keys(folders) <= {"seconds", "peak_memory_mb", "threads", "sha256"}


def test_a_file_that_differs_or_is_missing_is_named_with_its_folder(smoke: Smoke, tmp_path: Path) -> None:
    project = Path(shutil.copytree(smoke.first, tmp_path / "project"))
    altered, gone = "results/smoke/fig3/seed0/history.csv", "figures/smoke/figure3.png"
    (project / altered).write_bytes((project / altered).read_bytes() + b"\n")
    (project / gone).unlink()
    folders = {"first": smoke.first, "altered": project}
    rows = determinism.compare(folders).set_index("file")
    assert rows.index[rows["differs"] == "altered"].tolist() == [gone, altered]
    text, same = determinism.report(folders)
    assert not same and "2 differ" in text
