"""Each fault of `make torture`, tried once or so."""

from pathlib import Path

import pytest
import torture
import workflow
from torture import FAULTS, Rack
from workflow import Smoke

# What is left to `make torture` differs from these in little; the surroundings are those of the second toy workflow.
LONG = {
    *(torture.terminated_snakemake, torture.killed_worker, torture.mended, torture.diverging),
    torture.odd_surroundings,
}
SHORT = {fault: 1 for fault in FAULTS if fault not in LONG} | {torture.killed_training: 2, torture.corrupted: 6}


@pytest.fixture(scope="session")
def smoke(tmp_path_factory: pytest.TempPathFactory) -> Smoke:
    return workflow.smoke_twice(tmp_path_factory)


@pytest.mark.parametrize("fault", SHORT, ids=lambda fault: fault.__name__)
def test_what_is_broken_is_mended_by_a_rerun(fault: torture.Fault, smoke: Smoke, tmp_path: Path) -> None:
    outcome = torture.inflict(fault, SHORT[fault], smoke.first, tmp_path)
    if outcome.remark.startswith("skipped"):
        pytest.skip(outcome.remark)
    assert outcome.complaints == []
    assert outcome.tries == SHORT[fault]


def test_torture_notices_what_differs(smoke: Smoke, tmp_path: Path) -> None:
    rack = Rack(smoke.first, tmp_path)
    with rack.fresh(finished=True) as project:
        assert rack.differing(project, torture.MADE) == ""
        history = project / torture.MADE[torture.RUN_FILES.index("history.csv")]
        whole = history.read_bytes()
        history.write_bytes(whole[:-1])
        (project / torture.MADE[-1]).unlink()
        (project / "results" / ".weights.part.safetensors").touch()
        found = rack.differing(project, torture.MADE)
        assert all(name in found for name in ("history.csv", torture.MADE[-1], ".weights.part.safetensors"))
        history.write_bytes(whole)
        # the picture is nothing that the command asks for, and nothing writes that temporary file again
        assert rack.rerun(project) == f"differs: {torture.MADE[-1]}, results/.weights.part.safetensors"


def test_torture_notices_a_rerun_that_is_refused(smoke: Smoke, tmp_path: Path) -> None:
    rack = Rack(smoke.first, tmp_path)
    with rack.fresh(finished=True) as project:
        name = torture.MADE[torture.RUN_FILES.index("history.csv")]
        (project / name).write_bytes((project / name).read_bytes()[:-1])
        complaint = rack.rerun(project)
        assert complaint.startswith("rerun failed: ")
        log = (project / f"results/{torture.RUN}/log/features.log").read_text("utf-8")
        assert log == (
            f"error: {name}: is not the file that run.json recorded; "
            f"rebuild it with: snakemake --cores all --force {name}\n"
        )
