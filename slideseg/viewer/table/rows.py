"""Single rows of a result's object table, however long it is."""

from __future__ import annotations

from typing import Any

import pyarrow.parquet as pq

from slideseg.result.table import missing_table, open_table, table_errors
from slideseg.storage.store import open_store

MOST = 2**63 - 1
"""The largest id that a table can hold."""


class TableReader:
    """The table of one result. Memory: a few row groups."""

    def __init__(self, url: str) -> None:
        self._store = open_store(url, read_only=True)

    def row(self, object_id: int) -> dict[str, Any] | None:
        """Return the row of an object, a whole number of any size; None where there is none.

        Raises:
            ResultError: if the table is missing or damaged.
        """
        if object_id > MOST:
            return None
        with table_errors(), open_table(self._store) as source:
            if source is None:
                raise missing_table()
            rows = pq.read_table(source, filters=[("id", "=", object_id)], page_checksum_verification=True).to_pylist()
        return rows[0] if rows else None
