"""Look at a whole image, through slideseg or through another reader, and say what was seen in numbers that can be compared."""

from __future__ import annotations

import zlib
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import openslide
import tifffile
from PIL import Image

from slideseg.slide.base import planes_of
from slideseg.slide.open import open_slide
from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slideseg.slide.base import Slide

CELL = 16
"""Side of the squares that are told apart: divides every tile of the seeds."""
MOST = 4 << 20
"""Pixels of a plane that are looked at whole; of a larger one, corners and centre."""
PART = 512
NOT_SCANNED = -1
"""In place of a checksum: where the reader itself says that there is nothing."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen of an image."""

    form: tuple[object, ...]
    """Axes, dtype, shapes of the levels, number of planes."""
    cells: dict[tuple[int, int, int, int], int]
    """Checksum of the pixels of each square of `CELL`: by plane, level, row and column."""
    notes: tuple[str, ...]
    """What the reader says was decided, as `info` prints it."""


def look(path: str) -> Look:
    """Open and read all of a slide, or of each large level its corners and its centre.

    Raises:
        SlideError: as the reader does. What is raised after opening has a note ``late``.
    """
    with closing(open_slide(path)) as slide:
        try:
            return _look(slide)
        except Exception as error:
            error.add_note("late")
            raise


def _look(slide: Slide) -> Look:
    cells: dict[tuple[int, int, int, int], int] = {}
    for plane in {0, planes_of(slide) // 2, planes_of(slide) - 1}:
        for number, level in enumerate(slide.levels):
            for box in _boxes(level.shape):
                pixels, scanned = slide.read(box, number, plane), slide.scanned(box, number, plane)
                for corner, value in _cells(pixels, box):
                    there = scanned is None or scanned[_of_cell(corner, box)].any()
                    cells[plane, number, *corner] = value if there else NOT_SCANNED
    form = (slide.axes, slide.dtype.name, tuple(level.shape for level in slide.levels), slide.shape)
    return Look(form, cells, tuple(note.replace(slide.path, "") for note in (*slide.notes, *slide.remarks)))


def _boxes(shape: tuple[int, int]) -> Iterator[Box]:
    whole = Box.of_shape(shape)
    if whole.area <= MOST:
        yield from whole.split(1024, 1024)
        return
    rows, columns = shape
    for y in {0, (rows // 2) // CELL * CELL, max(0, rows - PART) // CELL * CELL}:
        for x in {0, (columns // 2) // CELL * CELL, max(0, columns - PART) // CELL * CELL}:
            yield Box(y, x, min(rows, y + PART), min(columns, x + PART))


def _cells(pixels: np.ndarray, box: Box) -> Iterator[tuple[tuple[int, int], int]]:
    for y in range(0, box.shape[0], CELL):
        for x in range(0, box.shape[1], CELL):
            cell = np.ascontiguousarray(pixels[y : y + CELL, x : x + CELL])
            yield ((box.y0 + y) // CELL, (box.x0 + x) // CELL), zlib.crc32(cell.tobytes())


def _of_cell(corner: tuple[int, int], box: Box) -> tuple[slice, slice]:
    y, x = corner[0] * CELL - box.y0, corner[1] * CELL - box.x0
    return slice(y, y + CELL), slice(x, x + CELL)


def agrees(path: str, reader: str) -> bool:
    """Tell whether another reader (``tifffile``, ``openslide``, ``pillow``) sees what `look` sees at level 0 of plane 0.

    Raises:
        Exception: whatever that reader raises.
    """
    with closing(open_slide(path)) as slide:
        shape = slide.levels[0].shape
        if shape[0] * shape[1] > 4 * MOST:
            return False
        ours = slide.read(Box.of_shape(shape))
    return any(_same(ours, theirs) for theirs in READERS[reader](path))


def _same(ours: np.ndarray, theirs: np.ndarray) -> bool:
    if theirs.ndim == 2:
        theirs = theirs[:, :, None]
    channels = ours.shape[2]
    if theirs.ndim != 3 or theirs.shape[:2] != ours.shape[:2] or theirs.shape[2] < channels:
        return False
    forms = [theirs[..., :channels].astype(ours.dtype)]
    if theirs.shape[2] == channels + 1 and theirs.dtype == np.uint8:
        forms += [over(theirs[..., :channels], theirs[..., channels:], paper) for paper in (255, 0)]
    return any(np.array_equal(ours, form, equal_nan=ours.dtype.kind == "f") for form in forms)


def over(pixels: np.ndarray, alpha: np.ndarray, paper: int) -> np.ndarray:
    """Return pixels in front of white or black paper."""
    share = alpha.astype(np.uint32)
    return ((pixels.astype(np.uint32) * share + paper * (255 - share) + 127) // 255).astype(np.uint8)


def _by_tifffile(path: str) -> Iterator[np.ndarray]:
    with tifffile.TiffFile(path) as tif:
        for page in (found.aspage() for found in tif.pages):
            pixels = _or_nothing(page.asarray)
            if page.photometric == tifffile.PHOTOMETRIC.MINISWHITE and pixels.dtype.kind == "u":
                pixels = ((1 << page.bitspersample) - 1) - pixels
                if page.extrasamples:
                    pixels[..., -1] = ((1 << page.bitspersample) - 1) - pixels[..., -1]  # alpha is not inverted
            if page.photometric == tifffile.PHOTOMETRIC.PALETTE and page.colormap is not None:
                colours = np.asarray(page.colormap)
                yield np.moveaxis(colours >> 8 if colours.max() > 255 else colours, 0, -1)[pixels].astype(np.uint8)
            if page.planarconfig == 2 and pixels.ndim == 3:
                pixels = np.moveaxis(pixels, 0, -1)
            yield from _all_ways(pixels)
        for series in tif.series:
            pixels = _or_nothing(series.asarray)
            while pixels.ndim > 3:
                pixels = pixels[0]
            yield from _all_ways(pixels)


def _or_nothing(read: Callable[[], np.ndarray]) -> np.ndarray:
    """Return pixels, or none where they can't be read: another page may be the one."""
    try:
        return read()
    except Exception:  # noqa: BLE001 - tifffile raises anything
        return np.zeros((1, 0), np.uint8)


def _all_ways(pixels: np.ndarray) -> Iterator[np.ndarray]:
    """Yield pixels as they are and in the seven other orientations, planes first or last."""
    forms = [pixels] if pixels.ndim == 2 else [pixels, np.moveaxis(pixels, 0, -1), pixels[0]]
    for form in forms:
        for upright in (form, form.swapaxes(0, 1)):
            for rows in (1, -1):
                yield upright[::rows]
                yield upright[::rows, ::-1]


def _by_openslide(path: str) -> Iterator[np.ndarray]:
    with openslide.OpenSlide(path) as slide:
        yield np.asarray(slide.read_region((0, 0), 0, slide.dimensions))


def _by_pillow(path: str) -> Iterator[np.ndarray]:
    with Image.open(path) as picture:
        for number in range(getattr(picture, "n_frames", 1)):
            picture.seek(number)
            yield np.asarray(picture if picture.mode in ("L", "RGB", "I;16", "I;16B", "F", "RGBA") else picture.convert("RGB"))


def _by_numpy(path: str) -> Iterator[np.ndarray]:
    array = np.load(path, allow_pickle=False)
    while array.ndim > 3:
        array = array[0]
    yield array
    if array.ndim == 3:
        yield array[0]


READERS = {"tifffile": _by_tifffile, "openslide": _by_openslide, "pillow": _by_pillow, "numpy": _by_numpy}
