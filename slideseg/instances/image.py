"""The image under the labels, shard by shard: from the result, where it carries every pixel, or from the slide itself."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.arrays.shards import array_attributes, finished_shards, plan_of, read_shard
from slideseg.errors import SlidesegError
from slideseg.slide.base import channels_of
from slideseg.slide.fingerprint import fingerprint
from slideseg.slide.resampled import open_working

if TYPE_CHECKING:
    from slideseg.arrays.plan import ArrayPlan
    from slideseg.result.layout import ResultLayout
    from slideseg.slide.base import Slide
    from slideseg.space.grid import Shard
    from slideseg.storage.store import Store

RGB = ("red", "green", "blue")
"""Names of the channels of a colour image; others are numbered."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image at the working resolution; a value that travels to workers."""

    channels: tuple[str, ...]
    """Names of its channels."""
    path: str | None = None
    """The slide; None for the image in the result."""
    level: int = 0
    """Pyramid level of the slide that is read."""
    factor: float = 1.0
    """Pixels of that level a working pixel."""
    direct: bool = True
    """Whether a part of it can be read without the rest."""

    def open(self, store: Store) -> ImageReader:
        """Open it; ``store`` is the result's.

        Raises:
            SlideError: if the slide can't be opened.
        """
        if self.path is None:
            return ImageReader(store, plan_of(store, "0"), None)
        return ImageReader(store, None, open_working(self.path, self.level, self.factor))


class ImageReader:
    """Reads shards of an image."""

    def __init__(self, store: Store, plan: ArrayPlan | None, slide: Slide | None) -> None:
        self._store, self._plan, self._slide = store, plan, slide

    def read(self, shard: Shard) -> np.ndarray:
        """Return the pixels (y, x, c) of a shard of the labels.

        Raises:
            SlideError: if the slide can't be read there.
            ResultError: if the result's image is damaged there.
        """
        if self._slide is not None:
            return self._slide.read(shard.write_box, 0, shard.plane)
        if self._plan is None:
            msg = "an image is in the result or a slide"
            raise ValueError(msg)
        return np.moveaxis(read_shard(self._store, self._plan, shard.index), 0, -1)


def find_image(store: Store, record: dict[str, Any], layout: ResultLayout, path: str | None = None) -> Image | str:
    """Return the image that a result was made from, or why it can't be had.

    Args:
        store: the result's.
        record: what the run wrote about itself.
        layout: the result's arrays.
        path: where the slide's level 0 is now, if that is known; else it is where it was, and must not have changed.
    """
    kept = _in_result(store, layout)
    return kept if kept is not None else _of_slide(record, layout, path)


def _in_result(store: Store, layout: ResultLayout) -> Image | None:
    """Return the result's own image if it has the slide's own values at the working resolution."""
    about = array_attributes(store, "0").get("slideseg", {})
    if about.get("pixel_yx") != [1.0, 1.0] or about.get("window") is not None:
        return None
    plan = plan_of(store, "0")
    if plan.grid != layout.grid or len(finished_shards(store, plan)) != len(plan.grid):
        return None
    return Image(RGB if about.get("rgb") else _numbers(plan.channels or 1))


def _of_slide(record: dict[str, Any], layout: ResultLayout, path: str | None) -> Image | str:
    facts, run = record.get("slide", {}), record.get("run", {})
    if "factor" not in run or "level" not in run:
        return "the result does not tell how the slide was read"
    where = path or facts["path"]
    try:
        if path is None and fingerprint(where) != facts["fingerprint"]:
            return f"{where} is not the slide any more that the result was made from"
        with closing(open_working(where, run["level"], run["factor"])) as slide:
            rgb = slide.is_rgb and channels_of(slide) == len(RGB)
            names = RGB if rgb else _numbers(channels_of(slide))
            if slide.levels[0].shape != layout.grid.shape_yx:
                return f"{where} has another shape than the result"
            return Image(names, where, run["level"], run["factor"], slide.direct or run["level"] > 0)
    except SlidesegError as error:
        return str(error)


def _numbers(count: int) -> tuple[str, ...]:
    return tuple(str(number) for number in range(count))
