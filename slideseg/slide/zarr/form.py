"""JSON that somebody else wrote, read by its form: what is not as it should be is one clear error, wherever it stands."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slideseg.errors import SlideError, explain

if TYPE_CHECKING:
    from collections.abc import Iterator

_LONGEST = 60
"""Characters of a wrong value that are shown."""


@dataclass(frozen=True, slots=True)
class Form:
    """A value of a JSON document, and where it stands there."""

    file: str
    """What the document belongs to."""
    place: str
    """Its place in the document, such as ``multiscales[0].axes``."""
    value: Any
    """The value itself."""

    def __contains__(self, key: str) -> bool:
        return key in self.entries()

    def entries(self) -> dict[str, Any]:
        """Return the value, which is an object.

        Raises:
            SlideError: if it is none.
        """
        if not isinstance(self.value, dict):
            raise self.wrong("an object")
        return self.value

    def get(self, key: str) -> Form | None:
        """Return an entry of an object; None where it is missing or null.

        Raises:
            SlideError: if the value is no object.
        """
        found = self.entries().get(key)
        return None if found is None else Form(self.file, f"{self.place}.{key}".lstrip("."), found)

    def at(self, key: str) -> Form:
        """Return an entry that has to be there.

        Raises:
            SlideError: if it is missing, or the value is no object.
        """
        found = self.get(key)
        if found is None:
            raise SlideError(explain(f"{self.file}: its metadata lacks something", want=f"{self.place}.{key}".lstrip(".")))
        return found

    def items(self) -> Iterator[Form]:
        """Yield the items of a list.

        Raises:
            SlideError: if it is none.
        """
        if not isinstance(self.value, list | tuple):
            raise self.wrong("a list")
        return (Form(self.file, f"{self.place}[{index}]", item) for index, item in enumerate(self.value))

    def text(self) -> str:
        """Return a text.

        Raises:
            SlideError: if it is none.
        """
        if not isinstance(self.value, str):
            raise self.wrong("a text")
        return self.value

    def numbers(self) -> tuple[float, ...]:
        """Return a list of finite numbers.

        Raises:
            SlideError: if it is none.
        """
        return tuple(item.number() for item in self.items())

    def number(self) -> float:
        """Return a finite number.

        Raises:
            SlideError: if it is none.
        """
        try:
            if not isinstance(self.value, bool | str) and math.isfinite(number := float(self.value)):
                return number
        except (TypeError, ValueError, OverflowError):
            pass
        raise self.wrong("a number")

    def wrong(self, want: str) -> SlideError:
        """Return the error that it is not what it should be."""
        got = json.dumps(self.value, default=str)
        short = got if len(got) <= _LONGEST else f"{got[:_LONGEST]}..."
        what = f"{self.file}: its metadata has a wrong form" + (f" at {self.place}" if self.place else "")
        return SlideError(explain(what, got=short, want=want))
