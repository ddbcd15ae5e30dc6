"""Read TIFFs: plain, tiled, pyramidal, Aperio SVS, OME-TIFF, ImageJ and other stacks.

tifffile parses the file and knows the codecs; tiles are fetched and decoded one by one here, straight from the file,
because its whole-page path trusts a damaged tile table. The file is used in place: nothing is converted or copied.
"""

from __future__ import annotations

import logging
import math
import re
import struct
import threading
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import zarr

from slideseg.errors import SlideError, explain
from slideseg.slide.preflight import Segments, check_directories, check_segments
from slideseg.slide.raw import RawImage, read_bytes
from slideseg.slide.reader import DTYPES, Facts, Reader, make_levels, reads_directly, same_picture
from slideseg.slide.tiff_metadata import microns_per_pixel, ome_pixels
from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
_LARGE = 32 << 20
"""Decoded bytes from which on a strip is kept until the next one is needed."""
MAX_PLANES = 1 << 20
"""Planes times channels of one file; more is taken for a lie, before memory is made for them."""
_BY_SHAPE = ("generic", "uniform")
"""What tifffile calls images that it found by their shape alone, because metadata did not help."""
_PROBE = 2048 * 2048
"""Pixels of a tile or strip that may be decoded to try the codec."""
_JPEG = (6, 7)
_ALPHA = (1, 2)
_YCBCR_CODECS = (6, 7, 33003, 33004, 33005, 34712, 34892, 50001, 50002, 52546)
"""Compressions whose decoder turns YCbCr into RGB."""
_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
_SPARSE_TAGS = (42112, 42113, 33550, 33922, 34264)
"""GDAL's and GeoTIFF's tags: their writers leave out empty tiles on purpose."""


