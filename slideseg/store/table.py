"""Read the table of a result's objects, and see whether it is what was written: its hash stands in the labels' metadata."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

import numpy as np
from zarr.storage import LocalStore

from slideseg.errors import ResultError, explain
from slideseg.store.arrays import array_attributes
from slideseg.store.layout import OBJECTS, TABLE
from slideseg.store.location import list_keys, read_key, reason, storage_errors

if TYPE_CHECKING:
    import pyarrow
    from zarr.abc.store import Store

SHA256 = "table_sha256"
"""Where the objects' group says which table is theirs."""


def has_table(store: Store) -> bool:
    """Tell whether there is a table, without reading it."""
    return TABLE in list_keys(store, TABLE.rpartition("/")[0])


def table_hash(store: Store) -> str | None:
    """Return the hex SHA-256 of the table; None where there is none."""
    if not has_table(store):
        return None
    with _opened(store) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_table(store: Store) -> pyarrow.Table | None:
    """Return the whole table; None where there is none.

    Raises:
        ResultError: if it is not what was written.
    """
    import pyarrow.parquet  # noqa: PLC0415 - half a second to import

    data = read_key(store, TABLE)
    if data is None:
        return None
    wanted = _wanted_hash(store)
    try:
        if wanted is not None and hashlib.sha256(data).hexdigest() != wanted:
            raise pyarrow.ArrowInvalid("its bytes are not what was written")
        return pyarrow.parquet.read_table(pyarrow.BufferReader(data))
    except pyarrow.ArrowException as error:
        raise ResultError(explain(f"{TABLE} is damaged", got=reason(error), try_="slideseg verify --repair")) from error


def what_is_wrong(store: Store, number: int) -> str | None:
    """Return what is wrong with the table of so many objects; None if it has their rows, in order, and no byte is damaged.

    Memory: a group of rows; on an object store, the compressed table too.
    """
    import pyarrow.parquet  # noqa: PLC0415 - half a second to import

    found, wanted = table_hash(store), _wanted_hash(store)
    if found is None:
        return "it is missing"
    if wanted is not None and found != wanted:
        return "its bytes are not what was written"
    rows = 0
    try:
        with _opened(store) as source, pyarrow.parquet.ParquetFile(source) as file:
            for group in range(file.num_row_groups):
                ids = file.read_row_group(group)["id"].to_numpy()
                if not np.array_equal(ids, np.arange(rows + 1, rows + 1 + ids.size)):
                    return "the ids are not 1, 2, ..."
                rows += ids.size
    except (pyarrow.ArrowException, KeyError, *storage_errors()) as error:
        return reason(error)
    return None if rows == number else f"{rows} rows for {number} objects"


def _wanted_hash(store: Store) -> str | None:
    wanted = array_attributes(store, OBJECTS).get("slideseg", {}).get(SHA256)
    return None if wanted is None else str(wanted)


def _opened(store: Store) -> io.BufferedReader | io.BytesIO:
    return (store.root / TABLE).open("rb") if isinstance(store, LocalStore) else io.BytesIO(read_key(store, TABLE) or b"")
