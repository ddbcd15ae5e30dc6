"""The edits of a result that is being shown: as its table and tiles need them, and as the page changes them."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.errors import ConfigError, ResultError, SlidesegError, explain
from slideseg.result.edits import check_edit, edited_classes, edits_of, edits_path, one_writer, read_bytes, write_edits
from slideseg.storage.place import is_in_bucket

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slideseg.result.result import Result


@dataclass(frozen=True)
class Edited:
    """Edits as they are at one time."""

    changes: Mapping[int, str | None] = field(default_factory=dict)
    """See `slideseg.result.edits.Edits`."""
    revision: int = 0
    """How often they were changed: what is made of them is kept under it."""

    @cached_property
    def removed(self) -> np.ndarray:
        """Ids of the objects that were removed."""
        return np.array([number for number, change in self.changes.items() if change is None], np.intp)

    @cached_property
    def reclassed(self) -> dict[str, np.ndarray]:
        """Ids of the objects that are of another class now, by its name."""
        names = dict.fromkeys(change for change in self.changes.values() if change is not None)
        return {name: np.array([n for n, change in self.changes.items() if change == name], np.intp) for name in names}


class EditList:
    """The edits of one result. Serves several threads at once."""

    def __init__(self, result: Result, *, editable: bool) -> None:
        """Read the list beside a result; what is wrong with it is told as `problem`, and then nothing is changed.

        Raises:
            ResultError: if the result's own metadata is damaged.
        """
        self._result, self._lock = result, Lock()
        self._seen: bytes | None = None
        self.now = Edited()
        """The edits."""
        self.problem: str | None = None
        """Why there is no list that can be used; None where all is well."""
        if editable or not is_in_bucket(result.url):
            self._read()
        self.editable = editable and self.problem is None
        """Whether the page may change it."""

    def _read(self) -> None:
        try:
            self._seen = read_bytes(edits_path(self._result))
            self.now = Edited(edits_of(self._result, self._seen), self.now.revision + 1 if self._seen else 0)
        except SlidesegError as error:
            self.problem = str(error)

    def told(self) -> dict[str, Any]:
        """Return what the page needs to know."""
        now = self.now
        return {
            "editable": self.editable,
            "problem": self.problem,
            "classes": edited_classes(self._result),
            "revision": now.revision,
            "number": len(now.changes),
        }

    def of(self, number: int) -> dict[str, Any]:
        """Return the edit of an object as the list has it, without the id; nothing where there is none."""
        changes = self.now.changes
        if number not in changes:
            return {}
        return {"removed": True} if changes[number] is None else {"class": changes[number]}

    def change(self, said: Any, class_name: str) -> dict[str, Any]:
        """Change one object, whose class is ``class_name`` in the table, and write the list.

        Args:
            said: ``id`` and one of ``class``, ``removed`` (True) and ``original`` (True, which takes an edit back).
            class_name: a class that is the object's own is no edit.

        Returns:
            What was there ``before``, so that it can be taken back, and what `told` returns.

        Raises:
            ConfigError: if that is no change.
            ResultError: if it makes no sense, or somebody else changed the list meanwhile.
            RunError: if the list can't be written.
        """
        number, change = _change(said)
        with self._lock:
            if not self.editable:
                raise ResultError(self.problem or explain("nothing can be edited here", got="no --edit"))
            changes = dict(self.now.changes)
            before = self.of(number) or {"original": True}
            if change == "" or change == class_name:
                changes.pop(number, None)
            else:
                record = self._result.objects_record
                check_edit(number, change, edited_classes(self._result), 0 if record is None else record.number)
                changes[number] = change
            path = edits_path(self._result)
            with one_writer(path):
                if read_bytes(path) != self._seen:
                    raise ResultError(explain(f"{path} was changed by somebody else", try_="starting slideseg view again"))
                self._seen = write_edits(self._result, changes)
            self.now = Edited(changes, self.now.revision + 1)
        return {"before": {"id": number, **before}, **self.told()}


def number_of(said: Any) -> int:
    """Return which object somebody wants to change.

    Raises:
        ConfigError: if that can't be told.
    """
    return _change(said)[0]


def _change(said: Any) -> tuple[int, str | None]:
    """Return an object's number, and the class that it is to have: None to remove it, nothing to take its edit back."""
    match said:
        case {"id": bool()}:
            pass
        case {"id": int(number), "class": str(name)} if name:
            return number, name
        case {"id": int(number), "removed": True}:
            return number, None
        case {"id": int(number), "original": True}:
            return number, ""
    raise ConfigError(explain("this is no edit", got=str(said)[:80], want='{"id": 12, "class": "nucleus"}, or "removed": true'))
