"""The tile that fits a budget, and room on the disk."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile

import slideseg
from slideseg.errors import ConfigError
from slideseg.model.config import UNetConfig
from slideseg.model.network.described import DescribedUNet
from slideseg.model.others.described import Cost, OtherNetwork
from slideseg.prediction.choices import budget
from slideseg.prediction.choices.budget import REMOTE_MEMORY, Gpu, check_disk, fit_tile
from slideseg.prediction.options import PredictOptions
from slideseg.slide.array import ArraySlide
from slideseg.space.grid import ShardGrid
from slideseg.testing.models import random_model

GRID = ShardGrid((9000, 9000), 1, 4096)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("model") / "deep.safetensors"
    return ArraySlide(np.zeros((64, 64, 3), np.uint8)), random_model(path, UNetConfig(3, 2, 4, 4)).info


@pytest.mark.parametrize(("tile", "core"), [(572, 384), (573, 384), (571, 368), (204, 16), (4092, 3904)])
def test_cores_of_the_paper_s_depth(facts, tile, core):
    assert fit_tile(*facts, GRID, PredictOptions(tile=tile), 1).core == core


def test_a_tile_without_a_core_is_refused(facts):
    with pytest.raises(ConfigError, match="want at least 204"):
        fit_tile(*facts, GRID, PredictOptions(tile=203), 1)


def test_less_memory_means_a_smaller_tile_and_too_little_is_refused(facts):
    cores = [fit_tile(*facts, GRID, PredictOptions(memory=memory), 1).core for memory in ("1GiB", "2GiB", "64GiB")]
    assert cores == sorted(cores)
    assert cores[0] < cores[-1] == GRID.side
    with pytest.raises(ConfigError, match="does not hold one tile"):
        fit_tile(*facts, GRID, PredictOptions(memory="500MiB"), 1)


def test_freed_memory_is_kept_where_there_is_room_for_it(facts):
    ample = fit_tile(*facts, GRID, PredictOptions(tile=1212, memory="64GiB"), 1)
    tight = fit_tile(*facts, GRID, PredictOptions(tile=1212, memory=str(ample.memory - 1)), 1)
    assert (ample.core, ample.keeps_freed) == (1024, True)
    assert (tight.core, tight.keeps_freed) == (1024, False)
    assert tight.memory < ample.memory


def test_of_two_tiles_that_fit_it_is_the_faster_one(facts):
    """A somewhat smaller tile for which freed memory can be kept, not the largest for which it can't."""
    largest = fit_tile(*facts, GRID, PredictOptions(memory="64GiB"), 1)
    assert (largest.core, largest.keeps_freed) == (GRID.side, True)
    less = fit_tile(*facts, GRID, PredictOptions(memory=str(largest.memory - 1)), 1)
    assert less.core < largest.core
    assert less.keeps_freed


def test_a_slide_in_a_bucket_takes_memory_of_its_own(facts):
    there = ArraySlide(np.zeros((64, 64, 3), np.uint8), path="s3://lab/x.svs")
    here = fit_tile(*facts, GRID, PredictOptions(tile=356), 1)
    assert fit_tile(there, facts[1], GRID, PredictOptions(tile=356), 1) == replace(here, memory=here.memory + REMOTE_MEMORY)


def test_a_gpu_s_features_are_in_its_own_memory(facts):
    """Of a worker's RAM its library takes a part whatever the tile; of the GPU's, a smaller number format takes half."""
    grid = ShardGrid((8192, 8192), 1, 2048)
    cores = [fit_tile(*facts, grid, PredictOptions(), 1, Gpu(free, 2)) for free in (None, 2**40, 3 * 2**26, 2**26, 1)]
    assert [fit.core for fit in cores[:2]] == [2048, 2048]
    assert cores[1].core > cores[2].core > cores[3].core > cores[4].core
    assert len({fit.memory for fit in cores}) == 1
    assert not any(fit.keeps_freed for fit in cores)
    assert all(fit_tile(*facts, grid, PredictOptions(), 1, Gpu(2 * free, 4)) in cores for free in (2**40, 3 * 2**26, 2**26, 1))


