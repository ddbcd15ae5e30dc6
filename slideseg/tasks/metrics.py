"""What a run on a cluster tells Ray's metrics endpoint, where Prometheus finds it: `docs/clusters.md` lists the names.

All of it is told by the command itself, which knows what became of each task: a worker that is ended would take its last
numbers with it. Ray collects them where its packages for that are installed (``ray[default]``); elsewhere they go nowhere.
"""

from __future__ import annotations

import threading
from collections import Counter as Tally
from typing import TYPE_CHECKING, Any

from ray.util.metrics import Counter, Gauge

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slideseg.tasks.base import Counted
    from slideseg.tasks.pool import Pool

LOOK_SECONDS = 1.0
"""How often it is looked what the pool is at; Ray itself collects every ten seconds."""
RUN = ("run",)
NODE = ("run", "node")
COUNTERS = {
    "slideseg_pixels": ("Pixels segmented", RUN),
    "slideseg_shards": ("Shards segmented", RUN),
    "slideseg_slides": ("Slides done", RUN),
    "slideseg_slides_failed": ("Slides that failed", RUN),
    "slideseg_tasks": ("Tasks done: a shard in one pass over a slide", NODE),
    "slideseg_tasks_lost": ("Tasks whose worker died; they are done again, unless it was the third time", RUN),
    "slideseg_tasks_failed": ("Tasks that could not be done", RUN),
}
"""What is said of each, and what tells its series apart. Prometheus sees them as ``ray_..._total``."""
GAUGES = {
    "slideseg_tasks_waiting": ("Tasks that no worker has yet", RUN),
    "slideseg_workers": ("Workers that are ready", NODE),
    "slideseg_workers_at_work": ("Workers that have a task", NODE),
}
"""What is said of each, and what tells its series apart. Prometheus sees them as ``ray_...``."""


class Metrics:
    """Tells of a run and of its pool for as long as the pool is there."""

    def __init__(self, run: str, pool: Pool) -> None:
        self._run, self._pool = run, pool
        self._counters = {name: Counter(name, *about) for name, about in COUNTERS.items()}
        self._gauges = {name: Gauge(name, *about) for name, about in GAUGES.items()}
        self._told: Tally[tuple[str, str]] = Tally()
        """What the counters of the pool are at."""
        self._nodes: set[str] = set()
        self._is_over = threading.Event()
        self._looker = threading.Thread(target=self._keep_looking, name="metrics", daemon=True)
        self._looker.start()

    def count(self, what: Counted, number: int = 1) -> None:
        """Count something that the pool does not know of."""
        self._count(f"slideseg_{what}", number)

    def close(self) -> None:
        """Tell the last of it; nothing is waited for or at work any more."""
        self._is_over.set()
        self._looker.join()
        self._look()
        self._set("slideseg_tasks_waiting", 0)
        for name in ("slideseg_workers", "slideseg_workers_at_work"):
            self._set_nodes(name, {})

    def _keep_looking(self) -> None:
        while not self._is_over.wait(LOOK_SECONDS):
            self._look()

    def _look(self) -> None:
        state, done = self._pool.state, Tally[str]()
        for worker in self._pool.spent:
            done[worker.node] += worker.tasks
        self._nodes.update(done)
        for node, number in done.items():
            self._count_up_to("slideseg_tasks", number, node)
        self._count_up_to("slideseg_tasks_lost", state.lost)
        self._count_up_to("slideseg_tasks_failed", state.failed)
        self._set("slideseg_tasks_waiting", state.waiting)
        self._set_nodes("slideseg_workers", state.ready)
        self._set_nodes("slideseg_workers_at_work", state.at_work)

    def _count_up_to(self, name: str, total: int, node: str = "") -> None:
        self._count(name, total - self._told[name, node], node)
        self._told[name, node] = total

    def _count(self, name: str, number: int, node: str = "") -> None:
        if number > 0:  # Ray refuses nothing
            self._counters[name].inc(number, self._tags(node))

    def _set_nodes(self, name: str, numbers: Mapping[str, int]) -> None:
        for node in self._nodes:
            self._set(name, numbers.get(node, 0), node)

    def _set(self, name: str, number: int, node: str = "") -> None:
        self._gauges[name].set(number, self._tags(node))

    def _tags(self, node: str) -> dict[str, Any]:
        return {"run": self._run, "node": node} if node else {"run": self._run}
