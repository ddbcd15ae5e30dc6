"""Many slides on one pool of workers.

Each slide that is under way has a thread, which plans it, waits for its shards and finishes it; the shards of all go to the
same workers, those of earlier slides first. A slide is begun when the workers could take more than there is, so few are under
way at a time where slides are large, and many where they are small.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import time
from collections import deque
from dataclasses import replace
from functools import partial
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from slideseg.errors import ResultInUseError, RunError, SlidesegError, explain, one_line
from slideseg.machine import usable_cores
from slideseg.prediction.choices.cluster import settled
from slideseg.prediction.choices.devices import choose_device, choose_workers, gpus_of
from slideseg.prediction.make_plan import make_plan
from slideseg.prediction.orders import OF_THE_RUN
from slideseg.prediction.report import Report, SlideReport
from slideseg.prediction.slide import Begun, ModelsOfRun, predict_slide, run_plan
from slideseg.prediction.telling import Telling
from slideseg.storage.place import absolute
from slideseg.tasks.base import in_flight
from slideseg.tasks.run_shards import shared_executor

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from slideseg.prediction.options import PredictOptions
    from slideseg.prediction.orders import Order, Orders
    from slideseg.tasks.base import SharedExecutor
    from slideseg.tasks.progress import Progress, Watcher

log = logging.getLogger(__name__)

PLANNED_AT_ONCE = min(4, max(2, usable_cores() // 4))
"""Slides that are being planned at a time: it keeps this process's interpreter busy, and takes a gigabyte for a large one."""
LOOK_SECONDS = 0.05
"""How often it is looked whether the workers could take more."""
GOODBYE_SECONDS = 10.0
"""Time for the slides under way to give back their leases when a run is stopped."""


def predict_many(orders: Orders, options: PredictOptions, watcher: Watcher | None = None) -> Report:
    """Segment slides, and return what became of each; one that fails does not stop the others.

    ``options`` say of the workers what is true for all slides: how many, where, on what.

    Raises:
        SlidesegError: if there can be no workers.
    """
    if len(orders.slides) == 1:  # which knows by its plan how many workers are of use
        return _alone(orders.slides[0], watcher, None)
    started = time.monotonic()
    with settled(options) as of_all:
        device = choose_device(of_all)
        workers = choose_workers(of_all, device, sys.maxsize)
        of_all = replace(of_all, workers=workers)
        slides = [replace(order, options=with_the_runs(order.options, of_all)) for order in orders.slides]
        if workers == 1 and options.address is None:
            return Report(_one_after_the_other(slides, Telling(watcher, len(slides))), round(time.monotonic() - started, 3))
        wait, run = options.wait_for_workers, absolute(orders.folder)
        with shared_executor(workers, options.address, gpus_of(device), wait, run) as executor:
            reports = Together(slides, executor, workers, watcher, gpus_of(device)).reports()
            return Report(reports, round(time.monotonic() - started, 3), workers, executor.spent)


def with_the_runs(options: PredictOptions, of_all: PredictOptions) -> PredictOptions:
    """Return a slide's options with what is the same for all slides, as the machines that are there have settled it."""
    shared = {name: getattr(of_all, name) for name in OF_THE_RUN}
    precision = of_all.precision if options.precision == "auto" else options.precision
    return replace(options, precision=precision, **shared)


class _Turns:
    """Whose turn it is: slide by slide, and at the end once more those that another run had in hand."""

    def __init__(self, orders: Sequence[Order]) -> None:
        self.left = deque(range(len(orders)))
        self._found: dict[int, SlideReport] = {}
        self._again: list[int] = []

    def done(self, number: int, report: SlideReport) -> bool:
        """Take what became of a slide; return whether that is the last of it."""
        is_in_use, is_first = report.exit_code == ResultInUseError.exit_code, number not in self._found
        self._found[number] = report
        if is_in_use and is_first:
            self._again.append(number)
        return not (is_in_use and is_first)

    def give_up(self, orders: Sequence[Order], error: BaseException) -> list[SlideReport]:
        """Have all that are left fail for the same error; return what is said of them."""
        left = {number: failed_by(orders[number], error) for number in self.left}
        self.left.clear()
        self._found |= left
        return list(left.values())

    def once_more(self) -> None:
        """Have a second look at the slides of another run, now that all others are done."""
        self.left.extend(self._again)
        self._again = []

    def reports(self) -> tuple[SlideReport, ...]:
        """Return what became of each, in their order."""
        return tuple(self._found[number] for number in sorted(self._found))


