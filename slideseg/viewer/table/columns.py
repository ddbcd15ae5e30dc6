"""Columns of a result's object table, each read whole when it is asked for and kept among those used last."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from slideseg.errors import ConfigError, ResultError, explain
from slideseg.result.layout import TABLE
from slideseg.result.table import missing_table, open_table, table_errors
from slideseg.storage.store import open_store

if TYPE_CHECKING:
    from collections.abc import Callable

    from slideseg.viewer.shard_cache import Cache

ROWS = 65_536
"""Rows that are read at once."""
NO_MEASURES = ("id", "class", "plane")
"""Columns of numbers that are not measured."""


class Columns:
    """The columns of one table, by name, a value for each object in the order of their ids, which are 1, 2, ...

    Memory: what ``cache`` keeps, and a column or two while they are read.
    """

    def __init__(self, url: str, number: int, cache: Cache) -> None:
        self._store, self._number, self._cache = open_store(url, read_only=True), number, cache
        self._measures: tuple[str, ...] | None = None

    def __len__(self) -> int:
        return self._number

    @property
    def measures(self) -> tuple[str, ...]:
        """Names of the columns of measured numbers.

        Raises:
            ResultError: if the table is missing or damaged.
        """
        if self._measures is None:
            with table_errors(), open_table(self._store) as source:
                if source is None:
                    raise missing_table()
                schema = pq.read_schema(source)
            numbers = [field.name for field in schema if pa.types.is_integer(field.type) or pa.types.is_floating(field.type)]
            self._measures = tuple(name for name in numbers if name not in NO_MEASURES)
        return self._measures

    def values(self, name: str) -> np.ndarray:
        """Return a column of numbers, of its own kind of whole numbers or float64 with NaN where there is no value.

        Raises:
            ConfigError: if there is no such column.
            ResultError: if the table is missing or damaged.
        """
        if name not in (*self.measures, *NO_MEASURES):
            raise ConfigError(explain("no such column of numbers", got=name, want=", ".join((*NO_MEASURES, *self.measures))))
        return self.kept(("column", name), lambda: self._read(name))

    def order(self, name: str) -> np.ndarray:
        """Return the places of objects (from 0) in the order of a column; equal ones by their ids, those without a value last.

        Raises:
            ConfigError: if there is no such column.
            ResultError: if the table is missing or damaged.
        """
        whole = np.int32 if self._number < np.iinfo(np.int32).max else np.int64
        values = self.values(name)
        return self.kept(("order", name), lambda: np.argsort(values, kind="stable").astype(whole))

    def kept(self, key: tuple[str | int, ...], make: Callable[[], np.ndarray]) -> np.ndarray:
        """Return what ``make`` returned for a key, made anew where it was not kept; it must not be changed.

        ``make`` itself must ask for nothing that is kept: two that wait for each other would wait for ever.
        """
        return self._cache.get(key, make)

    def _read(self, name: str) -> np.ndarray:
        parts, rows = [], 0
        with table_errors(), open_table(self._store) as source:
            if source is None:
                raise missing_table()
            file = pq.ParquetFile(source, page_checksum_verification=True)
            for batch in file.iter_batches(ROWS, columns=list(dict.fromkeys(("id", name)))):
                ids = np.from_dlpack(batch.column("id"))
                if not np.array_equal(ids, np.arange(rows + 1, rows + 1 + len(ids))):
                    raise _damaged("the ids are not 1, 2, ...")
                parts.append(_numbers(batch.column(name)))
                rows += len(ids)
        if rows != self._number:
            raise _damaged(f"{rows} rows for {self._number} objects")
        return np.concatenate(parts) if parts else np.zeros(0)


def _numbers(column: pa.Array) -> np.ndarray:
    if pa.types.is_floating(column.type) or column.null_count:
        column = column.cast(pa.float64()).fill_null(np.nan)
    return np.from_dlpack(column)


def _damaged(got: str) -> ResultError:
    return ResultError(explain(f"{TABLE} is damaged", got=got, try_="slideseg objects --overwrite"))
