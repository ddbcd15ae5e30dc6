"""Segment a numpy image in memory, with the same exactness as a slide."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np

from slideseg.model.file import LoadedModel
from slideseg.model.load import load_model
from slideseg.prediction.job import Tiling
from slideseg.prediction.segmenter import Segmented, Segmenter
from slideseg.prediction.values import choose_range
from slideseg.slide.array import ArraySlide
from slideseg.slide.mirrored import read_mirrored
from slideseg.space.box import Box

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from slideseg.model.values import Range
    from slideseg.slide.base import Slide

log = logging.getLogger(__name__)

CORE = 1024
"""Side of a tile's core in pixels; the result does not depend on it."""


def segment(
    array: np.ndarray,
    model: str | os.PathLike[str] | LoadedModel = "nuclei",
    *,
    range: str | Sequence[float] | None = None,
) -> np.ndarray:
    """Return the class map (y, x), uint8, of an image (y, x) or (y, x, c) in memory, on the CPU.

    Args:
        array: the image, at the resolution the model wants; uint8, uint16 or float (white is 1).
        model: a bundled model's name, a model file, a training run's folder, or a loaded model.
        range: the values of black and white; ``auto``: percentiles of the whole array; None: those of its type, with a
            warning where the array has others.

    Raises:
        ConfigError: if ``range`` can't be used.
        ModelError: if the model can't be used or the image does not fit it.
        SlideError: if the array is no image.
    """
    loaded = model if isinstance(model, LoadedModel) else load_model(model)
    slide = ArraySlide(array)
    limits, doubts = choose_range(slide, 0, loaded.info, range)
    for doubt in doubts:
        log.warning("%s", doubt)
    return segment_slide(slide, loaded, limits=limits).class_map


def segment_slide(slide: Slide, model: LoadedModel, *, limits: Range | None = None, probabilities: bool = False) -> Segmented:
    """Return what a model says of level 0 of a slide, on the CPU; of a stack the first plane.

    ``limits`` are the values of black and white; None for those of the pixels' type.

    Raises:
        ModelError: if the image does not fit the model.
        SlideError: if the slide can't be read.
    """
    segmenter = Segmenter(model, Tiling(CORE, probabilities=probabilities, range=limits))
    shape = slide.levels[0].shape
    found = np.empty(shape, np.uint8)
    kept = np.empty((model.info.config.out_channels, *shape), np.uint8) if probabilities else None
    reused = 0
    for box in Box.of_shape(shape).split(CORE, CORE):
        part = segmenter(read_mirrored(slide, segmenter.read_box(box)), box)
        found[box.slices] = part.class_map
        if kept is not None and part.probabilities is not None:
            kept[:, *box.slices] = part.probabilities
        reused += part.reused
    return Segmented(found, kept, reused)
