"""Show how far a run is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars

from slideseg.cli.log_json import json_lines
from slideseg.words import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slideseg.cli.log_json import JsonLines
    from slideseg.tasks.progress import Progress
    from slideseg.training.record.progress import TrainProgress

SECONDS_BETWEEN_LINES = 10
SECONDS_BETWEEN_OBJECTS = 1
"""The same where programs read them."""
MEGA = 1e6
SECONDS_BEFORE_RATE = 1
"""What is done in less time says nothing of the rate."""
COUNTED = ("exporting", "outlining", "summing up")
"""Phases that count rows of a table as well as pixels, or images, or results."""


DONE = "done"
"""The last phase of a slide."""


class Rate:
    """Pixels a second and seconds left, without the pixels that an earlier run had finished."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def describe(self, state: Progress) -> str:
        """Return both in words; nothing before the first pixel is there, and no rate of what may be rows."""
        done, seconds = state.done - state.kept, time.monotonic() - self._started
        if done <= 0 or seconds < SECONDS_BEFORE_RATE:
            return ""
        rate = done / seconds
        left = f"{(state.total - state.done) / rate:.0f} s left"
        return left if state.phase in COUNTED else f"{rate / MEGA:.2f} Mpx/s, {left}"


@contextmanager
def shown() -> Iterator[Callable[[Progress], None]]:
    """Show progress on stderr for as long as the block lasts."""
    lines, console = json_lines(), Console(stderr=True)
    if lines is not None:
        yield _json_watcher(lines)
    elif console.is_terminal:
        with Bars(
            TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[rate]}"), TimeRemainingColumn(), console=console, transient=True,
        ) as bars:  # fmt: skip
            yield _bar_watcher(bars)
    else:
        yield _line_watcher(console)


def _bar_watcher(bars: Bars) -> Callable[[Progress], None]:
    """Show a bar for each slide that is under way, and above them one for all slides where there are several."""
    tasks: dict[str, tuple[TaskID, Rate]] = {}
    everything: list[TaskID] = []

    def watch(state: Progress) -> None:
        over, slides = state.slides
        if slides > 1:
            if not everything:
                everything.append(bars.add_task("", total=slides, rate=""))
            bars.update(everything[0], completed=over, description=f"{over:,} of {slides:,} slides")
        if state.phase == DONE:
            if state.slide in tasks:
                bars.remove_task(tasks.pop(state.slide)[0])
            return
        if state.slide not in tasks:
            tasks[state.slide] = bars.add_task(state.slide, total=state.total, rate=""), Rate()
        task, rate = tasks[state.slide]
        text = rate.describe(state).partition(",")[0] if state.phase == "segmenting" else state.phase
        bars.update(task, completed=state.done, description=state.slide.rpartition("/")[2], rate=text)

    return watch


def _line_watcher(console: Console) -> Callable[[Progress], None]:
    rates: dict[tuple[str, str], Rate] = {}
    last: dict[str, tuple[str, float]] = {}

    def watch(state: Progress) -> None:
        if state.phase == DONE:
            last.pop(state.slide, None)
            for known in [known for known in rates if known[0] == state.slide]:
                del rates[known]
            return
        rate = rates.setdefault((state.slide, state.phase), Rate())
        phase, when = last.get(state.slide, ("", 0.0))
        if state.phase == phase and time.monotonic() - when < SECONDS_BETWEEN_LINES:
            return
        last[state.slide] = state.phase, time.monotonic()
        parts = [f"{state.slide}: {state.phase}", f"{100 * state.done / max(1, state.total):.0f} %", rate.describe(state)]
        console.print(", ".join(part for part in parts if part), highlight=False, soft_wrap=True)

    return watch


def _json_watcher(lines: JsonLines) -> Callable[[Progress], None]:
    last: dict[str, tuple[tuple[str, bool], float]] = {}

    def watch(state: Progress) -> None:
        where = state.phase, state.done >= state.total
        before, when = last.get(state.slide, (None, 0.0))
        if where != before or (not where[1] and time.monotonic() - when >= SECONDS_BETWEEN_OBJECTS):
            last[state.slide] = where, time.monotonic()
            lines.say("progress", asdict(state))
        if state.phase == DONE:
            del last[state.slide]  # of thousands of slides nothing is kept

    return watch


@contextmanager
def shown_training() -> Iterator[Callable[[TrainProgress], None]]:
    """Show a training's progress on stderr: a line an epoch, and on a terminal a bar for the one that runs."""
    if (lines := json_lines()) is not None:
        yield _json_training_watcher(lines)
        return
    console = Console(stderr=True)
    with Bars(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[loss]}"), console=console, transient=True,
        disable=not console.is_terminal,
    ) as bars:  # fmt: skip
        task = bars.add_task("epoch 1", loss="")

        def watch(state: TrainProgress) -> None:
            text = f"loss {state.loss:.4f}, {duration(state.seconds_left)} left"
            bars.update(task, description=f"epoch {state.epoch + 1}", completed=state.step, total=state.steps, loss=text)
            if state.scores is not None:
                scores = f"loss {state.scores.loss:.4f}, Dice {state.scores.dice:.4f}, IoU {state.scores.iou:.4f}"
                line = f"epoch {state.epoch} of {state.epochs}: {text}; validation {scores}"
                console.print(line, highlight=False, soft_wrap=True)

        yield watch


def _json_training_watcher(lines: JsonLines) -> Callable[[TrainProgress], None]:
    last = float("-inf")

    def watch(state: TrainProgress) -> None:
        nonlocal last
        if state.scores is not None or time.monotonic() - last >= SECONDS_BETWEEN_OBJECTS:
            last = time.monotonic()
            lines.say("epoch" if state.scores is not None else "step", asdict(state))

    return watch
