"""Each fault of `make torture`, tried once or so."""

import os
from pathlib import Path

import pytest
import torture
import workflow
from torture import FAULTS, Rack
from workflow import Smoke

# What is left to `make torture` differs from these in little.
LONG = {torture.terminated_snakemake, torture.killed_worker, torture.mended, torture.diverging}
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


def test_torture_notices_what_is_wrong(smoke: Smoke, tmp_path: Path) -> None:
    rack = Rack(smoke.first, tmp_path)
    with rack.fresh(finished=True) as project:
        assert rack.differing(project, torture.MADE) == ""
        history = project / torture.MADE[torture.RUN_FILES.index("history.csv")]
        history.write_bytes(history.read_bytes()[:-1])
        (project / torture.MADE[-1]).unlink()
        (project / "results" / ".weights.part.safetensors").touch()
        found = rack.differing(project, torture.MADE)
        assert all(name in found for name in ("history.csv", torture.MADE[-1], ".weights.part.safetensors"))
        # a job that reads the damaged file refuses it; where none has to, the comparison tells
        assert rack.rerun(project).startswith(("rerun failed: ", "differs: "))
        os.unlink(project / "results" / ".weights.part.safetensors")
