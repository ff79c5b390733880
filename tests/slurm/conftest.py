"""The cluster that these tests share."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from cluster import Cluster, missing

sys.path.append(str(Path(__file__).parents[1]))  # `workflow`, of the other tests


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    if why := missing():
        pytest.skip(why)
    with Cluster(tmp_path_factory.mktemp("slurm") / "cluster") as cluster:
        yield cluster
