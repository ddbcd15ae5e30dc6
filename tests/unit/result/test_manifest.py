"""A manifest names every file, binds it to its place, and costs the last bytes of each shard."""

from pathlib import Path

import numpy as np
import pytest
import zarr

from slideseg.arrays import shards
from slideseg.arrays.plan import ArrayPlan
from slideseg.arrays.shards import create_array, write_shard
from slideseg.errors import ResultError
from slideseg.result.manifest import MAP_PART, OBJECTS_PART, OURS, is_whole, part_of, read_manifest, seals_of, write_manifest
from slideseg.storage.store import open_store
from tests.damage import flipped

PLAN = ArrayPlan("labels/segmentation/0", "yx", (700, 600), 256)


@pytest.fixture
def store(tmp_path):
    made = open_store(tmp_path / "x.zarr")
    create_array(made, PLAN)
    for shard in PLAN.grid:
        write_shard(made, PLAN, shard.index, np.full(shard.write_box.shape, shard.index, np.uint8))
    return made


def test_shards_are_sealed_by_their_ends_alone(store, monkeypatch):
    monkeypatch.setattr(shards, "read_key", None)
    seals = seals_of(store, [PLAN], [])
    assert set(seals) == {f"{PLAN.path}/zarr.json", *PLAN.shard_keys()}
    assert all(is_whole(store, key, seal) for key, seal in seals.items())
    sizes = {key: (store.folder / key).stat().st_size for key in seals}
    assert {key: seal.size for key, seal in seals.items()} == sizes


def test_shards_of_one_value_are_not_taken_for_each_other(store):
    seals = seals_of(store, [PLAN], [])
    one, other = f"{PLAN.path}/c/0/0", f"{PLAN.path}/c/0/1"
    assert seals[one].size == seals[other].size, "their indices are the same too"
    first, second = ((store.folder / key).read_bytes() for key in (one, other))
    (store.folder / one).write_bytes(second)
    (store.folder / other).write_bytes(first)
    assert not is_whole(store, one, seals[one])
    assert not is_whole(store, other, seals[other])


def test_every_byte_counts(store):
    seals = seals_of(store, [PLAN], [])
    for key in (f"{PLAN.path}/c/2/2", f"{PLAN.path}/zarr.json"):
        file = store.folder / key
        data = file.read_bytes()
        for at in range(len(data)):
            file.write_bytes(flipped(data, at))
            assert not is_whole(store, key, seals[key])
        for other in (b"", data[:-1], data + b"\0"):
            file.write_bytes(other)
            assert not is_whole(store, key, seals[key])
        file.unlink()
        assert not is_whole(store, key, seals[key])


def test_shards_that_carry_no_hash_are_read(store):
    array = zarr.open_array(store.folder, path=PLAN.path, mode="r+", config={"write_empty_chunks": True})
    array[:256, :256] = 9
    seal = seals_of(store, [PLAN], [])[f"{PLAN.path}/c/0/0"]
    assert seal.at is None
    assert is_whole(store, f"{PLAN.path}/c/0/0", seal)


def test_what_is_missing_or_damaged_is_not_sealed(store):
    with pytest.raises(ResultError, match="labels/x is missing"):
        seals_of(store, [], ["labels/x"])
    file = store.folder / PLAN.path / "c/1/1"
    data = file.read_bytes()
    for other in (data[:-1], data[:20], flipped(data, len(data) - 2), data[:1] + data):
        file.write_bytes(other)
        with pytest.raises(ResultError, match="c/1/1 is damaged"):
            seals_of(store, [PLAN], [])
    file.unlink()
    with pytest.raises(ResultError, match="c/1/1 is missing"):
        seals_of(store, [PLAN], [])


def test_a_manifest_is_read_back_and_a_changed_one_is_none(store):
    seals = seals_of(store, [PLAN], [])
    sha256 = write_manifest(store, MAP_PART, seals)
    assert read_manifest(store, MAP_PART, sha256) == seals
    file = store.folder / MAP_PART.manifest
    data = file.read_bytes()
    assert write_manifest(store, MAP_PART, dict(reversed(seals.items()))) == sha256, "whatever the order"
    assert file.read_bytes() == data
    file.write_bytes(flipped(data, 100))
    assert read_manifest(store, MAP_PART, sha256) is None
    file.unlink()
    assert read_manifest(store, MAP_PART, sha256) is None


@pytest.mark.parametrize(
    ("key", "is_ours"),
    [
        ("zarr.json", True),
        ("0/zarr.json", True),
        ("12/c/0/0/0", True),
        ("probabilities/zarr.json", True),
        ("labels/objects/3/c/0/1", True),
        ("tables/objects.parquet", True),
        ("notes.txt", False),
        ("labels/mine/0/c/0/0", False),
        ("labels/segmentation/.DS_Store", False),
        ("0/c/0/0/readme", False),
        ("tables/mine.parquet", False),
    ],
)
def test_keys_of_ours_and_of_others(key, is_ours):
    assert bool(OURS.fullmatch(key)) == is_ours


def test_objects_and_their_table_are_a_part_of_their_own():
    assert {part_of(key) for key in ("tables/objects.parquet", "labels/objects/zarr.json")} == {OBJECTS_PART}
    assert {part_of(key) for key in ("zarr.json", "labels/zarr.json", "labels/segmentation/0/c/0/0")} == {MAP_PART}
    assert Path(MAP_PART.copy).parent == Path(MAP_PART.manifest).parent
