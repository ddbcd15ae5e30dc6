"""A file in a bucket or on the web, read in parts: by few requests, all of one version, by several threads.

obstore's own reader has one place and one thread, asks for a MiB at each jump and for nothing twice, and does not tell when the
object was replaced meanwhile.
"""

from __future__ import annotations

import bisect
import io
import itertools
import os
from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any, BinaryIO, TypeVar, cast

from obstore.exceptions import BaseError, NotSupportedError, PreconditionError
from obstore.store import AzureStore, GCSStore, S3Store

from slideseg.storage.ranges import in_batches, in_pieces, joined
from slideseg.storage.trouble import in_words, is_forbidden, says_no_bucket
from slideseg.storage.waiting import interruptible, no_bucket, persistent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from concurrent.futures import Future
    from datetime import datetime

    from obstore import GetOptions, ObjectMeta

    from slideseg.storage.store import Store

T = TypeVar("T")

BLOCK = 64 << 10
"""Bytes that are asked for and kept where less is wanted: a TIFF's directories are read a few bytes at a time."""
MOST_AHEAD = 1 << 20
"""Bytes that are asked for at most where a file is read on and on; who wants more at once gets it, and it is not kept."""
KEPT = 16 << 20
"""Bytes of blocks that a process keeps."""
BATCH = 8 << 20
"""Bytes that are there to be decoded while as many are on their way."""
_AT_ONCE = 16
"""Requests of a reader that are on their way."""


class RemoteError(OSError):
    """A file that can't be read where it lies: that says nothing of what is in it."""


class NoFileError(RemoteError):
    """What is there may not be read, or not in part: of a zarr's folder servers may say so."""


class ReplacedError(RemoteError):
    """Another version of a file lies there by now."""


@dataclass(frozen=True, slots=True)
class Version:
    """Which of the objects that may have been under a key."""

    size: int
    """Bytes."""
    tag: str | None
    """The ETag, which changes with the content; None where a server has none, or a weak one."""
    written: datetime | None
    """When, where there is no ETag."""

    @classmethod
    def of(cls, meta: ObjectMeta) -> Version:
        """Return the version that a store speaks of."""
        tag = meta["e_tag"] or ""
        is_strong = bool(tag) and not tag.startswith("W/")
        return cls(meta["size"], tag if is_strong else None, None if is_strong else meta["last_modified"])

    @property
    def condition(self) -> GetOptions:
        """What has a store refuse another version."""
        return {} if self.tag is None else {"if_match": self.tag}


