from __future__ import annotations

import json
import os
import re
import shutil

import numpy as np
import pytest
import tifffile
import zarr

from slideseg.errors import SlideError, UnreachableError
from slideseg.slide.fingerprint import check_opened, content_hash, fingerprint
from slideseg.slide.listing import identity
from slideseg.storage import waiting
from slideseg.storage.in_bucket import open_remote
from tests.dicom_files import Made, series, write
from tests.s3_server import running
from tests.web_server import serving

MIB = 1 << 20


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "x.tif"
    path.write_bytes(b"a" * 3 * MIB)
    return path


def test_it_is_the_same_again(file):
    assert fingerprint(file) == fingerprint(str(file))
    assert re.fullmatch("[0-9a-f]{64}", fingerprint(file))


@pytest.mark.parametrize("place", [0, MIB - 1, 2 * MIB, 3 * MIB - 1])
def test_changed_ends_are_seen(file, place):
    before = fingerprint(file)
    content = bytearray(file.read_bytes())
    content[place] = 1
    file.write_bytes(content)
    assert fingerprint(file) != before


def test_size_is_seen_and_time_is_not(file):
    before = fingerprint(file)
    os.utime(file, ns=(1, 1))
    assert fingerprint(file) == before
    file.write_bytes(b"a" * (3 * MIB + 1))
    assert fingerprint(file) != before


def test_a_copy_is_the_same_slide(file, tmp_path):
    (tmp_path / "there").mkdir()
    copy = shutil.copyfile(file, tmp_path / "there" / "y.tif")
    assert fingerprint(copy) == fingerprint(file)


def test_pieces_between_the_ends_are_seen(tmp_path):
    path = tmp_path / "x"
    content = bytearray(np.random.default_rng(0).bytes(8 * MIB))
    path.write_bytes(content)
    before = fingerprint(path)
    content[MIB : 7 * MIB] = np.random.default_rng(1).bytes(6 * MIB)
    path.write_bytes(content)
    assert fingerprint(path) != before


