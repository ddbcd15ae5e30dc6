"""Run one task a shard with Dask, a bounded number of them in its graph at a time."""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING

from dask.base import compute
from dask.delayed import delayed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

MOST_WORKERS = 8
"""Tasks that run at once at most: reading and writing gain nothing from more, and each holds its shards in memory."""
BATCH = 512
"""Tasks in a graph: enough to hide Dask's start, few enough that a slide of any size needs little memory."""


def run_tasks(
    task: Callable[[int], None], indices: Iterable[int], workers: int | None = None, scheduler: str | None = None
) -> int:
    """Call ``task`` for every index; return how many.

    ``workers`` bounds the tasks that run at once, and so the memory; without it, one a core and at most `MOST_WORKERS`.
    Without ``scheduler`` it is Dask's of the moment: threads unless configured. A task that can't be pickled needs
    ``threads``.
    """
    pending, done = iter(indices), 0
    settings: dict[str, object] = {"num_workers": workers or min(MOST_WORKERS, os.cpu_count() or 1)}
    if scheduler is not None:
        settings["scheduler"] = scheduler
    while batch := list(islice(pending, BATCH)):
        compute(*(delayed(task, pure=False)(index) for index in batch), **settings)  # type: ignore[no-untyped-call]
        done += len(batch)
    return done
