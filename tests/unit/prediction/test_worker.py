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
from slideseg.prediction.worker import SegmentWorker
from slideseg.result.create import create_result
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


def test_its_processor_is_asked_too(plan, monkeypatch):
    """The machine that plans may have another one."""
    monkeypatch.setattr("slideseg.model.network.number_format.is_emulated", lambda name: name == "fp16")
    with pytest.raises(ConfigError, match=r"this processor has no fp16"):
        SegmentWorker(replace(plan.job, tiling=replace(plan.job.tiling, precision="fp16")), plan.layout)