@pytest.mark.parametrize("size", [0, 1, MIB, MIB + 1, 2 * MIB])
def test_every_byte_of_a_short_file_counts(tmp_path, size):
    path = tmp_path / "x"
    path.write_bytes(b"a" * size)
    before = fingerprint(path)
    for place in {0, size // 2, size - 1} if size else set():
        content = bytearray(b"a" * size)
        content[place] = 1
        path.write_bytes(content)
        assert fingerprint(path) != before


def test_a_zarr_changes_with_its_chunks_and_metadata_and_not_with_time(tmp_path):
    path = tmp_path / "x.zarr"
    array = zarr.create_array(str(path), shape=(20, 20), chunks=(10, 10), dtype="u1", compressors=None)
    array[:] = 1
    seen = {fingerprint(path)}
    for file in path.rglob("*"):
        os.utime(file, ns=(5, 5))
    assert fingerprint(path) in seen
    array[:10, :10] = 2
    seen.add(fingerprint(path))
    metadata = path / "zarr.json"
    metadata.write_bytes(metadata.read_bytes().replace(b"10", b"20"))
    seen.add(fingerprint(path))
    (path / "c" / "1" / "1").unlink()
    seen.add(fingerprint(path))
    assert len(seen) == 4


def dicom(folder):
    one = series()
    pixels = np.random.default_rng(1).integers(0, 255, (100, 130, 3), dtype=np.uint8)
    write(folder / "0.dcm", Made(pixels, series=one))
    write(folder / "1.dcm", Made(pixels[::2, ::2], series=one, spacing=(0.001, 0.001), number=2))
    write(folder / "other.dcm", Made(pixels))
    return folder / "0.dcm", folder / "1.dcm"


def mrxs(folder):
    (folder / "s").mkdir()
    (folder / "s.mrxs").write_bytes(b"picture")
    (folder / "s" / "Data0000.dat").write_bytes(b"d" * 3 * MIB)
    (folder / "s" / "Slidedat.ini").write_bytes(b"[GENERAL]")
    return folder / "s.mrxs", folder / "s" / "Data0000.dat"


def ome(folder):
    text = "".join(f'<UUID FileName="{name}">u</UUID>' for name in ("a.ome.tif", "b.ome.tif"))
    for k, name in enumerate(("a.ome.tif", "b.ome.tif")):
        tifffile.imwrite(folder / name, np.full((9, 9), k, np.uint8), description=f"<OME>{text}</OME>", metadata=None)
    return folder / "a.ome.tif", folder / "b.ome.tif"


def mosaic(folder):
    (folder / "mosaic.yaml").write_text('tiles: "{row}_{col}.tif"')
    for name in ("0_0.tif", "0_1.tif"):
        tifffile.imwrite(folder / name, np.zeros((9, 9), np.uint8))
    (folder / "result.zarr").mkdir()
    return folder / "mosaic.yaml", folder / "0_1.tif"


def vms(folder):
    (folder / "s.vms").write_text("[Virtual Microscope Specimen]\nImageFile=s.jpg\nMapFile=s_map2.jpg\n")
    (folder / "s.jpg").write_bytes(b"j" * 100)
    (folder / "s_map2.jpg").write_bytes(b"m" * 100)
    return folder / "s.vms", folder / "s_map2.jpg"


@pytest.mark.parametrize("make", [dicom, mrxs, ome, mosaic, vms])
def test_every_file_of_a_slide_counts(tmp_path, make):
    slide, part = make(tmp_path)
    before = fingerprint(slide)
    content = bytearray(part.read_bytes())
    content[-5] ^= 1
    part.write_bytes(content)
    changed = fingerprint(slide)
    assert changed != before
    part.unlink()
    assert fingerprint(slide) not in (before, changed)


def test_any_file_of_a_set_names_the_same_slide(tmp_path):
    slide, part = dicom(tmp_path)
    assert fingerprint(slide) == fingerprint(part) != fingerprint(tmp_path / "other.dcm")
    (tmp_path / "other.dcm").unlink()
    shutil.copytree(tmp_path, tmp_path.parent / f"{tmp_path.name}_copy")
    assert fingerprint(tmp_path) == fingerprint(slide) == fingerprint(tmp_path.parent / f"{tmp_path.name}_copy")


def test_a_folder_of_one_file(tmp_path):
    file = write(tmp_path / "0.dcm", Made(np.zeros((64, 64, 3), np.uint8)))
    assert fingerprint(tmp_path) == fingerprint(file)


def test_a_slide_of_very_many_files(tmp_path):
    for k in range(300):
        (tmp_path / f"{k // 20}_{k % 20}.tif").write_bytes(bytes([k % 7]) * (90 + k % 3))
    (tmp_path / "mosaic.yaml").write_text('tiles: "{row}_{col}.tif"')
    before = fingerprint(tmp_path)
    assert fingerprint(tmp_path / "mosaic.yaml") == before
    (tmp_path / "3_3.tif").write_bytes(b"longer" * 99)
    assert fingerprint(tmp_path) != before


def test_every_byte_of_a_hashed_file_counts(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"a" * 3 * MIB)
    before, ends = content_hash(path), fingerprint(path)
    path.write_bytes(b"a" * (MIB + 20_000) + b"b" + b"a" * (2 * MIB - 20_001))
    assert fingerprint(path) == ends
    assert content_hash(path) != before


@pytest.mark.parametrize("hashed", [fingerprint, content_hash])
def test_what_is_missing_is_a_slide_error(tmp_path, hashed):
    with pytest.raises(SlideError, match="can't be read"):
        hashed(tmp_path / "missing")


@pytest.fixture
def bucket(monkeypatch):
    with running() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        server.buckets["lab"] = {}
        yield server.buckets["lab"]


def test_in_a_bucket_a_file_is_known_by_its_size_and_etag(bucket):
    """So every byte counts, and a copy is the same slide."""
    content = b"II*\0" + bytes(4 * MIB)
    bucket["a.tif"] = bucket["b"] = content
    before = fingerprint("s3://lab/a.tif")
    assert fingerprint("s3://lab/b") == before
    for place in (4, 2 * MIB, 4 * MIB + 3):
        bucket["a.tif"] = content[:place] + b"x" + content[place + 1 :]
        assert fingerprint("s3://lab/a.tif") != before
        with pytest.raises(SlideError, match=r"s3://lab/a\.tif has changed while it was read"):
            check_opened("s3://lab/a.tif", before)
    bucket["a.tif"] = content
    check_opened("s3://lab/a.tif", before)


def test_a_zarr_in_a_bucket_is_known_by_its_keys(bucket, tmp_path, monkeypatch):
    zarr.create_array(str(tmp_path / "x"), shape=(20, 20), chunks=(10, 10), dtype="u1")[:] = 1
    files = {path.relative_to(tmp_path).as_posix(): path.read_bytes() for path in (tmp_path / "x").rglob("*") if path.is_file()}
    bucket.update(files)
    before = fingerprint("s3://lab/x")
    assert fingerprint("s3://lab/x/") == before
    for key in files:
        bucket[key] = bytes([files[key][0] ^ 1]) + files[key][1:]
        assert fingerprint("s3://lab/x") != before, key
        bucket[key] = files[key]
    assert fingerprint("s3://lab/x") == before
    del bucket["x/c/1/1"]
    assert fingerprint("s3://lab/x") != before
    monkeypatch.setattr(identity, "MOST_KEYS", 2)
    few = fingerprint("s3://lab/x")
    bucket["x/c/1/1"] = b""
    assert fingerprint("s3://lab/x") == few, "so many keys alone are listed"


def test_the_metadata_of_levels_counts_however_many_keys_come_before(bucket, monkeypatch):
    monkeypatch.setattr(identity, "MOST_KEYS", 0)
    group = {"attributes": {"ome": {"multiscales": [{"datasets": [{"path": "0"}, {"path": "1"}]}]}}}
    bucket.update({"x/zarr.json": json.dumps(group).encode(), "x/1/zarr.json": b"{}"})
    before = fingerprint("s3://lab/x")
    bucket["x/1/zarr.json"] = b"{ }"
    assert fingerprint("s3://lab/x") != before


def test_on_a_server_without_etags_pieces_count(tmp_path):
    content = bytearray(b"II*\0" + np.random.default_rng(0).bytes(8 * MIB))
    (tmp_path / "x.tif").write_bytes(content)
    with serving(tmp_path) as url:
        assert open_remote(f"{url}/x.tif").version.tag is None
        before = fingerprint(f"{url}/x.tif")
        content[2 * MIB : 7 * MIB] = bytes(5 * MIB)
        (tmp_path / "x.tif").write_bytes(content)
        assert fingerprint(f"{url}/x.tif") != before


def test_a_store_that_fails_is_no_other_slide(monkeypatch):
    monkeypatch.setattr(waiting, "FIRST_PATIENCE", 0.2)
    for name, value in {
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "a",
        "AWS_SECRET_ACCESS_KEY": "b",
    }.items():
        monkeypatch.setenv(name, value)
    for url in ("s3://lab/x.tif", "s3://lab/x.zarr"):
        with pytest.raises(UnreachableError, match=r"can't be read \(got no answer from http://127\.0\.0\.1:9"):
            fingerprint(url)
