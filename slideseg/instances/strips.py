"""The rows of the object table, strip by strip: a strip is a row of shards, and its rows are of the objects that start in it.

Ids are in raster order, so that is the order of the table. An object is in one piece: of those in a strip the ones that start
there are those that are not in the strip above, and where a strip below has none of them, none is further below.
"""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Self
from zlib import crc32

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from slideseg.instances.labelling.measure import Measures, chained, merged
from slideseg.instances.measurements import MEASURES
from slideseg.instances.workers import WORK, missing_of, read_work
from slideseg.result.layout import TABLE
from slideseg.storage.store import open_made, open_store, run_errors, write_file, write_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slideseg.instances.measurements import TableJob
    from slideseg.storage.store import Store

ROWS = 16_384
"""Rows of a row group at most; so many objects are added up and described at once."""
STRIPS = f"{WORK}/rows"
"""Folder of the rows of strips."""


def missing_strips(job: TableJob) -> list[int]:
    """Return the strips whose rows are not made yet.

    Raises:
        RunError: if the storage fails.
    """
    return missing_of(job.url, len(strips_of(job)), lambda number: job.key(STRIPS, number))


def strips_of(job: TableJob) -> list[range]:
    """Return the shards of each strip, from above to below, plane by plane."""
    columns = job.labels.grid.per_plane_yx[1]
    return [range(start, start + columns) for start in range(0, len(job.labels.grid), columns)]


class RowsWorker:
    """Makes the rows of strips, by number, of what was measured of their shards.

    One at a time in a process. Memory: the measures of a strip, and what strips below have of its objects.
    """

    def __init__(self, job: TableJob) -> None:
        self._job, self._strips = job, strips_of(job)
        self._store = open_made(job.url)
        self._making = Lock()

    def __call__(self, number: int) -> int:
        """Do one strip; return how many pixels it has.

        Raises:
            ResultError: if what was measured is damaged.
            RunError: if the storage fails.
        """
        with self._making:
            rows = StripRows(self._batches(number)).to_bytes()
        with run_errors(f"the rows of strip {number} can't be written"):
            write_key(self._store, self._job.key(STRIPS, number), rows)
        return sum(self._job.labels.grid[index].write_box.area for index in self._strips[number])

    def close(self) -> None:
        """Do nothing: a strip takes seconds."""

    def _batches(self, number: int) -> list[pa.RecordBatch]:
        found = self._starting_in(number)
        ids = np.unique(np.concatenate([measures.id for measures in found]))
        pieces = [ids[start : start + ROWS] for start in range(0, max(ids.size, 1), ROWS)]
        return [self._job.form.rows(merged(chained(_of(found, piece)))) for piece in pieces]

    def _starting_in(self, number: int) -> list[Measures]:
        """Return what was measured of the objects that start in a strip, wherever they lie."""
        above = [] if number == 0 else [self._read(index).id for index in self._strips[number - 1]]
        known = np.unique(np.concatenate([np.zeros(0, np.int64), *above]))
        inside = (self._read(index) for index in self._strips[number])
        found = [measures.select(~np.isin(measures.id, known)) for measures in inside]
        ids = np.unique(np.concatenate([measures.id for measures in found]))
        for strip in self._strips[number + 1 :] if ids.size else ():
            below = _of((self._read(index) for index in strip), ids)
            if not any(measures.id.size for measures in below):
                break
            found += below
        return found

    def _read(self, index: int) -> Measures:
        return read_work(self._store, self._job.key(MEASURES, index), Measures.from_bytes)


def _of(parts: Iterable[Measures], ids: np.ndarray) -> list[Measures]:
    """Return what parts have of some objects."""
    return [measures.select(np.isin(measures.id, ids)) for measures in parts]


@dataclass(frozen=True, slots=True)
class StripRows:
    """The rows of a strip as they lie in the work folder."""

    batches: list[pa.RecordBatch]
    """Pieces of at most `ROWS` rows, in the order of the ids; one without any where no object starts."""

    def to_bytes(self) -> bytes:
        """Return them as bytes, behind a sum that tells whether they stayed as they are."""
        sink = pa.BufferOutputStream()
        with pa.ipc.new_file(sink, self.batches[0].schema) as writer:
            for batch in self.batches:
                writer.write_batch(batch)
        data = memoryview(sink.getvalue())
        return b"".join([crc32(data).to_bytes(4, "little"), data])

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Read back what `to_bytes` wrote.

        Raises:
            ValueError: if it is something else.
        """
        rest = memoryview(data)[4:]
        if crc32(rest).to_bytes(4, "little") != data[:4]:
            msg = "its bytes are not what was written"
            raise ValueError(msg)
        file = pa.ipc.open_file(pa.py_buffer(rest))
        return cls([file.get_batch(number) for number in range(file.num_record_batches)])


def write_table(job: TableJob) -> None:
    """Write the table of the rows of all strips, in the order of the ids.

    Memory: the rows of one strip.

    Raises:
        ResultError: if the rows of one are missing or damaged.
        RunError: if the storage fails.
    """
    store: Store = open_store(job.url)
    with (
        run_errors("the table can't be written"),
        write_file(store, TABLE) as path,
        pq.ParquetWriter(path, job.form.schema, compression="zstd", write_page_checksum=True) as writer,
    ):
        for number in range(len(strips_of(job))):
            for batch in read_work(store, job.key(STRIPS, number), StripRows.from_bytes).batches:
                writer.write_table(pa.Table.from_batches([batch]), row_group_size=ROWS)
