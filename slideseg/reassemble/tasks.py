"""Run one task a shard with Dask, a bounded number of them in its graph at a time."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import dask

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

BATCH = 512
"""Tasks in a graph: enough to hide Dask's start, few enough that a slide of any size needs little memory."""


def run_tasks(task: Callable[[int], None], indices: Iterable[int], workers: int | None = None) -> int:
    """Call ``task`` for every index, in Dask's scheduler of the moment (threads unless configured); return how many.

    ``workers`` bounds the tasks that run at once, and so the memory; None leaves that to the scheduler.
    """
    pending, done = iter(indices), 0
    settings = {} if workers is None else {"num_workers": workers}
    while batch := list(islice(pending, BATCH)):
        dask.compute(*(dask.delayed(task, pure=False)(index) for index in batch), **settings)
        done += len(batch)
    return done
