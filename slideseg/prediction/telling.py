"""Tell a watcher of several slides: of each how far it is and what became of it, when it is known, and how many are over."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from slideseg.tasks.progress import DONE, FAILED, PUT_OFF, Progress

if TYPE_CHECKING:
    from slideseg.prediction.report import SlideReport
    from slideseg.tasks.progress import Watcher


class Telling:
    """A watcher of each of several slides, from any thread; what it hears goes to the watcher of all."""

    def __init__(self, watcher: Watcher | None, slides: int) -> None:
        self._watcher, self._slides = watcher, slides
        self._over = 0
        self._lock = threading.Lock()

    def __call__(self, progress: Progress) -> None:
        """Tell how far a slide is. That it is done is told by `over`: it may still fail at its last step."""
        if progress.phase != DONE:
            self._tell(progress)

    def over(self, report: SlideReport) -> None:
        """Tell what became of a slide."""
        self._over += 1
        if report.error is not None:
            self._tell(Progress(report.input, FAILED, 0, 0, error=report.error))
        else:
            self._tell(Progress(report.input, DONE, report.pixels, report.pixels, report.kept_pixels))

    def put_off(self, report: SlideReport) -> None:
        """Tell that a slide will have another turn."""
        self._tell(Progress(report.input, PUT_OFF, 0, 0))

    def _tell(self, progress: Progress) -> None:
        if self._watcher is not None:
            with self._lock:
                self._watcher(replace(progress, slides=(self._over, self._slides)))
