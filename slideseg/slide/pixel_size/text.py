"""Text as files keep it: descriptions in any encoding, and XML that need not be whole."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

_TAG = re.compile(r"<(?:[\w.-]+:)?(\w+)\b([^<>]*)>")
_ATTRIBUTE = re.compile(r"([\w.-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)')")


def description_of(page: Any) -> str:
    """Return the description of a TIFF's page; of one in UTF-16, which TIFF does not know, what is ASCII in it."""
    return as_text(page.tags.valueof(270))


def as_text(value: Any) -> str:
    """Return the value of a tag as text: empty if it is none."""
    text = value.decode("latin-1") if isinstance(value, bytes) else value if isinstance(value, str) else ""
    return text.replace("\x00", "")


def start_tags(xml: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the elements of XML as they begin: their names without a prefix, and their attributes.

    They are found by pattern, from the left to the right once: nothing is fetched, no entity is expanded but those of
    single characters, and XML that is cut off or does not close its elements gives those that are there.
    """
    for found in _TAG.finditer(xml):
        attributes = ((name.rpartition(":")[2], one or two) for name, one, two in _ATTRIBUTE.findall(found[2]))
        yield found[1], {name: html.unescape(value) for name, value in attributes}


def number_behind(pattern: str, text: str) -> str | None:
    """Return what the only group of ``pattern`` finds first in ``text``, letters of either case."""
    found = re.search(pattern, text, re.IGNORECASE)
    return found[1] if found else None
