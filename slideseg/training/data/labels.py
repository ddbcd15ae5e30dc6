"""Label images as a network is taught with them: class ids and instance ids at the resolution trained at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from skimage.measure import label as connected_components

from slideseg.errors import DataError, explain
from slideseg.slide.base import channels_of
from slideseg.slide.facts import Facts, make_levels
from slideseg.slide.reader import LABEL_TYPES, Reader, same_picture
from slideseg.space.box import Box
from slideseg.space.nearest_index import nearest_index
from slideseg.training.recipe.data import IGNORED, ClassId, Meaning

if TYPE_CHECKING:
    from collections.abc import Mapping

    from slideseg.slide.base import Slide
    from slideseg.training.data.instance_classes import InstanceClasses
    from slideseg.training.recipe.data import MadeClass

_BLOCK = 2048
"""Side of the block of a label image that is read at once, in its own pixels, about."""
_REDUCED_FROM = 2048
"""The labels of an image with a longer side than this may be a reduced copy of its size."""


@dataclass(frozen=True, slots=True)
class View:
    """An image's pixels at the resolution trained at, told in level-0 pixels."""

    shape: tuple[int, int]
    """Rows and columns at the resolution trained at."""
    full_shape: tuple[int, int]
    """Rows and columns of level 0."""
    scale: tuple[float, float]
    """Level-0 pixels a pixel, along y and x: pixel i covers ``i * scale`` to ``(i + 1) * scale``."""


class ClassesAndInstances(Reader):
    """Labels as an image of two channels, int32: class ids and instance ids (0 is none or not known).

    Class 0 is background. Pixels of class `IGNORED` are of no instance.
    """

    def __init__(self, path: str, shape_yx: tuple[int, int], *, may_ignore: bool) -> None:
        facts = Facts(
            path=path,
            axes="yxc",
            shape=(*shape_yx, 2),
            dtype=np.dtype(np.int32),
            levels=make_levels([shape_yx]),
            is_rgb=False,
            direct=True,
        )
        super().__init__(facts, LABEL_TYPES)
        self.may_ignore = may_ignore
        """Whether pixels may be `IGNORED`; they are not looked for where this is False."""


class LabelValues:
    """Turns the values of a label image into class and instance ids, and refuses those that mean nothing."""

    def __init__(
        self,
        meaning: Meaning,
        classes: int,
        values: Mapping[int, ClassId] | None = None,
        class_of: InstanceClasses | None = None,
        made: MadeClass | None = None,
    ) -> None:
        """Take ``values`` (value to class id) for ``classes``; without it, values are class ids below ``classes``.

        Instances are of the classes that ``class_of`` names, or all of class 1. ``made`` is the class that no value stands for.

        Raises:
            DataError: if one of ``values`` stands for a class that is not there.
        """
        self.meaning = meaning
        known = {i: i for i in range(classes)} if values is None else _class_ids(values, classes, made)
        self._ignores = IGNORED in known.values()
        self._instance_classes, self._made = class_of, made
        self.may_ignore = self._ignores or (class_of is not None and class_of.may_ignore)
        """Whether a value stands for `IGNORED`."""
        self._known = np.array(sorted(known), np.int64)
        self._class_of = np.array([known[value] for value in sorted(known)], np.int32)

    def __call__(self, raw: np.ndarray, path: str) -> tuple[np.ndarray, np.ndarray | int]:
        """Return class ids (y, x) and instance ids (y, x), or 0 where these are not known.

        Raises:
            DataError: if a value is not one of the classes, negative, no int32, or an instance without a class.
        """
        if raw.size and raw.dtype.kind == "i" and raw.min() < 0:
            raise DataError(explain(f"{path}: a negative label", got=raw.min(), want="0 or more"))
        if self.meaning == "mask":
            return raw > 0, 0
        if self.meaning == "instances":
            return self._instances(raw, path)
        at = np.minimum(np.searchsorted(self._known, raw), self._known.size - 1)
        if (wrong := self._known[at] != raw).any():
            least = int(raw[wrong].min())
            if self._made is not None and self._made.is_meant(least):
                raise self._made.refused(path, least)
            what, try_ = f"{path}: a label is outside the classes", "`values` to map it, or labels_are: instances or mask"
            raise DataError(explain(what, got=least, want=_listed(self._known.tolist()), try_=try_))
        return self._class_of[at], 0

    def _instances(self, raw: np.ndarray, path: str) -> tuple[np.ndarray, np.ndarray]:
        if raw.size and raw.max() > np.iinfo(np.int32).max:
            raise DataError(explain(f"{path}: an instance id is too large", got=raw.max(), want="less than 2^31"))
        ignored = np.isin(raw, self._known) if self._ignores else None
        class_of = self._instance_classes
        classes = raw > 0 if class_of is None else class_of.of(raw, ignored, path)
        if ignored is not None:
            classes = np.where(ignored, IGNORED, classes)
        elif class_of is None:
            return classes, raw
        return classes, np.where((classes == 0) | (classes == IGNORED), 0, raw)


