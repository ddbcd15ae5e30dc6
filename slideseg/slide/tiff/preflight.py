"""Check a TIFF's structure against the file before anything is decoded.

A reader that trusts a damaged tile table returns a full-size image with wrong pixels and no error. So the chain of
directories is walked by hand, and every tile or strip must lie in the file, be there, and be large enough for what
it claims to hold. Nothing here decodes pixels; what is read is a few bytes a directory.
"""

from __future__ import annotations

import struct
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from slideseg.errors import SlideError, explain
from slideseg.slide.reader import MAX_CHANNELS, MAX_WHOLE

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    _Entries = dict[int, tuple[int, int, int]]

MAX_PAGES = 65_536
"""Directories of one file that are followed."""
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_BITS, _PHOTOMETRIC, _SAMPLES = 258, 262, 277
_COLOURS = (2, 3, 5, 6, 8, 9, 10)
"""Photometric interpretations of several samples, or of a palette."""
_NUMBERS = {
    256: "ImageWidth",
    257: "ImageLength",
    259: "Compression",
    _PHOTOMETRIC: "PhotometricInterpretation",
    274: "Orientation",
    _SAMPLES: "SamplesPerPixel",
    278: "RowsPerStrip",
    284: "PlanarConfiguration",
    317: "Predictor",
    322: "TileWidth",
    323: "TileLength",
}
"""Tags that hold one whole number, by name."""
_COMPRESSION, _JPEGS = 259, (6, 7, 34892)
"""A tag, and its values that stand for JPEG: old, new, and that of DNG."""
_SIDES = (256, 257)
"""Columns and rows."""
_WHOLE_TYPES = (1, 3, 4, 16)
"""Types of unsigned whole numbers: 1, 2, 4 and 8 bytes."""
_TEXT_TYPES = (1, 2, 7)
"""Types of texts, and of documents that are stored as bytes."""
_TABLES = ((324, 325), (273, 279))
"""The tags of offsets and lengths, of tiles and of strips."""
_RAW = 1
_MAX_RATIO = {1: 1, 5: 4096, 8: 1100, 32946: 1100, 32773: 64}
"""Pixel bytes that one stored byte can become, for the compressions that have a bound (with some slack)."""


_FULLEST_OF = 1000
"""A page of which not one tile in so many has data, though the others have a place in the file, is damaged."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """How a TIFF writes numbers: classic or BigTIFF, either byte order."""

    order: str
    """``<`` or ``>``."""
    big: bool
    """BigTIFF: 8-byte offsets."""

    @property
    def count(self) -> str:
        """Struct format of a directory's number of entries."""
        return self.order + ("Q" if self.big else "H")

    @property
    def offset(self) -> str:
        """Struct format of an offset."""
        return self.order + ("Q" if self.big else "I")

    @property
    def entry(self) -> str:
        """Struct format of a directory entry: tag, type, count, value or offset."""
        return self.order + ("HHQQ" if self.big else "HHII")


@dataclass(frozen=True, slots=True)
class Segments:
    """The tile or strip table of one page, and what it should hold."""

    offsets: Sequence[int]
    """Byte offset of each tile or strip."""
    counts: Sequence[int]
    """Bytes of each."""
    expected: int
    """Number of tiles or strips that the page's shape needs."""
    full_bytes: int
    """Bytes of one whole decoded tile or strip."""
    last_bytes: int
    """Bytes of the smallest decoded one (the last strip may be short)."""
    compression: int
    """The TIFF compression tag."""
    whole: bool
    """Whether one is decoded in one piece, not row by row."""
    stored_bytes: int = 0
    """Bytes of one whole tile or strip as it is stored uncompressed; 0 where that can't be told."""


