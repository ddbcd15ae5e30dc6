"""What a worker leaves behind in a process that goes on with the next slide."""

import gc
import os
import threading

import numpy as np
import tifffile

from slideseg.model.config import UNetConfig
from slideseg.prediction.make_plan import make_plan
from slideseg.prediction.options import PredictOptions
from slideseg.prediction.worker import SegmentWorker
from slideseg.result.create import create_result
from slideseg.tasks import base
from slideseg.testing.models import random_model


def test_a_worker_that_is_closed_keeps_no_file_open(tmp_path, monkeypatch):
    """Not even until Python collects what is left in circles: a process may have a thousand slides by then."""
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

    def work():
        worker = SegmentWorker(plan.job, plan.layout)
        worker(0)
        worker.close()

    work()
    gc.disable()
    try:
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(5):
            work()
        assert len(os.listdir("/proc/self/fd")) == before
    finally:
        gc.enable()
