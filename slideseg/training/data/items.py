"""One labelled image, read as windows: the pixels and labels of any box, with the image's real surroundings."""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from slideseg.model.values import on_unit_scale
from slideseg.slide.base import channels_of
from slideseg.slide.mirrored import read_mirrored
from slideseg.space.box import Box
from slideseg.space.mirror_index import mirror_index
from slideseg.training.data.labels import instances_in

if TYPE_CHECKING:
    from slideseg.model.values import Range
    from slideseg.slide.base import Slide
    from slideseg.training.data.labels import ClassesAndInstances
    from slideseg.training.data.weight_map import WeightMap

HELD_PIXELS = 16 << 20
"""Images of at most so many pixels are decoded once and held in memory."""


@dataclass(frozen=True, slots=True)
class Window:
    """A piece of a labelled image. Behind the image's edge it is mirrored; everywhere else it is what is there."""

    image: np.ndarray
    """Pixels (y, x, c) float32, on the scale where white is 1."""
    classes: np.ndarray
    """Class ids (y, x) uint8, 0 is background, `IGNORED` teaches nothing."""
    instances: np.ndarray
    """Instance ids (y, x) int32, 0 is none; 4-connected regions of each class where the labels name no instances."""
    weights: np.ndarray | None
    """What each pixel counts in the loss (y, x) float32, from the weight map of the whole image; None without one."""
    name: str
    """Name of the image."""
    kind: str
    """Kind of the image."""
    box: Box
    """Where in the image, at the resolution trained at; may leave the image."""
    seed: int = 0
    """Seed of this sample's augmentation; `Sampler.window` sets it."""


@dataclass(frozen=True, slots=True)
class _Pixels:
    """A held image."""

    image: np.ndarray
    """(y, x, c) in the file's own type."""
    classes: np.ndarray
    """(y, x) uint8."""
    instances: np.ndarray
    """(y, x) int32."""


@dataclass(frozen=True, slots=True)
class _Labels:
    """What is known about the pixels of a window, as in `Window`."""

    classes: np.ndarray
    instances: np.ndarray
    weights: np.ndarray | None


@dataclass(frozen=True, slots=True)
class OpenPair:
    """An image and its labels, open, at the resolution trained at and of the same shape."""

    image: Slide
    """The image, or a stack of them."""
    plane: int
    """Plane of the stack; 0 of a single image."""
    labels: ClassesAndInstances
    """Its labels."""
    range: Range | None = None
    """The image's values of black and white; None for those of its type."""

    def close(self) -> None:
        """Close the files."""
        self.image.close()
        self.labels.close()


class Item:
    """One labelled image at the resolution trained at. Safe in several threads; can't be pickled."""

    def __init__(self, name: str, kind: str, pair: OpenPair, channels: int, weight_map: WeightMap | None) -> None:
        """Read windows of ``channels`` channels from ``pair``, whose files the item closes."""
        self.name = name
        """Unique name."""
        self.kind = kind
        """Kind of image."""
        self._pair = pair
        self.shape: tuple[int, int] = pair.labels.levels[0].shape
        """Rows and columns."""
        self.may_ignore = pair.labels.may_ignore
        """Whether pixels may be `IGNORED`."""
        self._channels, self._weight_map = channels, weight_map
        self._held: _Pixels | None = None
        self._weights: np.ndarray | None = None
        self._lock = threading.Lock()

    @property
    def area(self) -> int:
        """Number of pixels."""
        return self.shape[0] * self.shape[1]

    @property
    def held_bytes(self) -> int:
        """Memory that the image takes when it is held, with its labels and weights."""
        pixel = channels_of(self._pair.image) * self._pair.image.dtype.itemsize + 5 + (0 if self._weight_map is None else 4)
        return self.area * pixel

    @property
    def is_held(self) -> bool:
        """Whether the image lies in memory."""
        return self._held is not None

    def hold(self) -> None:
        """Decode the image and its labels into memory, and close the files.

        Raises:
            SlideError: if they can't be decoded.
            DataError: if the labels mean nothing.
        """
        whole = Box.of_shape(self.shape)
        labels = self._pair.labels.read(whole)
        classes = labels[..., 0].astype(np.uint8)
        self._held = _Pixels(self._pair.image.read(whole, 0, self._pair.plane), classes, instances_in(labels))
        self._pair.close()

    def close(self) -> None:
        """Close the files, those that are not closed already."""
        if self._held is None:
            self._pair.close()

    def read(self, box: Box) -> Window:
        """Return the window of ``box``, which may leave the image on any side, by any distance.

        Law: it is the crop of `numpy.pad(..., mode="reflect")` of the whole image and of its labels.

        Raises:
            SlideError: if pixels can't be decoded.
            DataError: if labels mean nothing.
        """
        if self._held is not None:
            image, labels = crop(self._held.image, box), self._held_labels(self._held, box)
        else:
            image, labels = read_mirrored(self._pair.image, box, 0, self._pair.plane), self._read_labels(box)
        scaled = on_unit_scale(image, self._pair.range)  # as `LoadedModel.preprocess`
        if scaled.shape[-1] != self._channels:
            scaled = np.repeat(scaled, self._channels, axis=-1)
        return Window(scaled, labels.classes, labels.instances, labels.weights, self.name, self.kind, box)

    def classes_in(self, box: Box) -> np.ndarray:
        """Return the class ids (y, x) of ``box``, which lies inside the image."""
        if self._held is not None:
            return self._held.classes[box.slices]
        return self._pair.labels.read(box)[..., 0]

    def _held_labels(self, held: _Pixels, box: Box) -> _Labels:
        """Return the labels of ``box``; the weights of the whole image are made when they are first needed."""
        with self._lock:
            if self._weights is None and self._weight_map is not None:
                self._weights = self._weight_map(held.instances)
        weights = None if self._weights is None else crop(self._weights, box)
        return _Labels(crop(held.classes, box), crop(held.instances, box), weights)

    def _read_labels(self, box: Box) -> _Labels:
        """Read the labels of ``box``, and what lies around them as far as the weight map looks.

        So the weights are those of the whole image, up to `slideseg.training.data.weight_map.NEGLIGIBLE`. Only a region that
        names no instance and comes back into sight after leaving it counts as two.
        """
        rows, columns = self.shape
        ys, xs = mirror_index(box.y0, box.y1, rows), mirror_index(box.x0, box.x1, columns)
        inside = Box(int(ys.min()), int(xs.min()), int(ys.max()) + 1, int(xs.max()) + 1)
        seen = inside.grow(0 if self._weight_map is None else self._weight_map.reach).intersect(Box.of_shape(self.shape))
        labels = self._pair.labels.read(seen)
        instances = instances_in(labels)
        weights = None if self._weight_map is None else self._weight_map(instances)
        part = np.ix_(ys - seen.y0, xs - seen.x0)
        return _Labels(labels[part][..., 0].astype(np.uint8), instances[part], None if weights is None else weights[part])


def with_seed(window: Window, seed: int) -> Window:
    """Return the window with the seed of its augmentation."""
    return replace(window, seed=seed)


def crop(array: np.ndarray, box: Box) -> np.ndarray:
    """Return a copy of the pixels of ``box`` of an array (y, x[, c]), mirrored behind its edge as `read_mirrored` does."""
    rows, columns = array.shape[:2]
    if Box.of_shape((rows, columns)).contains(box):
        return array[box.slices].copy()
    return np.asarray(array[np.ix_(mirror_index(box.y0, box.y1, rows), mirror_index(box.x0, box.x1, columns))])
