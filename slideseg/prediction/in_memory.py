"""Segment a numpy image in memory, with the same exactness as a slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slideseg.model.file import LoadedModel
from slideseg.model.load import load_model
from slideseg.prediction.job import Tiling
from slideseg.prediction.segmenter import Segmented, Segmenter
from slideseg.slide.array import ArraySlide
from slideseg.slide.mirrored import read_mirrored
from slideseg.space.box import Box

if TYPE_CHECKING:
    import os

    from slideseg.slide.base import Slide

CORE = 1024
"""Side of a tile's core in pixels; the result does not depend on it."""


def segment(array: np.ndarray, model: str | os.PathLike[str] | LoadedModel = "nuclei") -> np.ndarray:
    """Return the class map (y, x), uint8, of an image (y, x) or (y, x, c) in memory, on the CPU.

    Args:
        array: the image, at the resolution the model wants; uint8, uint16 or float (white is 1).
        model: a bundled model's name, a model file, a training run's folder, or a loaded model.

    Raises:
        ModelError: if the model can't be used or the image does not fit it.
        SlideError: if the array is no image.
    """
    loaded = model if isinstance(model, LoadedModel) else load_model(model)
    return segment_slide(ArraySlide(array), loaded).class_map


def segment_slide(slide: Slide, model: LoadedModel, *, probabilities: bool = False) -> Segmented:
    """Return what a model says of level 0 of a slide, on the CPU; of a stack the first plane.

    Raises:
        ModelError: if the image does not fit the model.
        SlideError: if the slide can't be read.
    """
    segmenter = Segmenter(model, Tiling(CORE, probabilities=probabilities))
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
