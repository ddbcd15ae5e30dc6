"""What a report shows of a result, found out by workers: its row of numbers and its picture."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from slideseg.cohort.facts import FAILURES, in_a_line, opened_facts
from slideseg.cohort.thumbnail import thumbnail
from slideseg.result.found.areas import outer_class

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.result.result import Result

Role = Literal["objects", "outer", "area"]
"""What a class is: of objects, their outer part, or a region that is told by its area alone."""


@dataclass(frozen=True, slots=True)
class ShownClass:
    """A class as a report shows it."""

    name: str
    """What people call it."""
    color: str
    """``#rrggbb``."""
    role: Role
    """What is told of it."""


@dataclass(frozen=True, slots=True)
class Look:
    """What was found in a result."""

    row: dict[str, Any]
    """Its row of numbers; empty where there is no result."""
    classes: tuple[ShownClass, ...] = ()
    """All but background."""
    picture: bytes | None = field(default=None, repr=False)
    """A JPEG; None where there is none."""
    seconds: float | None = None
    """How long the run took that finished it."""
    lacking: str | None = None
    """Why there is no picture though one was wanted."""


class LookWorker:
    """Looks at results, by number."""

    def __init__(self, results: Sequence[str], side: int) -> None:
        self._results, self._side = results, side

    def __call__(self, number: int) -> tuple[int, Look]:
        """Look at one; whatever is wrong with it is told, not raised."""
        return number, look_at(self._results[number], self._side)

    def close(self) -> None:
        """Do nothing: a look is over in a moment."""


def look_at(url: str, side: int) -> Look:
    """Look at a result; its picture has ``side`` pixels at most along a side, none where that is 0."""
    row, result = opened_facts(url)
    if result is None:
        return Look(row, lacking=row["error"])
    classes: tuple[ShownClass, ...] = ()
    seconds = result.record.seconds
    try:
        classes = tuple(_classes(result))
        return Look(row, classes, thumbnail(result, side) if side else None, seconds)
    except FAILURES as error:
        return Look(row, classes, None, seconds, in_a_line(error))


def _classes(result: Result) -> list[ShownClass]:
    record, outer = result.objects_record, outer_class(result)
    of_objects = () if record is None else record.rules.classes
    found = []
    for known in result.classes[1:]:
        role: Role = "objects" if known.id in of_objects else "outer" if of_objects and known.name == outer else "area"
        found.append(ShownClass(known.name, known.color, role))
    return found
