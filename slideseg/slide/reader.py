"""What every reader shares: the facts of a slide, and the check of what is asked of it."""

from __future__ import annotations

import math
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Self

import numpy as np

from slideseg.errors import SlideError, UnreachableError, explain
from slideseg.slide.facts import planes_in
from slideseg.space.box import Box
from slideseg.storage.remote import RemoteError, ReplacedError
from slideseg.words import in_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slideseg.slide.facts import Channel, Facts, Image, Level, PixelSize

DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float16", "float32", "float64")
"""The pixel types of images."""
LABEL_TYPES = ("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64")
"""The pixel types of label images."""
MAX_CHANNELS = 1024
"""More channels than this are taken for damage."""
MAX_WHOLE = 4 << 30
"""Bytes that are decoded in one piece at most: of a strip, a tile, a PNG or a JPEG."""
READ_SIDE = 2048
"""Side of the boxes that a reader is judged by when it says whether it reads directly."""
SMALL_PLANE = 4096 * 4096
"""Pixels of a plane that may be decoded whole for each box."""


class Reader:
    """Base of the readers: answers from `Facts` and refuses boxes, levels and planes that are not there.

    A subclass implements ``_read`` (box, level and plane are checked already), ``_scanned`` if the file may have gaps,
    ``_damaged`` if it may go on at damaged tiles, and ``close`` if it holds a file.
    """

    def __init__(self, facts: Facts, types: tuple[str, ...] = DTYPES) -> None:
        self._facts = _checked(facts, types)

    @property
    def facts(self) -> Facts:
        """All that is known of it, as one value."""
        return self._facts

    @property
    def path(self) -> str:
        """Where it comes from, as `open_slide` takes it."""
        return self._facts.path

    @property
    def axes(self) -> str:
        """The axes of `shape`."""
        return self._facts.axes

    @property
    def shape(self) -> tuple[int, ...]:
        """Size of level 0 along `axes`."""
        return self._facts.shape

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels, in the machine's byte order."""
        return self._facts.dtype

    @property
    def levels(self) -> tuple[Level, ...]:
        """The pyramid, finest level first."""
        return self._facts.levels

    @property
    def pixel(self) -> PixelSize:
        """Size of a pixel of level 0, and who says so."""
        return self._facts.pixel

    @property
    def mpp(self) -> float | None:
        """Microns per pixel of level 0: the side of a square pixel of the same area, or None."""
        return self._facts.pixel.mean

    @property
    def mpp_yx(self) -> tuple[float, float] | None:
        """Microns per pixel of level 0 along y and x, or None."""
        return self._facts.pixel.yx

    @property
    def is_rgb(self) -> bool:
        """Whether the channels are red, green and blue."""
        return self._facts.is_rgb

    @property
    def direct(self) -> bool:
        """Whether a box costs about as much to read as it is large."""
        return self._facts.direct

    @property
    def channels(self) -> tuple[Channel, ...]:
        """Names and colours of the channels, where the file says them."""
        return self._facts.channels

    @property
    def bounds(self) -> Box | None:
        """The part of level 0 that was scanned, where the file says so."""
        return self._facts.bounds

    @property
    def origin(self) -> tuple[float, float]:
        """Where the centre of the first pixel lies, along y and x."""
        return self._facts.origin

    @property
    def background(self) -> tuple[int, ...] | None:
        """The pixel that stands where nothing was scanned."""
        return self._facts.background

    @property
    def images(self) -> tuple[Image, ...]:
        """All images of the file with their roles."""
        return self._facts.images

    @property
    def notes(self) -> tuple[str, ...]:
        """What was decided about this file that its user should know."""
        return self._facts.notes

    @property
    def remarks(self) -> tuple[str, ...]:
        """What else was decided, as it is usual with such files."""
        return self._facts.remarks

    def read(self, box: Box | Sequence[int], level: int = 0, plane: int = 0) -> np.ndarray:
        """Return the pixels (y, x, c) of ``box`` = (y0, x0, y1, x1) in pixels of ``level``; the array is the caller's own.

        Raises:
            SlideError: if level or plane don't exist, the box leaves the level, or its pixels can't be decoded.
        """
        box = Box.of(box)
        self._check(box, level, plane)
        if not box.area:
            return np.zeros((*box.shape, self.shape[-1]), self.dtype)
        return self._read(box, level, plane)

    def scanned(self, box: Box | Sequence[int], level: int = 0, plane: int = 0) -> np.ndarray | None:
        """Return which pixels (y, x) of ``box`` were scanned, as booleans, not to be changed; None where all were.

        Raises:
            SlideError: as `read`.
        """
        box = Box.of(box)
        self._check(box, level, plane)
        return self._scanned(box, level, plane) if box.area else None

    def damaged(self, box: Box | Sequence[int], level: int = 0, plane: int = 0) -> tuple[Box, ...]:
        """Return where damaged tiles lie that ``box`` touches, in the file's level-0 pixels; none where they are errors.

        Raises:
            SlideError: as `read`.
        """
        box = Box.of(box)
        self._check(box, level, plane)
        return self._damaged(box, level, plane) if box.area else ()

    def close(self) -> None:
        """Release the file."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        name, levels = type(self).__name__, len(self.levels)
        return f"<{name} {self.path} {self.axes}={self.shape} {self.dtype} levels={levels} mpp={in_words(self.mpp)}>"

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:
        raise NotImplementedError

    def _scanned(self, box: Box, level: int, plane: int) -> np.ndarray | None:  # noqa: ARG002  # readers without gaps
        return None

    def _damaged(self, box: Box, level: int, plane: int) -> tuple[Box, ...]:  # noqa: ARG002  # readers that don't go on
        return ()

    def _check(self, box: Box, level: int, plane: int) -> None:
        if not 0 <= level < len(self.levels):
            raise SlideError(explain(f"{self.path} has no such level", got=level, want=f"0 to {len(self.levels) - 1}"))
        planes = planes_in(self.shape)
        if not 0 <= plane < planes:
            raise SlideError(explain(f"{self.path} has no such plane", got=plane, want=f"0 to {planes - 1}"))
        rows, columns = self.levels[level].shape
        if not (0 <= box.y0 <= box.y1 <= rows and 0 <= box.x0 <= box.x1 <= columns):
            want = f"inside {rows} x {columns}"
            raise SlideError(explain(f"box leaves level {level} of {self.path}", got=box, want=want))


def same_picture(shape: tuple[int, int], full: tuple[int, int]) -> bool:
    """Tell whether an image of ``shape`` can be a reduced copy of one of ``full``: smaller, same aspect up to rounding."""
    if 0 in shape or shape[0] > full[0] or shape[1] > full[1] or shape == full:
        return False
    factor = math.sqrt((full[0] / shape[0]) * (full[1] / shape[1]))
    # a level's side may be rounded up or down at each halving, so it may be off by about two of its own pixels
    return all(abs(side / factor - reduced) <= 2 + 0.01 * reduced for side, reduced in zip(full, shape, strict=True))


def over(pixels: np.ndarray, alpha: np.ndarray, opaque: int, background: Sequence[int], *, multiplied: bool) -> np.ndarray:
    """Return ``pixels`` (y, x, c) in front of the pixel ``background``, ``alpha`` (y, x) of ``opaque`` letting nothing through.

    What is wholly transparent is the background itself, whatever is stored there. ``multiplied`` says that alpha is in the
    pixels already. Whole numbers are rounded.
    """
    if (alpha == opaque).all():
        return pixels
    share = np.clip(alpha.astype(np.float64) / opaque, 0, 1)[..., None]
    mixed = (pixels if multiplied else pixels * share) + np.asarray(background, np.float64) * (1 - share)
    mixed = np.where(share == 0, background, mixed)
    if pixels.dtype.kind == "f":
        return np.asarray(mixed.astype(pixels.dtype))
    limits = np.iinfo(pixels.dtype)
    return np.asarray(np.clip(np.floor(mixed + 0.5), limits.min, limits.max).astype(pixels.dtype))


def reads_directly(shape_yx: tuple[int, int], chunk_yx: tuple[int, int]) -> bool:
    """Tell whether a 2048 px box of an image decoded in chunks of ``chunk_yx`` decodes at most four times its pixels."""
    if shape_yx[0] * shape_yx[1] <= SMALL_PLANE:
        return True
    touched = [min(side, (-(-READ_SIDE // chunk) + 1) * chunk) for side, chunk in zip(shape_yx, chunk_yx, strict=True)]
    return touched[0] * touched[1] <= 4 * READ_SIDE * READ_SIDE


@contextmanager
def reached(path: str) -> Iterator[None]:
    """Turn a failure of the storage that a slide lies in into an error that says nothing of its content.

    Raises:
        UnreachableError: if there is one.
    """
    try:
        yield
    except ReplacedError as fault:
        raise changed(path) from fault
    except RemoteError as fault:
        raise UnreachableError(explain(f"{path} can't be read", got=fault)) from fault


def changed(path: str) -> UnreachableError:
    """Return what to raise of a slide that is no longer the one that was opened."""
    what, try_ = f"{path} has changed while it was read", "the same command again, once nobody writes to it"
    return UnreachableError(explain(what, try_=try_))


@lru_cache(maxsize=2)
def nothing(shape: tuple[int, int]) -> np.ndarray:
    """Return a mask (y, x) that is false everywhere and can't be changed: of a sparse slide that is what most boxes get."""
    mask = np.zeros(shape, bool)
    mask.flags.writeable = False
    return mask


def _checked(facts: Facts, types: tuple[str, ...]) -> Facts:
    if facts.dtype.name not in types:
        want = ", ".join(types)
        raise SlideError(explain(f"{facts.path}: pixels of an unsupported type", got=facts.dtype.name, want=want))
    if 0 in facts.shape:
        raise SlideError(explain(f"{facts.path}: an image without pixels", got=f"shape {facts.shape}"))
    if facts.shape[-1] > MAX_CHANNELS:
        raise SlideError(explain(f"{facts.path}: too many channels", got=facts.shape[-1], want=f"at most {MAX_CHANNELS}"))
    return facts
