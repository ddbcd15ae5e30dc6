"""Many slides at a time: whose turn it is, and what becomes of each."""

import threading
from typing import ClassVar

import pytest

from slideseg.errors import ClusterError, ResultInUseError, SlideError
from slideseg.prediction import many
from slideseg.prediction.many import Together
from slideseg.prediction.options import PredictOptions
from slideseg.prediction.orders import Order
from slideseg.prediction.report import Report, SlideReport
from slideseg.tasks.in_process import InProcessExecutor


class Workers(InProcessExecutor):
    """An executor that may fail, or have enough to do."""

    failure = None
    is_hungry = True
    counted: ClassVar = {}

    def at(self, _):
        return self

    def count(self, what, number=1):
        self.counted[what] = self.counted.get(what, 0) + number


@pytest.fixture
def executor():
    Workers.failure, Workers.is_hungry = None, True
    Workers.counted.clear()
    return Workers()


@pytest.fixture
def work(monkeypatch):
    """Plan every slide in no time, and do what a test says with it."""
    made = []

    def plan(slide, output, options):
        made.append(slide)
        return Order(slide, output, options)

    def use(segment):
        monkeypatch.setattr(many, "make_plan", plan)
        monkeypatch.setattr(many.Begun, "now", lambda _: None)
        monkeypatch.setattr(many.ModelsOfRun, "check", lambda *_: None)
        monkeypatch.setattr(many, "run_plan", lambda order, *_: segment(order) or SlideReport(order.slide, order.output, "ok"))
        return made

    return use


def orders_of(number):
    return [Order(f"{index:03}", f"{index:03}.zarr", PredictOptions()) for index in range(number)]


def test_a_fault_of_ours_at_one_slide_costs_the_others_nothing(work, executor):
    def segment(order):
        if order.slide == "003":
            raise ZeroDivisionError("division by zero")
        if order.slide == "005":
            raise SlideError("005 is damaged")

    work(segment)
    told = []
    found = Together(orders_of(9), executor, 2, told.append).reports()
    assert [report.input for report in found] == [f"{index:03}" for index in range(9)]
    assert {report.input: report.error for report in found if report.error} == {
        "003": "ZeroDivisionError: division by zero",
        "005": "005 is damaged",
    }
    assert Report(found).exit_code == 1
    assert executor.counted == {"slides": 7, "slides_failed": 2}
    ends = {state.slide: state.phase for state in told}
    assert ends == {f"{index:03}": "failed" if index in (3, 5) else "done" for index in range(9)}
    assert [state.slides for state in told] == [(number, 9) for number in range(1, 10)]


def test_slides_of_another_run_are_looked_at_once_more_when_all_others_are_done(work, executor):
    done, busy = [], {"001": 1, "002": 99}

    def segment(order):
        if busy.get(order.slide, 0):
            busy[order.slide] -= 1
            raise ResultInUseError("another run has it")
        done.append(order.slide)

    made = work(segment)
    told = []
    found = Together(orders_of(6), executor, 1, told.append).reports()
    assert done[-1] == "001"
    assert [report.input for report in found if report.error] == ["002"]
    assert made.count("002") == 2
    assert Report(found).exit_code == ResultInUseError.exit_code
    assert executor.counted == {"slides": 5, "slides_failed": 1}
    of_theirs = [(state.slide, state.phase) for state in told if state.slide in busy]
    assert of_theirs == [("001", "put off"), ("002", "put off"), ("001", "done"), ("002", "failed")]


@pytest.mark.parametrize("own", [None, SlideError("000 is damaged"), ClusterError("no worker could be had")])
def test_where_there_are_no_workers_any_more_nobody_plans_in_vain(work, executor, own):
    """Whatever became of the slide that was the last to end: its own error is not that of the others."""

    def segment(order):
        if order.slide == "000" or Workers.failure is not None:
            Workers.failure = ClusterError("no worker could be had")
            if own is not None or order.slide != "000":
                raise own if order.slide == "000" else Workers.failure

    made = work(segment)
    told = []
    found = Together(orders_of(500), executor, 1, told.append).reports()
    assert len(made) < 20
    assert found[0].error == (own and str(own))
    assert found[-1].error == "no worker could be had"
    assert [report.input for report in found] == [f"{index:03}" for index in range(500)]
    assert sum(executor.counted.values()) == 500
    assert [state.slides[0] for state in told] == list(range(1, 501))
    assert executor.counted["slides_failed"] == sum(report.status == "failed" for report in found)


def test_a_slide_is_begun_when_the_workers_could_take_more(work, executor):
    under_way, most, enough = [], [0], threading.Event()

    def segment(order):
        under_way.append(order.slide)
        most[0] = max(most[0], len(under_way))
        Workers.is_hungry = len(under_way) < 3
        enough.wait(0.05)
        under_way.remove(order.slide)
        Workers.is_hungry = len(under_way) < 3

    work(segment)
    assert len(Together(orders_of(12), executor, 40, None).reports()) == 12
    assert 2 <= most[0] <= 4


def test_what_a_watcher_raises_ends_the_run(work, executor):
    work(lambda _: None)

    def watcher(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Together(orders_of(50), executor, 1, watcher).reports()
