"""Read the table of a result's objects, and see whether it is what was written: its hash stands in the labels' metadata."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.arrays.described import described_by
from slideseg.arrays.shards import array_attributes
from slideseg.errors import ResultError, explain
from slideseg.result.found.sizes import Sizes
from slideseg.result.layout import OBJECTS, TABLE
from slideseg.storage.in_bucket import path_or_file
from slideseg.storage.store import list_keys, read_key, reason, storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow

    from slideseg.storage.store import Store

SHA256 = "table_sha256"
"""Where the objects' group says which table is theirs."""
AGAIN = "slideseg objects with the same options"
"""What writes a table again that is not there; other options make other objects."""
SUMMED, PROBABILITY = ("class", "pixels"), "probability"
"""Columns that sums and medians are made of."""
ROWS = 65_536
"""Rows that are summed at once."""
COLORS = ("mean_red", "mean_green", "mean_blue")
"""Columns of a table whose image has these channels."""


def has_table(store: Store) -> bool:
    """Tell whether there is a table, without reading it."""
    return TABLE in list_keys(store, TABLE.rpartition("/")[0])


def table_hash(store: Store) -> str | None:
    """Return the hex SHA-256 of the table; None where there is none."""
    with open_table(store) as file:
        return None if file is None else _hash_of(file)


def table_identity(store: Store) -> str | None:
    """Return the hash that the result says its table has, or that it has where nothing is said; None where there is none.

    Raises:
        ResultError: if the objects' metadata or the table can't be read.
    """
    wanted = _wanted_hash(store)
    if wanted is not None:
        return wanted
    with table_errors():
        return table_hash(store)


def read_table(store: Store) -> pyarrow.Table:
    """Return the whole table.

    Raises:
        ResultError: if it is missing or not what was written.
    """
    import pyarrow.parquet  # noqa: PLC0415 - half a second to import

    data = read_key(store, TABLE)
    if data is None:
        raise missing_table()
    _compare_hash(store, hashlib.sha256(data).hexdigest())
    with table_errors():
        return pyarrow.parquet.read_table(pyarrow.BufferReader(data))


def read_rows(store: Store, ids: np.ndarray) -> pyarrow.Table:
    """Return the rows of some objects, whose ``ids`` rise. Memory: the groups of rows that they are in.

    Raises:
        ResultError: if the table is missing or damaged, or an object is not in it.
    """
    import pyarrow.parquet  # noqa: PLC0415 - half a second to import

    check_table(store)
    with table_errors(), open_table(store) as source:
        if source is None:
            raise missing_table()
        with pyarrow.parquet.ParquetFile(source, page_checksum_verification=True) as file:
            ends = np.cumsum([file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)], dtype=np.int64)
            if ids.size and not 1 <= ids[0] <= ids[-1] <= ends[-1]:
                raise damaged_table(f"no row of object {ids[-1]}")
            group_of = np.searchsorted(ends, ids)  # ids are 1, 2, ... in the order of the rows
            groups = np.unique(group_of)
            first = np.concatenate([[0], ends])[groups]
            pieces = [
                file.read_row_group(int(group)).take(ids[group_of == group] - 1 - start)
                for group, start in zip(groups, first, strict=True)
            ]
            return pyarrow.concat_tables(pieces) if pieces else file.schema_arrow.empty_table()


def check_table(store: Store) -> None:
    """See whether the table's bytes, if there is one, are what was written.

    Raises:
        ResultError: if they are not.
    """
    with table_errors():
        found = table_hash(store)
    if found is not None:
        _compare_hash(store, found)


def check_file(store: Store, file: Any) -> None:
    """See whether the bytes of an open copy of the table are what was written.

    Raises:
        ResultError: if they are not.
    """
    _compare_hash(store, _hash_of(file))


def read_sizes(store: Store) -> Sizes:
    """Return how large the objects are, class by class.

    Memory: a few row groups of three columns, and a number for each size that occurs.

    Raises:
        ResultError: if the table is missing or damaged.
    """
    import pyarrow.parquet  # noqa: PLC0415 - half a second to import

    sizes = Sizes()
    with table_errors(), open_table(store) as source:
        if source is None:
            raise missing_table()
        file = pyarrow.parquet.ParquetFile(source, page_checksum_verification=True)
        known = [name for name in (*SUMMED, PROBABILITY) if name in file.schema_arrow.names]
        if not {*SUMMED} <= {*known}:
            raise damaged_table(f"no column {' or '.join(SUMMED)}")
        for batch in file.iter_batches(ROWS, columns=known):
            classes, pixels = (_numbers(batch.column(name)) for name in SUMMED)
            likely = batch.column(PROBABILITY) if PROBABILITY in known else None
            sizes.add(classes, pixels, None if likely is None or likely.null_count else _numbers(likely))
    return sizes


