"""Sum up results: `slideseg.summary`."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from slideseg.cohort.facts import facts_of, filled
from slideseg.cohort.failed import failed_rows
from slideseg.cohort.listing import find_results, places_of
from slideseg.tasks.in_process import InProcessExecutor
from slideseg.tasks.progress import Progress
from slideseg.tasks.run_shards import run_shards

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from slideseg.tasks.progress import Watcher

AT_ONCE = 8
"""Results in a bucket that are summed up at once: what takes time there is waiting."""


def summary(
    results: str | os.PathLike[str] | Sequence[str | os.PathLike[str]], *, on_progress: Watcher | None = None
) -> list[dict[str, Any]]:
    """Return a row of numbers for each result: ``pandas.DataFrame(slideseg.summary("results"))``.

    Args:
        results: a result, a folder of results, or several of either.
        on_progress: called with a `Progress` as the work goes on.

    Returns:
        One row a result, all with the same columns in the same order: areas in square millimetres and in pixels of the class
        map, shares and densities of tissue, medians in square microns and in pixels; None for what is not known. A result that
        is unfinished, or can't be read, has no ``status`` ``"complete"``, and says why in ``error``. So has a slide that failed
        in the last run into a folder and has no result (``"failed"``); they come last.

    Raises:
        ResultError: if there is no such result, or a folder holds none.
        ConfigError: if nothing was named.
    """
    found = find_results(results)
    failed = [row for folder in places_of(results) for row in failed_rows(folder, found)]
    rows: dict[int, dict[str, Any]] = {}

    def keep(done: tuple[int, dict[str, Any]]) -> None:
        rows.update([done])
        if on_progress is not None:
            on_progress(Progress("summary", "summing up", len(rows), len(found)))

    threads = AT_ONCE if any("://" in result for result in found) else None
    run_shards(partial(_Worker, found), range(len(found)), InProcessExecutor(threads), watch=keep, light=True)
    return filled([*(rows[number] for number in range(len(found))), *failed])


class _Worker:
    """Sums up results, by number."""

    def __init__(self, results: Sequence[str]) -> None:
        self._results = results

    def __call__(self, number: int) -> tuple[int, dict[str, Any]]:
        return number, facts_of(self._results[number])

    def close(self) -> None:
        """Do nothing: a result is summed up in a moment."""
