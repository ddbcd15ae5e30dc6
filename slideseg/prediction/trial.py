"""What is measured on this slide and this machine before a run: how fast, and how exact."""

from __future__ import annotations

import time
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch

from slideseg.model.network.probabilities import change_of
from slideseg.model.windows.blended import InWindows
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
    """Measure by how much windows change what is found, for a network that can't be tiled exactly.

    Compares a picture in the middle of the slide that four windows cover, where these are blended, with one pass over it.
    """
    model = job.model.load(job.tiling.fitted)
    if not isinstance(model.net, InWindows):
        return TilingError(0.0, 0.0)
    step = model.stride
    y, x = (length // 2 // step * step for length in job.grid.shape_yx)
    with closing(job.source.open()) as slide:
        pixels = read_mirrored(slide, Box(y, x, y + step, x + step).grow(step), plane=job.grid.planes // 2)
    with torch.inference_mode():
        blended, whole = model.net.beside_one_pass(model.preprocess(pixels, job.tiling.range))
    probability, classes = change_of(whole, blended)
    return TilingError(round(probability, 4), round(classes, 6))


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
