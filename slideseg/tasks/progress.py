"""What a run tells while it goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

DONE, FAILED, PUT_OFF = "done", "failed", "put off"
"""Last phases of a slide; one that another run has in hand is put off, and has another turn when all others are over."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a slide is."""

    slide: str
    """Which slide."""
    phase: str
    """``chunking``, ``segmenting`` or ``finishing``; with objects, finding, labelling and measuring them; `DONE`, `FAILED`."""
    done: int
    """Pixels done, those of an earlier run included; rows of a table that is exported, images that are outlined."""
    total: int
    """Pixels, rows or images in all."""
    kept: int = 0
    """Pixels of `done` that an earlier run had finished."""
    slides: tuple[int, int] = (0, 1)
    """Slides that are over, and slides in all."""
    error: str | None = None
    """Why one of several slides failed."""


Watcher = Callable[[Progress], None]
"""Called with the state of things, in the driver, now and then."""


@dataclass(frozen=True, slots=True)
class Watch:
    """Tells a watcher how far the work on one slide is, after a look whether it may go on."""

    name: str
    """Which slide, or result."""
    watcher: Watcher | None
    """Who is told; None for nobody."""
    check: Callable[[], None]
    """Raises where the work must end, because another run has taken over for example."""

    def __call__(self, phase: str, done: int, total: int, kept: int = 0) -> None:
        """Look and tell."""
        self.check()
        if self.watcher is not None:
            self.watcher(Progress(self.name, phase, done, total, kept))
