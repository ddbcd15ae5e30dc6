"""A plain label image, of whatever program, as polygons: block by block as a result, in its own pixels."""

from __future__ import annotations

import json
import math
import os
import uuid
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.colors import PALETTE
from slideseg.errors import ConfigError, SlideError, explain
from slideseg.exports.features import Style, features_of
from slideseg.exports.geojson import only, write_geojson
from slideseg.exports.identity import OURS
from slideseg.exports.trace import trace
from slideseg.model.info import ModelClass
from slideseg.slide.base import channels_of, planes_of
from slideseg.slide.fingerprint import fingerprint
from slideseg.slide.open import MOST_PLAIN_CLASSES, open_labels, open_slide
from slideseg.space.grid import ShardGrid
from slideseg.tasks.progress import Progress, Watcher
from slideseg.version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from slideseg.exports.options import ExportOptions
    from slideseg.slide.base import Slide
    from slideseg.space.box import Box

SIDE = 2048
"""Of the blocks that are traced at once: that of a shard."""
BACKGROUND = 0


class LabelImage:
    """A label image that is exported."""

    def __init__(self, path: str, slide: Slide, options: ExportOptions, watcher: Watcher | None) -> None:
        """Find out what its values are.

        Raises:
            ConfigError: if values are below 0, or options don't fit it.
        """
        self._slide, self._options, self._watcher, self._done = slide, options, watcher, 0
        self.path = path
        """Where it lies."""
        self._grid = ShardGrid(slide.levels[0].shape, planes_of(slide), SIDE)
        self._total = self._grid.planes * math.prod(self._grid.shape_yx)
        values = None if options.labels == "objects" else self._values()
        self.labels = "objects" if values is None or (options.labels == "auto" and _many(values)) else "segmentation"
        """``segmentation`` or ``objects``."""
        self._classes = _classes(values or []) if self.labels == "segmentation" else ()
        guessed = f"its {len(self._classes)} values above 0 are taken for classes: --labels objects if each is an object"
        self.notes = (guessed,) if self._classes and options.labels == "auto" and not options.classes else ()
        """What is to be told of the export."""
        self._chosen = self._choose()

    def _values(self) -> list[int] | None:
        """Return all values; None where there are too many for classes and nobody says that it has such."""
        found: set[int] = set()
        for shard in self._grid:
            found |= set(np.unique(self._read(shard.write_box, shard.plane)).tolist())
            if self._options.labels == "auto" and _many(found):
                return None
        return sorted(found)

    def _choose(self) -> frozenset[int] | None:
        options = self._options
        if options.frame is not None or options.measurements:
            got = "--frame" if options.frame is not None else "--measurements"
            raise ConfigError(explain("a label image has neither bounds nor a table", got=got, want="a result"))
        if not options.classes:
            return None
        known = {one.name: one.id for one in self._classes}
        unknown = [name for name in options.classes if name not in known]
        if unknown:
            want = ", ".join(known) or "none: its values are taken for objects"
            raise ConfigError(explain("there is no such class of regions", got=", ".join(unknown), want=want))
        return frozenset(known[name] for name in options.classes)

    def _read(self, box: Box, plane: int) -> np.ndarray:
        """Return the values of a box.

        Raises:
            ConfigError: if one is below 0.
        """
        values = self._slide.read(box, 0, plane)[..., 0]
        if values.dtype.kind == "i" and values.size and values.min() < BACKGROUND:
            raise ConfigError(explain(f"{self.path} holds values below 0", got=values.min(), want="class ids or instance ids"))
        return values

    def write(self, partial: Path, name: str) -> int:
        """Write the polygons; return how many features."""
        axes = self._slide.axes
        of_objects = self.labels == "objects"
        decided = json.dumps(["label image", fingerprint(self.path), self.labels])
        style = Style(
            scale=(1.0, 1.0),
            object_type=self._options.object_type or ("detection" if of_objects else "annotation"),
            classes=self._classes,
            namespace=uuid.uuid5(OURS, decided),
            simplify=self._options.simplify or 0.0,
            plane_axis=axes[0] if len(axes) == len("zyxc") else None,
            of_objects=() if of_objects else None,
            in_pieces=True,
        )
        about = {"labels": self.path, "version": __version__, "frame": "slide", "frame_corner_xy": [0, 0]}
        return write_geojson(partial, self._features(style), about, name)

    def _features(self, style: Style) -> Iterator[dict[str, Any]]:
        for plane in range(self._grid.planes):

            def read(box: Box, plane: int = plane) -> np.ndarray:
                values = self._read(box, plane)
                self._tell(box.area)
                return values if self._chosen is None else only(values, self._chosen)

            for regions in trace(self._grid, read):
                yield from features_of(regions, plane, style)

    def _tell(self, pixels: int) -> None:
        self._done += pixels
        if self._watcher is not None:
            self._watcher(Progress(self.path, "exporting", self._done, self._total))


def export(
    path: str, partial: Path, name: str, options: ExportOptions, watcher: Watcher | None
) -> tuple[str, int, tuple[str, ...]]:
    """Write the polygons of a label image; return what its values were taken for, how many features there are, and notes.

    An object in several pieces is a feature a piece. Memory: a block, and the outlines that go on in a block to come.

    Raises:
        SlideError: if it is missing, damaged or no image of whole numbers, or a JPEG.
        ConfigError: if it is no label image, or options don't fit it.
    """
    with suppress(SlideError), closing(open_slide(path)) as slide:  # a picture, also one whose form no labels can have
        _check_channels(path, slide)
    with closing(open_labels(path)) as slide:
        _check_channels(path, slide)
        image = LabelImage(os.fspath(path), slide, options, watcher)
        return image.labels, image.write(partial, name), image.notes


def _check_channels(path: str, slide: Slide) -> None:
    """Refuse a picture: somebody took a slide for its result."""
    if (channels := channels_of(slide)) != 1:
        try_ = "the result that slideseg predict makes of it"
        raise ConfigError(explain(f"{path} is no label image", got=f"{channels} channels", want="1", try_=try_))


def _many(values: list[int] | set[int]) -> bool:
    return len(values) > MOST_PLAIN_CLASSES


def _classes(values: list[int]) -> tuple[ModelClass, ...]:
    """Return classes that are called as their values."""
    above = [value for value in values if value != BACKGROUND]
    return tuple(ModelClass(value, str(value), PALETTE[number % len(PALETTE)]) for number, value in enumerate(above))
