"""Segment a numpy image in memory, with the same exactness as a slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slideseg.model.file import LoadedModel
from slideseg.model.load import load_model
from slideseg.prediction.job import Tiling
from slideseg.prediction.segmenter import Segmenter
from slideseg.slide.array import ArraySlide
from slideseg.slide.mirrored import read_mirrored
from slideseg.space.box import Box

if TYPE_CHECKING:
    import os

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
    slide = ArraySlide(array)
    segmenter = Segmenter(loaded, Tiling(CORE))
    out = np.empty(slide.levels[0].shape, np.uint8)
    for box in Box.of_shape(out.shape).split(CORE, CORE):
        out[box.slices] = segmenter(read_mirrored(slide, segmenter.read_box(box)), box).class_map
    return out
