"""Which chunks of an array are stored: what is absent is not empty.

Zarr reads a chunk that isn't there as the fill value. In what others wrote that is how uniform parts are left out, but an
array whose chunks lie where its metadata doesn't look for them reads in the same way. So of every array it is counted how
many of its chunks (its shards, where it has some) are stored: if none or nearly none is, it is refused.
"""

from __future__ import annotations

import itertools
import math
import re
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from slideseg.errors import SlideError, explain
from slideseg.slide.zarr.census import Census
from slideseg.slide.zarr.shard_index import stored_in_shard
from slideseg.storage.look import at_once
from slideseg.storage.store import storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import zarr

    from slideseg.slide.zarr.census import Region
    from slideseg.slide.zarr.keys import Keys
    from slideseg.space.box import Box

    Place = tuple[int, ...]
    """Number of a chunk along each axis."""

T = TypeVar("T")

_CHUNK = re.compile(r"(c[./])?(\d+(?:([./])\d+)*)")
"""What a chunk's key may look like: ``0.0.0``, ``0/0/0``, ``c/0/0/0``, ``c.0.0.0``."""
_STEP = 0.6180339887
"""Share of all chunks between one that is looked at and the next: any few of them are spread evenly."""
_RENAMED = 16
"""Missing chunks that are looked for under other names, where others are in their places."""


