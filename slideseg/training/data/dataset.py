"""From the ``data`` part of a recipe to labelled images, at the resolution trained at, for training and for validation.

`check_data` looks at the heads of all files, `open_data` at their pixels as well. So what only pixels can tell (a label
outside the classes, a file that is cut off) is found by whoever opens the data, and the rest by whoever asks for a training.
"""

from __future__ import annotations

import logging
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from slideseg.errors import DataError, explain
from slideseg.polygons import is_polygons
from slideseg.result.edits import SUFFIX as CORRECTED
from slideseg.slide.base import channels_of
from slideseg.slide.open import open_labels, open_slide
from slideseg.slide.resampled import AS_IT_IS, TOLERANCE, ResampledSlide, choose_level
from slideseg.slide.values.doubt import doubt_of_values
from slideseg.slide.values.measured import measure_values
from slideseg.space.box import Box
from slideseg.training.data.annotations import PolygonLabels, read_annotations
from slideseg.training.data.corrected import read_corrected
from slideseg.training.data.doubtful_labels import LabelDoubts
from slideseg.training.data.instance_classes import InstanceClasses, read_instance_classes
from slideseg.training.data.items import HELD_PIXELS, Item, OpenPair
from slideseg.training.data.labels import ClassesAndInstances, LabelValues, RasterLabels, View, instances_in, median_diameter
from slideseg.training.data.sampling import check_shares
from slideseg.training.data.sources import LabelledImage, find_images
from slideseg.training.data.splits import split_sources
from slideseg.training.recipe.data import IGNORED, DataConfig, MadeClass
from slideseg.words import many

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.model.values import Range
    from slideseg.slide.base import Slide
    from slideseg.slide.values.doubt import Doubt
    from slideseg.slide.values.measured import Values
    from slideseg.training.data.weight_map import WeightMap

log = logging.getLogger(__name__)

