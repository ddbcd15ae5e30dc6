"""What a run that goes on says of its rate."""

from __future__ import annotations

import io

import pytest
from rich.console import Console
from rich.progress import Progress as Bars

from slideseg.cli.output import progress
from slideseg.tasks.progress import Progress
from slideseg.training.record.progress import Scores, TrainProgress


@pytest.mark.parametrize(
    ("seconds", "state", "text"),
    [
        (0.01, Progress("x", "segmenting", 5_000_000, 10_000_000), ""),
        (2, Progress("x", "segmenting", 5_000_000, 10_000_000), "2.50 Mpx/s, 2 s left"),
        (2, Progress("x", "segmenting", 5_000_000, 10_000_000, kept=5_000_000), ""),
        (2, Progress("x", "exporting", 100, 500), "8 s left"),
        (2, Progress("x", "segmenting", 5_000_000, 10_000_000, slides=(0, 2)), ""),
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


def states() -> list[Progress]:
    """A run over three slides: one fails, two are done, the last after it was put off."""
    return [
        Progress("[a].tif", "segmenting", 1, 10, slides=(0, 3)),
        Progress("b", "segmenting", 1, 10, slides=(0, 3)),
        Progress("cut.tif", "failed", 0, 0, slides=(1, 3), error="it is cut off"),
        Progress("[a].tif", "segmenting", 10, 10, slides=(1, 3)),
        Progress("[a].tif", "done", 10, 10, slides=(2, 3)),
        Progress("b", "put off", 0, 0, slides=(2, 3)),
        Progress("b", "segmenting", 1, 10, slides=(2, 3)),
    ]


def test_of_many_slides_the_bars_of_those_that_are_over_go_and_a_failure_is_told_above_them() -> None:
    out = io.StringIO()
    bars = Bars(disable=True, console=Console(file=out, markup=False))
    watch, shown = progress._bar_watcher(bars), []
    for state in states():
        watch(state)
        shown.append([task.description for task in bars.tasks])
    assert shown[1] == ["0 of 3 slides", "[a].tif", "b"]
    assert shown[4:] == [["2 of 3 slides", "b"], ["2 of 3 slides"], ["2 of 3 slides", "b"]]
    assert out.getvalue() == "error: cut.tif: it is cut off\n"


def test_lines_of_many_slides_say_how_many_are_over_and_a_failure_when_it_is_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress.shown() as watch:
        for state in states():
            watch(state)
    assert capsys.readouterr().err.splitlines() == [
        "0 of 3 slides; [a].tif: segmenting, 10 %",
        "0 of 3 slides; b: segmenting, 10 %",
        "error: cut.tif: it is cut off",
        "2 of 3 slides; [a].tif: done",
        "2 of 3 slides; b: put off",
        "2 of 3 slides; b: segmenting, 10 %",
    ]


def test_the_last_line_of_what_is_counted_is_the_whole(capsys: pytest.CaptureFixture[str]) -> None:
    with progress.shown() as watch:
        for done in range(1, 6):
            watch(Progress("summary", "summing up", done, 5))
        watch(Progress("summary", "summing up", 5, 5))
    assert capsys.readouterr().err.splitlines() == ["summary: summing up, 20 %", "summary: summing up, 100 %"]


def test_a_training_that_is_logged_to_a_file_says_where_it_is_before_its_first_epoch_is_over(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    with progress.shown_training() as watch:
        for step in range(1, 5):
            watch(TrainProgress(0, 2, step, 40, 0.9, 300.0))
            now[0] += 15
        watch(TrainProgress(1, 2, 40, 40, 0.7, 200.0, Scores(0.5, 0.25, 0.125, {}, {})))
    assert capsys.readouterr().err.splitlines() == [
        "epoch 1 of 2, step 1 of 40: loss 0.9000, 5:00 min left",
        "epoch 1 of 2, step 3 of 40: loss 0.9000, 5:00 min left",
        "epoch 1 of 2: loss 0.7000, 3:20 min left; validation loss 0.5000, Dice 0.2500, IoU 0.1250",
    ]
