"""How many of an array's chunks are stored, and what that means: refused, told, or nothing to say."""

from __future__ import annotations

from dataclasses import dataclass

_NEARLY_NONE = 1000
"""An image of which not one chunk in so many is stored was not copied whole, or its chunks lie elsewhere."""

Region = tuple[tuple[int, int], ...]
"""A part of an array: first index and the one behind the last along each axis."""


@dataclass(frozen=True, slots=True)
class Census:
    """How many of an array's chunks are stored; those in shards are counted, not the shards."""

    chunks: int
    """All that it has by its shape."""
    looked: int
    """Those that were looked for."""
    stored: int
    """Those of them that are there."""
    share: float
    """Share of all that is there, as far as that can be told from those."""
    elsewhere: str | None = None
    """A key that looks like that of a chunk that is not there, but is not where the metadata says."""
    absent: tuple[Region, ...] = ()
    """Where chunks are not there; spread evenly, where there are many."""

    @property
    def complete(self) -> bool:
        """Whether every chunk is known to be stored."""
        return self.stored == self.chunks

    @property
    def full(self) -> bool:
        """Whether every chunk that was looked for is stored."""
        return self.stored == self.looked

    @property
    def hardly_any(self) -> bool:
        """Whether nearly none is stored."""
        return self.share * _NEARLY_NONE < 1

    @property
    def lacking(self) -> str:
        """How many are not stored, in words."""
        looked = "" if self.looked == self.chunks else f" that were looked for (of {self.chunks})"
        return f"{self.looked - self.stored} of {self.looked} chunks{looked} are not stored"