def test_no_tensor_is_too_large_for_a_gpu_s_library():
    config = DescribedUNet(UNetConfig(3, 3, 64, 4))
    assert Gpu(None, 2).holds(config, 3904, 1)
    assert not Gpu(None, 2).holds(config, 4096, 1)
    assert not Gpu(None, 2).holds(config, 2048, 8)


def test_a_full_disk_is_told_before_anything_is_written(tmp_path):
    check_disk(str(tmp_path / "new" / "x.zarr"), 1)
    with pytest.raises(ConfigError, match="the disk is too full"):
        check_disk(str(tmp_path / "x.zarr"), 2**60)
    (tmp_path / "there.zarr").mkdir()
    check_disk(str(tmp_path / "there.zarr"), 2**60)


def test_a_file_system_without_a_size_is_not_called_full(tmp_path, monkeypatch):
    monkeypatch.setattr(budget.shutil, "disk_usage", lambda _: SimpleNamespace(total=0, free=0))  # as of /proc
    check_disk(str(tmp_path / "x.zarr"), 1)  # that nothing can be made there is said by who tries


def test_the_room_that_a_result_needs_holds_its_image(tmp_path):
    image = np.random.default_rng(0).integers(0, 255, (1200, 1000, 3), np.uint8)
    tifffile.imwrite(tmp_path / "x.tif", image, tile=(256, 256), photometric="rgb")
    random_model(tmp_path / "m.safetensors", UNetConfig(3, 3, 4, 2))
    needed = {}
    for kept in ("none", "overview", "full"):
        options = {"model": tmp_path / "m.safetensors", "image": kept, "workers": 1}
        needed[kept] = slideseg.plan(tmp_path / "x.tif", tmp_path / f"{kept}.zarr", **options).disk
        slideseg.predict(tmp_path / "x.tif", tmp_path / f"{kept}.zarr", **options)
        files = (path.stat().st_size for path in (tmp_path / f"{kept}.zarr").rglob("*") if path.is_file())
        assert sum(files) <= needed[kept], kept
    assert needed["none"] < needed["overview"] == needed["full"], "a small slide is its own overview"


def foreign(values=300.0, reach=94, obstacles=()):
    cost = Cost(10**6, 10**5, values, 64.0)
    return OtherNetwork("monai", "UNet", {}, 3, 2, 16, reach, obstacles, obstacles, (), cost)


@pytest.mark.parametrize(
    ("network", "core"),
    [(foreign(), 1024), (foreign(2000.0, 400), 432), (foreign(1.0), GRID.side)],
    ids=("as most", "heavy", "light"),
)
def test_tiles_that_decide_the_last_bit_don_t_depend_on_the_memory(facts, network, core):
    info = replace(facts[1], config=network)
    fits = [fit_tile(facts[0], info, GRID, PredictOptions(memory=memory), 1) for memory in ("40GiB", "100GiB", "1000GiB")]
    assert {fit.core for fit in fits} == {fits[0].core}
    assert 0.7 * core < fits[0].core <= core


def test_with_little_memory_they_are_smaller(facts):
    assert fit_tile(facts[0], replace(facts[1], config=foreign()), GRID, PredictOptions(memory="2GiB"), 1).core < 700


def test_a_foreign_network_s_tile_is_its_core_and_its_margin_on_both_sides(facts):
    info = replace(facts[1], config=foreign())
    assert info.network.margin == 112
    assert fit_tile(facts[0], info, GRID, PredictOptions(tile=480), 1).core == 256
    with pytest.raises(ConfigError, match="want at least 240"):
        fit_tile(facts[0], info, GRID, PredictOptions(tile=239), 1)


def test_a_network_without_multiplications_has_large_tiles(facts):
    """Else all tiles would take no time, the smallest too."""
    idle = replace(foreign(values=4.0, reach=0), cost=Cost(0, 0.0, 4.0, 4.0))
    assert fit_tile(facts[0], replace(facts[1], config=idle), GRID, PredictOptions(), 1).core == GRID.side
