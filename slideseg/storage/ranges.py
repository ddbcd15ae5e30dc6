"""Which bytes to read for ranges of a file, so that few requests do."""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING, Any

from obstore.exceptions import BaseError, NotSupportedError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from obstore.store import ObjectStore

GAP = 256 * 1024
"""Bytes between two ranges that are rather read than asked around."""
PIECE = 8 << 20
"""Bytes that one request asks for at most."""


def joined(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return what to read, as (start, stop) in rising order and far apart.

    >>> joined([(900_000, 5), (20, 10), (0, 0), (25, 100)])
    [(20, 125), (900000, 900005)]
    """
    spans: list[tuple[int, int]] = []
    for start, length in sorted(ranges):
        if length and spans and start <= spans[-1][1] + GAP:
            spans[-1] = (spans[-1][0], max(spans[-1][1], start + length))
        elif length:
            spans.append((start, start + length))
    return spans


def in_pieces(spans: Iterable[tuple[int, int]], most: int = PIECE) -> list[tuple[int, int]]:
    """Return spans (start, stop) cut into pieces of at most so many bytes.

    >>> in_pieces([(3, 10), (20, 22)], 4)
    [(3, 7), (7, 10), (20, 22)]
    """
    return [(at, min(at + most, stop)) for start, stop in spans for at in range(start, stop, most)]


def in_batches(ranges: Sequence[tuple[int, int]], most: int) -> list[list[int]]:
    """Return the numbers of ranges (start, length) as they follow each other, in batches of about so many bytes to read.

    >>> in_batches([(5_000_000, 60), (0, 50), (50, 70)], 100)
    [[1], [2], [0]]
    """
    batches: list[list[int]] = []
    end = room = 0
    for number in sorted(range(len(ranges)), key=ranges.__getitem__):
        start, length = ranges[number]
        between = start - end if batches and start <= end + GAP else 0
        if room < between + length:
            batches.append([])
            room, between = most, 0
        batches[-1].append(number)
        end, room = max(end, start + length), room - between - length
    return batches


def cut(starts: Sequence[int], parts: Sequence[Any], start: int, length: int) -> bytes:
    """Return a range out of the spans that were read."""
    if not length:
        return b""
    index = bisect.bisect_right(starts, start) - 1
    offset = start - starts[index]
    return bytes(memoryview(parts[index])[offset : offset + length])


def end_of(objects: ObjectStore, key: str, length: int) -> tuple[bytes, int]:
    """Return the last ``length`` bytes under a key, or all of fewer, and how many there are in all."""
    try:
        found = objects.get(key, options={"range": {"suffix": length}})
        return bytes(found.bytes()), int(found.meta["size"])
    except NotSupportedError:  # as of Azure's
        size = objects.head(key)["size"]
        return bytes(objects.get_range(key, start=max(0, size - length), end=size)) if size else b"", size
    except BaseError:
        if objects.head(key)["size"]:
            raise
        return b"", 0  # which has no last byte, as S3 sees it
