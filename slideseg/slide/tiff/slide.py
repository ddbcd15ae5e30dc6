"""A TIFF as a slide: its series, levels, colours and orientation put together.

tifffile parses the file and knows the codecs; tiles are fetched and decoded one by one here, straight from the file,
because its whole-page path trusts a damaged tile table. The file is used in place: nothing is converted or copied.
"""

from __future__ import annotations

import logging
import math
import struct
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import tifffile

from slideseg.errors import SlideError, explain
from slideseg.slide.cache import new_owner, tile_cache
from slideseg.slide.levels import box_at_level_0
from slideseg.slide.pixel_size.tiff import pixel_of_tiff
from slideseg.slide.reader import DTYPES, Reader, nothing, reached
from slideseg.slide.selection import WHOLE, Selection
from slideseg.slide.tiff.decoding.segments import DamagedTileError
from slideseg.slide.tiff.describe import describe, left_out, listed, placed
from slideseg.slide.tiff.files import Files
from slideseg.slide.tiff.images.roles import choose, images_of
from slideseg.slide.tiff.images.series import find_series, leading_axes
from slideseg.slide.tiff.orientation import orientation_of, stored_box, turn, upright_box
from slideseg.slide.tiff.preflight import check_directories
from slideseg.slide.tiff.pyramid import PROBED, Opened, levels_of
from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.slide.facts import Facts
    from slideseg.slide.tiff.images.roles import TiffImage
    from slideseg.slide.tiff.pyramid import TiffLevel
    from slideseg.storage.remote import RemoteFile

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
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
)
"""What tifffile and the codecs raise on damaged files; SlideError says it in one line."""


