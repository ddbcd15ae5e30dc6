"""R9: the GPU's memory holds fewer tiles than a batch has, and then no tile as large; the run goes on with what it holds."""

import pytest
import tifffile
import torch

import slideseg
from slideseg.errors import RunError
from slideseg.prediction.segmenter import Segmenter
from tests.integration.conftest import array_bytes
from tests.reliability import report
from tests.reliability.conftest import OPTIONS

SIDE, TILE = 256, 64
"""Sixteen tiles in a shard."""


@pytest.fixture
def gpu(monkeypatch):
    """Return what sets how many tiles fit; PyTorch says as it does of a GPU when there are more."""
    logits, sizes = Segmenter._logits, []

    def holds(tiles_that_fit, side=TILE):
        def of_full_gpu(segmenter, tiles):
            sizes.append(len(tiles))
            if len(tiles) > tiles_that_fit or max(tile.shape[-1] for tile in tiles) > side:
                raise torch.OutOfMemoryError
            return logits(segmenter, tiles)

        monkeypatch.setattr(Segmenter, "_logits", of_full_gpu)
        return sizes

    return holds


@pytest.fixture(scope="module")
def made(workload, tmp_path_factory):
    """Return what segments a corner of the slide in batches of 16, in this process, and returns the bytes."""
    slide = tmp_path_factory.mktemp("corner") / "corner.tif"
    tifffile.imwrite(slide, tifffile.imread(workload.slide, key=0)[:SIDE, :SIDE])

    def bytes_of(out, tile=TILE):
        slideseg.predict(slide, out, model=workload.model, workers=1, tile=tile, batch=16, **OPTIONS)
        return array_bytes(out)

    return bytes_of


def test_a_full_gpu_ends_no_run_and_changes_no_byte(made, gpu, tmp_path):
    wanted = made(tmp_path / "wanted.zarr")
    held = (7, 3, 1)
    for number in held:
        sizes = gpu(number)
        assert made(tmp_path / f"{number}.zarr") == wanted
        assert max(sizes) > number >= min(sizes)
    report("R9", runs=len(held), identical=len(held), smallest_batch=min(held))


def test_a_gpu_that_holds_no_tile_as_large_ends_no_run_and_changes_no_byte(made, gpu, tmp_path, caplog):
    wanted = made(tmp_path / "wanted.zarr")
    sizes = gpu(2, TILE)
    assert made(tmp_path / "halved.zarr", SIDE) == wanted
    said = [record.getMessage() for record in caplog.records if "does not hold" in record.getMessage()]
    assert said[-1] == "the GPU's memory does not hold a tile of 76 pixels: going on with 60"
    assert len(said) == len({*said})
    assert len(sizes) == (SIDE // (60 - 2 * 22)) ** 2 + len(said)  # what did not fit is not tried again


def test_a_gpu_that_does_not_hold_one_tile_is_told(made, gpu, tmp_path):
    gpu(0)
    with pytest.raises(RunError, match="does not hold one tile"):
        made(tmp_path / "none.zarr")