class _LargeSegments:
    """Keeps the last large strip that was decoded: its neighbouring boxes need it again, and it took long."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._key: tuple[int, int] | None = None
        self._pixels: np.ndarray | None = None

    def get(self, key: tuple[int, int], decode: Callable[[], np.ndarray | None]) -> np.ndarray | None:
        """Return what ``decode`` returns for ``key``; one thread decodes, the others wait for it."""
        with self._lock:
            if self._key != key:
                self._key = self._pixels = None  # frees the old one first
                self._key, self._pixels = key, decode()
            return self._pixels


@dataclass(frozen=True, slots=True)
class _Coded:
    """One page in tiles or strips that are decoded one at a time."""

    page: Any
    """The tifffile page (or frame) whose table and codec are used."""
    tables: bytes | None
    """JPEG tables that its tiles share."""
    large: _LargeSegments | None
    """Shared by all pages; None where tiles are so small that decoding one again costs nothing."""

    def read(self, file: int, box: Box) -> np.ndarray:
        """Return the pixels (y, x, samples) of ``box`` as the page stores them."""
        separate, _, rows, columns, contiguous = self.page.shaped
        height, width = _chunk(self.page.keyframe)
        across, down = -(-columns // width), -(-rows // height)
        out = np.empty((*box.shape, separate * contiguous), self.page.dtype.newbyteorder("="))
        for y in range(box.y0 // height, -(-box.y1 // height)):
            for x in range(box.x0 // width, -(-box.x1 // width)):
                for sample in range(separate):
                    data = self._cached(file, (sample * down + y) * across + x)
                    segment = Box(y * height, x * width, min((y + 1) * height, rows), min((x + 1) * width, columns))
                    part = segment.intersect(box)
                    target = out[part.relative_to(box).slices]
                    where = slice(sample, sample + 1) if separate > 1 else slice(None)
                    target[..., where] = 0 if data is None else data[part.relative_to(segment).slices]
        return out

    def _cached(self, file: int, index: int) -> np.ndarray | None:
        if self.large is None:
            return self._segment(file, index)
        return self.large.get((self.page.offset, index), partial(self._segment, file, index))

    def _segment(self, file: int, index: int) -> np.ndarray | None:
        """Return tile or strip ``index`` decoded (y, x, samples); None for one that was left out on purpose."""
        length = self.page.databytecounts[index]
        if not length:
            return None
        data = read_bytes(file, self.page.dataoffsets[index], length)
        # libjpeg fills what is missing of a cut-off stream with grey and says nothing
        if self.page.keyframe.compression in _JPEG and data.rfind(b"\xff\xd9", max(0, length - 64)) < 0:
            msg = f"tile {index} is cut off"
            raise ValueError(msg)
        decoded: np.ndarray = self.page.decode(data, index, jpegtables=self.tables)[0][0]
        if decoded.dtype.newbyteorder("=") != self.page.dtype.newbyteorder("="):
            msg = f"tile {index} holds {decoded.dtype}"
            raise TypeError(msg)
        return decoded


@dataclass(frozen=True, slots=True)
class _Colour:
    """How stored samples become the pixels that are handed out."""

    keep: int
    """Samples kept; those behind are alpha."""
    inverted_from: int = 0
    """White is 0: pixels become this minus what is stored; 0 for no."""
    palette: np.ndarray | None = None
    """Colours (index, rgb) uint8 of a palette image."""

    def apply(self, stored: np.ndarray) -> np.ndarray:
        """Return the pixels (y, x, c) of ``stored`` (y, x, samples)."""
        kept = stored[..., : self.keep]
        if self.palette is not None:
            kept = self.palette[kept[..., 0]]
        elif self.inverted_from:
            kept = (self.inverted_from - kept.astype(np.int64)).astype(kept.dtype)
        return kept


@dataclass(frozen=True, slots=True)
class _Image:
    """One level: its pages by plane and channel."""

    shape: tuple[int, int]
    """Rows and columns as stored."""
    pages: tuple[tuple[_Coded | tuple[RawImage, ...], ...], ...]
    """By plane, then by channel page; raw images are by separate sample."""
    chunk: tuple[int, int] | None
    """Rows and columns that are decoded at once; None where nothing is decoded."""

    def read(self, file: int, box: Box, plane: int) -> np.ndarray:
        """Return the stored samples (y, x, samples) of ``box``."""
        parts = []
        for page in self.pages[plane]:
            parts.extend([page.read(file, box)] if isinstance(page, _Coded) else [raw.read(file, box) for raw in page])
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=-1)


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
        series = _baseline(path, self._tif)
        page, size = series.keyframe, self._tif.filehandle.size
        leading = _leading(path, series)
        self._colour = _colour(path, series)
        self._images = [_image(path, series, leading, size)]
        for level in series.levels[1:]:
            if (
                same_picture(_side(level), self._images[-1].shape)
                and _leading(path, level) == leading
                and _alike(level, series)
            ):
                self._images.append(_image(path, level, leading, size))
        self._orientation = _orientation(page)
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
        return Facts(
            path=path,
            axes=("" if stack is None else "t" if stack == "T" else "z") + "yxc",
            shape=(*(() if stack is None else (leading[stack],)), *shapes[0], channels),
            dtype=dtype,
            levels=make_levels(shapes),
            mpp=microns_per_pixel(self._tif, page),
            is_rgb=channels == 3 and page.photometric in {_RGB, _YCBCR, _PALETTE} and "C" not in leading,
            direct=first.chunk is None or reads_directly(first.shape, first.chunk),
        )

    def _probe(self, image: _Image) -> None:
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

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:
        image = self._images[level]
        with _refusing(self.path, box):
            stored = image.read(self._file, _stored_box(box, image.shape, self._orientation), plane)
            pixels = _turn(self._colour.apply(stored), self._orientation)
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


def _baseline(path: str, tif: Any) -> Any:
    """Return the series with the largest image: not a thumbnail, label or macro."""
    first = tif.pages.first
    if not first.shape or 0 in first.shape:
        raise SlideError(explain(f"{path}: its first image has no pixels", got=f"{first.imagelength} x {first.imagewidth}"))
    # tifffile makes a list of as many pages as the XML claims
    if tif.is_ome and ome_pixels(tif.ome_metadata or "") > MAX_PLANES * math.prod(first.shape):
        raise SlideError(explain(f"{path}: lying OME-XML, it claims more pixels than a file of such pages can hold"))
    found = [series for series in tif.series if series.ndim and "Y" in series.axes and "X" in series.axes]
    if not found:
        raise SlideError(explain(f"{path}: a TIFF without an image"))
    if found[0].kind in _BY_SHAPE and _claimed_pages(first) > len(tif.pages):
        got, want = f"{len(tif.pages)} pages", f"{_claimed_pages(first)} by its description"
        raise SlideError(explain(f"{path}: the stack is cut off or damaged", got=got, want=want, try_="another copy"))
    if tif.is_ome and found[0].kind in _BY_SHAPE:
        what = f"{path}: its OME-XML does not fit its pages, or names other files"
        raise SlideError(explain(what, try_="bfconvert, to get one whole file"))
    return max(found, key=lambda series: math.prod(_side(series)))


def _claimed_pages(page: Any) -> int:
    """Return how many images the description of a stack with a single directory (ImageJ's, tifffile's) says there are."""
    description = str(page.description)
    images = re.search(r"^ImageJ=.*\nimages=(\d+)", description)
    truncated = page.is_shaped and '"truncated": true' in description
    return int(images.group(1)) if images else 2 if truncated else 1


def _side(series: Any) -> tuple[int, int]:
    return int(series.shape[series.axes.index("Y")]), int(series.shape[series.axes.index("X")])


def _leading(path: str, series: Any) -> dict[str, int]:
    """Return the axes in front of a page's own, with more than one entry: of channels (C) and at most one other."""
    sizes = dict(zip(series.axes, series.shape, strict=True))
    leading = {axis: int(size) for axis, size in sizes.items() if axis not in "YXS" and size > 1}
    samples = series.keyframe.shaped[0] * series.keyframe.shaped[4]
    if series.keyframe.shaped[1] > 1 or len(leading.keys() - {"C"}) > 1 or (samples > 1 and "C" in leading):
        got = " x ".join(f"{size} {axis.lower()}" for axis, size in sizes.items())
        want = "y, x, channels and one of z and t"
        raise SlideError(explain(f"{path}: too many axes", got=got, want=want, try_="one file a time point"))
    if len(sizes) != len(series.axes):
        raise SlideError(explain(f"{path}: unsupported axes", got=series.axes))
    return leading


