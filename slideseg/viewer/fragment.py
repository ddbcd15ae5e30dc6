"""What the page shows first: the words behind the ``#`` of its address."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl

from slideseg.errors import ConfigError, explain

if TYPE_CHECKING:
    from collections.abc import Callable

    Rules = dict[str, tuple[str, Callable[[str], bool]]]

NUMERAL = re.compile(r"-?([0-9]+\.?[0-9]*|\.[0-9]+)(e[+-]?[0-9]+)?", re.IGNORECASE)
"""Numbers that the page reads as Python does."""
SORTED_BY = ("name", "status", "objects", "density", "median")
"""What a sheet can be sorted by."""
EXAMPLE = "object=12, or x=4000&y=2500&zoom=2"


def check_place(at: str, planes: int, objects: int) -> str:
    """Return what stands behind the ``#`` of the address, of a result of so many planes and objects.

    Raises:
        ConfigError: if it has words that the page does not know, or values that it can't use.
    """
    at = at.removeprefix("#")
    words = _check_words(at, _rules(planes, objects), EXAMPLE)
    if len({"x", "y"} & {name for name, _ in words}) == 1:
        raise ConfigError(explain("a place has both x and y", got=at, try_=EXAMPLE))
    return at


def check_sheet_place(at: str) -> str:
    """Return what stands behind the ``#`` of the address of a sheet.

    Raises:
        ConfigError: if it has words that the sheet does not know, or values that it can't use.
    """
    at = at.removeprefix("#")
    rules: Rules = {
        "sort": (f"one of {', '.join(SORTED_BY)}", lambda value: value in SORTED_BY),
        "down": ("0 or 1", lambda value: value in ("0", "1")),
        "find": ("a part of a name", lambda _: True),
    }
    _check_words(at, rules, "sort=objects&down=1, or find=biopsy")
    return at


def objects_there(number: int) -> str:
    """Return which numbers objects have, in words.

    >>> objects_there(28678), objects_there(0)
    ('1 to 28678', 'none: the result has no objects')
    """
    return f"1 to {number}" if number else "none: the result has no objects"


def _check_words(at: str, rules: Rules, example: str) -> list[tuple[str, str]]:
    words = parse_qsl(at, keep_blank_values=True)
    for name, value in words:
        if name not in rules:
            raise ConfigError(explain("the page knows no such place", got=name, want=", ".join(rules), try_=example))
        want, fits = rules[name]
        if not fits(value):
            raise ConfigError(explain(f"{name} is no place of the page", got=value or "nothing", want=want))
    return words


def _rules(planes: int, objects: int) -> Rules:
    """Return what each word must be, in words and as a test."""
    number = ("a number", lambda value: _is_number(value, -math.inf))
    share = ("a number from 0 to 1", lambda value: _is_number(value, -math.ulp(0), 1 + math.ulp(1)))
    return {
        "x": number,
        "y": number,
        "zoom": ("a number above 0", lambda value: _is_number(value, 0)),
        "plane": (f"0 to {planes - 1}", lambda value: _is_whole(value) and int(value) < planes),
        "object": (objects_there(objects), lambda value: _is_whole(value) and 0 < int(value) <= objects),
        "image": share,
        "classes": share,
        "objects": share,
        "style": ("outline or fill", lambda value: value in ("outline", "fill")),
        "hidden": ("numbers of classes, such as 1,2", lambda value: all(map(_is_whole, value.split(",")))),
        **{name: ("on or off", lambda value: value in ("on", "off")) for name in ("panel", "table", "blink")},
        **{name: ("the name of a measure", lambda value: value != "") for name in ("by", "color")},
        **dict.fromkeys(("low", "high"), number),
        "region": ("corners as x,y,x,y,x,y and so on", _is_region),
        "with": ("the number of a result, from 0", _is_whole),
    }


def _is_number(value: str, above: float, below: float = math.inf) -> bool:
    return NUMERAL.fullmatch(value) is not None and above < float(value) < below


def _is_region(value: str) -> bool:
    numbers = value.split(",")
    return len(numbers) % 2 == 0 and len(numbers) >= 6 and all(_is_number(one, -math.inf) for one in numbers)


def _is_whole(value: str) -> bool:
    return value.isascii() and value.isdecimal() and len(value) < 20