@dataclass(frozen=True, slots=True)
class _Page:
    """One directory of an open file."""

    path: str
    file: BinaryIO
    size: int
    """Bytes of the file."""
    layout: _Layout
    start: int
    """Where the directory is."""
    entries: _Entries
    """Type, count and value or offset by tag."""

    def extents(self) -> Iterator[tuple[int, int]]:
        """Yield the places (offset, length) of the directory, and of what its tags hold but for lists of numbers."""
        number, width = struct.calcsize(self.layout.count), struct.calcsize(self.layout.offset)
        yield self.start, number + len(self.entries) * struct.calcsize(self.layout.entry) + width
        for kind, count, value in self.entries.values():
            length = _TYPE_SIZES.get(kind, 0) * count
            if length > width and kind in _TEXT_TYPES:
                yield value, length

    def numbers(self, tag: int) -> np.ndarray:
        """Return the whole numbers under a tag.

        Raises:
            SlideError: if it is missing, or holds something else.
        """
        kind, count, value = self.entries.get(tag, (0, 0, 0))
        if kind not in _WHOLE_TYPES:
            got = f"type {kind}" if kind else "none"
            raise SlideError(explain(f"{self.path}: damaged TIFF, its tile table holds no numbers (tag {tag})", got=got))
        length, field = _TYPE_SIZES[kind] * count, struct.pack(self.layout.offset, value)
        if length > len(field):
            self.file.seek(value)
            field = self.file.read(length)
        return np.frombuffer(field[:length], f"{self.layout.order}u{_TYPE_SIZES[kind]}").astype(np.uint64)


def first_tags(path: str) -> set[int]:
    """Return the tags of a TIFF's first directory.

    Raises:
        SlideError: if the header or the first directory is damaged.
    """
    return set(next(_walk(path)).entries)


def first_sides(path: str) -> tuple[int, int]:
    """Return rows and columns of a TIFF's first image, by its head alone.

    Raises:
        SlideError: if the header or the first directory is damaged.
    """
    page = next(_walk(path))
    columns, rows = (int(next(iter(page.numbers(tag)), 0)) for tag in _SIDES)
    return rows, columns


def is_jpeg_inside(path: str, file: BinaryIO | None = None) -> bool:
    """Tell whether a TIFF's first image is stored as JPEG, which does not keep values, by its head alone.

    ``file`` is the TIFF, where it does not lie on a disk.

    Raises:
        SlideError: if the header or the first directory is damaged.
    """
    return int(next(iter(next(_walk(path, file)).numbers(_COMPRESSION)), 0)) in _JPEGS


def check_directories(path: str, file: BinaryIO | None = None) -> int:
    """Follow the chain of directories to its end and return their number.

    ``file`` is the TIFF, where it does not lie on a disk.

    Raises:
        SlideError: if the chain leaves the file, returns to itself, or a tag's value lies outside the file.
    """
    return sum(1 for _ in _walk(path, file))


def extents_of_head(path: str, file: BinaryIO) -> Iterator[tuple[int, int]]:
    """Yield the places (offset, length) of a TIFF's header, its directories, and what their tags hold but for lists of numbers.

    Raises:
        SlideError: as `check_directories`.
    """
    yield 0, 16
    for page in _walk(path, file):
        yield from page.extents()


def check_tables(path: str) -> None:
    """Check for another reader that every tile and strip of every page lies in the file, or is left out.

    Raises:
        SlideError: as `check_directories`, and if one leaves the file or has no length.
    """
    for page in _walk(path):
        for places, lengths in _TABLES:
            if places not in page.entries:
                continue
            offsets, counts = page.numbers(places), page.numbers(lengths)
            if len(offsets) != len(counts):
                got = f"{len(offsets)} offsets and {len(counts)} lengths"
                raise SlideError(explain(f"{path}: damaged TIFF, its tile table does not fit", got=got))
            there = (offsets > 0) & (counts > 0)
            _check_inside(path, offsets[there], counts[there], page.size)


def _walk(path: str, opened: BinaryIO | None = None) -> Iterator[_Page]:
    """Yield the directories of a chain."""
    seen: set[int] = set()
    with open(path, "rb") if opened is None else nullcontext(opened) as file:
        size = file.seek(0, 2)
        layout, offset = _header(path, file, size)
        while offset:
            if offset in seen:
                raise SlideError(
                    explain(f"{path}: damaged TIFF, its list of pages runs in a circle", got=f"offset {offset} again")
                )
            if len(seen) == MAX_PAGES:
                raise SlideError(
                    explain(f"{path}: too many pages", want=f"at most {MAX_PAGES}", try_="a zarr array for the stack")
                )
            seen.add(offset)
            start = offset
            entries, offset = _directory(path, file, size, layout, start)
            yield _Page(path, file, size, layout, start, entries)


