"""Where the frames of a file are: from its tables of offsets where they are right, else by walking from item to item."""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, TypeAlias

import numpy as np

from slideseg.errors import SlideError, explain
from slideseg.slide.raw import read_bytes

if TYPE_CHECKING:
    from slideseg.slide.dicom.elements import Tail

_ITEM, _END = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_HEADER = 8
_BEGINNINGS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP", b"\xff\x0a", b"\x00\x00\x00\x0cJXL")
"""How a JPEG, a JPEG 2000 stream, a JP2 file, and JPEG XL begin: fragments that don't go on with the frame before."""
_FIRST = 12
_WRAP = 1 << 32

Bounds: TypeAlias = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, slots=True)
class Frames:
    """The frames of one open file, by number from 0; reads from several threads at once."""

    source: BinaryIO
    """The file."""
    starts: np.ndarray
    """Byte where each begins (int64): its first item, or its pixels if they are not compressed."""
    ends: np.ndarray
    """Byte behind each."""
    in_items: bool
    """Whether they are in items, one or more each."""

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def empty(self) -> np.ndarray:
        """Of each frame, whether it was left out: an item without content."""
        return np.asarray(self.in_items & (self.ends - self.starts == _HEADER))

    def is_empty(self, number: int) -> bool:
        """Tell whether a frame was left out."""
        return self.in_items and bool(self.ends[number] - self.starts[number] == _HEADER)

    def get(self, number: int) -> bytes:
        """Return the bytes of a frame.

        Raises:
            EOFError: if the file ends before.
            ValueError: if there is no frame where one should be.
        """
        start, end = int(self.starts[number]), int(self.ends[number])
        if not self.in_items:
            return read_bytes(self.source.fileno(), start, end - start)
        file = self.source.fileno()
        parts = [read_bytes(file, at + _HEADER, length) for at, length in _items(file, start, end)]
        return parts[0] if len(parts) == 1 else b"".join(parts)


def find_frames(path: str, source: BinaryIO, tail: Tail, count: int, size: int) -> Frames:
    """Return the ``count`` frames of ``source``, each of ``size`` bytes where they are not compressed.

    Raises:
        SlideError: if the file is cut off, or has fewer frames than it says.
    """
    file = source.fileno()
    total = os.fstat(file).st_size
    if tail.length is not None:
        there = min(total - tail.offset, tail.length)
        if size * count > there:
            raise SlideError(_missing(path, count, max(0, there) // max(1, size)))
        starts = tail.offset + size * np.arange(count, dtype=np.int64)
        return Frames(source, starts, starts + size, in_items=False)
    table_at, table = _first_item(path, file, tail.offset)
    first = table_at + _HEADER + len(table)
    for offsets in (np.frombuffer(tail.offsets, "<u8"), _unwrapped(np.frombuffer(table[: len(table) // 4 * 4], "<u4"))):
        found = _from_table(path, file, first + offsets.astype(np.int64), count, total)
        if found is not None:
            return Frames(source, *found, in_items=True)
    return Frames(source, *_by_walking(path, file, first, count, total), in_items=True)


def _missing(path: str, count: int, there: int) -> str:
    what = f"{path} is cut off or incomplete: frames are missing"
    return explain(what, got=there, want=f"{count} frames", try_="another copy of the file")


def _first_item(path: str, file: int, offset: int) -> tuple[int, bytes]:
    """Return where the first item is, and its content: the basic offset table, which may be empty."""
    header = os.pread(file, _HEADER, offset)
    if header[:4] != _ITEM or len(header) < _HEADER:
        raise SlideError(_missing(path, 1, 0) if len(header) < _HEADER else explain(f"{path}: no frames where they should be"))
    (length,) = struct.unpack("<I", header[4:])
    if offset + _HEADER + length > os.fstat(file).st_size:
        raise SlideError(explain(f"{path} is cut off", got="a part of its offset table"))
    return offset, read_bytes(file, offset + _HEADER, length)


def _unwrapped(offsets: np.ndarray) -> np.ndarray:
    """Return offsets of 32 bits as what they were before they outgrew 4 GiB: each below the one before began anew."""
    wide = offsets.astype(np.int64)
    return wide + _WRAP * np.concatenate([[0], np.cumsum(np.diff(wide) < 0)]) if len(wide) else wide


def _from_table(path: str, file: int, starts: np.ndarray, count: int, total: int) -> Bounds | None:
    """Return begins and ends of the frames that begin at ``starts``; None if these are not ``count`` frames of this file.

    Raises:
        SlideError: if the file ends within the last one.
    """
    if len(starts) != count or not count or (starts < 0).any():
        return None
    order = np.argsort(starts, kind="stable")
    inside = starts[order[starts[order] + _HEADER <= total]]
    if not all(os.pread(file, 4, int(at)) == _ITEM for at in (inside[[0, len(inside) // 2, -1]] if len(inside) else ())):
        return None
    if len(inside) < count:
        raise SlideError(_missing(path, count, len(inside)))
    ends = np.empty_like(starts)
    ends[order] = np.concatenate([inside[1:], [total]])
    last = int(order[-1])
    try:
        *_, (at, length) = _items(file, int(starts[last]), total)
    except (EOFError, ValueError):
        raise SlideError(_missing(path, count, count - 1)) from None
    ends[last] = at + _HEADER + length
    if ends[last] > total:
        raise SlideError(_missing(path, count, count - 1))
    return starts, ends


def _items(file: int, start: int, end: int) -> list[tuple[int, int]]:
    """Return place and length of the items from ``start`` to ``end``, or to where a delimiter ends them."""
    at = start
    found: list[tuple[int, int]] = []
    while at + _HEADER <= end:
        header = read_bytes(file, at, _HEADER)
        if header[:4] == _END and found:
            break
        if header[:4] != _ITEM:
            msg = f"no item at byte {at}"
            raise ValueError(msg)
        (length,) = struct.unpack("<I", header[4:])
        found.append((at, length))
        at += _HEADER + length
    if not found:
        msg = f"no item at byte {start}"
        raise EOFError(msg)
    return found


def _by_walking(path: str, file: int, first: int, count: int, total: int) -> Bounds:
    """Return begins and ends of the frames of a file without a table: its items, or those that a new stream begins in."""
    try:
        items = _items(file, first, total)
    except (EOFError, ValueError):
        items = []
    items = [(at, length) for at, length in items if at + _HEADER + length <= total]
    bounds = [at for at, _ in items]
    if count == 1:
        bounds = bounds[:1]
    elif len(items) > count:
        bounds = [at for at, _ in items if os.pread(file, _FIRST, at + _HEADER).startswith(_BEGINNINGS)]
    if not items or len(bounds) != count:
        raise SlideError(_missing(path, count, len(bounds)))
    starts = np.array(bounds, np.int64)
    behind = items[-1][0] + _HEADER + items[-1][1]
    return starts, np.append(starts[1:], behind)
