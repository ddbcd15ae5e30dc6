"""Segment a numpy image in memory, with the same exactness as a slide."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np

from slideseg.errors import ConfigError, SlideError, explain
from slideseg.instances.in_memory import Instances, find_instances
from slideseg.instances.options import ObjectOptions, rules_for
from slideseg.instances.rows import RowForm
from slideseg.model.file import LoadedModel
from slideseg.model.load import load_model
from slideseg.model.windows.blended import InWindows
from slideseg.model.windows.described import WINDOW
from slideseg.model.windows.model import in_windows
from slideseg.options import take_options
from slideseg.prediction.choices.resolution import check_resolution
from slideseg.prediction.job import Tiling
from slideseg.prediction.segmenter import Segmented, Segmenter
from slideseg.prediction.values import choose_range
from slideseg.result.image import channel_names
from slideseg.slide.array import ArraySlide
from slideseg.slide.base import planes_of
from slideseg.slide.mirrored import read_mirrored
from slideseg.slide.resampled import AS_IT_IS, ResampledSlide, choose_level
from slideseg.slide.selection import selection_of
from slideseg.space.box import Box
from slideseg.space.nearest_index import nearest_index

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.model.info import ModelInfo
    from slideseg.model.load import Given
    from slideseg.model.values import Range
    from slideseg.slide.base import Slide

log = logging.getLogger(__name__)

CORE = 1024
"""Side of a tile's core in pixels; the result does not depend on it."""


@overload
def segment(
    array: np.ndarray,
    model: Given | Sequence[Given] = "nuclei",
    *,
    objects: Literal[False] = False,
    mpp: float | tuple[float, float] | None = None,
    range: str | Sequence[float] | None = None,
    **more: Any,
) -> np.ndarray: ...


@overload
def segment(
    array: np.ndarray,
    model: Given | Sequence[Given] = "nuclei",
    *,
    objects: Literal[True],
    mpp: float | tuple[float, float] | None = None,
    range: str | Sequence[float] | None = None,
    **more: Any,
) -> Instances: ...


def segment(
    array: np.ndarray,
    model: Given | Sequence[Given] = "nuclei",
    *,
    objects: bool = False,
    mpp: float | tuple[float, float] | None = None,
    range: str | Sequence[float] | None = None,
    **more: Any,
) -> np.ndarray | Instances:
    """Segment an image (y, x) or (y, x, c) in memory, on the CPU.

    A network that can't be tiled exactly runs in windows that are blended, as with ``predict --inexact``.

    Args:
        array: the image; uint8, uint16 or float (white is 1).
        model: a bundled model's name, a model file or folder, a training run's folder, a loaded model or a `slideseg.Model`; of
            several the mean probabilities count.
        objects: return the objects instead of the class map: ``labels, table = slideseg.segment(image, objects=True)``.
        mpp: microns of a pixel, or (y, x) where they differ. The network sees the image at the resolution that it learnt from;
            None: it is there already, and the table has no microns.
        range: the values of black and white; ``auto``: percentiles of the whole array; None: those of its type, with a
            warning where the array has others.
        **more: ``tta`` and ``smooth``, as of `slideseg.load_model`; and with ``objects`` what an object is, fields of
            `ObjectOptions`, such as ``min_area=20.0``; else as the model says.

    Returns:
        The class map (y, x), uint8. With ``objects`` the labels (y, x), instance ids from 1, and the table, a row each, whose
        columns are those of a result's: the same as `slideseg.predict` of a file with that image.

    Raises:
        ConfigError: if ``range``, ``mpp`` or the rules can't be used.
        ModelError: if the model can't be used or the image does not fit it.
        SlideError: if the array is none, or no image.
    """
    use = {name: more.pop(name) for name in ("tta", "smooth") if name in more}
    loaded = _tileable(model if isinstance(model, LoadedModel) and not use else load_model(model, **use))
    options = take_options(ObjectOptions, more, beside=("model", "objects", "mpp", "range", "tta", "smooth"))
    if more and not objects:
        raise ConfigError(explain("rules of objects without objects", got=", ".join(more), try_="objects=True"))
    array = _as_array(array)
    whole = ArraySlide(array, _sides(mpp))
    if planes_of(whole) > 1:
        what, got = "segment takes one image", f"a stack of {planes_of(whole)} planes, as the shape {array.shape} is read"
        try_ = "a plane at a time, or numpy.moveaxis(array, 0, -1) where channels are first"
        raise ConfigError(explain(what, got=got, want="(y, x) or (y, x, c)", try_=try_))
    slide, factors = _at_work(whole, loaded.info)
    limits, doubts = choose_range(slide, 0, loaded.info, range)
    for doubt in doubts:
        log.warning("%s", doubt)
    class_map = segment_slide(slide, loaded, limits=limits).class_map
    if not objects:
        return _back(class_map, array.shape[:2], factors)
    labels, table = _instances(slide, factors, class_map, loaded.info, options)
    return Instances(_back(labels, array.shape[:2], factors), table)