def check_table(path: str, page: Any, expected: int) -> None:
    """Check how many tiles or strips a tifffile page's tags list: tifffile cuts a table of strips to the length that it needs.

    Raises:
        SlideError: if they are not ``expected``.
    """
    tags = getattr(page, "tags", {})  # a frame, read by its place in a stack, has none of its own
    for pair in _TABLES:
        listed = {int(tags[tag].count) for tag in pair if tag in tags}
        if listed - {expected} and pair[0] in tags:
            got = f"a list of {max(listed)}"
            raise SlideError(
                explain(
                    f"{path}: damaged TIFF, its tile table does not fit its size", got=got, want=f"{expected} tiles or strips"
                )
            )


def check_segments(path: str, segments: Segments, size: int) -> None:
    """Check a page's tile or strip table against the file's ``size`` in bytes.

    Raises:
        SlideError: if tiles are missing, lie outside the file, or are too short for what they hold.
    """
    offsets, counts = (np.asarray(values, np.uint64) for values in (segments.offsets, segments.counts))
    if not len(offsets) == len(counts) == segments.expected:
        got = f"{len(offsets)} offsets and {len(counts)} lengths"
        raise SlideError(
            explain(f"{path}: damaged TIFF, its tile table does not fit its size", got=got, want=segments.expected)
        )
    if segments.whole and segments.full_bytes > MAX_WHOLE:
        got, want = f"{segments.full_bytes / 2**30:.1f} GiB", f"at most {MAX_WHOLE >> 30} GiB"
        raise SlideError(explain(f"{path}: one tile or strip is too large to decode", got=got, want=want, try_="a tiled TIFF"))
    empty = counts == 0  # left out: nothing was scanned there, wherever the offset points
    emptied = int((empty & (offsets > 0)).sum())  # writers that leave out most of a picture give no place either
    if empty.all() or int((~empty).sum()) * _FULLEST_OF < emptied:
        raise SlideError(
            explain(
                f"{path}: damaged TIFF, all or nearly all tiles are missing",
                got=f"{int(empty.sum())} of {len(empty)} without data",
            )
        )
    _check_extents(path, offsets[~empty], counts[~empty], size)
    _check_ratio(path, counts[~empty], segments)


def _check_extents(path: str, offsets: np.ndarray, counts: np.ndarray, size: int) -> None:
    bad = offsets < 8
    if bad.any():
        raise SlideError(explain(f"{path}: damaged TIFF, tiles without data", got=f"{int(bad.sum())} of {len(bad)}"))
    _check_inside(path, offsets, counts, size)
    if _overlap(offsets, counts):
        what = f"{path}: damaged TIFF, its tiles overlap in the file"
        raise SlideError(explain(what, want="each tile in a place of its own", try_="another copy"))
    if int(counts.astype(np.float64).sum()) > size:
        raise SlideError(
            explain(f"{path}: damaged TIFF, tiles share the same bytes", got=f"{size} bytes for tiles that need more")
        )


def _check_inside(path: str, offsets: np.ndarray, counts: np.ndarray, size: int) -> None:
    # count <= size - offset, in an order that can't overflow
    outside = (offsets > size) | (counts > size) | (counts > np.uint64(size) - np.minimum(offsets, np.uint64(size)))
    if outside.any():
        got = f"{int(outside.sum())} of {len(outside)} tiles behind its end"
        raise SlideError(
            explain(f"{path}: the file is cut off or damaged", got=got, want="all tiles in the file", try_="another copy")
        )


def _overlap(offsets: np.ndarray, counts: np.ndarray) -> bool:
    """Tell whether two tiles share a part of their bytes; they may share all: some writers keep equal tiles once."""
    order = np.lexsort((counts, offsets))
    starts, ends = offsets[order], (offsets + counts)[order]
    same = (starts[1:] == starts[:-1]) & (ends[1:] == ends[:-1])
    return bool(((starts[1:] < ends[:-1]) & ~same).any())


