"""What ``slideseg outline`` says of what was made."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner

from slideseg.cli import cli
from slideseg.outlines import run
from slideseg.outlines.labels import Counts
from slideseg.outlines.outcome import ImageOutlines, OutlineReport

if TYPE_CHECKING:
    import pytest


def said(monkeypatch: pytest.MonkeyPatch, images: int, points: int, *left_out: tuple[str, ...]) -> Any:
    """Return what is printed of a report."""
    made = ImageOutlines("a", 0.25, "", Counts(points=points, kept=points), Counter({"2": 3, "": 1}))
    report = OutlineReport("out", "nuclei", 0.25, (made,) * images, *left_out, seconds=1.0)
    monkeypatch.setattr(run, "outline", lambda *_, **__: report)
    return CliRunner().invoke(cli, ["outline", "images", "--points", "points", "-o", "out"])


def test_one_is_no_plural_and_classes_stand_before_their_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    one = said(monkeypatch, 1, 1, (), ())
    assert one.stderr == ""
    assert one.stdout.startswith("out: 1 image with 1 point in 1.0 s: 1 kept, ")
    assert one.stdout.splitlines()[1] == "outlines by class: no class: 1, 2: 3"
    assert said(monkeypatch, 2, 1, (), ()).stdout.startswith("out: 2 images with 2 points in ")


def test_what_is_missing_is_told_for_images_and_for_points(monkeypatch: pytest.MonkeyPatch) -> None:
    done = said(monkeypatch, 1, 1, tuple("abcde"), ("x",))
    assert done.stderr.splitlines() == [
        "warning: without points: 5 images (a, b, c, ...)",
        "warning: without an image: 1 file of points (x)",
    ]