def _alike(level: Any, series: Any) -> bool:
    """Tell whether a reduced level stores pixels as level 0 does."""
    a, b = level.keyframe, series.keyframe
    return bool((a.dtype, a.shaped[0], a.shaped[4]) == (b.dtype, b.shaped[0], b.shaped[4]) and _inverted(a) == _inverted(b))


def _inverted(page: Any) -> bool:
    return bool(page.photometric == _MIN_IS_WHITE)


def _chunk(page: Any) -> tuple[int, int]:
    """Return rows and columns of a page's tiles, or of its strips."""
    if page.is_tiled:
        return int(page.tilelength), int(page.tilewidth)
    rows, columns = page.shaped[2], page.shaped[3]
    return max(1, min(int(page.rowsperstrip), rows)), columns


def _image(path: str, series: Any, leading: dict[str, int], size: int) -> _Image:
    """Build one level, its tile tables checked against the file's ``size``."""
    planes = math.prod(count for axis, count in leading.items() if axis != "C")
    pages = _pages(path, series, planes * leading.get("C", 1), size)
    grid: np.ndarray = np.empty(len(pages), object)
    grid[:] = pages
    grid = grid.reshape(tuple(leading.values()))
    if "C" in leading:
        grid = np.moveaxis(grid, list(leading).index("C"), -1)
    by_plane = tuple(tuple(row) for row in grid.reshape(planes, -1))
    raw = all(not isinstance(page, _Coded) for page in pages)
    return _Image(_side(series), by_plane, None if raw else _chunk(series.keyframe))


def _pages(path: str, series: Any, wanted: int, size: int) -> list[_Coded | tuple[RawImage, ...]]:
    keyframe = series.keyframe
    start = series.dataoffset
    if wanted > MAX_PLANES:
        raise SlideError(explain(f"{path}: too many planes", got=wanted, want=f"at most {MAX_PLANES}", try_="a zarr array"))
    if start is not None and keyframe.is_final:
        return [_raw(path, keyframe, start + index * keyframe.nbytes, size) for index in range(wanted)]
    pages = list(series)
    if len(pages) != wanted or any(page is None for page in pages):
        got = sum(page is not None for page in pages)
        raise SlideError(explain(f"{path}: pages are missing, or in other files", got=got, want=wanted))
    large = _LargeSegments()
    return [_page(path, page, size, large) for page in pages]