def _check_ratio(path: str, counts: np.ndarray, segments: Segments) -> None:
    if segments.compression == _RAW and segments.stored_bytes and (counts > 2 * segments.stored_bytes + 64).any():
        got = f"{int(counts.max())} bytes for {segments.stored_bytes} bytes of pixels"
        raise SlideError(explain(f"{path}: damaged TIFF, a tile is longer than what it holds", got=got))
    ratio = _MAX_RATIO.get(segments.compression)
    if ratio is not None and (counts.astype(np.float64) * ratio + 64 < segments.last_bytes).any():
        got = f"{int(counts.min())} bytes for {segments.last_bytes} bytes of pixels"
        raise SlideError(explain(f"{path}: damaged TIFF, a tile is too short for what it holds", got=got))


def _header(path: str, file: BinaryIO, size: int) -> tuple[_Layout, int]:
    file.seek(0)
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        raise SlideError(explain(f"{path}: not a TIFF, or cut off", got=f"{size} bytes"))
    version = struct.unpack_from(order + "H", head, 2)[0]
    if version not in {42, 43} or (version == 43 and (len(head) < 16 or struct.unpack_from(order + "HH", head, 4) != (8, 0))):
        raise SlideError(explain(f"{path}: not a TIFF", got=f"version {version}", want="42 or 43"))
    layout = _Layout(order, version == 43)
    offset = struct.unpack_from(layout.offset, head, 8 if layout.big else 4)[0]
    if not offset:
        raise SlideError(explain(f"{path}: a TIFF without an image"))
    return layout, offset


def _directory(path: str, file: BinaryIO, size: int, layout: _Layout, offset: int) -> tuple[_Entries, int]:
    """Check one directory; return its entries by tag and the offset of the next."""
    step, width = struct.calcsize(layout.entry), struct.calcsize(layout.offset)
    head = _bytes_at(path, file, size, offset, struct.calcsize(layout.count))
    number = struct.unpack(layout.count, head)[0]
    if not number:
        raise SlideError(explain(f"{path}: damaged TIFF, a page without tags", got=f"offset {offset}"))
    body = _bytes_at(path, file, size, offset + len(head), number * step + width)
    entries: _Entries = {}
    found = {}
    for tag, kind, count, value in struct.iter_unpack(layout.entry, body[: number * step]):
        length = _TYPE_SIZES.get(kind, 0) * count
        if length > width and value + length > size:
            raise SlideError(
                explain(f"{path}: the file is cut off or damaged", got=f"tag {tag} behind its end", try_="another copy")
            )
        if tag in _NUMBERS:
            found[tag] = _check_number(path, tag, kind, count, _inline(layout, kind, value, width))
        entries.setdefault(tag, (kind, count, value))
    if (_BITS not in entries or entries[_BITS][0] not in _WHOLE_TYPES) and found.get(_PHOTOMETRIC, 0) in _COLOURS:
        # without the tag it is 1, which no image in colours means
        raise SlideError(explain(f"{path}: damaged TIFF, a page in colours lacks BitsPerSample", try_="another copy"))
    return entries, struct.unpack(layout.offset, body[-width:])[0]


def _check_number(path: str, tag: int, kind: int, count: int, value: int) -> int:
    """Return the number; refuse what tifffile would stumble over later: lists where one number belongs, a million channels."""
    if count != 1 or kind not in _WHOLE_TYPES:
        got = f"{count} values of type {kind}"
        raise SlideError(explain(f"{path}: damaged TIFF, its {_NUMBERS[tag]} is no number", got=got, want="one whole number"))
    if tag == _SAMPLES and not 1 <= value <= MAX_CHANNELS:
        raise SlideError(explain(f"{path}: too many channels, or none", got=value, want=f"1 to {MAX_CHANNELS}"))
    return value


def _inline(layout: _Layout, kind: int, value: int, width: int) -> int:
    """Return the first number of a directory entry that holds its value itself; ``value`` is its last field as an offset."""
    field = struct.pack(layout.offset, value)
    return int.from_bytes(field[: min(width, _TYPE_SIZES.get(kind, width))], "little" if layout.order == "<" else "big")


def _bytes_at(path: str, file: BinaryIO, size: int, offset: int, length: int) -> bytes:
    if offset < 8 or offset + length > size:
        raise SlideError(
            explain(f"{path}: the file is cut off or damaged", got=f"a page at {offset} of {size} bytes", try_="another copy")
        )
    file.seek(offset)
    return file.read(length)
