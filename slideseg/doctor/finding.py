"""What a check has found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from slideseg.words import number

GIB, MIB = 2**30, 2**20


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    name: str
    """What was looked at."""
    state: Literal["ok", "note", "bad"]
    """``note``: work is done, but slower or less of it; ``bad``: something will fail."""
    found: str
    """What there is."""
    todo: str = ""
    """What to do about it, where `found` does not say so."""

    def __str__(self) -> str:
        """Return the line."""
        return f"{self.state:4}  {self.name}: {self.found}{f' (try {self.todo})' if self.todo else ''}"


def ok(name: str, found: str) -> Finding:
    """Return what is as it should be."""
    return Finding(name, "ok", found)


def note(name: str, found: str, todo: str) -> Finding:
    """Return what could be better."""
    return Finding(name, "note", found, todo)


def bad(name: str, found: str, todo: str = "") -> Finding:
    """Return what will not work."""
    return Finding(name, "bad", " ".join(found.split()), todo)


def size(count: int) -> str:
    """Return a number of bytes in words.

    >>> size(3 * 2**29), size(2**26)
    ('1.5 GiB', '64 MiB')
    """
    return f"{number(count / GIB)} GiB" if count >= GIB else f"{number(count / MIB)} MiB"
