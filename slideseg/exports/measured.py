"""What the table measured of objects, found by their ids: polygons come shard by shard, rows lie in the order of ids.

Ids are in raster order, so the rows of a shard's objects lie scattered among those of its whole row of shards, and of a few
objects that began in rows above. Row groups are read when they are asked for, and kept until others need the room.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from slideseg.result.table import damaged_table, table_errors

if TYPE_CHECKING:
    from slideseg.exports.rows import ObjectTable

    Columns = dict[str, np.ndarray]

MOST_BYTES = 128 << 20
"""Of the row groups that are kept: those of some 1.5 million objects. Where a row of shards has more they are read again."""
FIGURES = 6
"""Significant figures of a measurement; whole parts of larger numbers are kept."""
COUNTS = {"pixels": "Pixels"}
"""Columns of whole numbers by what their values are called."""
WHOLE = ("id", *COUNTS)
"""Columns of whole numbers, all of them."""
SIZES = {"area": "Area", "perimeter": "Perimeter", "major_axis": "Major axis", "minor_axis": "Minor axis"}
"""Beginnings of the names of columns of sizes, which have a unit behind them."""
MICRONS = "\u00b5m"
"""As QuPath writes it."""
PLAIN = {"eccentricity": "Eccentricity", "orientation": "Orientation", "solidity": "Solidity", "probability": "Probability"}
"""Columns of numbers without a unit."""
MEAN = "mean_"
"""Beginning of the names of columns of the image's channels."""


class Measured:
    """The measurements of a table's objects."""

    def __init__(self, table: ObjectTable) -> None:
        """Read none yet."""
        self._file = table.file
        groups = range(self._file.num_row_groups)
        self._starts = np.cumsum([0, *(self._file.metadata.row_group(group).num_rows for group in groups)])
        self._names = names_of(self._file.schema_arrow.names, in_microns=table.result.record.slide.mpp_yx is not None)
        self._kept: OrderedDict[int, Columns] = OrderedDict()

    def of(self, ids: np.ndarray) -> list[dict[str, int | float]]:
        """Return of every id its measurements by their names; one that is not known is left out.

        Raises:
            ResultError: if the table is damaged, or has no such row.
        """
        rows = ids.astype(np.int64) - 1
        if rows.size and rows.max() >= self._starts[-1]:
            raise damaged_table(f"no row of object {rows.max() + 1}")
        of_group = np.searchsorted(self._starts, rows, side="right") - 1
        values = {name: np.empty(rows.size, np.int64 if name in COUNTS else np.float64) for name in self._names}
        for group in np.unique(of_group).tolist():
            here, columns = of_group == group, self._read(group)
            for name, column in columns.items():
                values[name][here] = column[rows[here] - self._starts[group]]
        lists = [values[name].tolist() if name in COUNTS else rounded(values[name]).tolist() for name in self._names]
        if not lists:
            return [{} for _ in rows]
        called = list(self._names.values())
        table = zip(*lists, strict=True)
        return [{name: one for name, one in zip(called, row, strict=True) if not math.isnan(one)} for row in table]

    def _read(self, group: int) -> Columns:
        """Return the columns of a row group."""
        columns = self._kept.get(group)
        if columns is None:
            with table_errors():
                rows = self._file.read_row_group(group, columns=["id", *self._names], use_threads=False)
                columns = {name: _numbers(rows[name], whole=name in WHOLE) for name in rows.column_names}
            ids = columns.pop("id", np.empty(0))
            if not np.array_equal(ids, np.arange(self._starts[group] + 1, self._starts[group + 1] + 1)):
                raise damaged_table("the ids are not 1, 2, ...")
            self._kept[group] = columns
            while len(self._kept) > 1 and sum(map(_bytes, self._kept.values())) > MOST_BYTES:
                self._kept.popitem(last=False)
        self._kept.move_to_end(group)
        return columns


def names_of(columns: list[str], *, in_microns: bool) -> dict[str, str]:
    """Return what measurements are called, by their columns: sizes in one unit, and nothing that the polygon itself says.

    >>> names_of(["id", "area_px", "area_um2", "centroid_x_um", "solidity", "mean_red"], in_microns=True)
    {'area_um2': 'Area µm^2', 'solidity': 'Solidity', 'mean_red': 'Mean red'}
    """
    ending, unit = ("um", MICRONS) if in_microns else ("px", "px")
    known = {**COUNTS, "area_um2" if in_microns else "area_px": f"{SIZES['area']} {unit}^2", **PLAIN}
    known |= {f"{name}_{ending}": f"{said} {unit}" for name, said in SIZES.items() if name != "area"}
    known |= {name: f"Mean {name.removeprefix(MEAN)}" for name in columns if name.startswith(MEAN)}
    return {name: known[name] for name in columns if name in known}


def rounded(values: np.ndarray) -> np.ndarray:
    """Return the values to `FIGURES` significant figures, and to whole numbers where they are larger; NaN stays.

    >>> rounded(np.array([12.3456789, 0.000123456789, 0.0, 98765432.1])).tolist()
    [12.3457, 0.000123457, 0.0, 98765432.0]
    """
    size = np.abs(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        digits = np.where(size > 0, FIGURES - 1 - np.floor(np.log10(size)), 0)
    scale = 10.0 ** np.clip(np.nan_to_num(digits), 0, 20)
    found: np.ndarray = np.round(values * scale) / scale
    return found


def _numbers(column: pa.ChunkedArray, *, whole: bool) -> np.ndarray:
    """Return the values of a column of whole numbers, or of fractions, NaN where there is none."""
    values = column.combine_chunks().cast(pa.int64() if whole else pa.float64())
    return np.from_dlpack(pc.fill_null(values, 0 if whole else np.nan))


def _bytes(columns: Columns) -> int:
    return sum(column.nbytes for column in columns.values())