def _page(path: str, page: Any, size: int, large: _LargeSegments) -> _Coded | tuple[RawImage, ...]:
    if page.is_final and _runs_on(page):
        return _raw(path, page, page.dataoffsets[0], size)
    separate, _, rows, columns, contiguous = page.shaped
    keyframe = page.keyframe
    height, width = _chunk(keyframe)
    down, across = -(-rows // height), -(-columns // width)
    itemsize = page.dtype.itemsize
    last = height if keyframe.is_tiled else rows - (down - 1) * height
    table = Segments(
        offsets=page.dataoffsets,
        counts=page.databytecounts,
        expected=separate * down * across,
        full_bytes=height * width * contiguous * itemsize,
        last_bytes=last * width * contiguous * keyframe.bitspersample // 8,
        compression=int(keyframe.compression),
        sparse=_may_be_sparse(keyframe),
    )
    check_segments(path, table, size)
    _ = page.decode  # built once, here: later it is used by several threads
    return _Coded(page, page.jpegtables, large if table.full_bytes > _LARGE else None)


def _runs_on(page: Any) -> bool:
    """Tell whether a page's strips follow each other without a gap, and are as long as its pixels."""
    ends = [start + count for start, count in zip(page.dataoffsets, page.databytecounts, strict=True)]
    return (
        bool(ends)
        and all(a == b for a, b in zip(ends[:-1], page.dataoffsets[1:], strict=True))
        and sum(page.databytecounts) == page.keyframe.nbytes
    )


def _raw(path: str, page: Any, offset: int, size: int) -> tuple[RawImage, ...]:
    separate, _, rows, columns, contiguous = page.shaped
    image = RawImage(offset, (rows, columns, contiguous), page.dtype.newbyteorder(page.parent.byteorder))
    if offset < 8 or offset + separate * image.nbytes > size:
        want = f"{offset + separate * image.nbytes} bytes"
        raise SlideError(
            explain(f"{path}: the file is cut off or damaged", got=f"{size} bytes", want=want, try_="another copy")
        )
    return tuple(replace(image, offset=offset + index * image.nbytes) for index in range(separate))


def _may_be_sparse(page: Any) -> bool:
    """Tell whether the file's writer documents that it leaves out empty tiles: GDAL and tifffile do, scanners don't."""
    return any(tag in page.tags for tag in _SPARSE_TAGS) or str(page.software).startswith("tifffile")


def _colour(path: str, series: Any) -> _Colour:
    page = series.keyframe
    samples = page.shaped[0] * page.shaped[4]
    photometric = int(page.photometric)
    supported = {_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE} | ({_YCBCR} if page.compression in _YCBCR_CODECS else set())
    if photometric not in supported:
        want = "grey, RGB or palette"
        raise SlideError(
            explain(f"{path}: unsupported colours", got=f"photometric {photometric}", want=want, try_="an RGB copy")
        )
    if page.dtype is None or page.dtype.name == "bool":
        want = "8 or 16 bits, or float"
        raise SlideError(explain(f"{path}: pixels of an unsupported type", got=f"{page.bitspersample} bits", want=want))
    if photometric == _PALETTE and samples == 1 and len(series.axes) == 2 and not page.parent.is_imagej:
        return _Colour(1, palette=_palette(page))
    keep = _without_alpha(page, samples)
    return _Colour(keep if samples > 1 else MANY, _white(path, page) if photometric == _MIN_IS_WHITE else 0)


MANY = 1 << 30
"""All samples are kept."""


def _without_alpha(page: Any, samples: int) -> int:
    """Return how many of a pixel's samples are no alpha."""
    alpha = bool(page.extrasamples) and int(page.extrasamples[-1]) in _ALPHA
    unnamed = samples == 4 and not page.extrasamples and page.photometric == _RGB
    return samples - 1 if alpha or unnamed else samples


def _palette(page: Any) -> np.ndarray:
    """Return the colours (index, rgb) uint8 of a palette page, one for every value its type can hold."""
    colours = np.asarray(page.colormap)
    scaled = (colours >> 8 if colours.max() > 255 else colours).astype(np.uint8).T
    return np.pad(scaled, ((0, max(0, (1 << (8 * page.dtype.itemsize)) - len(scaled))), (0, 0)))


def _white(path: str, page: Any) -> int:
    if page.dtype.kind != "u":
        raise SlideError(
            explain(f"{path}: unsupported colours", got=f"white is 0 in {page.dtype.name}", want="unsigned integers")
        )
    return (1 << int(page.bitspersample)) - 1


def _orientation(page: Any) -> int:
    tag = page.tags.get(274)
    value = 1 if tag is None else int(tag.value)
    return value if 1 <= value <= 8 else 1


def _stored_box(box: Box, stored: tuple[int, int], orientation: int) -> Box:
    """Return where ``box`` of the upright image lies in the stored one, by the TIFF orientation 1 to 8."""
    y0, x0, y1, x1 = (box.y0, box.x0, box.y1, box.x1) if orientation < 5 else (box.x0, box.y0, box.x1, box.y1)
    if orientation in {3, 4, 6, 7}:
        y0, y1 = stored[0] - y1, stored[0] - y0
    if orientation in {2, 3, 7, 8}:
        x0, x1 = stored[1] - x1, stored[1] - x0
    return Box(y0, x0, y1, x1)


def _turn(stored: np.ndarray, orientation: int) -> np.ndarray:
    """Return stored pixels (y, x, c) upright."""
    if orientation in {3, 4, 6, 7}:
        stored = stored[::-1]
    if orientation in {2, 3, 7, 8}:
        stored = stored[:, ::-1]
    return stored.swapaxes(0, 1) if orientation > 4 else stored
