"""Points that somebody set in an image, one an object: read from CSV files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slideseg.columns import fraction, read_rows
from slideseg.errors import DataError, explain

if TYPE_CHECKING:
    from numpy.typing import NDArray

SUFFIX = ".csv"
"""Ending of the files; a folder of such stands for all of them, one an image of the same name."""
COLUMNS = "y, x and maybe class"
"""What a file holds, in words."""


@dataclass(frozen=True, slots=True, eq=False)
class Points:
    """The points of one image."""

    yx: NDArray[np.float64]
    """Where they are (points, 2), in pixels of the image; whole numbers are the middles of pixels."""
    classes: tuple[str, ...] | None = None
    """What each is, as the file says it; None where it says nothing."""

    def inside(self, shape: tuple[int, int], name: str) -> Points:
        """Return the points, which are in an image of ``shape``; one at most a pixel off its edge counts as on it.

        Raises:
            DataError: if one is further off.
        """
        last = np.array(shape) - 1
        off = ((self.yx < -1) | (self.yx > last + 1)).any(axis=1)
        if off.any():
            y, x = self.yx[off][0]
            got, want = f"y {y:g}, x {x:g}", f"y up to {last[0]} and x up to {last[1]}, in pixels of the image"
            raise DataError(explain(f"{int(off.sum())} points of {name} are outside of their image", got=got, want=want))
        return Points(np.clip(self.yx, 0, last), self.classes)


def holds_points(path: str | os.PathLike[str]) -> bool:
    """Tell whether a path is a file of points, or a folder with nothing but such files."""
    place = Path(path)
    if not place.is_dir():
        return _is_file(place)
    inside = [file for file in place.iterdir() if not file.name.startswith(".")]
    return bool(inside) and all(map(_is_file, inside))


def find_points(path: str | os.PathLike[str]) -> dict[str, str]:
    """Return the files of points in a folder, or the one that was named, by their names without ending.

    Raises:
        DataError: if there are none, or two of one name.
    """
    place = Path(path)
    files = sorted(filter(_is_file, place.iterdir())) if place.is_dir() else [place]
    if not files or not place.exists():
        raise DataError(explain("no points", got=os.fspath(path), want=f"a {SUFFIX} file with {COLUMNS}, or a folder of such"))
    found = {file.stem: str(file) for file in files}
    if len(found) < len(files):
        both = next(str(file) for file in files if found[file.stem] != str(file))
        raise DataError(explain("two files of points have one name", got=f"{both} and {found[Path(both).stem]}", want="one"))
    return found


def read_points(path: str | os.PathLike[str]) -> Points:
    """Return the points of a CSV file, whose columns may come in any order; others than y, x and class don't count.

    Raises:
        DataError: if it is missing, can't be read, or has no such columns.
    """
    names, rows = read_rows(path, f"the points {path}", {"y", "x"}, COLUMNS)
    places = [[_number(row.cells[name], f"{path}, line {row.line}", name) for name in "yx"] for row in rows]
    classes = tuple(row.cells["class"] for row in rows) if "class" in names else None
    return Points(np.array(places, float).reshape(-1, 2), classes)


def _is_file(path: Path) -> bool:
    return path.suffix.lower() == SUFFIX and not path.name.startswith(".")


def _number(cell: str, where: str, name: str) -> float:
    value = fraction(cell)
    if value is None:
        raise DataError(explain(f"{where} is no point", got=f"{name} {cell!r:.40}", want="a number"))
    return value
