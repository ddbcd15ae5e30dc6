"""Which classes' objects or regions are exported."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.errors import ConfigError, explain
from slideseg.result.found.areas import outer_class

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.result.result import Result


def chosen_classes(result: Result, labels: str, names: Sequence[str] | None) -> tuple[frozenset[int] | None, tuple[str, ...]]:
    """Return the ids of the classes that are exported, None for all, and what is to be told of the choice.

    Of class regions the class that is the outer part of objects is left out where none is named: its regions are thousands of
    rings and slivers around objects, and no things of their own.

    Raises:
        ConfigError: if a class is not known, or makes no objects where these are exported.
    """
    known = _known(result, labels)
    if names:
        unknown = [name for name in names if name not in known]
        if unknown:
            what = f"there is no such class of {'objects' if labels == 'objects' else 'regions'}"
            raise ConfigError(explain(what, got=", ".join(unknown), want=", ".join(known) or "none"))
        return frozenset(known[name] for name in names), ()
    outer = None if labels == "objects" else outer_class(result)
    chosen = frozenset(number for name, number in known.items() if name != outer)
    if outer is None or not chosen:
        return None, ()
    return chosen, (f"{outer} is left out: it is the outer part of objects, in pieces; --class {outer} exports it",)


def _known(result: Result, labels: str) -> dict[str, int]:
    """Return the classes that objects were made of, or all that have regions."""
    objects = result.objects_record if labels == "objects" else None
    return {
        known.name: known.id for known in result.classes if known.id and (objects is None or known.id in objects.rules.classes)
    }
