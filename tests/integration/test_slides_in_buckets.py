"""Slides that lie in a bucket as scanners wrote them: the result that they have on a disk, whatever the network does."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

import slideseg
from slideseg.errors import ResultError
from slideseg.testing.slides import PatternSlide, write_pyramid
from tests.fault_proxy import Faults, proxy_to
from tests.integration.conftest import run_slideseg
from tests.integration.test_slide_changes import once_begun
from tests.s3_server import running

OWN_WORDS = re.compile(r"(zarr\.json|manifest\.(json|txt))$")
"""What says where a slide lies, and when the result was made."""


@pytest.fixture(scope="module")
def slides(tmp_path_factory, request):
    """A folder of slides: a pyramid in JPEG, an OME-TIFF, and a scanner's own file where there is one."""
    folder = tmp_path_factory.mktemp("slides")
    pixels = PatternSlide((1100, 1300)).read((0, 0, 1100, 1300))
    write_pyramid(folder / "jpeg.tif", pixels, tile=256, compression="jpeg", levels=2, mpp=0.5)
    options = {"photometric": "rgb", "tile": (240, 240), "compression": "zlib", "ome": True, "metadata": {"axes": "YXS"}}
    tifffile.imwrite(folder / "ome.ome.tif", pixels[:700], **options)
    scanned = request.getfixturevalue("data") / "wsi/aperio/CMU-1-Small-Region.svs"
    if scanned.exists():
        (folder / "scanned.svs").write_bytes(scanned.read_bytes())
    return folder


@pytest.fixture(scope="module")
def here(slides, sparse_model, tmp_path_factory):
    """The results of the slides on the disk."""
    out = tmp_path_factory.mktemp("here")
    done = run_slideseg("predict", slides, "-m", sparse_model[0], "-o", out, "-w", 1, "--objects", "--level", 0)
    assert done.status == 0, done.err
    return out


@pytest.fixture
def server(slides, monkeypatch):
    with running() as server:
        server.buckets["lab"] = {f"slides/{path.name}": path.read_bytes() for path in slides.iterdir()}
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        yield server


def pixels_of(found):
    return {key: data for key, data in found.items() if not OWN_WORDS.search(key) and ".zarr/" in key}


