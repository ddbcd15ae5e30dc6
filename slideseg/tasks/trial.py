"""One small task through Ray, to see that it works: on this machine, or on a cluster with what that has."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from typing import Any

import ray

from slideseg.tasks.ray import RayExecutor
from slideseg.tasks.run_shards import run_shards
from slideseg.version import __version__


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it."""

    seconds: float
    """Until the task was done."""
    version: str
    """Of the worker's slideseg; empty where the task was not tried, as no core is free."""
    node: str
    """The worker's machine."""
    nodes: int
    """Machines of the cluster."""
    resources: dict[str, tuple[int, int]]
    """Cores (``CPU``) and GPUs (``GPU``), and how many of them are free."""


class _Teller:
    """A worker that says where it is."""

    def __call__(self, _: int) -> tuple[str, str]:
        return __version__, platform.node()

    def close(self) -> None:
        """Do nothing."""


def trial(address: str | None, wait: float) -> Trial:
    """Have a worker do a task: on a Ray of our own, or on a cluster.

    Args:
        address: of the cluster; None for a Ray of our own.
        wait: seconds that a worker is waited for.

    Raises:
        ClusterError: if the cluster can't be reached, or no worker can be had.
        RunError: if the worker or its task fails.
    """
    begun = time.monotonic()
    told: list[tuple[str, str]] = []
    with RayExecutor(1, address, wait=wait) as executor:
        resources = _resources() if address is not None else {}
        if address is None or resources["CPU"][1] > 0:
            run_shards(_Teller, [0], executor, watch=told.append)
        nodes = [node for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
    version, node = told[0] if told else ("", "")
    return Trial(time.monotonic() - begun, version, node, len(nodes), resources)


def _resources() -> dict[str, tuple[int, int]]:
    there: dict[str, Any] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    free: dict[str, Any] = ray.available_resources()  # type: ignore[no-untyped-call]
    return {name: (int(there.get(name, 0)), int(free.get(name, 0))) for name in ("CPU", "GPU")}
