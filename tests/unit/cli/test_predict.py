"""What ``slideseg predict`` says of what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.cli.predict import _print_report
from slideseg.prediction.report import Report, ShardCounts, SlideReport

if TYPE_CHECKING:
    import pytest


def test_of_several_slides_the_end_says_how_many_failed_and_where_to_look(capsys: pytest.CaptureFixture[str]) -> None:
    """Each failure was told when it was known."""
    slides = [SlideReport(f"in/{index}.tif", f"out/{index}.zarr", "ok") for index in range(6)]
    slides[2] = SlideReport("in/2.tif", "out/2.zarr", "failed", error="it is cut off", exit_code=2)
    slides[3] = SlideReport("in/3.tif", "out/3.zarr", "ok", warnings=("no pixel size",))
    slides[4] = SlideReport("in/4.tif", "out/4.zarr", "ok", notes=("damaged tiles",))
    report = Report(tuple(slides), 3.0, 2, page="out/report.html")

    _print_report(report, as_json=False)
    told = capsys.readouterr()
    assert told.err == "warning: out/4.zarr: damaged tiles\n1 of 6 slides failed: 2.tif\n"
    assert told.out.splitlines()[5:7] == [
        "2 of 6 slides with warnings: 3.tif, 4.tif",
        "5 of 6 slides done in 3.0 s, by 2 workers; see out/report.html",
    ]

    _print_report(report, as_json=True)
    told = capsys.readouterr()
    assert told.err == "1 of 6 slides failed: 2.tif\n"
    assert "report.html" not in told.out


def test_one_slide_that_failed_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    _print_report(Report((SlideReport("a.tif", "a.zarr", "failed", error="it is cut off"),)), as_json=False)
    assert capsys.readouterr().err == "error: it is cut off\n"


def test_one_is_no_plural(capsys: pytest.CaptureFixture[str]) -> None:
    for count, said in ((1, "; 1 of 1 shard kept from before)"), (2000, "; 2,000 of 2,000 shards kept from before)")):
        slide = SlideReport("a.tif", "a.zarr", "ok", objects=count, across_seams=0, shards=ShardCounts(count, 0, count))
        _print_report(Report((slide,)), as_json=False)
        told = capsys.readouterr().out
        assert told.rstrip().endswith(said)
        assert f", {'1 object' if count == 1 else '2,000 objects'} in 0.0 s (" in told
    _print_report(Report((SlideReport("a.tif", "a.zarr", "ok", shards=ShardCounts(9, 9, 0)),)), as_json=False)
    assert capsys.readouterr().out == "a.zarr: 0 Mpx in 0.0 s (0 % without tissue)\n"
