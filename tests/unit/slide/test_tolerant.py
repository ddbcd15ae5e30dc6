from __future__ import annotations

import numpy as np
import pytest
import zarr

from slideseg.errors import SlideError, UnreachableError
from slideseg.slide.open import open_slide
from slideseg.space.box import Box
from tests.s3_server import running

PIXELS = np.random.default_rng(0).integers(1, 200, (700, 900, 3), np.uint8)


@pytest.fixture
def damaged(tmp_path):
    """An image of which one chunk was cut off."""
    array = zarr.create_array(str(tmp_path / "x.zarr"), shape=PIXELS.shape, chunks=(128, 128, 3), dtype="u1")
    array[:] = PIXELS
    chunk = tmp_path / "x.zarr" / "c" / "3" / "4" / "0"
    chunk.write_bytes(chunk.read_bytes()[:50])
    return tmp_path / "x.zarr"


def test_a_damaged_chunk_is_an_error_unless_it_counts_as_background(damaged):
    with open_slide(damaged) as slide, pytest.raises(SlideError, match="damaged zarr"):
        slide.read((300, 500, 400, 600))
    expected, there = PIXELS.copy(), np.ones(PIXELS.shape[:2], bool)
    expected[256:512, 512:768], there[256:512, 512:768] = 255, False  # the cell of 256 pixels that the chunk is in
    with open_slide(damaged, on_bad_tile="background") as slide:
        assert slide.background == (255, 255, 255)
        assert slide.damaged((500, 700, 520, 790)) == (Box(256, 512, 512, 768),)
        assert slide.damaged((512, 512, 700, 900)) == ()
        for box in [(0, 0, 700, 900), (250, 500, 300, 600), (512, 512, 700, 900), (200, 768, 600, 900)]:
            y0, x0, y1, x1 = box
            for _ in range(2):
                scanned = slide.scanned(box)
                assert (scanned is None) == there[y0:y1, x0:x1].all()
                if scanned is not None:
                    np.testing.assert_array_equal(scanned, there[y0:y1, x0:x1])
                np.testing.assert_array_equal(slide.read(box), expected[y0:y1, x0:x1])


def test_black_is_behind_what_has_no_colours(tmp_path):
    array = zarr.create_array(str(tmp_path / "x.zarr"), shape=(300, 300), chunks=(300, 150), dtype="f4")
    array[:] = 1
    chunk = tmp_path / "x.zarr" / "c" / "0" / "1"
    chunk.write_bytes(b"damage")
    with open_slide(tmp_path / "x.zarr", on_bad_tile="background") as slide:
        pixels = slide.read((0, 0, 300, 300))
        assert pixels.sum() == 0, "the chunk is in all cells"
        assert not slide.scanned((0, 0, 300, 300)).any()


def test_what_a_bucket_does_not_give_is_no_background(damaged, monkeypatch):
    with running() as server:
        files = [path for path in damaged.rglob("*") if path.is_file()]
        server.buckets["lab"] = {path.relative_to(damaged.parent).as_posix(): path.read_bytes() for path in files}
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        with open_slide("s3://lab/x.zarr", on_bad_tile="background") as slide:
            assert slide.damaged((500, 700, 520, 790)) == (Box(256, 512, 512, 768),)
            server.refusal = (403, "AccessDenied")
            with pytest.raises(UnreachableError, match=r"s3://lab/x\.zarr can't be read in .* \(got the store does not"):
                slide.read((0, 0, 300, 300))
