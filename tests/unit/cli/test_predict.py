"""What ``slideseg predict`` says of what it did."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.cli.predict import _print_report
from slideseg.prediction.report import Report, ShardCounts, SlideReport

if TYPE_CHECKING:
    import pytest


def test_one_is_no_plural(capsys: pytest.CaptureFixture[str]) -> None:
    for count, said in ((1, "(1 shard: 1 computed, 0 kept; "), (2000, "(2,000 shards: 2,000 computed, 0 kept; ")):
        slide = SlideReport("a.tif", "a.zarr", "ok", objects=count, across_seams=0, shards=ShardCounts(count, count, 0))
        _print_report(Report((slide,)), as_json=False)
        told = capsys.readouterr().out
        assert said in told
        assert f", {'1 object' if count == 1 else '2,000 objects'} (0 across seams)" in told
