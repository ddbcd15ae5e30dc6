"""Pyramids: labels by mode, images by mean, whole shards, resumable."""

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from slideseg.arrays.plan import ArrayPlan, level_shapes
from slideseg.arrays.pyramid import halved, mean_2x2, mode_2x2, write_pyramid
from slideseg.arrays.shards import create_array, read_shard, write_shard
from slideseg.errors import ResultError
from slideseg.space.grid import ShardGrid
from slideseg.storage.store import open_store
from slideseg.tasks.in_process import InProcessExecutor


def naive(array: np.ndarray, choose) -> np.ndarray:
    height, width = array.shape
    out = np.empty((-(-height // 2), -(-width // 2)), array.dtype)
    for y, x in np.ndindex(out.shape):
        rows, columns = (2 * y, min(2 * y + 1, height - 1)), (2 * x, min(2 * x + 1, width - 1))
        out[y, x] = choose([array[r, c] for r in rows for c in columns])
    return out


def mode(values: list) -> int:
    return min(values, key=lambda v: (-values.count(v), v))


def mean(values: list) -> int:
    return (sum(int(v) for v in values) + 2) // 4


small = hnp.array_shapes(min_dims=2, max_dims=2, max_side=7)


@given(hnp.arrays(st.sampled_from([np.uint8, np.uint32, np.uint64]), small, elements=st.integers(0, 4)))
def test_labels_are_the_naive_mode(labels):
    np.testing.assert_array_equal(mode_2x2(labels), naive(labels, mode))


@given(hnp.arrays(st.sampled_from([np.uint8, np.uint16, np.int16, np.uint32]), small))
def test_images_are_the_rounded_mean(image):
    np.testing.assert_array_equal(mean_2x2(image), naive(image, mean))
    assert mean_2x2(image).dtype == image.dtype


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.bool_])
def test_other_types_keep_their_type(dtype):
    image = np.ones((3, 3), dtype)
    assert mean_2x2(image).dtype == dtype
    assert (mean_2x2(image) == image[:2, :2]).all()


def filled(path, plan: ArrayPlan, array: np.ndarray) -> str:
    store = open_store(str(path))
    create_array(store, plan)
    for shard in plan.grid:
        part = array if plan.grid.planes == 1 else array[shard.plane] if plan.axes != "czyx" else array[:, shard.plane]
        write_shard(store, plan, shard.index, part[(..., *shard.write_box.slices)])
    return str(path)


def reference(array: np.ndarray, function, levels: int) -> list[np.ndarray]:
    out = [array]
    for _ in range(levels - 1):
        out.append(function(out[-1]))
    return out


@settings(max_examples=12)
@given(st.integers(1, 1400), st.integers(1, 1400), st.integers(0, 99))
def test_a_label_pyramid_is_the_mode_of_the_whole_image(tmp_path_factory, height, width, seed):
    labels = np.random.default_rng(seed).integers(0, 3, (height, width)).astype(np.uint8)
    plan = ArrayPlan("l/0", "yx", labels.shape, 256)
    url = filled(tmp_path_factory.mktemp("p") / "x.zarr", plan, labels)
    write_pyramid(url, plan, "mode", len(level_shapes(plan.grid.shape_yx)))
    levels = level_shapes(labels.shape)
    for level, want in enumerate(reference(labels, mode_2x2, len(levels))):
        got = zarr.open_array(url, path=f"l/{level}", mode="r")
        assert got.shape == levels[level]
        np.testing.assert_array_equal(got[:], want)


@pytest.mark.parametrize(("axes", "shape"), [("cyx", (3, 700, 900)), ("tcyx", (2, 3, 700, 520)), ("czyx", (3, 2, 513, 520))])
def test_image_pyramids(tmp_path, axes, shape):
    image = np.random.default_rng(0).integers(0, 255, shape).astype(np.uint16)
    plan = ArrayPlan("0", axes, shape, 256, "uint16")
    url = filled(tmp_path / "x.zarr", plan, image)
    write_pyramid(url, plan, "mean", len(level_shapes(plan.grid.shape_yx)))
    for level, want in enumerate(reference(image, mean_2x2, len(level_shapes(shape[-2:])))):
        np.testing.assert_array_equal(zarr.open_array(url, path=str(level), mode="r")[:], want)


def test_only_what_is_missing_is_computed_and_the_bytes_stay(tmp_path):
    labels = np.random.default_rng(0).integers(0, 3, (1500, 1100)).astype(np.uint8)
    plan = ArrayPlan("l/0", "yx", labels.shape, 256)
    url = filled(tmp_path / "x.zarr", plan, labels)
    total = write_pyramid(url, plan, "mode", len(level_shapes(plan.grid.shape_yx)))
    assert total == sum(len(ShardGrid(shape, 1, 256)) for shape in level_shapes(labels.shape)[1:])
    assert write_pyramid(url, plan, "mode", len(level_shapes(plan.grid.shape_yx))) == 0
    shard = tmp_path / "x.zarr/l/1/c/1/1"
    before = shard.read_bytes()
    shard.unlink()
    assert write_pyramid(url, plan, "mode", len(level_shapes(plan.grid.shape_yx))) == 1
    assert shard.read_bytes() == before


def test_a_missing_shard_below_is_an_error_not_background(tmp_path):
    plan = ArrayPlan("l/0", "yx", (700, 700), 256)
    url = filled(tmp_path / "x.zarr", plan, np.ones((700, 700), np.uint8))
    (tmp_path / "x.zarr/l/0/c/0/1").unlink()
    with pytest.raises(ResultError, match="l/0/c/0/1 is missing"):
        write_pyramid(url, plan, "mode", len(level_shapes(plan.grid.shape_yx)))


class Elsewhere(InProcessExecutor):
    """An executor whose light work is not done by this process."""

    is_here = False
    runs = 0

    def run(self, *arguments, **settings):
        Elsewhere.runs += 1
        return super().run(*arguments, **settings)


@pytest.mark.parametrize(("executor", "runs"), [(InProcessExecutor(), 0), (Elsewhere(), 2)])
def test_levels_are_graphs_of_dask_here_and_tasks_of_the_workers_elsewhere(executor, runs, tmp_path, monkeypatch):
    monkeypatch.setattr(Elsewhere, "runs", 0)
    plan = ArrayPlan("0", "yx", (700, 600), 256)
    store = open_store(str(tmp_path))
    create_array(store, plan)
    for shard in plan.grid:
        write_shard(store, plan, shard.index, np.ones(shard.write_box.shape, np.uint8))

    assert write_pyramid(str(tmp_path), plan, "mode", 3, executor) == 4 + 1
    assert Elsewhere.runs == runs
    assert (read_shard(store, halved(halved(plan)), 0) == 1).all()
