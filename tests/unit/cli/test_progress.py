"""What a run that goes on says of its rate."""

from __future__ import annotations

import pytest

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
