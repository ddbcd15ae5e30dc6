"""The table of a result's objects as a file of its own, row group by row group: Parquet or CSV."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from slideseg.errors import ResultError, explain
from slideseg.exports.target import opened
from slideseg.store.arrays import array_attributes
from slideseg.store.layout import OBJECTS, TABLE
from slideseg.store.location import local_copy, open_store, reason
from slideseg.store.table import SHA256

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zarr.abc.store import Store

    from slideseg.store.result import Result

ROWS = 65_536
"""Rows that are held at once."""
KEY = b"slideseg"
"""Of the Parquet file's metadata: `facts_of` as JSON, so that a table that has left its result still tells where it is from."""


@dataclass(frozen=True, slots=True)
class ObjectTable:
    """The table of a result, open for reading."""

    file: pq.ParquetFile
    """Rows and columns."""
    result: Result
    """Whose table it is."""

    @property
    def rows(self) -> int:
        """How many objects there are."""
        return int(self.file.metadata.num_rows)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield all rows in order, at most `ROWS` at a time.

        Raises:
            ResultError: if the table is damaged.
        """
        with _damage():
            yield from self.file.iter_batches(ROWS, use_threads=False)


@contextmanager
def open_table(result: Result) -> Iterator[ObjectTable]:
    """Open the table of a result that has objects; one in an object store is copied to this machine for the time.

    Raises:
        ResultError: if it is missing or damaged.
    """
    store = open_store(result.url, read_only=True)
    with local_copy(store, TABLE) as path:
        if path is None:
            raise ResultError(explain(f"{TABLE} is missing", try_="slideseg objects --overwrite"))
        with _damage():
            _check(store, path)
            file = pq.ParquetFile(path)
        with file:
            yield ObjectTable(file, result)


def _check(store: Store, path: str) -> None:
    """See whether the table's bytes are what was written, where the objects' metadata tells their hash."""
    wanted = array_attributes(store, OBJECTS).get("slideseg", {}).get(SHA256)
    with Path(path).open("rb") as file:
        if wanted is not None and hashlib.file_digest(file, "sha256").hexdigest() != wanted:
            raise pa.ArrowInvalid("its bytes are not what was written")


@contextmanager
def _damage() -> Iterator[None]:
    """Turn what pyarrow says of a file that can't be read (`OSError` for a damaged page) into a `ResultError`."""
    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise ResultError(explain(f"{TABLE} is damaged", got=reason(error), try_="slideseg objects --overwrite")) from error


def facts_of(result: Result) -> dict[str, Any]:
    """Return in a few words what the objects were found in and by; what is not known is left out."""
    slide, model = result.info.get("slide", {}), result.info.get("model", {})
    facts = {
        "slide": slide.get("path"),
        "slide_mpp": slide.get("mpp"),
        "model": model.get("name"),
        "model_sha256": model.get("sha256"),
        "mpp": result.mpp,
        "version": result.info.get("version"),
    }
    return {name: value for name, value in facts.items() if value is not None}


def write_parquet(path: Path, table: ObjectTable, watch: Callable[[int], None]) -> None:
    """Write the rows as they are, and `facts_of` the result into the metadata.

    ``watch`` is told the rows that are done. Memory: `ROWS` rows.
    """
    schema = table.file.schema_arrow
    schema = schema.with_metadata({**(schema.metadata or {}), KEY: json.dumps(facts_of(table.result)).encode()})
    with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
        for batch in table.batches():
            writer.write_batch(batch, row_group_size=ROWS)
            watch(batch.num_rows)


def write_csv(path: Path, table: ObjectTable, watch: Callable[[int], None], *, compressed: bool = False) -> None:
    """Write a line of names and one for every row; what is not known is an empty field.

    ``watch`` is told the rows that are done. Memory: `ROWS` rows.
    """
    options = pyarrow.csv.WriteOptions(quoting_style="needed")
    with (
        opened(path, compressed=compressed) as file,
        pyarrow.csv.CSVWriter(file, table.file.schema_arrow, write_options=options) as writer,
    ):
        for batch in table.batches():
            writer.write_batch(batch)
            watch(batch.num_rows)
