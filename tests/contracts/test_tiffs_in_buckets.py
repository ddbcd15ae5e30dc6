"""Every TIFF is in a bucket the slide that it is on a disk: the same facts, the same pixels, the same refusals."""

from __future__ import annotations

import threading
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from slideseg.errors import SlideError, UnreachableError
from slideseg.slide.base import planes_of
from slideseg.slide.open import open_file, open_labels, open_slide
from slideseg.slide.rows import stream
from slideseg.slide.selection import WHOLE, Selection, facts_of
from slideseg.slide.tiff import pages
from slideseg.storage import remote
from slideseg.storage.remote import RemoteError, RemoteFile
from slideseg.testing.slides import write_pyramid
from tests.contracts.test_slides import MADE, REAL, some_boxes
from tests.contracts.test_tiff_variants import variants
from tests.s3_server import running

TOLERANT = Selection(on_bad_tile="background")
ALONE_ON_DISKS = "which OpenSlide reads from disks alone"
TIFFS = ("tiled-", "strips-", "one-strip", "big-", "planar", "tiff-", "imagej-", "ome-channels", "ome-padded")
KINDS = [name for name in MADE if name.startswith(TIFFS)]


@pytest.fixture(scope="module")
def server():
    with running() as server, pytest.MonkeyPatch.context() as patch:
        for name, value in server.environment.items():
            patch.setenv(name, value)
        yield server


def put(server, path):
    server.buckets["lab"] = {path.name: path.read_bytes()}
    server.parts.clear()
    return f"s3://lab/{path.name}"


def told(path, selection=WHOLE):
    """Return the facts of a slide and pixels of each of its levels, or how it is refused."""
    try:
        slide = open_file(path, selection)
    except SlideError as error:
        return str(error).replace(path, "HERE")
    with slide:
        found = [replace(facts_of(slide), path="")]
        for level, facts in enumerate(slide.levels):
            for box in some_boxes(facts.shape, 3):
                for read in (slide.read, slide.scanned, slide.damaged):
                    try:
                        found.append(read(box, level, planes_of(slide) - 1))
                    except SlideError as error:
                        found.append(str(error).replace(path, "HERE"))
        return found


def check(server, path, selection=WHOLE):
    here, there = told(str(path), selection), told(put(server, path), selection)
    if isinstance(there, str) and ALONE_ON_DISKS in there:
        return ALONE_ON_DISKS
    assert type(there) is type(here), (here, there)
    for one, other in zip(here, there, strict=True):
        if isinstance(one, np.ndarray):
            np.testing.assert_array_equal(one, other)
        else:
            assert one == other
    return here


@pytest.mark.parametrize("kind", KINDS)
def test_made_ones(kind, server, tmp_path):
    MADE[kind](tmp_path).close()
    (path,) = [path for path in tmp_path.iterdir() if path.suffix == ".tif"]
    assert not isinstance(check(server, path, TOLERANT if "bad" in kind else WHOLE), str)


def test_real_ones(data, server):
    several = [path for path in variants(data) if "multifile" in path.parts]
    others = [path for path in variants(data) if path not in several]
    read = [not isinstance(check(server, path), str) for path in others]
    assert sum(read) > 50
    assert sum(read) / len(read) > 0.8
    for path in several:
        assert "lies in several files, which are read from disks alone" in told(put(server, path))


def test_scanners_files_that_openslide_reads_are_refused(data, server):
    for name in (name for name in REAL if name.endswith((".ndpi", ".mrxs", ".dcm"))):
        path = data / name
        if path.exists():
            said = told(put(server, path))
            assert "a local copy" in said
            assert (ALONE_ON_DISKS in said) == name.endswith(".ndpi")


def test_large_strips(server, tmp_path, monkeypatch):
    monkeypatch.setattr(pages, "_LARGE", 0)
    monkeypatch.setattr(stream, "BAND_BYTES", 1)
    pixels = np.random.default_rng(0).integers(0, 255, (150, 208, 3), np.uint8)
    for number, options in enumerate(({"compression": "zlib"}, {"compression": "jpeg", "photometric": "rgb"})):
        path = tmp_path / f"{number}.tif"
        tifffile.imwrite(path, pixels, metadata=None, rowsperstrip=56, **options)
        assert not isinstance(check(server, path), str)


@pytest.mark.parametrize("cut", [3, 8, 300, 20_000, -1])
def test_a_file_that_is_cut_off_is_refused_in_the_same_words(server, tmp_path, cut):
    path = tmp_path / "x.tif"
    write_pyramid(path, np.random.default_rng(0).integers(0, 255, (300, 400, 3), np.uint8), tile=64, compression="jpeg")
    path.write_bytes(path.read_bytes()[:cut])
    here, there = told(str(path)), told(put(server, path))
    assert isinstance(here, str)
    assert there == here or cut == 3  # what is shorter than a head is no TIFF


