"""What a run says of itself, and what the shell is told."""

import pytest

from slideseg.prediction.report import Report, SlideReport


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
