"""Which chunks of an array are stored: what is absent is not empty.

Zarr reads a chunk that isn't there as the fill value. In what others wrote that is how uniform parts are left out, but an
array whose chunks lie where its metadata doesn't look for them reads in the same way. So of every array it is counted how
many of its chunks (its shards, where it has some) are stored: if none or nearly none is, it is refused.
"""

from __future__ import annotations

import itertools
import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.errors import SlideError, explain
from slideseg.slide.zarr.shard_index import stored_in_shard

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import zarr

    from slideseg.slide.zarr.keys import Keys
    from slideseg.space.box import Box

_CHUNK = re.compile(r"(c[./])?(\d+(?:([./])\d+)*)")
"""What a chunk's key may look like: ``0.0.0``, ``0/0/0``, ``c/0/0/0``, ``c.0.0.0``."""
_NEARLY_NONE = 1000
"""An image of which not one chunk in so many is stored was not copied whole, or its chunks lie elsewhere."""
_STEP = 0.6180339887
"""Share of all chunks between one that is looked at and the next: any few of them are spread evenly."""


@dataclass(frozen=True, slots=True)
class Census:
    """How many of an array's chunks are stored."""

    chunks: int
    """All that it has by its shape."""
    looked: int
    """Those that were looked for."""
    stored: int
    """Those of them that are there."""
    elsewhere: str | None = None
    """A key that looks like a chunk's, but is not where the metadata says."""

    @property
    def complete(self) -> bool:
        """Whether every chunk is known to be stored."""
        return self.stored == self.chunks

    @property
    def full(self) -> bool:
        """Whether every chunk that was looked for is stored."""
        return self.stored == self.looked

    @property
    def hardly_any(self) -> bool:
        """Whether nearly none is stored."""
        return self.stored * _NEARLY_NONE < self.looked


class Chunks:
    """The chunks of one array: shards, where it has some."""

    def __init__(self, array: zarr.Array[Any], letters: Sequence[str], keys: Keys) -> None:
        self._array, self._letters, self._keys = array, tuple(letters), keys
        self._prefix = f"{array.path}/".lstrip("/")
        outer = array.shards or array.chunks
        self._side = dict(zip(letters, outer, strict=True))
        self._counts = tuple(-(-side // chunk) for side, chunk in zip(array.shape, outer, strict=True))
        first = self._key((0,) * len(self._counts))[len(self._prefix) :]
        self._form = re.compile(re.escape(first).replace("0", r"(\d+)"))
        self.total = math.prod(self._counts)
        """All that the array has by its shape."""

    def count(self) -> Census:
        """Count those that are stored: by a listing, or where that takes too long or can't be had, by a sample."""
        listed = self._keys.listed(self._prefix.rstrip("/")) if self.total <= self._keys.most else None
        if listed is None or len(listed) >= self._keys.most:
            return self._sample()
        # of a hundred thousand names most are as they should be
        numbers = [found.groups() for key in listed if (found := self._form.fullmatch(key))]
        stored = sum(all(int(at) < count for at, count in zip(place, self._counts, strict=True)) for place in numbers)
        census = Census(self.total, self.total, stored)
        if not census.hardly_any:
            return census
        others = (key for key in listed if not self._form.fullmatch(key) and self._names_a_chunk(key))
        return replace(census, elsewhere=next(others, None))

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

    def _sample(self) -> Census:
        """Look for some chunks all over the array, and where there are none, for the same ones under other names."""
        looked = min(self.total, self._keys.probes)
        numbers = range(self.total) if looked == self.total else [int(self.total * (n * _STEP % 1)) for n in range(looked)]
        places = [self._unravel(number) for number in numbers]
        stored = sum(self._keys.which([self._key(place) for place in places]))
        elsewhere = next(self._other_names(places), None) if not stored else None
        return Census(self.total, looked, stored, elsewhere)

    def _other_names(self, places: Sequence[tuple[int, ...]]) -> Iterator[str]:
        for head, separator in itertools.product(("", "c"), "./"):
            names = [(f"{head}{separator}" if head else "") + separator.join(map(str, place)) for place in places]
            there = self._keys.which([self._prefix + name for name in names])
            yield from itertools.compress(names, there)

    def _unravel(self, number: int) -> tuple[int, ...]:
        place = []
        for count in reversed(self._counts):
            number, index = divmod(number, count)
            place.append(index)
        return tuple(reversed(place))

    def _key(self, place: tuple[int, ...]) -> str:
        return self._prefix + self._array.metadata.encode_chunk_key(place)

    def _names_a_chunk(self, key: str) -> bool:
        """Tell whether a key names one of this array's chunks, however it does."""
        found = _CHUNK.fullmatch(key)
        place = () if found is None else tuple(map(int, re.split("[./]", found[2])))
        return len(place) == len(self._counts) and all(at < count for at, count in zip(place, self._counts, strict=True))

    def refuse_absent(self, path: str, census: Census, *, sparse: bool) -> None:
        """Refuse an array of whose chunks none or nearly none is stored; ``sparse``: only if none is.

        Raises:
            SlideError: that says so, and where they may be.
        """
        if not census.hardly_any or (sparse and census.stored):
            return
        wanted = self._key((0,) * len(self._counts))[len(self._prefix) :]
        of = f"{census.looked}" if census.looked == census.chunks else f"{census.looked} that were looked for"
        if census.elsewhere is None:
            what = f"{path}: absent is not empty, {census.stored or 'none'} of its chunks are stored, of {of}"
            raise SlideError(explain(what, want=f"files such as {wanted}", try_="another copy"))
        where = "dimension_separator in .zarray" if self._array.metadata.zarr_format == 2 else "chunk_key_encoding in zarr.json"
        what = f"{path}: its chunks lie under other names than its metadata says, {census.stored or 'none'} of {of} is found"
        raise SlideError(explain(what, got=census.elsewhere, want=wanted, try_=f"mending {where}"))
