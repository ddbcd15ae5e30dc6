"""What a worker leaves behind in a process that goes on with the next slide."""

import gc
import os
import threading
from dataclasses import replace

import numpy as np
import pytest
import tifffile

from slideseg.errors import ConfigError
from slideseg.model.config import UNetConfig
from slideseg.prediction import worker
from slideseg.prediction.make_plan import make_plan
from slideseg.prediction.options import PredictOptions
from slideseg.prediction.segmenter import Segmenter
from slideseg.prediction.worker import SegmentWorker
from slideseg.result.create import create_result
from slideseg.result.shards import ShardStore
from slideseg.slide.tissue.blocks import BLOCK, TissueMap
from slideseg.tasks import base
from slideseg.testing.models import random_model


@pytest.fixture
def plan(tmp_path, monkeypatch):
    """The plan of a small slide, whose result is begun."""
    expendable = threading.Event()
    expendable.set()
    monkeypatch.setattr(base, "_EXPENDABLE", expendable)  # as in a worker's process, which opens slides itself
    image = np.random.default_rng(0).integers(0, 255, (80, 90, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "x.tif", image, tile=(32, 32), photometric="rgb")
    model = random_model(tmp_path / "m.safetensors", UNetConfig(in_channels=3, base_channels=2, depth=1))
    assert model.stride
    options = PredictOptions(model=str(tmp_path / "m.safetensors"), workers=1, tissue="none")
    plan = make_plan(str(tmp_path / "x.tif"), str(tmp_path / "x.zarr"), options)
    create_result(plan.output, plan.layout, plan.record, overwrite=False)
    return plan


@pytest.mark.parametrize("kept", [True, False])
def test_freed_memory_is_dealt_with_as_planned_and_returned_in_the_end(plan, kept, monkeypatch):
    settled = []
    monkeypatch.setattr(worker, "settle_freed_memory", lambda *, kept: settled.append(kept))
    one = SegmentWorker(replace(plan.job, keeps_freed=kept), plan.layout)
    one(0)
    assert settled == [kept]
    one.close()
    assert settled == [kept, False]


def test_a_worker_that_is_closed_keeps_no_file_open(plan):
    """Not even until Python collects what is left in circles: a process may have a thousand slides by then."""

    def work():
        one = SegmentWorker(plan.job, plan.layout)
        one(0)
        one.close()

    work()
    gc.disable()
    try:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            work()
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        gc.enable()


def test_blocks_with_tissue_have_their_classes_in_whatever_pieces_they_are_computed(plan, tmp_path, monkeypatch):
    """Of a shard with tissue in two corners two pieces are computed, of all of it one."""
    shape = (1000, 900)
    image = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "large.tif", image, tile=(256, 256), photometric="rgb")
    options = PredictOptions(model=plan.job.model.name, workers=1, tissue="none")
    job = make_plan(str(tmp_path / "large.tif"), str(tmp_path / "large.zarr"), options).job
    blocks = np.zeros([-(-side // BLOCK) for side in shape], bool)
    blocks[0, 0] = blocks[-1, -2:] = True
    found, cores = [], []
    run = Segmenter._run
    monkeypatch.setattr(ShardStore, "write", lambda self, shard, class_map, probabilities: found.append(class_map))
    monkeypatch.setattr(
        Segmenter, "_run", lambda self, region, tiles, sheets: cores.extend(tiles) or run(self, region, tiles, sheets)
    )
    for tissue in (None, TissueMap(shape, blocks)):
        cores.clear()
        SegmentWorker(replace(job, output=plan.job.output, tissue=tissue), plan.layout)(0)
    there = np.kron(blocks, np.ones((BLOCK, BLOCK), bool))[: shape[0], : shape[1]]
    assert (found[1] == np.where(there, found[0], 0)).all()
    assert 0 < found[1].sum() < found[0].sum()
    assert sum(tile.write_box.area for tile in cores) == there.sum(), "and nothing else is computed"


def test_its_processor_is_asked_too(plan, monkeypatch):
    """The machine that plans may have another one."""
    monkeypatch.setattr("slideseg.model.network.number_format.is_emulated", lambda name: name == "fp16")
    with pytest.raises(ConfigError, match=r"this processor has no fp16"):
        SegmentWorker(replace(plan.job, tiling=replace(plan.job.tiling, precision="fp16")), plan.layout)
