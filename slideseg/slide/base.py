"""What a slide is: an image that is read box by box, whatever file it comes from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    import numpy as np

    from slideseg.space.box import Box


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of a slide's pyramid."""

    shape: tuple[int, int]
    """Rows and columns."""
    downsample: float
    """Level-0 pixels a pixel of this level, along a side (the mean of both axes)."""


@runtime_checkable
class Slide(Protocol):
    """An image (with optional planes and a pyramid) that is read box by box.

    One object serves several threads at once. It can't be pickled: a worker opens the slide itself.
    """

    @property
    def path(self) -> str:
        """Where it comes from, as `open_slide` takes it."""
        ...

    @property
    def axes(self) -> str:
        """The axes of `shape`: ``yxc``, or ``zyxc`` or ``tyxc`` for a stack."""
        ...

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of level 0 along `axes`; channels last, 1 for a grey image."""
        ...

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels, in the machine's byte order."""
        ...

    @property
    def levels(self) -> tuple[Level, ...]:
        """The pyramid, level 0 (full resolution) first."""
        ...

    @property
    def mpp(self) -> float | None:
        """Microns per pixel of level 0 (the mean of both axes); None where the file does not say."""
        ...

    @property
    def is_rgb(self) -> bool:
        """Whether the three channels are red, green and blue, as of a brightfield scan or a photograph."""
        ...

    @property
    def direct(self) -> bool:
        """Whether a box costs about as much to read as it is large; if not, the slide should be chunked first."""
        ...

    def read(self, box: Box, level: int = 0, plane: int = 0) -> np.ndarray:
        """Return the pixels (y, x, c) of ``box``, which lies inside ``level``, in that level's pixels.

        Raises:
            SlideError: if the box leaves the level, or the file's pixels there can't be decoded.
        """
        ...

    def close(self) -> None:
        """Release the file."""
        ...


def planes_of(slide: Slide) -> int:
    """Return the number of planes: 1 unless the slide is a stack."""
    return slide.shape[0] if len(slide.axes) == len("zyxc") else 1


def channels_of(slide: Slide) -> int:
    """Return the number of channels."""
    return slide.shape[-1]
