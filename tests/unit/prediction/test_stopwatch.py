"""Where the wall time of a slide goes."""

from dataclasses import asdict

from slideseg.prediction import stopwatch as module
from slideseg.prediction.stopwatch import Stopwatch


def test_every_second_belongs_to_one_stage(monkeypatch):
    times = iter([100.0, 101.5, 104.0, 104.25, 110.0, 110.0])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(times))
    watch = Stopwatch()
    for stage in ("plan", "segment", "pyramids", "segment"):
        watch.end(stage)
    assert asdict(watch.stages) == {
        "plan": 1.5, "copy": 0, "segment": 2.5 + 5.75, "pyramids": 0.25, "objects": 0, "commit": 0,
    }  # fmt: skip
    assert watch.seconds == 10.0
