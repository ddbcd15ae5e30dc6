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
from slideseg.slide.tissue.blocks import BLOCK
from slideseg.space.box import Box

if TYPE_CHECKING:
    from slideseg.prediction.job import Job

PLACES = 3
"""Where windows are compared with one pass."""
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

    Compares pictures that four windows cover, spread over the tissue, where these are blended, with one pass over each.
    """
    model = job.model.load(job.tiling.fitted)
    if not isinstance(model.net, InWindows):
        return TilingError(0.0, 0.0)
    changes, pixels = [], 0
    with closing(job.source.open()) as slide, torch.inference_mode():
        for core in _places(job, model.stride):
            seen = read_mirrored(slide, core.grow(model.stride), plane=job.grid.planes // 2)
            height, width = core.intersect(Box.of_shape(job.grid.shape_yx)).shape
            both = model.net.beside_one_pass(model.preprocess(seen, job.tiling.range))
            probability, classes = change_of(*(p_NKHW[..., :height, :width] for p_NKHW in both))
            changes.append((probability, classes * height * width))
            pixels += height * width
    return TilingError(round(max(most for most, _ in changes), 4), round(sum(others for _, others in changes) / pixels, 6))


def _places(job: Job, step: int) -> list[Box]:
    """Return a few cells of a grid, spread over the tissue."""
    is_known = job.tissue is not None and job.tissue.blocks.any()
    side = BLOCK if is_known else step
    blocks = job.tissue.blocks if is_known else np.ones([-(-length // step) for length in job.grid.shape_yx], bool)  # type: ignore[union-attr]
    middles = np.minimum(np.argwhere(blocks) * side + side // 2, np.array(job.grid.shape_yx) - 1)
    cells = np.unique(middles // step, axis=0)
    chosen = cells[np.unique(np.linspace(0, len(cells) - 1, PLACES).round().astype(int))]
    return [Box(y, x, y + step, x + step) for y, x in (chosen * step).tolist()]


def measure_rate(job: Job) -> float:
    """Return about how many pixels a second one worker segments on this machine.

    A small tile is timed; one of the run takes as much longer as there is more to multiply in it, margins and all.
    """
    model = job.model.load(job.tiling.fitted)
    network = model.info.network
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
        seconds = time.perf_counter() - started
        return float(job.tiling.core**2 / (seconds * network.work(job.tiling.core) / network.work(core)))
    finally:
        torch.set_num_threads(threads)
