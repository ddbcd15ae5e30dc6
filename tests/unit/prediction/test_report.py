"""What a run says of itself, and what the shell is told."""

import pytest

from slideseg.prediction.report import Report, SlideReport
from slideseg.tasks.base import WorkerTime


def slide(status, code=0):
    return SlideReport("a.tif", "a.zarr", status, error=None if status == "ok" else "broken", exit_code=code)


@pytest.mark.parametrize(
    ("slides", "status", "code"),
    [
        ([slide("ok")], "ok", 0),
        ([slide("failed", 3)], "failed", 3),
        ([slide("ok"), slide("failed", 2)], "partial", 1),
        ([slide("failed", 2), slide("failed", 2)], "failed", 1),
    ],
)
def test_status_and_exit_code(slides, status, code):
    report = Report(tuple(slides))

    assert (report.status, report.exit_code) == (status, code)
    assert report.to_dict()["error"] == (None if status == "ok" else "broken")
    assert len(report.to_dict()["slides"]) == len(slides)


def test_workers_are_told_of_one_by_one_also_of_a_single_slide():
    spent = (WorkerTime("a", 7, 10.0, 9.0), WorkerTime("b", 2, 30.0, 30.0))
    said = Report((slide("ok"),), 31.0, 2, spent).to_dict()
    assert said["by_worker"] == [
        {"node": "a", "tasks": 7, "seconds": 10.0, "busy": 9.0, "idle": 0.1},
        {"node": "b", "tasks": 2, "seconds": 30.0, "busy": 30.0, "idle": 0.0},
    ]
    assert (said["workers"], said["idle"], said["seconds"]) == (2, 0.025, 31.0)
    assert "by_worker" not in Report((slide("ok"),)).to_dict()
    assert Report((slide("ok"), slide("ok"))).to_dict()["by_worker"] == []
