"""The object table of a result, open for all that the page asks of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from slideseg.viewer.table.columns import Columns
from slideseg.viewer.table.looks import Looks
from slideseg.viewer.table.pages import Pages
from slideseg.viewer.table.region import Regions
from slideseg.viewer.table.rows import TableReader

if TYPE_CHECKING:
    from slideseg.result.record import ObjectsRecord
    from slideseg.result.result import Result
    from slideseg.viewer.edit_list import EditList
    from slideseg.viewer.shard_cache import Cache


class ObjectTable:
    """The table of a result's objects. Nothing is read before it is asked for. Serves several threads at once."""

    def __init__(self, result: Result, record: ObjectsRecord, cache: Cache, edits: EditList) -> None:
        self.number = record.number
        """How many objects there are."""
        self.columns = Columns(result.url, record.number, cache)
        """Their measures."""
        self.looks = Looks(self.columns, result.classes, edits)
        """Which are shown, in which colours."""
        self.pages = Pages(self.columns, self.looks)
        """Their rows, some at a time."""
        classes = tuple(known for known in result.classes if known.id in record.rules.classes)
        um2 = None if result.mpp_yx is None else math.prod(result.mpp_yx) / math.prod(result.level_0_scale)
        self.regions = Regions(self.columns, self.looks, classes, um2)
        """What is in a part of the slide."""
        self._reader = TableReader(result.url)

    def row(self, number: int) -> dict[str, Any] | None:
        """Return the whole row of an object; None where there is none.

        Raises:
            ResultError: if the table is missing or damaged.
        """
        return self._reader.row(number)
