from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from slideseg.slide.rows import stream
from slideseg.slide.rows.stream import RowReader, band_rows
from slideseg.space.box import Box

IMAGE = np.random.default_rng(2).integers(0, 256, (100, 30, 3), dtype=np.uint8)


class Rows:
    """Counts what is decoded."""

    begun = decoded = closed = 0

    def __init__(self) -> None:
        Rows.begun += 1
        self.at = 0

    def read(self, count: int) -> np.ndarray:
        if self.at + count > 100:
            raise EOFError
        self.at += count
        Rows.decoded += count
        return IMAGE[self.at - count : self.at]

    def close(self) -> None:
        Rows.closed += 1


@pytest.fixture
def reader(monkeypatch):
    Rows.begun = Rows.decoded = Rows.closed = 0
    monkeypatch.setattr(stream, "BAND_BYTES", 16 * 90)
    return RowReader(Rows, 100, 90)


def read(reader, box: Box) -> np.ndarray:
    out = np.empty((*box.shape, 3), np.uint8)
    reader.read(box, out)
    return out


@pytest.mark.parametrize("box", [Box(0, 0, 100, 30), Box(15, 3, 17, 9), Box(96, 0, 100, 30), Box(40, 5, 41, 6)])
def test_a_box_is_a_crop_of_the_whole(reader, box):
    np.testing.assert_array_equal(read(reader, box), IMAGE[box.slices])


def test_boxes_from_the_top_decode_each_row_once(reader):
    for y in range(0, 100, 16):
        for x in (0, 10, 20):
            box = Box(y, x, min(y + 16, 100), x + 10)
            np.testing.assert_array_equal(read(reader, box), IMAGE[box.slices])
    assert (Rows.begun, Rows.decoded) == (1, 100)


def test_a_box_above_begins_anew(reader):
    read(reader, Box(90, 0, 91, 1))
    np.testing.assert_array_equal(read(reader, Box(2, 0, 9, 30)), IMAGE[2:9])
    assert (Rows.begun, Rows.closed) == (2, 1)


def test_after_an_error_it_begins_anew(reader, monkeypatch):
    monkeypatch.setattr(Rows, "read", lambda *_: (_ for _ in ()).throw(EOFError("cut off")))
    with pytest.raises(EOFError, match="cut off"):
        read(reader, Box(0, 0, 5, 5))
    monkeypatch.undo()
    np.testing.assert_array_equal(read(reader, Box(0, 0, 5, 5)), IMAGE[:5, :5])
    assert Rows.closed == 1


def test_threads_share_it(reader):
    boxes = [Box(y, 0, y + 7, 30) for y in range(0, 90, 7)]
    with ThreadPoolExecutor(4) as pool:
        for box, pixels in zip(boxes, pool.map(lambda box: read(reader, box), boxes), strict=True):
            np.testing.assert_array_equal(pixels, IMAGE[box.slices])


def test_a_band_is_bounded_in_bytes_and_rows():
    assert all(band_rows(width) * width <= stream.BAND_BYTES for width in (1, 1000, 90_000, 2_000_000))
    assert {band_rows(width) for width in (1, 90_000, 1 << 40)} == {1024, 256, 16}