def test_a_shard_is_few_requests(server, tmp_path):
    path = tmp_path / "x.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (1024, 12_288, 3), np.uint8)
    tifffile.imwrite(path, pixels, tile=(256, 256), compression="zlib", photometric="rgb")
    with open_slide(put(server, path)) as slide:
        assert len(server.parts) <= 3
        server.parts.clear()
        slide.read((0, 4096, 1024, 4096 + 1024))
        assert len(server.parts) == 4, "one for each row of tiles"
        assert sum(stop - start for _, start, stop in server.parts) < 1.2 * 16 * 256 * 256 * 3


def test_to_open_a_slide_hardly_waits(server, tmp_path, monkeypatch):
    """What is looked at of its tiles is asked for at once, not one by one."""
    path = tmp_path / "x.tif"
    write_pyramid(path, np.random.default_rng(0).integers(0, 255, (4096, 4096, 3), np.uint8), tile=256, levels=3)
    alone, asked = [], RemoteFile._get

    def counted(self, start, stop):
        alone.append(not threading.current_thread().name.startswith("remote"))
        return asked(self, start, stop)

    monkeypatch.setattr(RemoteFile, "_get", counted)
    open_slide(put(server, path)).close()
    assert sum(alone) <= 6, "two directories, and some tiles that are decoded"
    assert len(alone) > 20


def test_a_label_image_in_jpeg_is_refused_there_too(server, tmp_path):
    path = tmp_path / "x.tif"
    tifffile.imwrite(path, np.zeros((64, 64), np.uint8), tile=(64, 64), compression="jpeg")
    with pytest.raises(SlideError, match="is a JPEG, which changes values"):
        open_labels(put(server, path))
    tifffile.imwrite(path, np.ones((64, 64), np.uint8), tile=(64, 64))
    assert open_labels(put(server, path)).read((0, 0, 64, 64)).all()


@pytest.mark.parametrize("selection", [WHOLE, TOLERANT])
def test_a_bucket_that_fails_is_no_damage(server, tmp_path, selection):
    """Nor is a slide that was replaced: neither becomes background."""
    path = tmp_path / "x.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (1024, 1024, 3), np.uint8)
    tifffile.imwrite(path, pixels, tile=(256, 256), photometric="rgb", compression="zlib")
    with open_file(url := put(server, path), selection) as slide:
        server.buckets["lab"]["x.tif"] += b" "
        with pytest.raises(UnreachableError, match=f"{url} has changed while it was read"):
            slide.read((0, 0, 1024, 1024))
        del server.buckets["lab"]["x.tif"]
        with pytest.raises(UnreachableError, match=f"{url} can't be read .got it is not there any more"):
            slide.read((0, 0, 1024, 1024))


@pytest.mark.parametrize("kind", ["scanned", "channels", "palette"])
def test_whenever_a_bucket_fails_a_slide_is_not_another_one(server, request, monkeypatch, tmp_path, kind):
    """Libraries pass over tags that they can't read: a palette, for one."""
    path, asked = tmp_path / "x.tif", []
    if kind == "scanned":
        path = request.getfixturevalue("data") / "wsi/aperio/CMU-1-Small-Region.svs"
    elif kind == "channels":
        tifffile.imwrite(
            path, np.zeros((3, 300, 300), np.uint16), ome=True, metadata={"axes": "CYX"}, tile=(16, 16), compression="zlib"
        )
    else:
        colours = np.random.default_rng(0).integers(0, 65536, (3, 256), np.uint16)
        tifffile.imwrite(path, np.ones((64, 64), np.uint8), photometric="palette", colormap=colours)
    url = put(server, path)
    monkeypatch.setattr(remote, "BLOCK", 512 if path.stat().st_size < 200_000 else remote.BLOCK)
    read = RemoteFile._get

    def failing(self, start, stop):
        asked.append(start)
        if len(asked) == last:
            raise RemoteError("no answer")
        return read(self, start, stop)

    monkeypatch.setattr(RemoteFile, "_get", failing)
    monkeypatch.setattr(remote, "_kept", remote._Blocks())
    last = 0
    open_file(url, WHOLE).close()
    for last in range(1, len(asked) + 1, 1 + len(asked) // 30):  # noqa: B007 - the server reads it
        asked.clear()
        monkeypatch.setattr(remote, "_kept", remote._Blocks())
        with pytest.raises(UnreachableError, match=r"can't be read \(got no answer"):
            open_file(url, WHOLE)


def test_what_is_there_decides_not_its_name(server, tmp_path):
    path = tmp_path / "x"
    tifffile.imwrite(path, np.ones((64, 64), np.uint8), tile=(64, 64))
    assert open_slide(put(server, path)).shape == (64, 64, 1)
    server.buckets["lab"] |= {"e.svs": b"", "t.svs": b"some text", "p.png": b"\x89PNG\r\n\x1a\n"}
    for name, said in (("e.svs", "is empty"), ("t.svs", "want a TIFF"), ("p.png", "want a TIFF"), ("n.svs", "no such slide")):
        with pytest.raises(SlideError, match=said):
            open_slide(f"s3://lab/{name}")