def _as_array(image: object) -> np.ndarray:
    """Return an image as numpy has it, also that of a library whose arrays say what they are to it.

    Raises:
        SlideError: if it is no array.
    """
    if not hasattr(image, "__array__"):
        what, got = "segment takes an array", f"a value of type {type(image).__name__}"
        try_ = "numpy.asarray(image) of an image of another library; of a file slideseg.predict, or open_slide(path).read(box)"
        raise SlideError(explain(what, got=got, want="a numpy image (y, x) or (y, x, c)", try_=try_))
    return np.asarray(image)


def _tileable(model: LoadedModel) -> LoadedModel:
    """Return a model whose result depends on no tile: one that can't be tiled exactly in windows.

    Raises:
        ConfigError: if its cells are too large for windows.
    """
    return model if model.info.network.exact or isinstance(model.net, InWindows) else in_windows(model, WINDOW)


def _sides(mpp: object) -> tuple[float, float] | None:
    """Return the sides (y, x) of a pixel.

    Raises:
        ConfigError: if they can't be that.
    """
    return selection_of(mpp=mpp).mpp  # type: ignore[arg-type] # which refuses what is none


def _at_work(slide: Slide, info: ModelInfo) -> tuple[Slide, tuple[float, float]]:
    """Return a slide at the resolution that the model wants, where both are known, and the sides of its pixels before."""
    if slide.mpp_yx is None or info.input.mpp is None:
        return slide, AS_IT_IS
    level, factors = choose_level(slide, info.input.mpp)
    check_resolution(slide, info.input.mpp, level, factors)
    return slide if factors == AS_IT_IS else ResampledSlide(slide, level, factors), factors


def _back(labels: np.ndarray, shape: tuple[int, ...], factors: tuple[float, float]) -> np.ndarray:
    """Return labels (y, x) on the grid of an image: each pixel has the value that its centre falls on."""
    if factors == AS_IT_IS:
        return labels
    sides = zip(shape, factors, labels.shape, strict=True)
    found: np.ndarray = labels[np.ix_(*(nearest_index(0, want, 1 / factor, have) for want, factor, have in sides))]
    return found


def _instances(
    slide: Slide, factors: tuple[float, float], class_map: np.ndarray, info: ModelInfo, options: ObjectOptions
) -> Instances:
    """Return the objects of a class map at a slide's resolution; ``factors`` are the sides of its pixels in the image."""
    mpp = slide.mpp
    rules = rules_for(info.classes, mpp, options, info.objects.at(mpp, info.input.mpp))
    form = RowForm(
        classes=rules.classes,
        names=tuple(known.name for known in info.classes),
        scale=factors,
        mpp_yx=slide.mpp_yx,
        channels=channel_names(slide, ()),
    )
    return find_instances(class_map, slide.read(Box.of_shape(class_map.shape)), rules, form)


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
    kept = np.empty((model.info.network.out_channels, *shape), np.uint8) if probabilities else None
    reused = 0
    for box in Box.of_shape(shape).split(CORE, CORE):
        part = segmenter(read_mirrored(slide, segmenter.read_box(box)), box)
        found[box.slices] = part.class_map
        if kept is not None and part.probabilities is not None:
            kept[:, *box.slices] = part.probabilities
        reused += part.reused
    return Segmented(found, kept, reused)
