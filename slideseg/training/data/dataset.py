"""From the ``data`` part of a recipe to labelled images, at the resolution trained at, for training and for validation."""

from __future__ import annotations

from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slideseg.errors import DataError, explain
from slideseg.slide.base import channels_of
from slideseg.slide.open import open_labels, open_slide
from slideseg.slide.resampled import TOLERANCE, ResampledSlide, choose_level
from slideseg.space.box import Box
from slideseg.training.data.annotations import PolygonLabels, read_annotations
from slideseg.training.data.items import HELD_PIXELS, Item
from slideseg.training.data.labels import ClassesAndInstances, LabelValues, RasterLabels, View, instances_in, median_diameter
from slideseg.training.data.sources import LabelledImage, find_images, is_annotation
from slideseg.training.data.splits import split
from slideseg.training.recipe.data import IGNORED, DataConfig

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.slide.base import Slide
    from slideseg.training.data.weight_map import WeightMap

HELD_BYTES = 2 << 30
"""Memory that held images may take together; those behind it are read box by box."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Labelled images, opened."""

    train: list[Item]
    """To learn from."""
    validation: list[Item]
    """To judge by."""

    def close(self) -> None:
        """Close all files."""
        for item in (*self.train, *self.validation):
            item.close()


def open_data(config: DataConfig, classes: Sequence[str], channels: int, weight_map: WeightMap | None = None) -> TrainingData:
    """Open all images of a recipe, check that they fit, and hold the small ones in memory.

    Args:
        config: the recipe's ``data`` part.
        classes: names of the classes of the labels by id, background first.
        channels: channels of the network's input; grey images become so many equal channels.
        weight_map: weighs the instances; computed once for an image that is held.

    Raises:
        DataError: if files are missing or do not fit together, or labels are outside the classes.
        ConfigError: if the split leaves nothing, or an image does not say its microns per pixel.
        SlideError: if a file can't be read.
    """
    images = find_images(config.sources)
    train, validation = split(images, config.split)
    opener = _Opener(config.mpp, tuple(classes), channels, images)
    budget = HELD_BYTES
    items = {}
    for image in (*train, *validation):
        item = items[image.name] = opener.open(image, weight_map)
        if item.area <= HELD_PIXELS and item.held_bytes <= budget:
            budget -= item.held_bytes
            item.hold()
    return TrainingData([items[image.name] for image in train], [items[image.name] for image in validation])


class _Opener:
    """Opens images at the resolution trained at."""

    def __init__(self, mpp: float | None, classes: tuple[str, ...], channels: int, images: list[LabelledImage]) -> None:
        self._mpp, self._classes, self._channels, self._images = mpp, classes, channels, images
        self._diameters: dict[str, float | None] = {}

    def open(self, image: LabelledImage, weight_map: WeightMap | None) -> Item:
        """Return the image with its labels; nothing is decoded yet."""
        with ExitStack() as closed_on_failure:
            slide = closed_on_failure.enter_context(closing(open_slide(image.image_path)))
            self._check_channels(slide)
            level, factor = self._resolution(slide, image)
            resampled = ResampledSlide(slide, level, factor)
            view = _view(slide, level, factor, resampled.levels[0].shape)
            labels = self._labels(image, view)
            closed_on_failure.pop_all()
        return Item(image.name, image.kind, (resampled, image.plane or 0, labels), self._channels, weight_map)

    def _check_channels(self, slide: Slide) -> None:
        if (got := channels_of(slide)) not in {1, self._channels}:
            try_ = "input.channels"
            raise DataError(explain(f"{slide.path}: the wrong number of channels", got=got, want=self._channels, try_=try_))

    def _resolution(self, slide: Slide, image: LabelledImage) -> tuple[int, float]:
        """Return the level to read and by how much to shrink it."""
        source = image.source
        if slide.mpp is None and source.object_diameter is not None:
            factor = (self._diameter(image) or self._usual_diameter(image) or source.object_diameter) / source.object_diameter
            return 0, 1.0 if abs(factor - 1) <= TOLERANCE else factor
        if self._mpp is None:
            return 0, 1.0
        return choose_level(slide, self._mpp, source.mpp)

    def _diameter(self, image: LabelledImage) -> float | None:
        """Return the diameter of the median instance of an image, in its own pixels; None where there is none."""
        if image.name not in self._diameters:
            shape = image.shape
            if shape[0] * shape[1] > HELD_PIXELS:
                what = f"{image.image_path} is too large for object_diameter"
                raise DataError(explain(what, got=f"{shape[0]} x {shape[1]}", try_="mpp in data.sources"))
            with closing(self._labels(image, View(shape, shape, (1.0, 1.0)))) as labels:
                pixels = labels.read(Box.of_shape(shape))
            self._diameters[image.name] = median_diameter(instances_in(pixels))
        return self._diameters[image.name]

    def _usual_diameter(self, image: LabelledImage) -> float | None:
        """Return the diameter that is the median of all images of the same kind from the same source."""
        alike = [other for other in self._images if other.kind == image.kind and other.source is image.source]
        known = [diameter for other in alike if (diameter := self._diameter(other)) is not None]
        return float(np.median(known)) if known else None

    def _labels(self, image: LabelledImage, view: View) -> ClassesAndInstances:
        source = image.source
        if is_annotation(image.label_path):
            unannotated = IGNORED if source.unannotated == "ignore" else 0
            return PolygonLabels(read_annotations(image.label_path, self._classes), view, unannotated)
        if source.labels_are is None:
            raise DataError(explain(f"what are the values in {image.label_path}?", want="labels_are"))
        values = LabelValues(source.labels_are, len(self._classes), source.values)
        return RasterLabels(open_labels(image.label_path), image.plane or 0, view, values)


def _view(slide: Slide, level: int, factor: float, shape: tuple[int, int]) -> View:
    (rows, columns), (level_rows, level_columns) = slide.levels[0].shape, slide.levels[level].shape
    return View(shape, (rows, columns), (rows / level_rows * factor, columns / level_columns * factor))
