"""Pages of the object table: some rows of it, sorted by a column, of the objects that are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.errors import ConfigError, explain
from slideseg.viewer.table.wishes import whole

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slideseg.viewer.table.columns import Columns
    from slideseg.viewer.table.looks import Looks

MOST_ROWS = 500
"""Of a page."""
MOST_COLUMNS = 40
MOST = 2**40
"""Where a page may begin, at most."""


@dataclass(frozen=True, slots=True)
class Pages:
    """The table as one scrolls through it."""

    columns: Columns
    """All there is."""
    looks: Looks
    """Which objects are shown."""

    def page(self, wishes: Mapping[str, str]) -> dict[str, Any]:
        """Return some rows.

        Args:
            wishes: ``sort`` (a column; ``id`` where there is none), ``down`` (``1``: the largest first), ``start`` and
                ``count``, ``columns`` (names with commas between), and what `Looks.shown` takes.

        Returns:
            How many there are in all (``total``), also of those that were removed (``removed``), the ``ids`` of the page, the
            ``columns`` asked for, by name, and the ``edits`` of the page's objects: the class's name now, None for removed.

        Raises:
            ConfigError: if the wishes make no sense.
            ResultError: if the table is missing or damaged.
        """
        order = self._order(wishes)
        start, count = whole(wishes, "start", 0, MOST), whole(wishes, "count", 100, MOST_ROWS)
        names = [name for name in wishes.get("columns", "").split(",") if name]
        if len(names) > MOST_COLUMNS:
            raise ConfigError(explain("too many columns", got=len(names), want=f"{MOST_COLUMNS} at most"))
        places = order[start : start + count]
        shown, ids = self.looks.within(wishes), (places + 1).tolist()
        removed = self.looks.removed
        return {
            "total": len(order),
            "removed": len(removed) if shown is None else int(shown[removed].sum()),
            "start": start,
            "ids": ids,
            "edits": self.looks.edits_of(ids),
            "columns": {name: _told(self._column(name)[places]) for name in names},
        }

    def place(self, number: int, wishes: Mapping[str, str]) -> int | None:
        """Return where an object is in the order that is wished for, from 0; None where it is not shown.

        Raises:
            ConfigError: if the wishes make no sense.
            ResultError: if the table is missing or damaged.
        """
        found = np.flatnonzero(self._order(wishes) == number - 1)
        return int(found[0]) if found.size else None

    def _column(self, name: str) -> np.ndarray:
        return self.looks.classes if name == "class" else self.columns.values(name)

    def _order(self, wishes: Mapping[str, str]) -> np.ndarray:
        by, shown = wishes.get("sort") or "id", self.looks.within(wishes)
        order = self.looks.class_order if by == "class" else self.columns.order(by)
        if shown is not None:
            order = order[shown[1:][order]]
        if wishes.get("down") != "1":
            return order
        values = self._column(by)
        known = len(order) - (int(np.isnan(values[order]).sum()) if values.dtype.kind == "f" else 0)
        return np.concatenate([order[:known][::-1], order[known:]])


def _told(values: np.ndarray) -> list[Any]:
    """Return values as JSON knows them: None for NaN."""
    if values.dtype.kind != "f":
        return list(values.tolist())
    return [None if value != value else value for value in values.tolist()]
