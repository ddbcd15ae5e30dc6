"""What is measured on this slide and this machine before a run: how fast, and how exact."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from slideseg.prediction.segmenter import Segmenter
from slideseg.slide.mirrored import read_mirrored
from slideseg.space.box import Box

if TYPE_CHECKING:
    from slideseg.prediction.job import Job

RATE_CORE = 256
"""Side of the tile that `measure_rate` times, in pixels."""


@dataclass(frozen=True, slots=True)
class TilingError:
    """By how much tiles of another size change what is found."""

    probability: float
    """The largest difference of any probability, 0 to 1 in steps of 1/255."""
    classes: float
    """The share of pixels that get another class."""


def measure_tiling_error(job: Job) -> TilingError:
    """Measure by how much tiling changes what is found, for a network that can't be tiled exactly.

    Compares one tile in the middle of the slide with the same pixels computed as tiles of half its side.
    """
    with closing(job.source.open()) as slide:
        model = job.model.load(job.tiling.fitted)
        rows, columns = job.grid.shape_yx
        stride = model.stride
        side = min(job.tiling.core, max(stride, min(rows, columns) // stride * stride))
        y, x = ((length - side) // 2 // stride * stride if length > side else 0 for length in (rows, columns))
        box = Box(y, x, min(y + side, rows), min(x + side, columns))
        half = max(stride, side // 2 // stride * stride)
        results = []
        for core in (side, half):
            segmenter = Segmenter(model, replace(job.tiling, core=core, probabilities=True))
            pixels = read_mirrored(slide, segmenter.read_box(box), plane=job.grid.planes // 2)
            results.append(segmenter(pixels, box))
    difference = np.abs(np.subtract(*(found.probabilities for found in results), dtype=np.int16)).max()  # type: ignore[arg-type]
    others = np.count_nonzero(results[0].class_map != results[1].class_map) / box.area
    return TilingError(round(float(difference) / 255, 4), round(others, 6))


def measure_rate(job: Job) -> float:
    """Return about how many pixels a second one worker segments on this machine, from one small tile."""
    model = job.model.load(job.tiling.fitted)
    core = max(model.stride, min(job.tiling.core, RATE_CORE) // model.stride * model.stride)
    segmenter = Segmenter(model, replace(job.tiling, core=core))
    box = Box(0, 0, core, core)
    noise = np.random.default_rng(0).random((*segmenter.read_box(box).shape, model.info.input.channels), np.float32)
    threads = torch.get_num_threads()
    torch.set_num_threads(job.threads)
    try:
        segmenter(noise, box)
        started = time.perf_counter()
        segmenter(noise, box)
        return box.area / (time.perf_counter() - started)
    finally:
        torch.set_num_threads(threads)