def in_folder(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def in_bucket(server, prefix):
    return {key.removeprefix(prefix): data for key, data in server.buckets["lab"].items() if key.startswith(prefix)}


@pytest.mark.ray
def test_a_folder_of_slides_is_segmented_where_it_lies(slides, here, server, sparse_model):
    words = ["predict", "s3://lab/slides/", "-m", sparse_model[0], "-w", 2, "--objects", "--level", 0, "--json"]
    done = run_slideseg(*words, "-o", "s3://lab/out/")
    assert done.status == 0, done.err
    assert len(done.report["slides"]) == len(list(slides.iterdir()))
    assert pixels_of(in_bucket(server, "out/")) == pixels_of(in_folder(here))
    again = run_slideseg(*words, "-o", "s3://lab/out/")
    assert (again.status, {slide["shards"]["computed"] for slide in again.report["slides"]}) == (0, {0})


def test_a_manifest_names_slides_a_pattern_and_a_folder(here, server, sparse_model, tmp_path):
    rows = ["s3://lab/slides/jpeg.tif", "s3://lab/slides/none.svs", "s3://lab/slides/o*", "s3://none/slides"]
    (tmp_path / "slides.csv").write_text("\n".join(["path", *rows]))
    words = [
        "--manifest",
        tmp_path / "slides.csv",
        "-m",
        sparse_model[0],
        "-o",
        tmp_path / "out",
        "-w",
        1,
        "--objects",
        "--level",
        0,
    ]
    done = run_slideseg("predict", *words)
    assert done.status == 1
    assert "no such slide: s3://lab/slides/none.svs" in done.err
    assert "there is no such bucket: s3://none" in done.err
    wanted = {key: data for key, data in pixels_of(in_folder(here)).items() if not key.startswith("scanned")}
    assert pixels_of(in_folder(tmp_path / "out")) == wanted


def test_a_failing_bucket_changes_nothing_but_the_time(here, server, sparse_model, monkeypatch):
    faults = Faults(slow_down=0.1, reset=0.05, truncate=0.05, lose_reply=0.05, jitter=0.02)
    with proxy_to(server.server_port, faults, seed=1) as proxy:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{proxy.server_port}")
        words = ["predict", "s3://lab/slides/jpeg.tif", "-m", sparse_model[0], "-w", 1, "--objects", "--level", 0]
        done = run_slideseg(*words, "-o", "s3://lab/out/jpeg.zarr")
        assert done.status == 0, done.err
        assert min(proxy.happened[kind] for kind in ("truncate", "slow_down")) > 0
    wanted = {key: data for key, data in pixels_of(in_folder(here)).items() if key.startswith("jpeg.zarr")}
    assert pixels_of(in_bucket(server, "out/")) == wanted


def test_a_slide_that_is_overwritten_is_an_error(server, sparse_model, tmp_path):
    url, out = "s3://lab/slides/jpeg.tif", tmp_path / "r.zarr"
    options = {"model": str(sparse_model[0]), "workers": 1, "image": "none"}
    before = server.buckets["lab"]["slides/jpeg.tif"]

    def overwrite():
        server.buckets["lab"]["slides/jpeg.tif"] = server.buckets["lab"]["slides/ome.ome.tif"]

    with pytest.raises(slideseg.SlidesegError, match=r"jpeg.tif has changed while it was"):
        slideseg.predict(url, out, on_progress=once_begun(overwrite), **options)
    with pytest.raises(slideseg.SlidesegError):
        slideseg.open_result(out)
    server.buckets["lab"]["slides/jpeg.tif"] = before
    report = slideseg.predict(url, out, **options)
    assert (report.status, report.slides[0].shards.kept) == ("ok", 0)


def test_a_slide_of_the_same_content_is_the_same_slide(server, sparse_model, tmp_path):
    """Written anew, or a copy."""
    options = {"model": str(sparse_model[0]), "workers": 1, "image": "none"}
    slideseg.predict("s3://lab/slides/ome.ome.tif", tmp_path / "r.zarr", **options)
    server.buckets["lab"]["slides/copy.tif"] = bytes(bytearray(server.buckets["lab"]["slides/ome.ome.tif"]))
    again = slideseg.predict("s3://lab/slides/copy.tif", tmp_path / "r.zarr", **options)
    assert again.slides[0].shards.kept == again.slides[0].shards.total
    server.buckets["lab"]["slides/copy.tif"] += b" "
    with pytest.raises(ResultError):
        slideseg.predict("s3://lab/slides/copy.tif", tmp_path / "r.zarr", **options)


def test_a_damaged_tile_is_found_there_as_on_a_disk(slides, server, sparse_model, tmp_path):
    with tifffile.TiffFile(slides / "jpeg.tif") as tif:
        offset, count = tif.pages[0].dataoffsets[8], tif.pages[0].databytecounts[8]
    content = bytearray(server.buckets["lab"]["slides/jpeg.tif"])
    content[offset : offset + count] = np.random.default_rng(0).bytes(count)
    server.buckets["lab"]["slides/bad.tif"] = bytes(content)
    (tmp_path / "bad.tif").write_bytes(content)
    words = ["-m", sparse_model[0], "-w", 1, "--level", 0]
    failed = run_slideseg("predict", "s3://lab/slides/bad.tif", *words, "-o", tmp_path / "r.zarr")
    assert (failed.status, "tile 8 (rows 256 to 512, columns 512 to 768)" in failed.err) == (1, True), failed.err
    for place, name in (("s3://lab/slides/bad.tif", "there"), (tmp_path / "bad.tif", "here")):
        out = tmp_path / name / "x.zarr"
        out.parent.mkdir()
        done = run_slideseg("predict", place, *words, "-o", out, "--on-bad-tile", "background")
        assert done.status == 0, done.err
    assert pixels_of(in_folder(tmp_path / "there")) == pixels_of(in_folder(tmp_path / "here"))


def test_every_command_reads_it(server):
    url = "s3://lab/slides/ome.ome.tif"
    assert "700 x 1300 x 3" in run_slideseg("info", url).out
    assert run_slideseg("convert", url, "s3://lab/copies/o.zarr").status == 0
    box = (0, 0, 700, 99)
    assert (slideseg.open_slide("s3://lab/copies/o.zarr").read(box) == slideseg.open_slide(url).read(box)).all()
