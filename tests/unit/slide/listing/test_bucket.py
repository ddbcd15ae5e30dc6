"""Which slides are in a folder of a bucket."""

from __future__ import annotations

import pytest

from slideseg.errors import SlideError
from slideseg.slide.inputs import find_inputs, name_results
from slideseg.slide.listing.bucket import list_bucket
from tests.s3_server import running

KEYS = (
    *("a.svs", "B.ome.tif", "a_label.tif", "a.png", "d.ndpi", "e.mrxs", "notes.txt", ".a.svs", "x[1].tif"),
    *("z.zarr/zarr.json", "r.zarr/zarr.json", "e/Slidedat.ini"),
)
SLIDES = ["s3://lab/slides/B.ome.tif", "s3://lab/slides/a.svs", "s3://lab/slides/x[1].tif", "s3://lab/slides/z.zarr"]


@pytest.fixture(autouse=True)
def bucket(monkeypatch):
    with running() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        server.buckets["lab"] = {f"slides/{key}": b"{}" for key in KEYS}
        server.buckets["lab"]["slides/r.zarr/zarr.json"] = b'{"attributes": {"slideseg": {"run": {}}}}'
        yield server


@pytest.mark.parametrize("url", ["s3://lab/slides", "s3://lab/slides/"])
def test_the_zarrs_and_tiffs_are_slides(url):
    found = list_bucket(url)
    assert found.slides == SLIDES
    local = "of such files only local ones are read"
    assert dict(found.left_out) == {
        "a_label.tif": "label of a.svs",
        "a.png": "a picture of a.svs",
        "d.ndpi": local,
        "e.mrxs": local,
        "r.zarr": "a result",
        "e": "a folder",
    }
    assert found.out_of_reach == {"a.png", "d.ndpi", "e.mrxs"}, "naming them would not help"
    assert list_bucket(url, results=True).slides == sorted([*SLIDES, "s3://lab/slides/r.zarr"])


def test_what_is_called_a_slide_is_not_looked_for(bucket):
    assert find_inputs(["s3://lab/none.svs", "s3://lab/slides/a.svs"]) == ["s3://lab/none.svs", "s3://lab/slides/a.svs"]
    assert bucket.requests == []
    assert find_inputs("s3://lab/slides/a") == ["s3://lab/slides/a"]


def test_a_pattern_stands_for_what_fits():
    assert find_inputs("s3://lab/slides/*.svs") == [SLIDES[1]]
    assert find_inputs("s3://lab/slides/?[1].tif") == [SLIDES[2]]
    assert find_inputs("s3://lab/slides/*") == SLIDES
    with pytest.raises(SlideError, match=r"the folder holds no slides \(got s3://lab/slides/\*\.ndpi, with d\.ndpi \(of such"):
        find_inputs("s3://lab/slides/*.ndpi")


def test_results_go_to_a_folder():
    """Also of a single one, if there might have been more."""
    assert name_results("s3://lab/slides/*.svs", "s3://lab/out").results == ("s3://lab/out/a.zarr",)
    assert name_results("s3://lab/slides/a.svs", "s3://lab/out").results == ("s3://lab/out",)
    assert name_results("s3://lab/slides", "out").results == tuple(f"out/{name}.zarr" for name in ("B", "a", "x[1]", "z"))
