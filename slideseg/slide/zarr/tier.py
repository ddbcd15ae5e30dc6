"""An array that may be a level of an image, with what is known of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slideseg.slide.zarr.metadata import Dataset

if TYPE_CHECKING:
    from collections.abc import Sequence

    import zarr

    from slideseg.arrays.boxes import BoxReader
    from slideseg.slide.zarr.census import Region
    from slideseg.slide.zarr.chunks import Chunks

ALONE = Dataset("", None)
"""What is known of an array that is no level of anything."""


@dataclass(frozen=True, slots=True)
class Tier:
    """One array that may be a level."""

    array: zarr.Array[Any]
    """Its pixels."""
    dataset: Dataset = ALONE
    """What the metadata says of it."""
    own: BoxReader | None = None
    """What reads it, where slideseg wrote it."""
    chunks: Chunks | None = None
    """Which of its chunks are stored, where some may be missing."""
    absent: tuple[Region, ...] = ()
    """Where chunks are missing."""

    @property
    def name(self) -> str:
        """As the metadata calls it."""
        return self.dataset.path

    def side(self, letters: Sequence[str]) -> tuple[int, int]:
        """Return rows and columns."""
        return int(self.array.shape[letters.index("y")]), int(self.array.shape[letters.index("x")])
