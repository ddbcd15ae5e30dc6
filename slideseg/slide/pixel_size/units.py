"""Units of length in all the ways in which files write them, as microns."""

from __future__ import annotations

import html
import re
import unicodedata

_METRES = {
    "am": 1e-12,
    "fm": 1e-9,
    "pm": 1e-6,
    "nm": 1e-3,
    "\u03bcm": 1.0,
    "um": 1.0,
    "mm": 1e3,
    "cm": 1e4,
    "dm": 1e5,
    "m": 1e6,
    "dam": 1e7,
    "hm": 1e8,
    "km": 1e9,
}
_CAPITAL = {"Mm": 1e12, "Gm": 1e15, "Tm": 1e18, "Pm": 1e21, "A": 1e-4, "\u00c5": 1e-4}
"""What is another unit, or none, in small letters."""
_PREFIXES = {
    "": 1e6,
    "femto": 1e-9,
    "pico": 1e-6,
    "nano": 1e-3,
    "micro": 1.0,
    "milli": 1e3,
    "centi": 1e4,
    "deci": 1e5,
    "kilo": 1e9,
}
_WORDS = {
    "micron": 1.0,
    "\u03bc": 1.0,
    "angstrom": 1e-4,
    "\u00e5ngstr\u00f6m": 1e-4,
    "\u00e5": 1e-4,
    "inch": 25400.0,
    "inche": 25400.0,  # inches, without its s
    "in": 25400.0,
    "ft": 304800.0,
    "foot": 304800.0,
    "thou": 25.4,
    "pt": 25400 / 72,
    **{prefix + metre: microns for prefix, microns in _PREFIXES.items() for metre in ("meter", "metre")},
}
_PER_PIXEL = re.compile(r"\s*(/|per)\s*(px|pix|pixel)$", re.IGNORECASE)
_ESCAPED = re.compile(r"\\u([0-9a-fA-F]{4})")
_NESTED = 3
"""How often a text may have been escaped, or read with the wrong encoding, one time upon another."""


def microns_in(unit: object) -> float | None:
    r"""Return the microns in a ``unit`` of length, however it is spelt; None if it is none that is known.

    Entities (``&#181;m``), escapes (``\u00b5m``) and text that was read with the wrong encoding are undone; capitals are of
    no matter, but where they make another unit (``Mm`` is a megametre).

    >>> [microns_in(unit) for unit in ("um", "&micro;m", "\u00c2\u00b5m", "nm", "Angstrom", "pixel", None)]
    [1.0, 1.0, 1.0, 0.001, 0.0001, None, None]
    """
    text = _PER_PIXEL.sub("", legible(unit))
    if text in _CAPITAL:
        return _CAPITAL[text]
    small = text.casefold()
    known = _METRES.get(small, _WORDS.get(small, _WORDS.get(small.removesuffix("s"))))
    return 1.0 if known is None and _is_lost_mu(text) else known


def legible(unit: object) -> str:
    """Return a unit as its writer meant it: without entities, escapes, blanks and traces of wrong encodings."""
    text = "" if unit is None else str(unit)
    for _ in range(_NESTED):
        text = _decoded(html.unescape(_ESCAPED.sub(lambda found: chr(int(found[1], base=16)), text)))
    return unicodedata.normalize("NFKC", text.replace("\x00", "").strip().strip("\"'").strip())


def _decoded(text: str) -> str:
    """Undo that UTF-8 was read as Latin-1 or as Windows reads it."""
    for encoding in ("latin-1", "cp1252"):
        try:
            return text.encode(encoding).decode("utf-8")
        except UnicodeError:
            continue
    return text


def _is_lost_mu(text: str) -> bool:
    """Tell whether what stands before an m is no letter that is known: of all prefixes, only that of microns is not ASCII."""
    before = text[:-1].replace("?", "\ufffd")
    return text[-1:] in ("m", "M") and bool(before) and len(before) <= _NESTED + 1 and not any(map(str.isascii, before))


def to_float(text: object) -> float | None:
    """Return the number that ``text`` spells (a decimal comma is one too), or None."""
    try:
        return float(str(text).strip().strip("\"'").replace(",", "."))
    except ValueError:
        return None
