"""What a slide is: an image that is read box by box, whatever file it comes from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, Self, runtime_checkable

from slideseg.slide.facts import planes_in

if TYPE_CHECKING:
    import numpy as np

    from slideseg.slide.facts import Channel, Image, Level, PixelSize
    from slideseg.space.box import Box


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
    def pixel(self) -> PixelSize:
        """Size of a pixel of level 0 along y and x, and who says so."""
        ...

    @property
    def mpp(self) -> float | None:
        """Microns per pixel of level 0 as one number: the side of a square of the same area; None where unknown."""
        ...

    @property
    def mpp_yx(self) -> tuple[float, float] | None:
        """Microns per pixel of level 0 along y and x; None where they are unknown."""
        ...

    @property
    def is_rgb(self) -> bool:
        """Whether the three channels are red, green and blue, as of a brightfield scan or a photograph."""
        ...

    @property
    def direct(self) -> bool:
        """Whether a box costs about as much to read as it is large; if not, the slide should be chunked first."""
        ...

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Names and colours of the channels; none where the file says nothing of them."""
        ...

    @property
    def bounds(self) -> Box | None:
        """The part of level 0 that was scanned, where the file says so; QuPath counts from its corner."""
        ...

    @property
    def origin(self) -> tuple[float, float]:
        """Where the centre of the first pixel lies, along y and x, in microns (in pixels where their size is unknown)."""
        ...

    @property
    def background(self) -> tuple[int, ...] | None:
        """The pixel that stands where nothing was scanned; None where everything was."""
        ...

    @property
    def images(self) -> tuple[Image, ...]:
        """All images of the file with their roles; none where it holds this one alone."""
        ...

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided about this file that its user should know before it is segmented."""
        ...

    @property
    def remarks(self) -> tuple[str, ...]:
        """What else was decided, as it is usual with such files."""
        ...

    def read(self, box: Box, level: int = 0, plane: int = 0) -> np.ndarray:
        """Return the pixels (y, x, c) of ``box``, which lies inside ``level``, in that level's pixels.

        Raises:
            SlideError: if the box leaves the level, or the file's pixels there can't be decoded.
        """
        ...

    def scanned(self, box: Box, level: int = 0, plane: int = 0) -> np.ndarray | None:
        """Return which pixels (y, x) of ``box`` were scanned, as booleans, not to be changed; None where all were.

        Raises:
            SlideError: as `read`.
        """
        ...

    def damaged(self, box: Box, level: int = 0, plane: int = 0) -> tuple[Box, ...]:
        """Return where damaged tiles lie that ``box`` touches, in the file's level-0 pixels; none where they are errors.

        Raises:
            SlideError: as `read`.
        """
        ...

    def close(self) -> None:
        """Release the file."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None:
        """Release the file."""
        ...


def planes_of(slide: Slide) -> int:
    """Return the number of planes: 1 unless the slide is a stack."""
    return planes_in(slide.shape)


def channels_of(slide: Slide) -> int:
    """Return the number of channels."""
    return slide.shape[-1]
