"""A slide that the decoder beside this process reads: the same answers, and errors where a crash would be."""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slideseg.errors import SlideError, explain
from slideseg.slide.guard.process import DiedError, ask, shared
from slideseg.slide.guard.wire import Request
from slideseg.slide.reader import Reader
from slideseg.slide.selection import WHOLE, Selection
from slideseg.tasks.base import is_expendable

if TYPE_CHECKING:
    import numpy as np

    from slideseg.slide.base import Slide
    from slideseg.slide.facts import Facts
    from slideseg.slide.guard.wire import Deed
    from slideseg.space.box import Box

_KEYS = itertools.count()


def open_in_run(path: str, selection: Selection = WHOLE, *, all_axes: bool = False) -> Slide:
    """Open a slide as `open_selected` does (with ``all_axes`` as `open_file`), decoded where a crash does no harm.

    That is this process if it is a worker that is replaced when it dies; else the decoder beside it.

    Raises:
        SlideError: as `open_selected`, and if a decoder crashes on the file.
        ConfigError: as `open_selected`.
    """
    if is_expendable():
        from slideseg.slide.open import open_file, open_selected  # noqa: PLC0415 - the command itself does without

        return open_file(path, selection) if all_axes else open_selected(path, selection)
    request = Request("open", next(_KEYS), path, selection, all_axes, str(Path.cwd()), dict(os.environ))
    return GuardedSlide(ask(request), request)


class GuardedSlide(Reader):
    """A slide that another process decodes."""

    def __init__(self, facts: Facts, request: Request) -> None:
        """Take what was answered to ``request``, which opened it."""
        super().__init__(facts, (facts.dtype.name,))
        self._request, self._closed = request, False

    def close(self) -> None:
        """Have the file released."""
        self._closed = True
        if (decoder := shared.if_alive()) is not None:
            with suppress(DiedError):
                decoder.ask(replace(self._request, deed="close"))

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:
        pixels: np.ndarray = self._ask("read", box, level, plane)
        return pixels

    def _scanned(self, box: Box, level: int, plane: int) -> np.ndarray | None:
        there: np.ndarray | None = self._ask("scanned", box, level, plane)
        return there

    def _damaged(self, box: Box, level: int, plane: int) -> tuple[Box, ...]:
        boxes: tuple[Box, ...] = self._ask("damaged", box, level, plane)
        return boxes

    def _ask(self, deed: Deed, box: Box, level: int, plane: int) -> Any:
        if self._closed:
            raise SlideError(explain(f"{self.path} is closed"))
        return ask(replace(self._request, deed=deed, box=box, level=level, plane=plane))
