"""What a run tells the metrics of a cluster."""

import threading
from collections import Counter

import pytest

from slideseg.tasks import metrics as module
from slideseg.tasks.base import WorkerTime
from slideseg.tasks.crew import PoolState
from slideseg.tasks.metrics import COUNTERS, GAUGES, Metrics


class Series:
    """A counter or a gauge, in place of Ray's."""

    all: dict = {}  # noqa: RUF012 - the fixture empties it

    def __init__(self, name, description, tag_keys):
        self.name, self.tag_keys = name, tag_keys
        assert description

    def inc(self, value, tags):
        assert value > 0, "Ray refuses it"
        self._keep(tags, self.all.get(self._key(tags), 0) + value)

    def set(self, value, tags):
        self._keep(tags, value)

    def _keep(self, tags, value):
        assert set(tags) == set(self.tag_keys), "Ray refuses it"
        self.all[self._key(tags)] = value

    def _key(self, tags):
        return self.name.removeprefix("slideseg_"), tags["run"], tags.get("node", "")


class Pool:
    state = PoolState(0, Counter(), Counter(), 0, 0)
    spent = ()


@pytest.fixture
def told(monkeypatch):
    monkeypatch.setattr(module, "Counter", Series)
    monkeypatch.setattr(module, "Gauge", Series)
    monkeypatch.setattr(module, "LOOK_SECONDS", 0.005)
    Series.all.clear()
    return Series.all


def until(true):
    pause = threading.Event()
    for _ in range(2000):
        if true():
            return
        pause.wait(0.005)
    pytest.fail("it never came to that")


def test_counters_go_up_with_the_pools_and_gauges_follow_it(told):
    pool = Pool()
    metrics = Metrics("r", pool)
    pool.spent = (WorkerTime("a", 3, 9.0, 8.0), WorkerTime("a", 4, 9.0, 8.0), WorkerTime("b", 1, 9.0, 8.0))
    pool.state = PoolState(17, Counter(a=2, b=1), Counter(a=2), 5, 1)
    until(lambda: told.get(("tasks_waiting", "r", "")) == 17)
    assert told == {
        ("tasks", "r", "a"): 7, ("tasks", "r", "b"): 1, ("tasks_lost", "r", ""): 5, ("tasks_failed", "r", ""): 1,
        ("tasks_waiting", "r", ""): 17, ("workers", "r", "a"): 2, ("workers", "r", "b"): 1,
        ("workers_at_work", "r", "a"): 2, ("workers_at_work", "r", "b"): 0,
    }  # fmt: skip
    pool.spent, pool.state = (*pool.spent, WorkerTime("a", 2, 1.0, 1.0)), PoolState(0, Counter(b=1), Counter(b=1), 6, 1)
    until(lambda: told["workers_at_work", "r", "b"] == 1)
    assert (told["tasks", "r", "a"], told["tasks_lost", "r", ""], told["workers", "r", "a"]) == (9, 6, 0)
    metrics.close()


def test_at_the_end_all_is_told_and_nobody_is_at_work(told, monkeypatch):
    monkeypatch.setattr(module, "LOOK_SECONDS", 1000.0)
    pool = Pool()
    metrics = Metrics("r", pool)
    for what, number in (("pixels", 100), ("pixels", 20), ("shards", 1), ("slides", 0), ("slides_failed", 2)):
        metrics.count(what, number)
    pool.spent, pool.state = (WorkerTime("a", 8, 9.0, 8.0),), PoolState(3, Counter(a=1), Counter(a=1), 0, 0)
    metrics.close()
    assert told == {
        ("pixels", "r", ""): 120, ("shards", "r", ""): 1, ("slides_failed", "r", ""): 2, ("tasks", "r", "a"): 8,
        ("tasks_waiting", "r", ""): 0, ("workers", "r", "a"): 0, ("workers_at_work", "r", "a"): 0,
    }  # fmt: skip


def test_names_are_as_prometheus_wants_them():
    """Ray adds ``_total`` to the names of counters."""
    for name in (*COUNTERS, *GAUGES):
        assert name.startswith("slideseg_")
        assert not name.endswith("_total")