HELD_BYTES = 2 << 30
"""Memory that held images may take together; those behind it are read box by box."""


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Labelled images, opened."""

    train: list[Item]
    """To learn from."""
    validation: list[Item]
    """To judge by."""
    notes: tuple[str, ...] = ()
    """What their user should know of the images."""
    label_notes: tuple[str, ...] = ()
    """... and of their labels, whose pixels were looked at."""

    def close(self) -> None:
        """Close all files."""
        for item in (*self.train, *self.validation):
            item.close()


@dataclass(frozen=True, slots=True)
class FoundImages:
    """Labelled images, by their files."""

    every: list[LabelledImage]
    """All that the sources hold, also those that the split leaves out."""
    train: list[LabelledImage]
    """To learn from."""
    validation: list[LabelledImage]
    """To judge by."""
    notes: tuple[str, ...] = ()
    """What their user should know."""

    @classmethod
    def of(cls, config: DataConfig) -> FoundImages:
        """Find and split the images of a recipe.

        Raises:
            DataError: if files are missing or do not pair up.
            ConfigError: if the split leaves nothing.
            SlideError: if a file can't be opened.
        """
        every = find_images(config.sources)
        return cls(every, *split_sources(every, config.split))

    @property
    def used(self) -> list[LabelledImage]:
        """Those to learn from and those to judge by."""
        return [*self.train, *self.validation]


def check_data(config: DataConfig, classes: Sequence[str], channels: int, made: MadeClass | None = None) -> FoundImages:
    """See whether the images of a recipe and their labels fit, without decoding any; return what there is.

    Args:
        config: the recipe's ``data`` part.
        classes: names of the classes of the labels by id, background first.
        channels: channels of the network's input.
        made: the class that is made from instances.

    Raises:
        DataError: if files are missing or do not fit together, or polygons or instances are of unknown classes.
        ConfigError: if the split leaves nothing, an image does not say its microns per pixel, or ``sampling.shares`` don't fit.
        SlideError: if a file can't be opened.
    """
    found = FoundImages.of(config)
    opener = _Opener(config.mpp, tuple(classes), channels, found.every, made)
    for image in found.used:
        opener.check(image)
    check_shares(config.sampling, {image.kind for image in found.train})
    return replace(found, notes=opener.notes)


def open_data(
    config: DataConfig,
    classes: Sequence[str],
    channels: int,
    weight_map: WeightMap | None = None,
    made: MadeClass | None = None,
) -> TrainingData:
    """Open all images of a recipe, check that they fit, and hold the small ones in memory.

    Args:
        config: the recipe's ``data`` part.
        classes: names of the classes of the labels by id, background first.
        channels: channels of the network's input; grey images become so many equal channels.
        weight_map: weighs the instances; computed once for an image that is held.
        made: the class that is made from instances.

    Raises:
        DataError: if files are missing or do not fit together, or labels are outside the classes.
        ConfigError: if the split leaves nothing, or an image does not say its microns per pixel.
        SlideError: if a file can't be read.
    """
    found = FoundImages.of(config)
    opener = _Opener(config.mpp, tuple(classes), channels, found.every, made)
    log.info("reading %s and their labels", many(len(found.used), "image"))
    budget = HELD_BYTES
    items = {}
    for image in found.used:
        item = items[image.name] = opener.open(image, weight_map)
        if item.area <= HELD_PIXELS and item.held_bytes <= budget:
            budget -= item.held_bytes
            item.hold()
    train, validation = ([items[image.name] for image in part] for part in (found.train, found.validation))
    return TrainingData(train, validation, opener.notes, opener.label_doubts.notes)


class _Opener:
    """Opens images at the resolution trained at."""

    def __init__(
        self,
        mpp: float | None,
        classes: tuple[str, ...],
        channels: int,
        images: list[LabelledImage],
        made: MadeClass | None,
    ) -> None:
        """Take all ``images`` there are: where one holds no object, those of its kind say how large objects are."""
        self._mpp, self._classes, self._channels, self._images, self._made = mpp, classes, channels, images, made
        self._diameters: dict[str, float | None] = {}
        self._values: dict[str, Values | None] = {}
        self._doubts: dict[str, list[Doubt]] = {}
        self.label_doubts = LabelDoubts()

    @property
    def notes(self) -> tuple[str, ...]:
        """What is to be told of the images that were checked or opened, by source."""
        how = "range: [{}]", "range: auto in data.sources"
        return tuple(
            f"{many(len(doubts), 'image')} of {source}: {doubts[0].in_words(*how)}" for source, doubts in self._doubts.items()
        )

    def check(self, image: LabelledImage) -> None:
        """See whether an image and its labels fit the recipe and each other, as far as their files' heads tell."""
        with closing(open_slide(image.image_path)) as slide:
            self._check_channels(slide)
            if self._goes_by_objects(slide, image):
                _check_measurable(image)
                level = 0
            else:
                level, _ = self._level(slide, image)
            self._range(slide, level, image)
            full = slide.levels[0].shape
            self._labels(image, View(full, full, (1.0, 1.0))).close()

    def open(self, image: LabelledImage, weight_map: WeightMap | None) -> Item:
        """Return the image with its labels; nothing is decoded yet, but labels whose objects say the resolution."""
        with ExitStack() as closed_on_failure:
            slide = closed_on_failure.enter_context(closing(open_slide(image.image_path)))
            self._check_channels(slide)
            level, factors = self._resolution(slide, image)
            resampled = ResampledSlide(slide, level, factors)
            view = _view(slide, level, factors, resampled.levels[0].shape)
            labels = self._labels(image, view)
            limits = self._range(slide, level, image)
            self.label_doubts.look(image)
            closed_on_failure.pop_all()
        pair = OpenPair(resampled, image.plane or 0, labels, limits)
        return Item(image.name, image.kind, pair, self._channels, weight_map)

    def _range(self, slide: Slide, level: int, image: LabelledImage) -> Range | None:
        """Return an image's values of black and white; note it where they may be other ones than those it is taken to have."""
        said, path = image.source.range, image.image_path
        if said != "auto" and slide.dtype.itemsize == 1:
            return said
        if path not in self._values:
            self._values[path] = measure_values(slide, level)
        seen = self._values[path]
        if said == "auto":
            return None if seen is None else seen.limits
        if doubt := doubt_of_values(slide.dtype, seen, said):
            self._doubts.setdefault(image.source.images, []).append(doubt)
        return said

    def _check_channels(self, slide: Slide) -> None:
        if (got := channels_of(slide)) not in {1, self._channels}:
            try_ = "input.channels"
            raise DataError(explain(f"{slide.path}: the wrong number of channels", got=got, want=self._channels, try_=try_))

    def _resolution(self, slide: Slide, image: LabelledImage) -> tuple[int, tuple[float, float]]:
        """Return the level to read and by how much to shrink it."""
        if not self._goes_by_objects(slide, image):
            return self._level(slide, image)
        wanted = image.source.object_diameter or 1.0
        factor = (self._diameter(image) or self._usual_diameter(image) or wanted) / wanted
        return 0, AS_IT_IS if abs(factor - 1) <= TOLERANCE else (factor, factor)

    def _goes_by_objects(self, slide: Slide, image: LabelledImage) -> bool:
        """Tell whether the size of an image's objects says its resolution."""
        return slide.mpp is None and image.source.object_diameter is not None

    def _level(self, slide: Slide, image: LabelledImage) -> tuple[int, tuple[float, float]]:
        """Return the level that the microns per pixel ask for, and by how much to shrink it."""
        return (0, AS_IT_IS) if self._mpp is None else choose_level(slide, self._mpp, image.source.mpp)

    def _diameter(self, image: LabelledImage) -> float | None:
        """Return the diameter of the median instance of an image, in its own pixels; None where there is none."""
        if image.name not in self._diameters:
            _check_measurable(image)
            shape = image.shape
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
        if is_polygons(image.label_path):
            unannotated = IGNORED if source.unannotated == "ignore" else 0
            annotations = read_annotations(image.label_path, self._classes, image.bounds, source.frame, self._made)
            return PolygonLabels(annotations, view, unannotated)
        if source.labels_are is None:
            raise DataError(explain(f"what are the values in {image.label_path}?", want="labels_are"))
        class_of = None if image.classes_path is None else self._instance_classes(image.classes_path)
        values = LabelValues(source.labels_are, len(self._classes), source.values, class_of, self._made)
        return RasterLabels(open_labels(image.label_path), image.plane or 0, view, values)

    def _instance_classes(self, path: str) -> InstanceClasses:
        read = read_corrected if path.lower().endswith(CORRECTED) else read_instance_classes
        return read(path, self._classes, self._made)


def _check_measurable(image: LabelledImage) -> None:
    """Refuse an image whose labels are too large to be looked at for their objects' size."""
    rows, columns = image.shape
    if rows * columns > HELD_PIXELS:
        what = f"{image.image_path} is too large for object_diameter"
        raise DataError(explain(what, got=f"{rows} x {columns}", try_="mpp in data.sources"))


def _view(slide: Slide, level: int, factors: tuple[float, float], shape: tuple[int, int]) -> View:
    scale = slide.levels[level].scale
    return View(shape, slide.levels[0].shape, (scale[0] * factors[0], scale[1] * factors[1]))