class Chunks:
    """The chunks of one array: shards, where it has some."""

    def __init__(self, array: zarr.Array[Any], letters: Sequence[str], keys: Keys) -> None:
        self._array, self._letters, self._keys = array, tuple(letters), keys
        self._prefix = f"{array.path}/".lstrip("/")
        self._outer = array.shards or array.chunks
        self._side = dict(zip(letters, self._outer, strict=True))
        self._counts = tuple(-(-side // chunk) for side, chunk in zip(array.shape, self._outer, strict=True))
        self._first = self._key((0,) * len(self._counts))[len(self._prefix) :]
        self._form = re.compile(re.escape(self._first).replace("0", r"(0|[1-9]\d{0,17})"))

    def count(self) -> Census:
        """Count those that are stored: by a listing, or where that takes too long or can't be had, by a sample.

        Of the shards that are there the indexes are read, of very many those of some.
        """
        stored, absent, elsewhere = self._by_listing() or self._by_sample()
        shards = _some(stored, self._keys.looks) if self._array.shards is not None else []
        inside = at_once(self._inside, shards)
        regions = [self._region(place, self._outer) for place in _some(absent, self._keys.probes)]
        if self._array.shards is None:
            held, asked = len(stored), len(stored)
            lacking, total = len(absent), math.prod(self._counts)
        else:
            held, asked = sum(int(there.sum()) for there in inside), sum(there.size for there in inside)
            lacking, total = sum(math.prod(self._chunks_in(place)) for place in absent), self._array.nchunks
            gaps = [self._region(place, self._array.chunks) for place in self._gaps(shards, inside)]
            regions.extend(_some(gaps, self._keys.probes))
        outer = len(stored) + len(absent)
        share = (len(stored) / outer if outer else 1) * (held / asked if asked else 1)
        return Census(total, asked + lacking, held, share, elsewhere, tuple(regions))

    def holds(self, region: Region) -> bool:
        """Tell whether any chunk that ``region`` touches is stored; of very many some are looked for."""
        ranges = [range(low // side, -(-high // side)) for (low, high), side in zip(region, self._outer, strict=True)]
        numbers = _spread(math.prod(map(len, ranges)), self._keys.probes)
        places = [tuple(one[at] for one, at in zip(ranges, _unravel(n, list(map(len, ranges))), strict=True)) for n in numbers]
        there = itertools.compress(places, self._keys.which([self._key(place) for place in places]))
        return any(self._array.shards is None or self._in_shard_holds(place, region) for place in there)

    def _in_shard_holds(self, place: Place, region: Region) -> bool:
        inside = self._inside(place)
        where = []
        for (low, high), number, outer, inner in zip(region, place, self._outer, self._array.chunks, strict=True):
            where.append(slice(max(0, low - number * outer) // inner, -(-(high - number * outer) // inner)))
        return bool(inside[tuple(where)].any())

    def _by_listing(self) -> tuple[list[Place], list[Place], str | None] | None:
        """Return all that are stored, all that are not, and one of these under another name; None without a listing."""
        listed = self._keys.listed(self._prefix.rstrip("/")) if math.prod(self._counts) <= self._keys.most else None
        if listed is None or len(listed) >= self._keys.most:
            return None
        there = np.zeros(self._counts, bool)
        numbers = [found.groups() for key in listed if (found := self._form.fullmatch(key))]
        places = np.array([int(number) for place in numbers for number in place], np.int64).reshape(-1, len(self._counts))
        there[tuple(places[(places < self._counts).all(axis=1)].T)] = True
        missing = not there.all()
        others = (key for key in listed if missing and (place := self._named(key)) and not there[place])
        stored, absent = ([tuple(place) for place in np.argwhere(which).tolist()] for which in (there, ~there))
        return stored, absent, next(others, None)

    def _by_sample(self) -> tuple[list[Place], list[Place], str | None]:
        """Return what `_by_listing` does of some chunks all over the array."""
        places = [_unravel(number, self._counts) for number in _spread(math.prod(self._counts), self._keys.probes)]
        which = self._keys.which([self._key(place) for place in places])
        stored = list(itertools.compress(places, which))
        absent = [place for place, there in zip(places, which, strict=True) if not there]
        return stored, absent, next(self._other_names(_some(absent, _RENAMED) if stored else absent), None)

    def _inside(self, place: Place) -> np.ndarray:
        """Return which of the chunks in a shard that is there are stored; all of them, where that can't be told."""
        counts = self._chunks_in(place)
        try:
            there = stored_in_shard(self._array, self._keys, self._key(place))
        except storage_errors():  # web servers that don't give parts of files, for one
            there = None
        return np.ones(counts, bool) if there is None else there[tuple(map(slice, counts))]

    def _chunks_in(self, place: Place) -> Place:
        """Return how many chunks of a shard lie in the array."""
        region = self._region(place, self._outer)
        return tuple(-(-(high - low) // inner) for (low, high), inner in zip(region, self._array.chunks, strict=True))

    def _gaps(self, shards: Sequence[Place], inside: Sequence[np.ndarray]) -> list[Place]:
        """Return the chunks that shards lack."""
        per_shard = [outer // inner for outer, inner in zip(self._outer, self._array.chunks, strict=True)]
        return [
            tuple(number * count + at for number, count, at in zip(place, per_shard, inner, strict=True))
            for place, there in zip(shards, inside, strict=True)
            for inner in _some(np.argwhere(~there).tolist(), self._keys.probes)
        ]

    def _region(self, place: Place, sides: Sequence[int]) -> Region:
        """Return where a chunk of ``sides`` lies in the array."""
        parts = zip(place, sides, self._array.shape, strict=True)
        return tuple((number * side, min((number + 1) * side, whole)) for number, side, whole in parts)

    def stored_in(self, box: Box, at: dict[str, int]) -> np.ndarray | None:
        """Return which pixels (y, x) of ``box`` lie in chunks that are stored, of any channel; None if all do.

        ``at`` is the index of the plane along each axis of the stack.
        """
        rows, columns = self._range("y", box.y0, box.y1), self._range("x", box.x0, box.x1)
        channels = range(dict(zip(self._letters, self._counts, strict=True)).get("c", 1))
        fixed = {letter: index // self._side[letter] for letter, index in at.items()}
        places = [self._place_at({**fixed, "y": y, "x": x, "c": c}) for y in rows for x in columns for c in channels]
        shards = np.reshape(self._keys.which([self._key(place) for place in places]), (len(rows), len(columns), -1))
        stored = np.zeros(box.shape, bool)
        for (row, column, channel), there in np.ndenumerate(shards):
            if there:
                place = places[(row * len(columns) + column) * len(channels) + channel]
                self._mark(stored, box, place, at)
        return None if stored.all() else stored

    def _mark(self, stored: np.ndarray, box: Box, place: tuple[int, ...], at: dict[str, int]) -> None:
        """Set in ``stored`` what a chunk that is there, or the chunks in a shard, hold of ``box``."""
        corner = {letter: index * self._side[letter] for letter, index in zip(self._letters, place, strict=True)}
        inner = self._in_shard(place, {letter: index - corner[letter] for letter, index in at.items()})
        height, width = (self._side[letter] // count for letter, count in zip("yx", inner.shape, strict=True))
        y0, y1 = max(box.y0, corner["y"]), min(box.y1, corner["y"] + self._side["y"])
        x0, x1 = max(box.x0, corner["x"]), min(box.x1, corner["x"] + self._side["x"])
        held: np.ndarray | bool = True
        if not inner.all():
            rows, columns = (np.arange(y0, y1) - corner["y"]) // height, (np.arange(x0, x1) - corner["x"]) // width
            held = inner[np.ix_(rows, columns)]
        stored[y0 - box.y0 : y1 - box.y0, x0 - box.x0 : x1 - box.x0] |= held

    def _in_shard(self, place: tuple[int, ...], at: dict[str, int]) -> np.ndarray:
        """Return which chunks (y, x) of a shard that is there are stored, of any channel; a chunk is its own only one."""
        index = None if self._array.shards is None else stored_in_shard(self._array, self._keys, self._key(place))
        if index is None:
            return np.ones((1, 1), bool)
        inner = dict(zip(self._letters, self._array.chunks, strict=True))
        where = tuple(slice(None) if letter in "yxc" else at.get(letter, 0) // inner[letter] for letter in self._letters)
        kept = [letter for letter in self._letters if letter in "yxc"]
        held = index[where]
        if "c" in kept:
            held = np.asarray(held.any(axis=kept.index("c")))
            kept.remove("c")
        return held if kept == ["y", "x"] else held.T

    def _place_at(self, indices: dict[str, int]) -> tuple[int, ...]:
        return tuple(indices.get(letter, 0) for letter in self._letters)

    def _range(self, letter: str, low: int, high: int) -> range:
        side = self._side[letter]
        return range(low // side, -(-high // side))

    def _other_names(self, places: Sequence[Place]) -> Iterator[str]:
        for head, separator in itertools.product(("", "c"), "./"):
            names = [(f"{head}{separator}" if head else "") + separator.join(map(str, place)) for place in places]
            there = self._keys.which([self._prefix + name for name in names])
            yield from itertools.compress(names, there)

    def _key(self, place: Place) -> str:
        return self._prefix + self._array.metadata.encode_chunk_key(place)

    def _named(self, key: str) -> Place:
        """Return which of this array's chunks a key names, however it does; () for none."""
        found = _CHUNK.fullmatch(key)
        place = () if found is None else tuple(map(int, re.split("[./]", found[2])))
        return place if self._is_place(place) else ()

    def _is_place(self, place: Place) -> bool:
        return len(place) == len(self._counts) and all(at < count for at, count in zip(place, self._counts, strict=True))

    def refuse_absent(self, path: str, census: Census, *, sparse: bool) -> None:
        """Refuse an array of whose chunks none or nearly none is stored, unless ``sparse``, or some lie under other names.

        Raises:
            SlideError: that says so, and where they may be.
        """
        some = census.stored or "none"
        of = f"{census.looked}" if census.looked == census.chunks else f"{census.looked} that were looked for"
        if census.elsewhere is not None:
            second = self._array.metadata.zarr_format == 2
            where = "dimension_separator in .zarray" if second else "chunk_key_encoding in zarr.json"
            what = f"{path}: its chunks lie under other names than its metadata says, {some} of {of} is found"
            raise SlideError(explain(what, got=census.elsewhere, want=self._first, try_=f"mending {where}"))
        if census.hardly_any and not sparse:
            what = f"{path}: absent is not empty, {some} of its chunks are stored, of {of}"
            kind = "files" if self._array.shards is None else "chunks in files"
            raise SlideError(explain(what, want=f"{kind} such as {self._first}", try_="another copy"))


def _unravel(number: int, counts: Sequence[int]) -> Place:
    """Return the place of a chunk by its number in C order."""
    place = []
    for count in reversed(counts):
        number, index = divmod(number, count)
        place.append(index)
    return tuple(reversed(place))


def _spread(total: int, most: int) -> Sequence[int]:
    """Return at most so many numbers below ``total``, spread evenly."""
    return range(total) if total <= most else [int(total * (n * _STEP % 1)) for n in range(most)]


def _some(found: Sequence[T], most: int) -> list[T]:
    """Return at most so many of what was found, from all over it."""
    return [found[number] for number in _spread(len(found), most)]
