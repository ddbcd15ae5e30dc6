"""A result and the objects that it shall have; what is there of them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slideseg.arrays.shards import array_attributes, missing_shards
from slideseg.errors import ResultError, explain
from slideseg.instances.labelling.paint import id_type
from slideseg.instances.options import first_difference
from slideseg.result.layout import OBJECTS
from slideseg.result.record import read_objects_record
from slideseg.result.table import check_table, has_table
from slideseg.storage.store import open_store, run_errors

if TYPE_CHECKING:
    from slideseg.model.objects import ObjectRules
    from slideseg.result.layout import ResultLayout
    from slideseg.result.record import ObjectsRecord, RunRecord
    from slideseg.storage.store import Store


@dataclass(frozen=True, slots=True)
class Target:
    """A result with a complete class map, and the objects that it shall have."""

    url: str
    """The result."""
    layout: ResultLayout
    """Its arrays."""
    record: RunRecord
    """What the run wrote about itself."""
    rules: ObjectRules
    """What an object is."""
    slide: str | None = None
    """Where the slide can be read now, if it is known that it has not changed."""
    notes: tuple[str, ...] = ()
    """What the user should know of them."""

    @property
    def store(self) -> Store:
        """The result's store."""
        return open_store(self.url)

    def settle(self, *, asked: bool, try_: str) -> Target:
        """Return the target whose rules are those of the objects that are there, finished or not, if there are any.

        Raises:
            ResultError: if these follow other rules than those that the user has ``asked`` for.
        """
        there = read_objects_record(self.store)
        differs = None if there is None else first_difference(there.rules, self.rules, self.layout.classes)
        if there is None or differs is None:
            return self
        option, got, want = differs
        if asked:
            raise ResultError(explain(f"the result has other objects: {option} differs", got=got, want=want, try_=try_))
        note = f"the objects that are there stay as they are, with {option} of {got}; the model's would be {want} (try {try_})"
        return replace(self, rules=there.rules, notes=(note,))

    def finished(self) -> ObjectsRecord | None:
        """Return what is known of the objects where nothing is left to do for them; else None.

        Every byte of the table is looked at; of the labels only which shards are there.

        Raises:
            ResultError: if the table is damaged.
            RunError: if the storage fails.
        """
        store = self.store
        record = read_objects_record(store)
        if record is None or "ome" not in array_attributes(store, OBJECTS) or not self.has_table():
            return None
        levels = (self.layout.labels(OBJECTS, id_type(record.number), level) for level in range(self.layout.levels))
        if any(missing_shards(store, plan) for plan in levels):
            return None
        check_table(store)
        return record

    def has_table(self) -> bool:
        """Tell whether there is a table.

        Raises:
            RunError: if the storage fails.
        """
        with run_errors("the tables can't be listed"):
            return has_table(self.store)
