"""Small tables that users bring as CSV: columns go by their names, in any order and case, whatever else stands beside them."""

from __future__ import annotations

import codecs
import contextlib
import csv
import io
import math
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slideseg.errors import DataError, explain

if TYPE_CHECKING:
    import os
    from collections.abc import Collection

MOST_DIGITS = 18
"""Of a whole number that any computer holds."""
MOST_LOOKED_AT = 1000
"""Bytes that tell UTF-16: half of what is said in it by Latin letters is zero."""
OTHER_MARKS = {";": "semicolons", "\t": "tabs"}
"""What some programs write instead of commas. It is not guessed: a cell may hold them too."""


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
        DataError: if it can't be read as CSV, has no commas between its columns, lacks a column, has one twice, or a row is
            longer than the first one.
    """
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise DataError(explain(f"{what} can't be read", got="something that is no file", want=f"a CSV with {want}"))
        text = _text_of(Path(path).read_bytes(), what)
        _check_commas(text, what, needed)
        reader = csv.reader(io.StringIO(text, newline=""), skipinitialspace=True, strict=True)
        header, *rows = [(reader.line_num, cells) for cells in reader] or [(1, [])]
    except (OSError, csv.Error) as error:
        raise DataError(explain(f"{what} can't be read", got=error, want=f"a CSV with {want}")) from error
    names = [name.strip().casefold() for name in header[1]]
    if twice := [name for name, times in Counter(names).items() if name and times > 1]:
        raise DataError(explain(f"{what} has two columns of one name", got=twice[0], want="one, in large or small letters"))
    if not set(needed) <= set(names):
        got = f"columns {', '.join(header[1]) or 'none'}"
        raise DataError(explain(f"{what} can't be used", got=got[:100], want=want))
    for line, cells in rows:
        if any(cell.strip() for cell in cells[len(names) :]):
            got, want = f"{len(cells)} cells", f"at most {len(names)}, as many as columns"
            try_ = "quotes around what holds a comma, points in decimals"
            raise DataError(explain(f"line {line} of {what} is too long", got=got, want=want, try_=try_))
    return names, [Row(line, _by_name(names, cells)) for line, cells in rows if cells]


def _text_of(data: bytes, what: str) -> str:
    """Return a table's text; that of another encoding is refused."""
    first = data[:MOST_LOOKED_AT]
    is_wide = first.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) or first.count(0) > len(first) / 4
    if not is_wide:
        with contextlib.suppress(UnicodeDecodeError):
            return data.decode("utf-8-sig")
    got = "UTF-16, or no text" if is_wide else "text in another encoding"
    raise DataError(explain(f"{what} can't be read", got=got, want="UTF-8", try_="to save it as CSV in UTF-8"))


def _check_commas(text: str, what: str, needed: Collection[str]) -> None:
    """Refuse a table whose columns would be there if something else than commas stood between them."""
    first = next((line for line in text.splitlines() if line.strip()), "")
    for mark, name in OTHER_MARKS.items():
        cells = next(csv.reader([first], delimiter=mark, skipinitialspace=True))
        if len(cells) > 1 and set(needed) <= {cell.strip().casefold() for cell in cells}:
            got, try_ = f"{name} between the columns", "to save it as CSV with commas"
            raise DataError(explain(f"{what} can't be used", got=got, want="commas", try_=try_))


def whole(cell: str) -> int | None:
    """Return a whole number from 0 of at most 18 digits, also one that was written as a fraction; None for what is none.

    >>> whole("7"), whole("7.0"), whole("7.5"), whole("1_000"), whole("1e300"), whole("x")
    (7, 7, None, None, None, None)
    """
    digits, _, zeros = cell.strip().partition(".")
    if not digits.isdecimal() or not digits.isascii() or zeros.strip("0") or len(digits) > MOST_DIGITS:
        return None
    return int(digits)


def fraction(cell: str) -> float | None:
    """Return a number; None for what is none, and for what has no end.

    >>> fraction("7.5"), fraction("-1e3"), fraction("1_0"), fraction("nan"), fraction("1e999"), fraction("")
    (7.5, -1000.0, None, None, None, None)
    """
    try:
        value = math.nan if "_" in cell else float(cell)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _by_name(names: list[str], cells: list[str]) -> dict[str, str]:
    padded = cells + [""] * (len(names) - len(cells))
    return {name: cell.strip() for name, cell in zip(names, padded, strict=False)}