def classes_of_objects(store: Store) -> np.ndarray:
    """Return the class id of every object, uint8, in the order of their ids. Memory: a byte an object.

    Raises:
        ResultError: if the table is missing or damaged.
    """
    import pyarrow.parquet  # noqa: PLC0415 - half a second to import

    check_table(store)
    with table_errors(), open_table(store) as source:
        if source is None:
            raise missing_table()
        file = pyarrow.parquet.ParquetFile(source, page_checksum_verification=True)
        pieces = [_numbers(batch.column("class")) for batch in file.iter_batches(ROWS, columns=["class"])]
    return np.concatenate([np.zeros(0, np.uint8), *pieces])


def mean_color(store: Store) -> tuple[float, float, float] | None:
    """Return the mean red, green and blue of all objects' pixels, from 0 to 255; None where the table has none of 8 bits.

    Memory: a few row groups of four columns.

    Raises:
        ResultError: if the table is missing or damaged.
    """
    import pyarrow.parquet  # noqa: PLC0415 - half a second to import

    sums, total = np.zeros(len(COLORS)), 0
    with table_errors(), open_table(store) as source:
        if source is None:
            raise missing_table()
        file = pyarrow.parquet.ParquetFile(source, page_checksum_verification=True)
        if not {*COLORS} <= {*file.schema_arrow.names}:
            return None
        for batch in file.iter_batches(ROWS, columns=["pixels", *COLORS]):
            pixels = _numbers(batch.column("pixels"))
            sums += [float(_numbers(batch.column(name)) @ pixels) for name in COLORS]
            total += int(pixels.sum())
    red, green, blue = sums / max(1, total)
    return (red, green, blue) if total and max(red, green, blue) <= 255 else None


def what_is_wrong(store: Store, number: int) -> str | None:
    """Return what is wrong with the table of so many objects; None if it has their rows, in order, and no byte is damaged.

    Memory: a group of rows.
    """
    import pyarrow.parquet  # noqa: PLC0415 - half a second to import

    found, wanted = table_hash(store), _wanted_hash(store)
    if found is None:
        return "it is missing"
    if wanted is not None and found != wanted:
        return "its bytes are not what was written"
    rows = 0
    try:
        with open_table(store) as source, pyarrow.parquet.ParquetFile(source, page_checksum_verification=True) as file:
            for group in range(file.num_row_groups):
                ids = _numbers(file.read_row_group(group)["id"].combine_chunks())
                if not np.array_equal(ids, np.arange(rows + 1, rows + 1 + ids.size)):
                    return "the ids are not 1, 2, ..."
                rows += ids.size
    except (pyarrow.ArrowException, KeyError, *storage_errors()) as error:
        return reason(error)
    return None if rows == number else f"{rows} rows for {number} objects"


def _numbers(column: pyarrow.Array) -> np.ndarray:
    """Return the values of a column without gaps. ``to_numpy`` would import pandas, which takes longer than most tables."""
    return np.from_dlpack(column)


def _wanted_hash(store: Store) -> str | None:
    with described_by(OBJECTS):
        wanted = array_attributes(store, OBJECTS).get("slideseg", {}).get(SHA256)
    return None if wanted is None else str(wanted)


def _hash_of(file: Any) -> str:
    return hashlib.file_digest(file, "sha256").hexdigest()


def _compare_hash(store: Store, found: str) -> None:
    wanted = _wanted_hash(store)
    if wanted is not None and found != wanted:
        raise damaged_table("its bytes are not what was written")


def missing_table() -> ResultError:
    """Return the error of a result with objects that has no table."""
    return ResultError(explain(f"{TABLE} is missing", try_=AGAIN))


def damaged_table(what: str) -> ResultError:
    """Return the error of a table that is not what was written."""
    return ResultError(explain(f"{TABLE} is damaged", got=what, try_=f"slideseg verify --repair, then {AGAIN}"))


@contextmanager
def table_errors() -> Iterator[None]:
    """Turn what pyarrow and the storage say of a table that can't be read into a `ResultError`."""
    import pyarrow  # noqa: PLC0415 - half a second to import

    try:
        yield
    except (pyarrow.ArrowException, *storage_errors()) as error:
        raise damaged_table(reason(error)) from error


@contextmanager
def open_table(store: Store) -> Iterator[Any]:
    """Open the table to be read piece by piece; None where there is none."""
    import pyarrow  # noqa: PLC0415 - half a second to import

    source = path_or_file(store, TABLE)
    if source is None:
        yield None
        return
    # A local path is opened by pyarrow: a thread of it that lets go of a file of Python's while the interpreter ends aborts
    # the process.
    with pyarrow.input_stream(source, compression=None) as file:
        yield file