class RemoteFile:
    """One version of what is under a key."""

    def __init__(self, store: Store, key: str, name: str, version: Version, begin: bytes = b"") -> None:
        """Read ``version`` of a key, whose first block is ``begin``; ``name`` is its address."""
        self._store, self._key = store, key
        self.name, self.version, self.size = name, version, version.size
        self._owner = _owner(store, name, version)
        self._next, self._ahead = 0, 1
        if len(begin) == min(BLOCK, self.size):
            _kept.put((self._owner, 0), begin)

    def read(self, offset: int, length: int) -> bytes:
        """Return ``length`` bytes from ``offset``.

        Raises:
            EOFError: if the file ends before them.
            RemoteError: if it can't be read, or was replaced.
        """
        _check_end(self.size, offset, length)
        if length > MOST_AHEAD:
            out = bytearray(length)
            self.fill(memoryview(out), offset)
            return bytes(out)
        first, last = offset // BLOCK, -(-(offset + length) // BLOCK)
        return b"".join(self._blocks(first, last))[offset - first * BLOCK :][:length]

    def fill(self, out: memoryview, offset: int) -> None:
        """Read as many bytes from ``offset`` as ``out`` has room for, which are not kept.

        Raises:
            EOFError: as `read`.
            RemoteError: as `read`.
        """
        ranges = [(start, stop - start) for start, stop in in_pieces([(offset, offset + len(out))])]
        for some, near in self.ahead(ranges):
            for start, length in (ranges[number] for number in some):
                near.fill(out[start - offset :][:length], start)

    def ahead(self, ranges: Sequence[tuple[int, int]]) -> Iterator[tuple[Sequence[int], Near]]:
        """Read ranges (offset, length) in an order of its own: yield the numbers of some, and what has their bytes.

        What lies close is asked for at once, the next ones while those that were yielded are used; these are forgotten then.

        Raises:
            EOFError: as `read`.
            RemoteError: as `read`; also where the bytes are used.
        """
        for range_ in ranges:
            _check_end(self.size, *range_)
        batches = in_batches(ranges, BATCH)
        with ThreadPoolExecutor(_AT_ONCE, "remote") as pool:
            begun = [self._begin(pool, [ranges[number] for number in batch]) for batch in batches[:1]]
            for number, batch in enumerate(batches):
                begun += [self._begin(pool, [ranges[one] for one in batch]) for batch in batches[number + 1 : number + 2]]
                yield batch, begun.pop(0)

    def _begin(self, pool: ThreadPoolExecutor, ranges: Sequence[tuple[int, int]]) -> Near:
        spans = in_pieces(joined(ranges))
        return Near(spans, [pool.submit(self._span, start, stop) for start, stop in spans])

    def _span(self, start: int, stop: int) -> Any:
        """Return bytes; few are kept: boxes beside each other and looks at a slide's small levels want the same again."""
        return self.read(start, stop - start) if stop - start <= MOST_AHEAD else self._get(start, stop)

    def expect(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Ask at once for ranges (offset, length) that are read next, one after the other, and keep them if there is room.

        Raises:
            RemoteError: as `read`.
        """
        there = [(start, length) for start, length in ranges if start + length <= self.size]  # whoever reads others is told
        spans = in_pieces(joined(there), MOST_AHEAD)
        if sum(stop - start for start, stop in spans) <= KEPT // 2:
            with ThreadPoolExecutor(_AT_ONCE, "remote") as pool:
                for _ in pool.map(lambda span: self.read(span[0], span[1] - span[0]), spans):
                    pass

    def again(self) -> RemoteFile:
        """Return it for one who closes it when it likes."""
        return self

    def stream(self) -> Stream:
        """Return it as Python's files are."""
        return Stream(self)

    def close(self) -> None:
        """Do nothing: nothing is open."""

    def _blocks(self, first: int, last: int) -> list[bytes]:
        """Return blocks; those that are not kept are asked for, and what follows them where somebody reads on and on."""
        found = {number: _kept.get((self._owner, number)) for number in range(first, last)}
        missing = [number for number, block in found.items() if block is None]
        if missing:
            start = missing[0]
            self._ahead = min(2 * self._ahead, MOST_AHEAD // BLOCK) if start == self._next else 1
            self._next = max(missing[-1] + 1, start + self._ahead)
            data = memoryview(self._get(start * BLOCK, min(self._next * BLOCK, self.size)))
            for at in range(0, len(data), BLOCK):
                found[start + at // BLOCK] = block = bytes(data[at : at + BLOCK])
                _kept.put((self._owner, start + at // BLOCK), block)
        return [found[number] or b"" for number in range(first, last)]

    def _get(self, start: int, stop: int) -> Any:
        """Ask for bytes of this version."""

        def ask() -> Any:
            found = self._store.to_read().get(self._key, options={**self.version.condition, "range": (start, stop)})
            if Version.of(found.meta) != self.version:
                raise ReplacedError
            return found.bytes()

        try:
            data = _asked(self._store, ask)
        except PreconditionError as error:
            raise ReplacedError from error
        except FileNotFoundError as error:
            msg = "it is not there any more"
            raise RemoteError(msg) from error
        if len(data) != stop - start:
            msg = f"{len(data)} bytes came instead of {stop - start}"
            raise RemoteError(msg)
        return data


class Near:
    """Bytes of a remote file that are here, or on their way."""

    def __init__(self, spans: Sequence[tuple[int, int]], parts: Sequence[Future[Any]]) -> None:
        """Take places (start, stop), in rising order, and what will be their bytes."""
        self._starts, self._parts = [start for start, _ in spans], parts

    def read(self, offset: int, length: int) -> bytes:
        """Return bytes from a place.

        Raises:
            RemoteError: if they could not be read.
        """
        out = bytearray(length)
        self.fill(memoryview(out), offset)
        return bytes(out)

    def fill(self, out: memoryview, offset: int) -> None:
        """Read as many bytes as there is room for.

        Raises:
            RemoteError: if they could not be read.
        """
        done = 0
        while done < len(out):
            number = bisect.bisect_right(self._starts, offset + done) - 1
            part = memoryview(self._parts[number].result())[offset + done - self._starts[number] :][: len(out) - done]
            out[done : done + len(part)] = part
            done += len(part)


class Stream(io.RawIOBase):
    """A remote file as Python's files are: with one place, for one thread."""

    def __init__(self, file: RemoteFile) -> None:
        """Begin at the beginning."""
        self._file, self._place = file, 0
        self.name = file.name
        """Its address."""
        self._failure: RemoteError | None = None

    @contextmanager
    def telling(self) -> Iterator[None]:
        """Raise what failed, whatever those made of it through whom the block reads: they pass over what they can't read.

        Raises:
            RemoteError: if something did.
        """
        try:
            yield
        finally:
            if self._failure is not None:
                raise self._failure

    @property
    def as_file(self) -> BinaryIO:
        """It itself, for those who name the type of files."""
        return cast("BinaryIO", self)

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that it can be read from any place."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        place = offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self._file.size}[whence]
        if place < 0:
            msg = f"there is no place {place}"
            raise ValueError(msg)
        self._place = place
        return place

    def tell(self) -> int:
        """Return the place."""
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Read as many bytes as there is room for, or all that are left; return how many."""
        memory = memoryview(buffer).cast("B")
        length = max(0, min(len(memory), self._file.size - self._place))
        if not length:
            return 0
        try:
            memory[:length] = self._file.read(self._place, length)
        except RemoteError as error:
            self._failure = error
            raise
        self._place += length
        return length


def remote_file(store: Store, key: str, name: str) -> RemoteFile | None:
    """Return what lies under a key to be read in parts, as it is now; None where there is nothing. ``name`` is its address.

    Raises:
        RemoteError: if the store fails, or gives no parts of files.
    """

    def ask() -> tuple[Version, bytes]:
        objects = store.to_read()
        try:
            found = objects.get(key, options={"range": (0, BLOCK)})
            return Version.of(found.meta), bytes(found.bytes())
        except NotSupportedError as error:
            msg = "its server gives no parts of files"
            raise NoFileError(msg) from error
        except BaseError:
            version = Version.of(objects.head(key))
            if version.size:
                raise
            return version, b""  # which has no first byte, as S3 sees it

    try:
        version, begin = _asked(store, ask)
    except FileNotFoundError:
        return None
    return RemoteFile(store, key, name, version, begin)


def _asked(store: Store, ask: Callable[[], T]) -> T:
    try:
        return interruptible(lambda: persistent(ask, store.patience), store.name)
    except (PreconditionError, RemoteError):
        raise
    except (BaseError, OSError) as error:
        if says_no_bucket(error):
            raise RemoteError(no_bucket(store.name)) from error
        if isinstance(error, FileNotFoundError):
            raise
        raise (NoFileError if is_forbidden(error) else RemoteError)(in_words(error)) from error


def _check_end(size: int, offset: int, length: int) -> None:
    if offset + length > size:
        msg = f"the file ends at {size}, {offset + length - size} bytes too early"
        raise EOFError(msg)


_Key = tuple[object, int]
"""Whose a block is, and its own number."""
_numbers = itertools.count()


def _owner(store: Store, name: str, version: Version) -> object:
    """Return whose blocks are: those of a server's version, whoever opened it, if a tag tells which; else one opening's."""
    if version.tag is None or not isinstance(store.root, S3Store | GCSStore | AzureStore):
        return next(_numbers)
    return store.root.config.get("endpoint"), name, version


class _Blocks:
    """Blocks of files that were read last; one for a process, used by several threads."""

    def __init__(self) -> None:
        self._blocks: OrderedDict[_Key, bytes] = OrderedDict()
        self._lock = Lock()

    def get(self, key: _Key) -> bytes | None:
        with self._lock:
            if key in self._blocks:
                self._blocks.move_to_end(key)
            return self._blocks.get(key)

    def put(self, key: _Key, block: bytes) -> None:
        with self._lock:
            self._blocks[key] = block
            while len(self._blocks) * BLOCK > KEPT:
                self._blocks.popitem(last=False)


_kept = _Blocks()


def _start_anew() -> None:
    """Begin with none in a forked child: another thread may have held the lock."""
    global _kept
    _kept = _Blocks()


os.register_at_fork(after_in_child=_start_anew)
