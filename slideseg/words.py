"""Facts for people: numbers rounded, values in words, a line each. What programs read has the numbers as they are."""

from __future__ import annotations

from numbers import Real
from typing import TYPE_CHECKING

from slideseg.errors import one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

HUNDRED = 100
WHOLE = 1000
"""Numbers from here on are printed without a fraction."""


def number(value: float) -> str:
    """Return a number with four significant digits, or all of its digits before the point.

    >>> number(0.24999999999999997), number(0.5), number(2.0), number(12345.6), number(0.000784)
    ('0.25', '0.5', '2', '12346', '0.000784')
    """
    return f"{value:.0f}" if abs(value) >= WHOLE else f"{value:.4g}"


def amount(value: float) -> str:
    """Return a number that is compared with others: from a hundred on without a fraction, thousands apart.

    >>> amount(13612.6), amount(33.333), amount(0.5)
    ('13,613', '33.33', '0.5')
    """
    return f"{value:,.0f}" if value >= HUNDRED else number(value)


def duration(seconds: float) -> str:
    """Return a time as people say it.

    >>> duration(0.5), duration(42.4), duration(150), duration(9000)
    ('0.5 s', '42 s', '2:30 min', '2:30 h')
    """
    if seconds < 10:
        return f"{seconds:.2g} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60}:{whole % 60:02} min" if whole < 3600 else f"{whole // 3600}:{whole % 3600 // 60:02} h"


def many(count: int, what: str, more: str | None = None) -> str:
    """Return how many there are of what; ``more`` is its plural where that has no s at its end.

    >>> many(1, "shard"), many(2000, "image"), many(0, "copy", "copies")
    ('1 shard', '2,000 images', '0 copies')
    """
    return f"{count:,} {what if count == 1 else more or what + 's'}"


def few(names: Sequence[str], most: int = 3) -> str:
    """Return the first names, and whether there are more.

    >>> few("abc"), few("abcd")
    ('a, b, c', 'a, b, c, ...')
    """
    return ", ".join([*map(one_line, names[:most]), *(["..."] if len(names) > most else [])])


def in_words(value: object) -> str:
    """Return a value as people read it: numbers that belong together with an ``x`` between them, names in front of values.

    >>> in_words((2967, 2220)), in_words([0.5, 0.24999999999999997]), in_words({"level": 1, "scale": 2.0, "name": ""})
    ('2967 x 2220', '0.5 x 0.25', 'level 1, scale 2')
    """
    match value:
        case bool():
            return "yes" if value else "no"
        case float():
            return number(value)
        case dict():
            said = {name: entry for name, entry in value.items() if not is_nothing(entry)}
            return ", ".join(f"{name} {in_words(entry)}" for name, entry in said.items())
        case list() | tuple():
            between = " x " if all(isinstance(entry, Real) for entry in value) else "; "
            return between.join(map(in_words, value))
    return str(value)


def is_nothing(value: object) -> bool:
    """Tell whether there is nothing to say of a value."""
    return value is None or value in ("", [], (), {})


def lines(facts: Mapping[str, object]) -> Iterator[str]:
    """Yield facts a line each, with their names in front; lists of facts or of sentences a line an entry."""
    said = {name: value for name, value in facts.items() if not is_nothing(value)}
    width = max(map(len, said), default=0) + 2
    for name, value in said.items():
        entries = value if isinstance(value, list | tuple) and isinstance(value[0], dict | str) else [value]
        for index, entry in enumerate(entries):
            yield f"{'' if index else name:{width}}{one_line(in_words(entry))}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield a head and rows as lines whose columns stand below each other: the first to the left, numbers to the right.

    >>> list(table(["slide", "objects"], [["a.svs", "7"], ["b", "1,200"]]))
    ['slide  objects', 'a.svs        7', 'b        1,200']
    """
    every = [[one_line(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    numbers = [place > 0 and any(row[place][:1].isdigit() for row in every[1:]) for place in range(len(head))]
    for row in every:
        cells = [
            f"{cell:{'>' if is_number else '<'}{width}}" for cell, width, is_number in zip(row, widths, numbers, strict=True)
        ]
        yield "  ".join(cells).rstrip()
