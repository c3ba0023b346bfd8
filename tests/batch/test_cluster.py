"""Batches on Ray: several nodes on this machine, of which one is killed in the middle."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mien.batch import LocalPool, Plan, run_parts

parquet = pytest.importorskip("pyarrow.parquet")
ray = pytest.importorskip("ray", reason="Ray is not installed (extra cluster)")

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("default")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """Start a cluster of two nodes with a core each."""
    from ray.cluster_utils import Cluster

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options: dict[str, Any] = {"num_cpus": 1, "object_store_memory": 80 << 20}
        started: Any = Cluster(initialize_head=True, head_node_args={**options, "include_dashboard": False})
        started.second = started.add_node(**options)
        ray.init(address=started.address, log_to_driver=False, logging_level="error")
        started.wait_for_nodes()
        yield started
        ray.shutdown()
        started.shutdown()


def rows_of(plan: Plan) -> list[dict[str, Any]]:
    return [row for n in range(plan.parts) for row in parquet.read_table(plan.part_path(n)).to_pylist()]


def test_a_node_that_is_killed_costs_no_row(cluster: Any, plan: Plan, tmp_path: Path) -> None:
    from mien.batch.cluster import RayPool

    whole = Plan(tmp_path / "whole", plan.data)
    (plan.folder / "manifest.json").parent.rename(whole.folder)
    run_parts(whole, whole.missing(), LocalPool(whole.folder, 1))
    expected = rows_of(whole)
    for part in range(whole.parts):
        whole.part_path(part).unlink()

    killed: list[int] = []

    def kill(items: int, failed: int) -> None:
        if not killed:
            killed.append(items)
            cluster.remove_node(cluster.second, allow_graceful=False)

    pool = RayPool(whole.folder, workers=2)
    assert run_parts(whole, whole.missing(), pool, on_read=kill) == (9, 1)
    assert killed
    assert rows_of(whole) == expected
