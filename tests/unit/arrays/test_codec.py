"""A shard's bytes are Zarr's, and no damage goes unseen."""

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from slideseg.arrays.codec import (
    DIGEST_BYTES,
    DamagedShardError,
    ShardIndex,
    decode_shard,
    digest_of,
    digest_place,
    encode_shard,
)
from slideseg.arrays.plan import ArrayPlan
from slideseg.arrays.shards import create_array, finished_shards, read_shard, write_shard
from slideseg.storage.store import open_store, zarr_store

PLANS = [
    ArrayPlan("a/0", "yx", (1, 1), 512),
    ArrayPlan("a/0", "yx", (700, 1300), 512),
    ArrayPlan("a/0", "cyx", (3, 600, 300), 512),
    ArrayPlan("a/0", "zyx", (2, 257, 255), 256),
    ArrayPlan("a/0", "czyx", (2, 3, 300, 20), 256),
    ArrayPlan("a/0", "tcyx", (3, 2, 300, 20), 256),
    ArrayPlan("a/0", "yx", (300, 300), 256, "uint32"),
    ArrayPlan("a/0", "cyx", (2, 300, 300), 256, "float32"),
]


def pixels(plan: ArrayPlan) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 5, plan.shape).astype(plan.dtype)


def cut(plan: ArrayPlan, array: np.ndarray, index: int) -> np.ndarray:
    shard = plan.grid[index]
    by_plane = {"z": array[shard.plane] if plan.axes == "zyx" else None, "t": None}.get(plan.axes[0])
    if plan.axes == "tcyx":
        by_plane = array[shard.plane]
    if plan.axes == "czyx":
        by_plane = array[:, shard.plane]
    return (array if by_plane is None else by_plane)[(..., *shard.write_box.slices)]


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"{plan.axes}-{plan.shape}-{plan.dtype}")
def test_zarr_reads_what_we_write(tmp_path, plan):
    store, array = open_store(str(tmp_path / "x.zarr")), pixels(plan)
    create_array(store, plan)
    for index in range(len(plan.grid)):
        assert finished_shards(store, plan) == set(range(index))
        write_shard(store, plan, index, cut(plan, array, index))
    opened = zarr.open_array(zarr_store(store), path=plan.path, mode="r")
    np.testing.assert_array_equal(opened[:], array)
    assert (opened.dtype, opened.shards, opened.chunks) == (array.dtype, plan.shard, plan.chunk)
    assert opened.metadata.dimension_names == tuple(plan.axes)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: f"{plan.axes}-{plan.shape}-{plan.dtype}")
def test_we_read_what_zarr_writes(tmp_path, plan):
    store, array = open_store(str(tmp_path / "x.zarr")), pixels(plan)
    create_array(store, plan)
    zarr.open_array(zarr_store(store), path=plan.path, mode="r+", config={"write_empty_chunks": True})[:] = array
    assert finished_shards(store, plan) == set(range(len(plan.grid))), "zarr's keys are ours"
    for index in range(len(plan.grid)):
        np.testing.assert_array_equal(read_shard(store, plan, index), cut(plan, array, index))


def test_create_array_again_leaves_it_and_refuses_another(tmp_path):
    store = open_store(str(tmp_path / "x.zarr"))
    create_array(store, PLANS[1], {"mine": 1})
    create_array(store, PLANS[1], {"mine": 2})
    assert zarr.open_array(zarr_store(store), path="a/0", mode="r").attrs["mine"] == 1
    with pytest.raises(ValueError, match="is not this result's"):
        create_array(store, PLANS[2])


def place_of_hash(encoded, shape, side=512):
    return digest_place(bytes(encoded), len(encoded), shape[0] if len(shape) == 3 else 1, side)


@given(st.data())
def test_no_flipped_bit_goes_unseen(data):
    shape = data.draw(st.sampled_from([(300, 20), (2, 20, 300)]))
    values = np.random.default_rng(2).integers(0, 3, shape).astype(np.uint8)
    encoded = bytearray(encode_shard(values, 512))
    near_ends = st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, -1, -4, -5, -20])
    place = data.draw(near_ends | st.integers(0, len(encoded) - 1))
    at, shards = place_of_hash(encoded, shape), bytes(encoded)
    encoded[place] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(DamagedShardError):
        digest_of(bytes(encoded), at)
    if not at <= place % len(encoded) < at + DIGEST_BYTES:  # which decides about no pixel
        with pytest.raises(DamagedShardError):
            decode_shard(bytes(encoded), shape, 512, "uint8")
    assert digest_of(shards, at) == shards[at : at + DIGEST_BYTES]


def test_every_bit_of_a_small_shard_matters():
    values = np.arange(6, dtype=np.uint8).reshape(2, 3)
    encoded = encode_shard(values, 256)
    for bit in range(8 * len(encoded)):
        damaged = bytearray(encoded)
        damaged[bit // 8] ^= 1 << bit % 8
        with pytest.raises(DamagedShardError):
            digest_of(bytes(damaged), place_of_hash(encoded, (2, 3), 256))
        if not 0 <= bit // 8 - place_of_hash(encoded, (2, 3), 256) < DIGEST_BYTES:
            with pytest.raises(DamagedShardError):
                decode_shard(bytes(damaged), (2, 3), 256, "uint8")


def test_the_place_of_the_hash_is_found_from_the_end_alone():
    encoded = encode_shard(np.arange(6, dtype=np.uint8).reshape(2, 3), 256)
    length, index = ShardIndex.length(1, 256), ShardIndex.of_tail(encoded, 1, 256)
    assert digest_place(encoded[-length:], len(encoded), 1, 256) == index.end == len(encoded) - length - DIGEST_BYTES
    assert digest_place(encoded[-length:], index.end + length, 1, 256) is None, "as others write it"
    for size in (index.end + length + 1, index.end + length - 1, len(encoded) + 1):
        with pytest.raises(DamagedShardError):
            digest_place(encoded[-length:], size, 1, 256)


@pytest.mark.parametrize("keep", [0, 1, 50, -1, -10])
def test_a_truncated_shard_is_seen(keep):
    encoded = encode_shard(np.ones((300, 300), np.uint8), 512)
    with pytest.raises(DamagedShardError):
        decode_shard(encoded[:keep], (300, 300), 512, "uint8")


def test_a_missing_chunk_is_seen():
    encoded = encode_shard(np.ones((200, 200), np.uint8), 512)
    with pytest.raises(DamagedShardError, match="a chunk is missing"):
        decode_shard(encoded, (300, 200), 512, "uint8")
