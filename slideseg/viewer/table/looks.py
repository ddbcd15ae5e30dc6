"""How objects look: which are shown, and in which colours."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Protocol

import numpy as np

from slideseg.colors import UNKNOWN, color_table, object_colors, rgb_of
from slideseg.viewer.edit_list import Edited
from slideseg.viewer.table.numbers import span_of
from slideseg.viewer.table.wishes import Range, number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from slideseg.model.info import ModelClass
    from slideseg.viewer.table.columns import Columns

VIRIDIS = (
    *("#440154", "#48186a", "#472d7b", "#424086", "#3b528b", "#33638d", "#2c728e", "#26828e", "#21918c"),
    *("#1fa088", "#28ae80", "#3fbc73", "#5ec962", "#84d44b", "#addc30", "#d8e219", "#fde725"),
)
"""Colours of small to large values, evenly spaced: as different to the eye as the values are, also to the colour-blind."""
STEPS = 255
"""Colours of measures; one more stands for those without a value."""
BY_CLASS = "class"
"""In place of a measure's name."""


class HasEdits(Protocol):
    """Knows what was corrected."""

    @property
    def now(self) -> Edited:
        """The edits as they are now."""
        ...


class Unedited:
    """Nothing was."""

    now = Edited()


UNEDITED = Unedited()


class Looks:
    """Which objects are shown and how they are coloured, as an address wishes it."""

    def __init__(self, columns: Columns, classes: Sequence[ModelClass], edits: HasEdits = UNEDITED) -> None:
        self._columns, self._edits = columns, edits
        self._class_colors = color_table(classes)
        self._class_ids = {known.name: known.id for known in classes}

    def shown(self, wishes: Mapping[str, str]) -> np.ndarray | None:
        """Return for each id from 0 on whether its object is shown, bool (number + 1,); None where all are.

        Those that were removed are not.

        Raises:
            ConfigError: if the wishes make no sense.
            ResultError: if the table is missing or damaged.
        """
        within, edited = self.within(wishes), self._edits.now
        if not edited.removed.size:
            return within
        whole = np.ones(len(self._columns) + 1, bool) if within is None else within
        wanted = Range.of(wishes)
        return self._columns.kept(("left", str(wanted), edited.revision), lambda: _without(whole, edited.removed))

    @property
    def removed(self) -> np.ndarray:
        """Ids of the objects that were removed."""
        return self._edits.now.removed

    def within(self, wishes: Mapping[str, str]) -> np.ndarray | None:
        """Return the same whether they were removed or not.

        Raises:
            ConfigError: if the wishes make no sense.
            ResultError: if the table is missing or damaged.
        """
        wanted = Range.of(wishes)
        if wanted is None:
            return None
        values = self._columns.values(wanted.by)
        return self._columns.kept(("within", str(wanted)), lambda: within(values, wanted))

    def colors(self, ids: np.ndarray, wishes: Mapping[str, str]) -> np.ndarray:
        """Return red, green and blue of objects, (objects, 3) uint8: by ``color`` in ``wishes``, a measure or ``class``.

        Without it colours tell neighbours apart. Those of a measure go from its value ``from`` to ``to``.

        Raises:
            ConfigError: if the wishes make no sense.
            ResultError: if the table is missing or damaged.
        """
        by = wishes.get("color")
        if not by:
            return object_colors(ids)
        if by == BY_CLASS:
            of_class: np.ndarray = self._class_colors[self.classes[ids - 1]]
            return of_class
        values = self._columns.values(by)
        low, high = number(wishes, "from", math.nan), number(wishes, "to", math.nan)
        if math.isnan(low) or math.isnan(high):
            low, high = self._columns.kept(("span", by), lambda: np.array(span_of(values)))
        return colors_of(values[ids - 1], low, high)

    @property
    def classes(self) -> np.ndarray:
        """The class of each object as it was edited, uint8 (number,).

        Raises:
            ResultError: if the table is missing or damaged.
        """
        values, edited = self._columns.values("class"), self._edits.now
        if not edited.reclassed:
            return values
        by = {self._class_ids[name]: ids - 1 for name, ids in edited.reclassed.items()}
        return self._columns.kept(("classes", edited.revision), lambda: _replaced(values, by))

    @property
    def class_order(self) -> np.ndarray:
        """The places of objects (from 0) in the order of their classes as they were edited.

        Raises:
            ResultError: if the table is missing or damaged.
        """
        classes, revision = self.classes, self._edits.now.revision
        return self._columns.kept(("order of classes", revision), lambda: np.argsort(classes, kind="stable"))

    def edits_of(self, ids: Sequence[int]) -> dict[int, str | None]:
        """Return the edits of some objects; see `slideseg.result.edits.Edits`."""
        changes = self._edits.now.changes
        return {number: changes[number] for number in ids if number in changes}


def _without(shown: np.ndarray, removed: np.ndarray) -> np.ndarray:
    left = shown.copy()
    left[removed] = False
    return left


def _replaced(values: np.ndarray, by: Mapping[int, np.ndarray]) -> np.ndarray:
    """Return a column in which places have other values, ``by`` those values."""
    changed = values.copy()
    for value, places in by.items():
        changed[places] = value
    return changed


def within(values: np.ndarray, wanted: Range) -> np.ndarray:
    """Return for each id from 0 on whether its value is in a range; that of 0, which is no object, never is."""
    return np.concatenate([[False], (values >= wanted.low) & (values <= wanted.high)])


def colors_of(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Return red, green and blue, (values, 3) uint8, of values from ``low`` to ``high``; grey where there is none."""
    steps = np.clip((values - low) / max(high - low, np.finfo(float).tiny), 0, 1) * (STEPS - 1)
    colors: np.ndarray = _ramp()[np.where(np.isnan(steps), STEPS, np.nan_to_num(steps)).astype(np.intp)]
    return colors


def _ramp() -> np.ndarray:
    """Return `STEPS` colours from `VIRIDIS`, and that of no value."""
    anchors = np.array([rgb_of(color) for color in VIRIDIS], float)
    places = np.linspace(0, len(anchors) - 1, STEPS)
    ramp = np.stack([np.interp(places, np.arange(len(anchors)), channel) for channel in anchors.T], axis=1)
    whole: np.ndarray = np.rint(np.concatenate([ramp, [rgb_of(UNKNOWN)]]))
    return whole.astype(np.uint8)
