"""Rows as CSV that is safe to open in a spreadsheet."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""How text begins that a spreadsheet takes for a formula, also behind white space."""


def csv_lines(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Yield a line of the columns' names and one for each row, in UTF-8; what a row does not have is an empty cell.

    Text that a spreadsheet would run as a formula gets an apostrophe in front: names of files are not to be trusted.
    """
    yield _line(columns)
    for row in rows:
        yield _line([row.get(name) for name in columns])


def _line(cells: Sequence[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text).writerow(map(_cell, cells))  # lines that end in both characters, so that cells with either are quoted
    return text.getvalue().removesuffix("\r\n").encode("utf-8", "backslashreplace") + b"\n"


def _cell(value: Any) -> Any:
    """Return what is written of a value.

    >>> [_cell(value) for value in ("=1+1", "a=b", -1.5, True, None)]
    ["'=1+1", 'a=b', -1.5, 'true', None]
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"'{value}" if isinstance(value, str) and value.startswith(FORMULA) else value
