"""Small tables that users bring as CSV: columns go by their names, in any order and case, whatever else stands beside them."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slideseg.errors import DataError, explain

if TYPE_CHECKING:
    import os
    from collections.abc import Collection


@dataclass(frozen=True, slots=True)
class Row:
    """One row that is not empty."""

    line: int
    """Where it ends in the file, from 1."""
    cells: dict[str, str]
    """What it says, without spaces around, by the column's name in small letters; "" where it is too short."""


def read_rows(path: str | os.PathLike[str], what: str, needed: Collection[str], want: str) -> tuple[list[str], list[Row]]:
    """Return the names of a CSV file's columns, in small letters, and its rows.

    Args:
        path: the file, in UTF-8.
        what: names it in errors.
        needed: the columns that must be there, in small letters.
        want: says in errors what is expected.

    Raises:
        DataError: if it can't be read as CSV, or lacks a column.
    """
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
        reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
        header, *rows = [(reader.line_num, cells) for cells in reader] or [(1, [])]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(explain(f"{what} can't be read", got=error, want=f"a CSV with {want}")) from error
    names = [name.strip().casefold() for name in header[1]]
    if not set(needed) <= set(names):
        got = f"columns {', '.join(header[1]) or 'none'}"
        raise DataError(explain(f"{what} can't be used", got=got[:100], want=want))
    return names, [Row(line, _by_name(names, cells)) for line, cells in rows if cells]


def _by_name(names: list[str], cells: list[str]) -> dict[str, str]:
    padded = cells + [""] * (len(names) - len(cells))
    return {name: cell.strip() for name, cell in zip(names, padded, strict=False)}
