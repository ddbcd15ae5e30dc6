"""What a run that goes on says of its rate."""

from __future__ import annotations

import pytest
from rich.progress import Progress as Bars

from slideseg.cli import progress
from slideseg.tasks.progress import Progress


@pytest.mark.parametrize(
    ("seconds", "state", "text"),
    [
        (0.01, Progress("x", "segmenting", 5_000_000, 10_000_000), ""),
        (2, Progress("x", "segmenting", 5_000_000, 10_000_000), "2.50 Mpx/s, 2 s left"),
        (2, Progress("x", "segmenting", 5_000_000, 10_000_000, kept=5_000_000), ""),
        (2, Progress("x", "exporting", 100, 500), "8 s left"),
    ],
)
def test_a_rate_is_of_pixels_and_of_some_time(
    seconds: float, state: Progress, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    rate = progress.Rate()
    now[0] += seconds
    assert rate.describe(state) == text


def test_of_many_slides_the_bars_of_those_that_are_over_go() -> None:
    bars = Bars(disable=True)
    watch = progress._bar_watcher(bars)
    for name in ("a", "b"):
        watch(Progress(name, "segmenting", 1, 10, slides=(0, 3)))
    assert [task.description for task in bars.tasks] == ["0 of 3 slides", "a", "b"]
    watch(Progress("a", "done", 10, 10, slides=(1, 3)))
    watch(Progress("failed at once", "done", 0, 0, slides=(2, 3)))
    assert [task.description for task in bars.tasks] == ["2 of 3 slides", "b"]
