"""A file in a bucket, for those who read files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import obstore


class InBucket(io.RawIOBase):
    """A file in an object store, as Python's files are."""

    def __init__(self, reader: obstore.ReadableFile) -> None:
        self._reader = reader

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def seekable(self) -> bool:
        """Return that it can be read from any place."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place."""
        return int(self._reader.seek(offset, whence))

    def tell(self) -> int:
        """Return the place."""
        return int(self._reader.tell())

    def readinto(self, buffer: Any) -> int:
        """Read as many bytes as there is room for, or all that are left; return how many."""
        data = memoryview(self._reader.read(len(buffer)))
        buffer[: len(data)] = data
        return len(data)