def _class_ids(values: Mapping[int, ClassId], classes: int, made: MadeClass | None) -> dict[int, int]:
    """Return the class id of every value, `IGNORED` for the word."""
    for class_id in values.values():
        if made is not None and made.is_meant(class_id):
            raise made.refused("data.sources.values", class_id)
        if class_id != "ignore" and not 0 <= class_id < classes:
            want = f"0 to {classes - 1}, or ignore"
            raise DataError(explain("data.sources.values: no such class", got=class_id, want=want))
    return {value: IGNORED if class_id == "ignore" else class_id for value, class_id in values.items()}


def _listed(values: list[int]) -> str:
    shown = ", ".join(map(str, values[:8]))
    return shown if len(values) <= 8 else f"{shown}, ..."


class RasterLabels(ClassesAndInstances):
    """A label image seen at the resolution trained at: each pixel is the label that its centre falls on."""

    def __init__(self, slide: Slide, plane: int, view: View, values: LabelValues) -> None:
        """See ``plane`` of the label image ``slide`` through ``view``; it closes the slide.

        Raises:
            DataError: if the label image has several channels or does not fit the image's shape.
        """
        if channels_of(slide) != 1:
            raise DataError(
                explain(f"{slide.path} is no label image", got=f"{channels_of(slide)} channels", want="1 of whole numbers")
            )
        _check_shape(slide, view.full_shape)
        super().__init__(slide.path, view.shape, may_ignore=values.may_ignore)
        self._slide, self._plane, self._values = slide, plane, values
        self._level, self._scale = _level_for(slide, view)

    def close(self) -> None:
        """Close the label image."""
        self._slide.close()

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:  # noqa: ARG002  # one level, one plane
        out = np.empty((*box.shape, 2), np.int32)
        side = max(1, int(_BLOCK / max(self._scale)))
        for part in box.split(side, side):
            where = part.relative_to(box).slices
            out[where][..., 0], out[where][..., 1] = self._values(self._nearest(part), self.path)
        return out

    def _nearest(self, box: Box) -> np.ndarray:
        """Return the label image's own values at the centres of the pixels of ``box``."""
        if not box.area:
            return np.zeros(box.shape, np.int32)
        shape = self._slide.levels[self._level].shape
        ys = nearest_index(box.y0, box.y1, self._scale[0], shape[0])
        xs = nearest_index(box.x0, box.x1, self._scale[1], shape[1])
        source = Box(int(ys[0]), int(xs[0]), int(ys[-1]) + 1, int(xs[-1]) + 1)
        pixels = self._slide.read(source, self._level, self._plane)[..., 0]
        if pixels.shape == box.shape:
            return pixels
        return np.asarray(pixels[np.ix_(ys - source.y0, xs - source.x0)])


def _level_for(slide: Slide, view: View) -> tuple[int, tuple[float, float]]:
    """Return the coarsest level that is not coarser than the view, and its pixels a pixel of the view along y and x."""
    scales = [
        (view.scale[0] * level.shape[0] / view.full_shape[0], view.scale[1] * level.shape[1] / view.full_shape[1])
        for level in slide.levels
    ]
    fine_enough = [index for index, scale in enumerate(scales) if min(scale) >= 1]
    index = max(fine_enough, default=0)
    return index, scales[index]


def _check_shape(slide: Slide, full_shape: tuple[int, int]) -> None:
    shape = slide.levels[0].shape
    reduced = max(full_shape) > _REDUCED_FROM and same_picture(shape, full_shape)
    if shape != full_shape and not reduced:
        got, want = (f"{rows} x {columns}" for rows, columns in (shape, full_shape))
        raise DataError(explain(f"{slide.path}: the labels do not have their image's shape", got=got, want=want))


def instances_of(class_ids: np.ndarray) -> np.ndarray:
    """Return instance ids (y, x), int32, of class ids: 1 and up for the 4-connected regions of every class above 0.

    Pixels that are `IGNORED` are of no region.
    """
    known = np.where(class_ids == IGNORED, 0, class_ids)
    found = connected_components(known, background=0, connectivity=1)  # type: ignore[no-untyped-call]
    return np.asarray(found, np.int32)


def instances_in(labels: np.ndarray) -> np.ndarray:
    """Return the instance ids (y, x) int32 of labels (y, x, 2); where they name none, the regions of `instances_of`."""
    classes, instances = labels[..., 0], labels[..., 1]
    return instances_of(classes) if classes.any() and not instances.any() else instances.copy()


def median_diameter(instances: np.ndarray) -> float | None:
    """Return the diameter in pixels of the circle as large as the median instance; None where there is no instance."""
    areas = np.unique(instances[instances > 0], return_counts=True)[1]
    return 2 * float(np.sqrt(np.median(areas) / np.pi)) if areas.size else None
