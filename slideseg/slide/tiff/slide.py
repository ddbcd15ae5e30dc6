"""A TIFF as a slide: its series, levels, colours and orientation put together.

tifffile parses the file and knows the codecs; tiles are fetched and decoded one by one here, straight from the file,
because its whole-page path trusts a damaged tile table. The file is used in place: nothing is converted or copied.
"""

from __future__ import annotations

import logging
import math
import struct
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import zarr

from slideseg.errors import SlideError, explain
from slideseg.slide.facts import Facts, make_levels
from slideseg.slide.pixel_size.tiff import pixel_of_tiff
from slideseg.slide.reader import DTYPES, Reader, reads_directly, same_picture
from slideseg.slide.tiff.cache import new_owner, tile_cache
from slideseg.slide.tiff.orientation import orientation_of, stored_box, turn
from slideseg.slide.tiff.pages import pages_of
from slideseg.slide.tiff.preflight import check_directories
from slideseg.slide.tiff.samples import COLOURED, colour_of
from slideseg.slide.tiff.series import are_alike, baseline, leading_axes, side_of
from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.slide.tiff.pages import LevelPages

logging.getLogger("tifffile").addHandler(logging.NullHandler())  # what matters of its warnings is checked and raised here

FAULTS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""What tifffile and the codecs raise on damaged files; SlideError says it in one line."""
_PROBE = 2048 * 2048
"""Pixels of a tile or strip that may be decoded to try the codec."""


class TiffSlide(Reader):
    """A TIFF of any of the usual kinds, read in place, tile by tile."""

    def __init__(self, path: str, types: tuple[str, ...] = DTYPES) -> None:
        """Open the TIFF at ``path``, whose pixels are of one of ``types``.

        Raises:
            SlideError: if it is damaged, or of a kind that is not supported.
        """
        check_directories(path)
        with _refusing(path), ExitStack() as closed_on_failure:
            self._tif = closed_on_failure.enter_context(tifffile.TiffFile(path, _multifile=False))
            self._load(path, types)
            closed_on_failure.pop_all()

    def _load(self, path: str, types: tuple[str, ...]) -> None:
        series = baseline(path, self._tif)
        page, size = series.keyframe, self._tif.filehandle.size
        leading = leading_axes(path, series)
        self._colour = colour_of(path, series)
        self._owner = new_owner()
        self._images = [pages_of(path, series, leading, size, self._owner)]
        for level in series.levels[1:]:
            if (
                same_picture(side_of(level), self._images[-1].shape)
                and leading_axes(path, level) == leading
                and are_alike(level, series)
            ):
                self._images.append(pages_of(path, level, leading, size, self._owner))
        self._orientation = orientation_of(page)
        self._series = series
        for image in self._images:
            self._probe(image)
        self._file: int = self._tif.filehandle.fileno()
        super().__init__(self._describe(path, leading), types)

    def _describe(self, path: str, leading: dict[str, int]) -> Facts:
        page, first = self._series.keyframe, self._images[0]
        samples = leading.get("C", page.shaped[0] * page.shaped[4])
        channels = 3 if self._colour.palette is not None else min(samples, self._colour.keep)
        stack = next((axis for axis in leading if axis != "C"), None)
        shapes = [image.shape[::-1] if self._orientation > 4 else image.shape for image in self._images]
        dtype = np.dtype(np.uint8) if self._colour.palette is not None else page.dtype.newbyteorder("=")
        pixel, notes = pixel_of_tiff(self._tif, page, self._orientation)
        return Facts(
            path=path,
            axes=("" if stack is None else "t" if stack == "T" else "z") + "yxc",
            shape=(*(() if stack is None else (leading[stack],)), *shapes[0], channels),
            dtype=dtype,
            levels=make_levels(shapes),
            pixel=pixel,
            is_rgb=channels == 3 and page.photometric in COLOURED and "C" not in leading,
            direct=first.chunk is None or reads_directly(first.shape, first.chunk),
            notes=notes,
        )

    def _probe(self, image: LevelPages) -> None:
        """Decode one tile, if it is small: an unknown codec or lost JPEG tables are refused now, not in the middle of a run."""
        if image.chunk is not None and math.prod(image.chunk) <= _PROBE:
            height, width = (min(sides) for sides in zip(image.chunk, image.shape, strict=True))
            image.read(self._tif.filehandle.fileno(), Box(0, 0, height, width), 0)

    def zarr(self, level: int = 0) -> zarr.Array[Any]:
        """Return ``level`` as a chunked, read-only zarr array over the file, its axes as the file stores them."""
        return zarr.open_array(self._series.aszarr(level=level), mode="r")

    def close(self) -> None:
        """Release the file."""
        self._file = -1  # the number may belong to another file soon
        self._tif.close()
        tile_cache().forget(self._owner)

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:
        image = self._images[level]
        with _refusing(self.path, box):
            stored = image.read(self._file, stored_box(box, image.shape, self._orientation), plane)
            pixels = turn(self._colour.apply(stored), self._orientation)
        return np.ascontiguousarray(pixels, self.dtype)


@contextmanager
def _refusing(path: str, box: Box | None = None) -> Iterator[None]:
    """Turn what tifffile and the codecs raise into a SlideError."""
    where = "" if box is None else f" in {box}"
    try:
        yield
    except SlideError:
        raise
    except FAULTS as fault:
        got = f"{type(fault).__name__}: {fault}"[:200]
        raise SlideError(explain(f"{path}: damaged or unsupported TIFF{where}", got=got)) from fault