class TiffSlide(Reader):
    """A TIFF of any of the usual kinds, read in place, tile by tile."""

    def __init__(
        self, path: str, types: tuple[str, ...] = DTYPES, selection: Selection = WHOLE, remote: RemoteFile | None = None
    ) -> None:
        """Open the image of the TIFF at ``path`` that ``selection`` names, whose pixels are of one of ``types``.

        ``remote`` is the file, where it lies in a bucket.

        Raises:
            SlideError: if it is damaged, has no such image, or is of a kind that is not supported.
        """
        self._tolerant = selection.on_bad_tile == "background"
        stream = None if remote is None else remote.stream()
        with _refusing(path), ExitStack() as closed_on_failure:
            with nullcontext() if stream is None else stream.telling():
                check_directories(path, None if remote is None else remote.stream().as_file)
                opened = tifffile.TiffFile(stream.as_file if stream else path, _multifile=False)
                self._tif = closed_on_failure.enter_context(opened)
                found = find_series(path, self._tif)
                self._files = Files(found.paths, remote)
                closed_on_failure.callback(self._files.close)
                self._owners = [new_owner() for _ in found.paths]
                images = images_of(self._tif, found.series, found.document)
                self._load(path, types, images, choose(path, images, selection.series), found.companion)
            closed_on_failure.pop_all()

    def _load(self, path: str, types: tuple[str, ...], images: list[TiffImage], number: int, companion: str | None) -> None:
        image = images[number]
        page = image.series.keyframe
        leading = leading_axes(path, image.series)
        opened = Opened(path, self._files, self._owners, as_labels="uint64" in types)
        self._levels, notes = levels_of(opened, image, leading)
        self._orientation = orientation_of(page)
        for level in self._levels:
            self._probe(level)
        in_files = number if image.series.is_multifile else None
        pixel, doubts = pixel_of_tiff(self._tif, page, self._orientation, companion, in_files)
        pixel, origin, more = placed(pixel, image, self._orientation)
        facts = describe(path, image, leading, self._levels, self._orientation)
        super().__init__(
            replace(
                facts,
                pixel=pixel,
                origin=origin,
                background=self._background(facts),
                images=listed(images, number, self._levels),
                notes=(*self._levels[0].colour.notes, *self._missing(), *notes, *doubts),
                remarks=(*left_out(images, number, self._levels), *more),
            ),
            types,
        )

    def _background(self, facts: Facts) -> tuple[int, ...] | None:
        """Return the pixel that stands where nothing was scanned; None where that can't be."""
        gaps = any(level.pages.has_gaps or level.colour.may_be_transparent for level in self._levels)
        return facts.background if gaps or self._tolerant else None

    def _missing(self) -> list[str]:
        missing, number = self._levels[0].pages.missing()
        return [f"{missing} of its {number} tiles hold no data: nothing was scanned there"] if missing else []

    def _probe(self, level: TiffLevel) -> None:
        """Decode one tile, if it is small: an unknown codec or lost JPEG tables are refused now, not in the middle of a run."""
        chunk = level.pages.chunk
        if chunk is not None and math.prod(chunk) <= PROBED:
            height, width = (min(sides) for sides in zip(chunk, level.level.shape, strict=True))
            level.pages.read(self._files, Box(0, 0, height, width), 0, self._bad())

    def close(self) -> None:
        """Release the file."""
        for one in self._levels:
            one.pages.close()
        self._files.close()
        self._tif.close()
        for owner in self._owners:
            tile_cache().forget(owner)

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:
        one, bad = self._levels[level], self._bad()
        place = stored_box(box, one.level.shape, self._orientation)
        if not one.pages.holds(place, plane):
            return np.full((*box.shape, self.shape[-1]), self.background, self.dtype)
        with _refusing(self.path, box):
            pixels = one.colour.apply(one.pages.read(self._files, place, plane, bad))
            there = one.pages.stored(place, plane)
            if there is not None:
                pixels = np.where(there[..., : self.shape[-1]], pixels, np.asarray(self.background, pixels.dtype))
            for tile in bad or ():
                pixels[tile.intersect(place).relative_to(place).slices] = self.background
        return np.ascontiguousarray(turn(pixels, self._orientation), self.dtype)

    def _scanned(self, box: Box, level: int, plane: int) -> np.ndarray | None:
        one, bad = self._levels[level], self._bad()
        if bad is None and not one.pages.has_gaps and not one.colour.may_be_transparent:
            return None
        place = stored_box(box, one.level.shape, self._orientation)
        if not one.pages.holds(place, plane):
            return nothing(box.shape)
        shown = np.ones(place.shape, bool)
        with _refusing(self.path, box):
            there = one.pages.stored(place, plane)
            if there is not None:
                shown &= there[..., : self.shape[-1]].any(axis=2)
            if bad is not None or one.colour.may_be_transparent:
                stored = one.pages.read(self._files, place, plane, bad)
                shown &= one.colour.shown(stored)
            for tile in bad or ():
                shown[tile.intersect(place).relative_to(place).slices] = False
        return None if shown.all() else np.ascontiguousarray(turn(shown[..., None], self._orientation)[..., 0])

    def _damaged(self, box: Box, level: int, plane: int) -> tuple[Box, ...]:
        one, bad = self._levels[level], self._bad()
        if bad is None:
            return ()
        full = self._levels[0].level.shape
        with _refusing(self.path, box):
            one.pages.read(self._files, stored_box(box, one.level.shape, self._orientation), plane, bad)
        at_level_0 = {box_at_level_0(tile, one.level, full) for tile in bad}
        return tuple(sorted(upright_box(tile, full, self._orientation) for tile in at_level_0))

    def _bad(self) -> list[Box] | None:
        """Return where the places of tiles that can't be decoded are noted; None where they are an error."""
        return [] if self._tolerant else None


@contextmanager
def _refusing(path: str, box: Box | None = None) -> Iterator[None]:
    """Turn what tifffile and the codecs raise into a SlideError."""
    try:
        with reached(path):
            yield
    except SlideError:
        raise
    except DamagedTileError as fault:
        try_ = "another copy, or --on-bad-tile background"
        raise SlideError(explain(f"{path}: a tile can't be decoded", got=fault, try_=try_)) from fault
    except FAULTS as fault:
        where, got = "" if box is None else f" in {box}", f"{type(fault).__name__}: {fault}"[:200]
        raise SlideError(explain(f"{path}: damaged or unsupported TIFF{where}", got=got)) from fault