def _alone(order: Order, watcher: Watcher | None, models: ModelsOfRun | None) -> Report:
    return report_of(order, partial(predict_slide, order.slide, order.output, order.options, watcher, models))


def _one_after_the_other(orders: Sequence[Order], telling: Telling) -> tuple[SlideReport, ...]:
    turns, models = _Turns(orders), ModelsOfRun()
    while turns.left:
        number = turns.left.popleft()
        (report,) = _alone(orders[number], telling, models).slides
        if turns.done(number, report):
            telling.over(report)
        else:
            telling.put_off(report)
        if not turns.left:
            turns.once_more()
    return turns.reports()


def report_of(order: Order, work: Callable[[], Report]) -> Report:
    """Return what became of a slide, also where the work on it raised an error."""
    try:
        return work()
    except Exception as error:
        log.debug("%s", order.slide, exc_info=True)
        return Report((failed_by(order, error),))


def failed_by(order: Order, error: BaseException) -> SlideReport:
    """Return what is said of a slide that failed for an error."""
    if isinstance(error, SlidesegError):
        return SlideReport(order.slide, order.output, "failed", error=str(error), exit_code=error.exit_code)
    message, code = one_line(f"{type(error).__name__}: {error}"), RunError.exit_code
    return SlideReport(order.slide, order.output, "failed", error=message, exit_code=code)


class Together:
    """Slides under way at the same time."""

    def __init__(
        self, orders: Sequence[Order], executor: SharedExecutor, workers: int, watcher: Watcher | None, gpus: int = 0
    ) -> None:
        """Take the slides, and so many workers with so many GPUs each."""
        self._orders, self._executor, self._telling = orders, executor, Telling(watcher, len(orders))
        self._most = workers * in_flight(gpus) + PLANNED_AT_ONCE
        self._ended: SimpleQueue[tuple[int, SlideReport]] = SimpleQueue()
        self._threads: dict[int, threading.Thread] = {}
        self._planning: set[int] = set()
        self._models = ModelsOfRun()
        self._is_stopped = False

    def reports(self) -> tuple[SlideReport, ...]:
        """Do all of them; return what became of each, in their order."""
        turns = _Turns(self._orders)
        try:
            while turns.left or self._threads:
                if turns.left and self._has_room():
                    self._begin(turns.left.popleft())
                with contextlib.suppress(Empty):
                    number, report = self._ended.get(timeout=LOOK_SECONDS)
                    self._threads.pop(number).join()
                    if turns.done(number, report):
                        self._end(report)
                    else:
                        self._telling.put_off(report)
                    if (error := self._executor.failure) is not None:  # those that are left need not be planned to know it
                        for known in turns.give_up(self._orders, error):
                            self._end(known)
                if not turns.left and not self._threads:
                    turns.once_more()
        except BaseException:
            self._stop()
            raise
        return turns.reports()

    def _end(self, report: SlideReport) -> None:
        self._executor.count("slides" if report.status == "ok" else "slides_failed")
        self._telling.over(report)

    def _has_room(self) -> bool:
        if not self._threads:
            return True
        return len(self._threads) < self._most and len(self._planning) < PLANNED_AT_ONCE and self._executor.is_hungry

    def _begin(self, number: int) -> None:
        self._planning.add(number)
        thread = threading.Thread(target=self._do, args=(number,), name=f"slide-{number}", daemon=True)
        self._threads[number] = thread
        thread.start()

    def _do(self, number: int) -> None:
        order = self._orders[number]
        try:
            (report,) = report_of(order, partial(self._segment, number, order)).slides
        except BaseException as error:  # noqa: BLE001 - a slide whose thread ended without a word would be waited for for ever
            report = failed_by(order, error)
        self._planning.discard(number)
        self._ended.put((number, report))

    def _segment(self, number: int, order: Order) -> Report:
        begun = Begun.now(order.slide)
        plan = make_plan(order.slide, order.output, order.options)
        self._models.check(plan)
        self._planning.discard(number)
        return Report((run_plan(plan, order.options, self._executor.at(number), begun, self._tell),))

    def _tell(self, progress: Progress) -> None:
        if self._is_stopped:
            raise RunError(explain("the run was stopped", try_="the same command again, it goes on from here"))
        self._telling(progress)

    def _stop(self) -> None:
        """Have the slides under way end, so that they give back their leases."""
        self._is_stopped = True
        self._executor.__exit__()
        for thread in self._threads.values():
            thread.join(GOODBYE_SECONDS / len(self._threads))
