"""Show how far a run is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn
from rich.progress import Progress as Bars

from slideseg.cli.output.log_json import json_lines
from slideseg.errors import naming, one_line
from slideseg.tasks.progress import DONE, FAILED, PUT_OFF
from slideseg.words import duration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from slideseg.cli.output.log_json import JsonLines
    from slideseg.tasks.progress import Progress
    from slideseg.training.record.progress import TrainProgress

SECONDS_BETWEEN_LINES = 10
SECONDS_BETWEEN_STEPS = 30
"""The same within an epoch of a training."""
SECONDS_BETWEEN_OBJECTS = 1
"""The same where programs read them."""
MEGA = 1e6
SECONDS_BEFORE_RATE = 1
"""What is done in less time says nothing of the rate."""
OVER = (DONE, FAILED, PUT_OFF)
"""Phases after which a slide has none, or begins anew."""
COUNTED = ("exporting", "outlining", "summing up")
"""Phases that count rows of a table as well as pixels, or images, or results."""


class Rate:
    """Pixels a second and seconds left, without the pixels that an earlier run had finished."""

    def __init__(self) -> None:
        self._started = time.monotonic()

    def describe(self, state: Progress) -> str:
        """Return both in words, but no rate of what may be rows.

        There is nothing to say before the first pixel is there, nor of a slide that shares the workers with others.
        """
        done, seconds = state.done - state.kept, time.monotonic() - self._started
        if done <= 0 or seconds < SECONDS_BEFORE_RATE or state.slides[1] > 1:
            return ""
        rate = done / seconds
        left = f"{(state.total - state.done) / rate:.0f} s left"
        return left if state.phase in COUNTED else f"{rate / MEGA:.2f} Mpx/s, {left}"


@contextmanager
def shown() -> Iterator[Callable[[Progress], None]]:
    """Show progress on stderr for as long as the block lasts; of several slides also the failure of each, as it is known."""
    lines, console = json_lines(), Console(stderr=True, markup=False, emoji=False, highlight=False)  # names are as they are
    if lines is not None:
        yield _json_watcher(lines)
    elif console.is_terminal:
        texts = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[rate]}", markup=False)
        with Bars(
            texts[0], BarColumn(), TextColumn("{task.percentage:>3.0f} %"), texts[1], console=console, transient=True
        ) as bars:
            yield _bar_watcher(bars)
    else:
        yield _LineWatcher(console)


def _failure(state: Progress) -> str:
    return f"error: {naming(state.slide, state.error or '')}"


def _bar_watcher(bars: Bars) -> Callable[[Progress], None]:
    """Show a bar for each slide that is under way, and above them one for all slides where there are several."""
    tasks: dict[str, tuple[TaskID, dict[str, Rate]]] = {}
    everything: list[TaskID] = []

    def watch(state: Progress) -> None:
        over, slides = state.slides
        if slides > 1:
            if not everything:
                everything.append(bars.add_task("", total=slides, rate=""))
            bars.update(everything[0], completed=over, description=f"{over:,} of {slides:,} slides")
        if state.phase == FAILED:
            bars.console.print(_failure(state), soft_wrap=True)
        if state.phase in OVER:
            if state.slide in tasks:
                bars.remove_task(tasks.pop(state.slide)[0])
            return
        if state.slide not in tasks:
            tasks[state.slide] = bars.add_task("", total=state.total, rate=""), {}
        task, rates = tasks[state.slide]
        said = [state.phase * (state.phase != "segmenting"), rates.setdefault(state.phase, Rate()).describe(state)]
        name, text = one_line(state.slide).rpartition("/")[2], ", ".join(filter(None, said))
        bars.update(task, completed=state.done, total=state.total, description=name, rate=text)

    return watch


class _LineWatcher:
    """Prints a line where a phase begins, now and then while it lasts, and where one of which a line was printed is over."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._rates: dict[str, dict[str, Rate]] = {}
        self._last: dict[str, tuple[str, float, bool]] = {}

    def __call__(self, state: Progress) -> None:
        """Take the state of things."""
        if state.phase in OVER:
            self._end(state)
            return
        rate = self._rates.setdefault(state.slide, {}).setdefault(state.phase, Rate())
        if self._is_due(state):
            self._last[state.slide] = state.phase, time.monotonic(), state.done >= state.total
            parts = [state.phase, f"{100 * state.done / max(1, state.total):.0f} %", rate.describe(state)]
            self._say(state, ", ".join(part for part in parts if part))

    def _is_due(self, state: Progress) -> bool:
        phase, when, was_whole = self._last.get(state.slide, ("", 0.0, False))
        is_end = state.done >= state.total and not was_whole and state.slides[1] == 1
        return state.phase != phase or is_end or time.monotonic() - when >= SECONDS_BETWEEN_LINES

    def _end(self, state: Progress) -> None:
        self._last.pop(state.slide, None)
        self._rates.pop(state.slide, None)
        if state.phase == FAILED:
            self._console.print(_failure(state), soft_wrap=True)
        elif state.slides[1] > 1:
            self._say(state, state.phase)

    def _say(self, state: Progress, text: str) -> None:
        over, slides = state.slides
        of_all = f"{over:,} of {slides:,} slides; " if slides > 1 else ""
        self._console.print(f"{of_all}{one_line(state.slide)}: {text}", soft_wrap=True)


def _json_watcher(lines: JsonLines) -> Callable[[Progress], None]:
    last: dict[str, tuple[tuple[str, bool], float]] = {}

    def watch(state: Progress) -> None:
        where = state.phase, state.done >= state.total
        before, when = last.get(state.slide, (None, 0.0))
        facts = {name: value for name, value in asdict(state).items() if name != "error"}
        if state.phase == FAILED:
            lines.say("error", {"message": naming(state.slide, state.error or ""), **facts}, "error")
        elif where != before or (not where[1] and time.monotonic() - when >= SECONDS_BETWEEN_OBJECTS):
            last[state.slide] = where, time.monotonic()
            lines.say("progress", facts)
        if state.phase in OVER:
            last.pop(state.slide, None)  # of thousands of slides nothing is kept

    return watch


@contextmanager
def shown_training() -> Iterator[Callable[[TrainProgress], None]]:
    """Show a training's progress on stderr: a line an epoch; within one a bar on a terminal, elsewhere a line now and then."""
    if (lines := json_lines()) is not None:
        yield _json_training_watcher(lines)
        return
    console = Console(stderr=True)
    with Bars(
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[loss]}"), console=console, transient=True,
        disable=not console.is_terminal,
    ) as bars:  # fmt: skip
        task = bars.add_task("epoch 1", loss="")
        last = float("-inf")

        def watch(state: TrainProgress) -> None:
            nonlocal last
            text = f"loss {state.loss:.4f}, {duration(state.seconds_left)} left"
            bars.update(task, description=f"epoch {state.epoch + 1}", completed=state.step, total=state.steps, loss=text)
            within = state.scores is None and not console.is_terminal
            if within and time.monotonic() - last >= SECONDS_BETWEEN_STEPS:
                last = time.monotonic()
                where = f"epoch {state.epoch + 1} of {state.epochs}, step {state.step} of {state.steps}"
                console.print(f"{where}: {text}", highlight=False, soft_wrap=True)
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
