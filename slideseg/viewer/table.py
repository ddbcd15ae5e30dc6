"""Single rows and sums of a result's object table, however long it is."""

from __future__ import annotations

import io
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from zarr.storage import LocalStore

from slideseg.errors import ResultError, explain
from slideseg.store.layout import TABLE
from slideseg.store.location import open_store, reason, storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

CLASSES = 256
"""Ids of classes."""


class ObjectTable:
    """The table of one result. Memory: a few row groups."""

    def __init__(self, url: str) -> None:
        self._store = open_store(url, read_only=True)

    def number(self) -> int | None:
        """Return the number of rows; None where there is no table.

        Raises:
            ResultError: if the table is damaged.
        """
        with _errors():
            source = self._open()
            return None if source is None else int(pq.read_metadata(source).num_rows)

    def row(self, object_id: int) -> dict[str, Any] | None:
        """Return the row of an object; None where there is none.

        Raises:
            ResultError: if the table is damaged.
        """
        with _errors():
            source = self._open()
            if source is None:
                return None
            rows = pq.read_table(source, filters=[("id", "=", object_id)], page_checksum_verification=True).to_pylist()
        return rows[0] if rows else None

    def sums(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return the number of objects of every class and of their pixels, by the classes' ids; None where there is no table.

        Raises:
            ResultError: if the table is damaged.
        """
        counts, pixels = np.zeros(CLASSES, np.int64), np.zeros(CLASSES, np.int64)
        with _errors():
            source = self._open()
            if source is None:
                return None
            for batch in pq.ParquetFile(source, page_checksum_verification=True).iter_batches(columns=["class", "pixels"]):
                classes = batch.column("class").to_numpy()
                counts += np.bincount(classes, minlength=CLASSES)
                np.add.at(pixels, classes, batch.column("pixels").to_numpy())
        return counts, pixels

    def _open(self) -> Any:
        """Return what pyarrow reads the table from, piece by piece; None where there is none."""
        if isinstance(self._store, LocalStore):
            path = self._store.root / TABLE
            return str(path) if path.is_file() else None
        import obstore  # noqa: PLC0415 - an optional extra, there where a bucket is open

        try:
            return InBucket(obstore.open_reader(self._store.store, TABLE))  # type: ignore[attr-defined]
        except FileNotFoundError:
            return None


class InBucket(io.RawIOBase):
    """A file in an object store, as Python's files are."""

    def __init__(self, reader: Any) -> None:
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

    def read(self, size: int = -1) -> bytes:
        """Return so many bytes, or all that are left."""
        return bytes(self._reader.read(size) if size >= 0 else self._reader.readall())


@contextmanager
def _errors() -> Iterator[None]:
    try:
        yield
    except (pa.ArrowException, *storage_errors()) as error:
        raise ResultError(explain(f"{TABLE} is damaged", got=reason(error), try_="slideseg objects --overwrite")) from error
