"""A document that finishes a part of a result is kept twice: a bit of it that flips strands nobody.

The copy is written first, the document commits. It carries a hash of what slideseg itself says in it, which every reader
compares; the copy carries one of all its text.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slideseg.errors import ResultError, explain
from slideseg.storage.store import read_key, write_key

if TYPE_CHECKING:
    from slideseg.result.manifest import Part
    from slideseg.storage.store import Store

SELF = "slideseg_sha256"
"""Attribute with the hash of the attribute ``slideseg``."""


@dataclass(frozen=True, slots=True)
class Twins:
    """A document and its copy, as they are found."""

    text: str | None
    """What it says, or said; None where neither of both is whole."""
    damaged: bool
    """Whether the document is not what was written."""
    copy_damaged: bool
    """Whether its copy is not that of this document, or missing where it should be there."""

    @property
    def attributes(self) -> dict[str, Any]:
        """What it says; empty where nobody knows."""
        said: dict[str, Any] = {} if self.text is None else json.loads(self.text)["attributes"]
        return said


def group_text(attributes: dict[str, Any]) -> str:
    """Return a group's document."""
    return json.dumps({"zarr_format": 3, "node_type": "group", "attributes": attributes}, indent=2)


def write_twice(store: Store, part: Part, attributes: dict[str, Any]) -> None:
    """Write the document of a part: first its copy, then itself, in one write."""
    text = group_text({**attributes, SELF: _hash_of(attributes.get("slideseg"))})
    write_copy(store, part, text)
    write_key(store, part.document, text.encode())


def write_copy(store: Store, part: Part, text: str) -> None:
    """Write a document's copy alone."""
    write_key(store, part.copy, _copy_of(part, text))


def find_twins(store: Store, part: Part) -> Twins:
    """Read a document and its copy, and see which of them is whole."""
    raw, copy = read_key(store, part.document), _read_copy(store, part)
    try:
        said = attributes_in(raw, part.document)
        text = raw.decode() if raw is not None and "slideseg" in said else None
        unfit = False
    except (ResultError, UnicodeDecodeError):
        said, text, unfit = {}, None, True
    if text is None:
        return Twins(copy, damaged=unfit or copy is not None, copy_damaged=False)
    if copy is None or text == copy:
        return Twins(text, damaged=False, copy_damaged=copy is None and SELF in said)
    same = json.loads(copy)["attributes"].get("slideseg") == said["slideseg"]
    return Twins(copy, damaged=True, copy_damaged=False) if same else Twins(text, damaged=False, copy_damaged=True)


def attributes_in(raw: bytes | None, key: str) -> dict[str, Any]:
    """Return the attributes of a group's document; empty where there is none that has any.

    Raises:
        ResultError: if what slideseg says in it is not what it wrote.
    """
    try:
        said = json.loads(raw or b"")["attributes"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return {}
    if not isinstance(said, dict):
        return {}
    if SELF in said and said[SELF] != _hash_of(said.get("slideseg")):
        raise ResultError(
            explain(f"{key} is damaged", got="a text that does not fit its hash", try_="slideseg verify --repair")
        )
    return said


def _copy_of(part: Part, text: str) -> bytes:
    said = {"copy of": part.document, "sha256": hashlib.sha256(text.encode()).hexdigest(), "text": text}
    return json.dumps(said, indent=2).encode()


def _read_copy(store: Store, part: Part) -> str | None:
    """Return the text of the copy; None where there is none whose every byte is as it was written."""
    raw = read_key(store, part.copy) or b""
    try:
        text = str(json.loads(raw)["text"])
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return text if raw == _copy_of(part, text) else None


def _hash_of(said: object) -> str:
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()
