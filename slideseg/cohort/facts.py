"""One result as a row of numbers. Each has its home elsewhere: ``slideseg info`` prints the same."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from slideseg.errors import ResultError, SlidesegError
from slideseg.result.create import read_attributes
from slideseg.result.found.areas import class_areas
from slideseg.result.found.warnings import warnings_of
from slideseg.result.record import RunRecord
from slideseg.result.result import Result, open_result
from slideseg.storage.store import open_store, reason, storage_errors

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

COUNTED = {
    "objects": "count",
    "per_mm2": "per_mm2",
    "covered": "area_fraction",
    "median_um2": "median_um2",
    "median_pixels": "median_pixels",
    "probability": "probability",
}
"""Columns of objects, of all and, with the class's name behind, of each class; and what `Result.objects_found` calls them."""
FIXED = (
    *("result", "slide", "status", "error", "warnings", "model", "mpp", "pixels", "seconds"),
    *("tissue_known", "tissue_pixels", "tissue_mm2", "areas_exact"),
    *COUNTED,
)
"""Columns of every row, in order."""
OF_CLASS = ("area_mm2", "area_pixels", "share", *COUNTED)
"""Columns of a class, in order; the class's name is behind an underscore."""
FAILURES: tuple[type[Exception], ...] = (SlidesegError, *storage_errors())
"""What may go wrong with a result."""
DIGITS = 8
"""Of areas and shares: those of a pixel in a billion can be told, and noise of the arithmetic can't."""


def facts_of(url: str | os.PathLike[str]) -> dict[str, Any]:
    """Return the row of one result; what is not known of it is None, and what it has no class or objects for is left out.

    A result that is unfinished, or of which something can't be read, has that for its ``status`` and why as its ``error``.
    Memory: a shard of the class map, and a few row groups of the table.
    """
    return opened_facts(url)[0]


def opened_facts(url: str | os.PathLike[str]) -> tuple[dict[str, Any], Result | None]:
    """Return the same, and the result; None where it can't be opened."""
    row: dict[str, Any] = {**dict.fromkeys(FIXED), "result": str(url)}
    result = None
    try:
        result = open_result(url)
        row |= _of_run(result.record)
        row |= _of_tissue(result) | _of_classes(result)
        row |= _of_objects(result)
        row["warnings"] = "; ".join(warnings_of(result)) or None
    except FAILURES as error:
        return {**row, **_of_unfinished(url), "error": in_a_line(error)}, result
    return {**row, "status": "complete"}, result


def in_a_line(error: Exception) -> str:
    """Return what one of `FAILURES` says."""
    return str(error) if isinstance(error, SlidesegError) else reason(error)


def columns_of(rows: Iterable[dict[str, Any]]) -> list[str]:
    """Return the columns of all rows: those that all have, then those of each class, in the order that classes turn up in."""
    there = dict.fromkeys(name for row in rows for name in row if name not in FIXED)
    classes = dict.fromkeys(class_of(name) for name in there)
    return [*FIXED, *(name for known in classes for what in OF_CLASS if (name := f"{what}_{known}") in there)]


def class_of(column: str) -> str:
    """Return the class that a column is of.

    >>> class_of("per_mm2_nucleus"), class_of("area_pixels_of_all")
    ('nucleus', 'of_all')
    """
    return next(column.removeprefix(f"{what}_") for what in OF_CLASS if column.startswith(f"{what}_"))


def filled(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return rows that all have all columns, in order."""
    columns = columns_of(rows)
    return [{name: row.get(name) for name in columns} for row in rows]


def _of_run(record: RunRecord) -> dict[str, Any]:
    return {
        "slide": record.slide.path,
        "model": record.model.name,
        "mpp": None if record.coordinates.mpp is None else rounded(record.coordinates.mpp),
        "pixels": record.pixels,
        "seconds": record.seconds,
    }


def _of_unfinished(url: str | os.PathLike[str]) -> dict[str, Any]:
    """Return what can be said of a result that can't be summed up."""
    status = "unreadable"
    try:
        attributes = read_attributes(open_store(url, read_only=True))
        if "slideseg" in attributes and "ome" not in attributes:
            status = "unfinished"
        return {"status": status, **_of_run(RunRecord.from_json(attributes.get("slideseg")))}
    except ResultError:
        return {"status": status}
    except storage_errors():
        return {"status": "unreadable"}


def _of_tissue(result: Result) -> dict[str, Any]:
    area = result.tissue_mm2
    return {
        "tissue_known": result.tissue_known,
        "tissue_pixels": result.tissue_pixels,
        "tissue_mm2": None if area is None else rounded(area),
    }


def _of_classes(result: Result) -> dict[str, Any]:
    """Return the area of each class but the background, and its share of the tissue."""
    found = class_areas(result)
    row: dict[str, Any] = {}
    for name, share in list(found.shares.items())[1:]:
        pixels = share * result.record.pixels
        row |= {
            f"area_mm2_{name}": None if result.mpp_yx is None else rounded(pixels * math.prod(result.mpp_yx) / 1e6),
            f"area_pixels_{name}": round(pixels),
            f"share_{name}": rounded(pixels / max(1, result.tissue_pixels)),
        }
    return {"areas_exact": found.exact, **row}


def _of_objects(result: Result) -> dict[str, Any]:
    """Return how many objects there are, how dense and how large, of all classes and of each."""
    row: dict[str, Any] = {}
    for name, counted in (result.objects_found() or {}).items():
        row |= {column if name is None else f"{column}_{name}": counted[said] for column, said in COUNTED.items()}
    return row


def rounded(value: float) -> float:
    """Return a number of `DIGITS` significant digits.

    >>> rounded(0.034226000000000004)
    0.034226
    """
    return float(f"{value:.{DIGITS}g}")
