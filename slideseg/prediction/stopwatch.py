"""Where the wall time of a slide goes."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import Literal

from slideseg.prediction.report import StageSeconds

Stage = Literal["plan", "copy", "segment", "pyramids", "objects", "commit"]


class Stopwatch:
    """Gives every second since it was begun to one stage."""

    def __init__(self) -> None:
        self._at = time.perf_counter()
        self._spent: dict[str, float] = asdict(StageSeconds())

    def end(self, stage: Stage) -> None:
        """Give the time since the last end to a stage."""
        now = time.perf_counter()
        self._spent[stage] += now - self._at
        self._at = now

    @property
    def stages(self) -> StageSeconds:
        """What was given to each."""
        return StageSeconds(**{stage: round(seconds, 3) for stage, seconds in self._spent.items()})

    @property
    def seconds(self) -> float:
        """How long it has run."""
        return round(sum(self._spent.values()) + time.perf_counter() - self._at, 3)
