"""Sum up results: `slideseg.summary`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slideseg.cohort.facts import facts_of, filled
from slideseg.cohort.listing import find_results
from slideseg.tasks.progress import Progress

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from slideseg.tasks.progress import Watcher


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
        is unfinished, or can't be read, has no ``status`` ``"complete"``, and says why in ``error``.

    Raises:
        ResultError: if there is no such result, or a folder holds none.
        ConfigError: if nothing was named.
    """
    rows = []
    found = find_results(results)
    for number, result in enumerate(found, 1):
        rows.append(facts_of(result))
        if on_progress is not None:
            on_progress(Progress("summary", "summing up", number, len(found)))
    return filled(rows)
