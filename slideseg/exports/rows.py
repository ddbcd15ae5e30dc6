"""The table of a result's objects as a file of its own, row group by row group: Parquet or CSV."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from slideseg.exports.frame import facts_of
from slideseg.result.layout import TABLE
from slideseg.result.table import check_file, missing_table, table_errors
from slideseg.storage.store import local_copy, open_store
from slideseg.storage.whole_file import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slideseg.exports.frame import Frame
    from slideseg.exports.job import Job
    from slideseg.result.result import Result

ROWS = 65_536
"""Rows that are held at once."""
PLACES = (("centroid", ""), ("bbox", "0"), ("bbox", "1"))
"""Beginnings and ends of the names of columns that hold places, around that of an axis."""
KEY = b"slideseg"
"""Of the Parquet file's metadata: `facts_of` as JSON, so that a table that has left its result still tells where it is from."""


@dataclass(frozen=True, slots=True)
class ObjectTable:
    """The table of a result, open for reading."""

    file: pq.ParquetFile
    """Rows and columns."""
    result: Result
    """Whose table it is."""
    frame: Frame
    """What its places are counted from as it is read here; the table itself counts from the whole slide's corner."""
    classes: frozenset[int] | None = None
    """Ids of the classes whose rows are read; None for all."""

    @property
    def rows(self) -> int:
        """How many objects there are, of all classes."""
        return int(self.file.metadata.num_rows)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the rows in order, at most `ROWS` at a time.

        Raises:
            ResultError: if the table is damaged.
        """
        with table_errors():
            for batch in self.file.iter_batches(ROWS, use_threads=False):
                yield self._moved(self._chosen(batch))

    def _chosen(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Leave out rows of other classes."""
        if self.classes is None:
            return batch
        return batch.filter(pc.is_in(batch.column("class"), value_set=pa.array(sorted(self.classes), pa.uint8())))

    def _moved(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Count places from the frame's corner."""
        sides = {"px": (1.0, 1.0), "um": self.result.record.slide.mpp_yx}
        for unit, side_yx in sides.items():
            for axis, corner, side in zip("yx", self.frame.corner_yx, side_yx or (0.0, 0.0), strict=True):
                for name in (f"{place}_{axis}{end}_{unit}" for place, end in PLACES) if corner else ():
                    index = batch.schema.get_field_index(name)
                    batch = batch.set_column(index, name, pc.subtract(batch.column(index), corner * side))
        return batch


@contextmanager
def checked_table(result: Result, frame: Frame, classes: frozenset[int] | None = None) -> Iterator[ObjectTable]:
    """Open the table of a result that has objects; one in an object store is copied to this machine for the time.

    Raises:
        ResultError: if it is missing or damaged.
    """
    store = open_store(result.url, read_only=True)
    with local_copy(store, TABLE) as path:
        if path is None:
            raise missing_table()
        with table_errors():
            with Path(path).open("rb") as source:
                check_file(store, source)
            file = pq.ParquetFile(path, page_checksum_verification=True)
        with file:
            yield ObjectTable(file, result, frame, classes)


def export(job: Job, partial: Path, name: str) -> dict[str, int]:
    """Write the table as Parquet or CSV; return how many rows."""
    with checked_table(job.result, job.frame("slide"), job.classes) as table:
        counted = Counted(job.watch(table.rows))
        if job.to == "csv":
            write_csv(partial, table, counted, name)
        else:
            write_parquet(partial, table, counted)
        return {"rows": counted.rows}


@dataclass(slots=True)
class Counted:
    """Counts the rows that are written, and tells them."""

    watch: Callable[[int], None]
    rows: int = 0

    def __call__(self, rows: int) -> None:
        """Take so many more."""
        self.rows += rows
        self.watch(rows)


def write_parquet(path: Path, table: ObjectTable, watch: Callable[[int], None]) -> None:
    """Write the rows as they are, and `facts_of` the result into the metadata.

    ``watch`` is told the rows that are done. Memory: `ROWS` rows.
    """
    schema = table.file.schema_arrow
    schema = schema.with_metadata({**(schema.metadata or {}), KEY: json.dumps(facts_of(table.result, table.frame)).encode()})
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        for batch in table.batches():
            writer.write_batch(batch, row_group_size=ROWS)
            watch(batch.num_rows)


def write_csv(path: Path, table: ObjectTable, watch: Callable[[int], None], name: str = "") -> None:
    """Write a line of names and one for every row; what is not known is an empty field. The last column names the frame.

    ``watch`` is told the rows that are done; the file is packed as its final ``name`` ends. Memory: `ROWS` rows.
    """
    options = pyarrow.csv.WriteOptions(quoting_style="needed")
    schema = table.file.schema_arrow.append(pa.field("frame", pa.string()))
    with (
        opened(path, name, (".csv",)) as file,
        pyarrow.csv.CSVWriter(file, schema, write_options=options) as writer,
    ):
        for batch in table.batches():
            frame = _repeated(table.frame.name, batch.num_rows)
            writer.write_batch(pa.RecordBatch.from_arrays([*batch.columns, frame], schema=schema))
            watch(batch.num_rows)


def _repeated(text: str, times: int) -> pa.StringArray:
    """Return a column of the same text; from buffers, because pyarrow imports pandas to make an array of values."""
    data = text.encode()
    offsets = np.arange(times + 1, dtype=np.int32) * len(data)
    return pa.StringArray.from_buffers(times, pa.py_buffer(offsets), pa.py_buffer(data * times))
