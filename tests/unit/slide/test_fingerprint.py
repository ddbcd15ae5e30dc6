from __future__ import annotations

import os
import re

import pytest
import zarr

from slideseg.errors import SlideError
from slideseg.slide.fingerprint import content_hash, fingerprint

MIB = 1 << 20


def keep_time(path, content):
    before = path.stat().st_mtime_ns
    path.write_bytes(content)
    os.utime(path, ns=(before, before))


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
    keep_time(file, content)
    assert fingerprint(file) != before


def test_size_and_time_are_seen(file):
    before = fingerprint(file)
    keep_time(file, b"a" * (3 * MIB + 1))
    longer = fingerprint(file)
    os.utime(file, ns=(1, 1))
    assert len({before, longer, fingerprint(file)}) == 3


@pytest.mark.parametrize("size", [0, 1, MIB, MIB + 1, 2 * MIB])
def test_every_byte_of_a_short_file_counts(tmp_path, size):
    path = tmp_path / "x"
    path.write_bytes(b"a" * size)
    before = fingerprint(path)
    for place in {0, size // 2, size - 1} if size else set():
        content = bytearray(b"a" * size)
        content[place] = 1
        keep_time(path, content)
        assert fingerprint(path) != before


def test_a_zarr_changes_with_its_chunks_and_metadata(tmp_path):
    path = tmp_path / "x.zarr"
    array = zarr.create_array(str(path), shape=(20, 20), chunks=(10, 10), dtype="u1")
    array[:] = 1
    seen = {fingerprint(path)}
    array[:10, :10] = 2
    os.utime(path / "c" / "0" / "0", ns=(5, 5))
    seen.add(fingerprint(path))
    metadata = path / "zarr.json"
    keep_time(metadata, metadata.read_bytes().replace(b"10", b"20"))
    seen.add(fingerprint(path))
    (path / "c" / "1" / "1").unlink()
    seen.add(fingerprint(path))
    assert len(seen) == 4


def test_without_times_copies_are_the_same_and_other_sizes_are_not(tmp_path):
    array = zarr.create_array(str(tmp_path / "x.zarr"), shape=(20, 20), chunks=(10, 10), dtype="u1")
    array[:] = 1
    (tmp_path / "x").write_bytes(b"a" * 3 * MIB)
    paths = (tmp_path / "x.zarr", tmp_path / "x")
    with_times, without = ([fingerprint(path, times=times) for path in paths] for times in (True, False))
    for file in tmp_path.rglob("*"):
        os.utime(file, ns=(5, 5))
    assert all(fingerprint(path) != before for path, before in zip(paths, with_times, strict=True))
    assert [fingerprint(path, times=False) for path in paths] == without
    (tmp_path / "x.zarr" / "c" / "1" / "1").unlink()
    (tmp_path / "x").write_bytes(b"a" * (3 * MIB + 1))
    assert all(fingerprint(path, times=False) != before for path, before in zip(paths, without, strict=True))


def test_every_byte_of_a_hashed_file_counts(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"a" * 3 * MIB)
    before, ends = content_hash(path), fingerprint(path)
    keep_time(path, b"a" * (2 * MIB - 9) + b"b" + b"a" * (MIB + 8))
    assert fingerprint(path) == ends
    assert content_hash(path) != before


@pytest.mark.parametrize("hashed", [fingerprint, content_hash])
def test_what_is_missing_is_a_slide_error(tmp_path, hashed):
    with pytest.raises(SlideError, match="can't be read"):
        hashed(tmp_path / "missing")


def test_an_address_is_its_own_fingerprint():
    assert fingerprint("s3://a/b") != fingerprint("s3://a/c")
