"""Boxes are read from the chunks that they touch, and from all of them: what is missing is an error, never background."""

import numpy as np
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from slideseg.arrays import shards as module
from slideseg.arrays.boxes import BoxReader
from slideseg.arrays.codec import DIGEST_BYTES, ShardIndex
from slideseg.arrays.plan import ArrayPlan
from slideseg.arrays.shards import create_array, write_shard
from slideseg.errors import ResultError
from slideseg.space.box import Box
from slideseg.storage.store import open_store
from tests.damage import delete_chunk

PLANS = (
    ArrayPlan("labels", "yx", (700, 1300), 512),
    ArrayPlan("stack", "zyx", (2, 700, 600), 512, "uint32"),
    ArrayPlan("channels", "tcyx", (2, 3, 600, 700), 512, "uint16"),
)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory):
    """Arrays of noise in a store, with their values (planes, channels, y, x)."""
    url, random, values = str(tmp_path_factory.mktemp("arrays") / "x.zarr"), np.random.default_rng(0), {}
    store = open_store(url)
    for plan in PLANS:
        create_array(store, plan)
        shape = (plan.grid.planes, plan.channels or 1, *plan.grid.shape_yx)
        values[plan.path] = random.integers(0, 60_000, shape).astype(plan.dtype)
        for shard in plan.grid:
            pixels = values[plan.path][(shard.plane, slice(None), *shard.write_box.slices)]
            write_shard(store, plan, shard.index, pixels if plan.channels else pixels[0])
    return url, values


@given(data=st.data())
def test_a_box_is_what_was_written_there(arrays, data):
    url, values = arrays
    plan = data.draw(st.sampled_from(PLANS))
    rows, columns = plan.grid.shape_yx
    (y0, y1), (x0, x1) = (sorted(data.draw(st.tuples(st.integers(0, side), st.integers(0, side)))) for side in (rows, columns))
    plane, box = data.draw(st.integers(0, plan.grid.planes - 1)), Box(y0, x0, y1, x1)

    got = BoxReader(open_store(url), plan).read(box, plane)

    want = values[plan.path][(plane, slice(None), *box.slices)]
    np.testing.assert_array_equal(got, want if plan.channels else want[0])


def test_only_the_chunks_that_a_box_touches_are_read(arrays, monkeypatch):
    url, _ = arrays
    read = []
    ranges = module.read_ranges
    monkeypatch.setattr(module, "read_ranges", lambda store, key, parts: read.extend(parts) or ranges(store, key, parts))
    monkeypatch.setattr(module, "read_key", None)

    BoxReader(open_store(url), PLANS[0]).read(Box(250, 250, 260, 530))

    assert len(read) == 2 * 2 + 2 * 1, "two rows of chunks: two columns of one shard, one of its neighbour"


def test_around_a_shard_is_what_there_is_of_the_image(arrays):
    url, values = arrays
    plan = PLANS[1]
    for shard in plan.grid:
        pixels, box = BoxReader(open_store(url), plan).around(shard.index, 30)
        assert box == shard.write_box.grow(30).intersect(Box.of_shape(plan.grid.shape_yx))
        np.testing.assert_array_equal(pixels, values["stack"][(shard.plane, 0, *box.slices)])


@pytest.fixture
def damaged(tmp_path):
    """A label image of ones, whose second shard lacks its first chunk."""
    plan = ArrayPlan("labels", "yx", (512, 1024), 512)
    store = open_store(str(tmp_path / "x.zarr"))
    create_array(store, plan)
    for index in range(2):
        write_shard(store, plan, index, np.ones((512, 512), np.uint8))
    delete_chunk(tmp_path / "x.zarr/labels/c/0/1", 512, 0, 0)
    assert zarr.open_array(tmp_path / "x.zarr", path="labels", mode="r")[0, 500:520].tolist() == [1] * 12 + [0] * 8
    return BoxReader(store, plan)


def test_a_missing_chunk_is_an_error_where_it_is_touched_and_only_there(damaged):
    for box in (Box(0, 500, 10, 520), Box(0, 512, 512, 1024)):
        with pytest.raises(ResultError, match=r"^shard labels/c/0/1 is damaged \(got a chunk is missing; try slideseg verify"):
            damaged.read(box)
    assert damaged.read(Box(256, 0, 512, 1024)).all()
    assert damaged.read(Box(0, 0, 512, 512)).all()


def read_a_pixel_of_each_chunk(reader):
    return [reader.read(Box(row, column, row + 1, column + 1)) for row in (0, 256) for column in (0, 256)]


def test_a_missing_shard_and_a_flipped_bit_are_errors_too(damaged, tmp_path):
    shard = tmp_path / "x.zarr/labels/c/0/0"
    data = shard.read_bytes()
    index = ShardIndex.of_tail(data, 1, 512)
    for at in set(range(0, len(data), 97)) - set(range(index.end, index.end + DIGEST_BYTES)):  # of no use to a reader
        shard.write_bytes(data[:at] + bytes([data[at] ^ 8]) + data[at + 1 :])
        with pytest.raises(ResultError, match="shard labels/c/0/0 is damaged"):
            read_a_pixel_of_each_chunk(damaged)
    shard.write_bytes(data[:-100])
    with pytest.raises(ResultError, match="shard labels/c/0/0 is damaged"):
        damaged.read(Box(0, 0, 1, 1))
    shard.unlink()
    with pytest.raises(ResultError, match="shard labels/c/0/0 is missing"):
        damaged.read(Box(0, 0, 1, 1))
