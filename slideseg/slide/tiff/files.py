"""The files of one slide, on a disk or in a bucket, opened when they are read; a stack may lie in thousands."""

from __future__ import annotations

from collections import OrderedDict
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

from slideseg.slide.listing.names import SUFFIXES, ZARRS
from slideseg.slide.raw import LocalFile
from slideseg.storage.in_bucket import open_remote
from slideseg.storage.remote import NoFileError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slideseg.slide.raw import ByteFile
    from slideseg.storage.remote import RemoteFile

BEGINNINGS = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
"""How TIFFs begin."""
_MOST_OPEN = 64


def remote_at(url: str) -> RemoteFile | None:
    """Return the file at an address; None where there is none: nothing, or the folder of a zarr.

    Raises:
        RemoteError: if it can't be read.
    """
    name = url.rstrip("/").lower()
    if name.endswith(ZARRS):
        return None
    try:
        return open_remote(url)
    except NoFileError:
        if name.endswith(SUFFIXES):
            raise
        return None


def remote_tiff(url: str) -> RemoteFile | None:
    """Return the TIFF that lies at an address; None where there is none.

    Raises:
        RemoteError: if it can't be read.
    """
    file = remote_at(url)
    return file if file is not None and is_tiff(file) else None


def is_tiff(file: RemoteFile) -> bool:
    """Tell whether a file begins as a TIFF.

    Raises:
        RemoteError: if it can't be read.
    """
    return file.read(0, min(4, file.size)) in BEGINNINGS


class Files:
    """Opens files by number and closes those that were used longest ago. Serves several threads at once."""

    def __init__(self, paths: tuple[str, ...], remote: ByteFile | None = None) -> None:
        """Read the files at ``paths``; ``remote`` is the only one, where it lies elsewhere."""
        self.paths = paths
        """By number."""
        self._open: OrderedDict[int, ByteFile] = OrderedDict() if remote is None else OrderedDict({0: remote})
        self._users: dict[int, int] = dict.fromkeys(self._open, 0)
        self._lock = Lock()
        self._closed = False

    @contextmanager
    def use(self, number: int) -> Iterator[ByteFile]:
        """Give one, open as long as the block runs.

        Raises:
            OSError: if it can't be opened.
            ValueError: if the slide was closed.
        """
        file = self._take(number)
        try:
            yield file
        finally:
            with self._lock:
                self._users[number] -= 1
                self._close_some(_MOST_OPEN if not self._closed else 0)

    def expect(self, ranges: Sequence[tuple[int, int]]) -> None:
        """Be told of ranges (offset, length) of the first one that are read next; sets lie on disks, which don't care."""
        with self.use(0) as file:
            file.expect(ranges)

    def size(self, number: int) -> int:
        """Return the bytes of one."""
        with self.use(number) as file:
            return file.size

    def close(self) -> None:
        """Close all; one that is being read is closed afterwards."""
        with self._lock:
            self._closed = True
            self._close_some(0)

    def _take(self, number: int) -> ByteFile:
        with self._lock:
            if self._closed:
                msg = "the slide was closed"
                raise ValueError(msg)
            if number not in self._open:
                self._open[number] = LocalFile.open(self.paths[number])
            self._open.move_to_end(number)
            self._users[number] = self._users.get(number, 0) + 1
            return self._open[number]

    def _close_some(self, most: int) -> None:
        for number in [number for number in self._open if not self._users[number]]:
            if len(self._open) <= most:
                return
            self._open.pop(number).close()
