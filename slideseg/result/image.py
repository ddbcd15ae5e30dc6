"""The image under the labels: from the result, where it carries every pixel, or from the slide itself."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from slideseg.arrays.boxes import BoxReader
from slideseg.arrays.shards import missing_shards, plan_of
from slideseg.errors import SlidesegError
from slideseg.result.record import read_image_record
from slideseg.slide.base import channels_of
from slideseg.slide.fingerprint import fingerprint
from slideseg.slide.resampled import Source
from slideseg.slide.selection import WHOLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.arrays.plan import ArrayPlan
    from slideseg.result.layout import ResultLayout
    from slideseg.result.record import RunRecord
    from slideseg.slide.base import Slide
    from slideseg.slide.facts import Channel
    from slideseg.space.box import Box
    from slideseg.storage.store import Store

RGB = ("red", "green", "blue")
"""Names of the channels of a colour image; others have those of the slide, or numbers."""


@dataclass(frozen=True, slots=True)
class Image:
    """An image at the working resolution; a value that travels to workers."""

    channels: tuple[str, ...]
    """Names of its channels."""
    source: Source | None = None
    """The slide; None for the image in the result."""

    def at(self, path: str) -> Image:
        """Return the image with its slide read from another place, such as a temporary copy."""
        return self if self.source is None else replace(self, source=replace(self.source, path=path))

    def open(self, store: Store) -> ImageReader:
        """Open it; ``store`` is the result's.

        Raises:
            SlideError: if the slide can't be opened.
        """
        if self.source is None:
            return CarriedReader(store, plan_of(store, "0"))
        return SlideReader(self.source.open())


@dataclass(frozen=True, slots=True)
class CarriedReader:
    """Reads the image in the result."""

    store: Store
    """The result's."""
    plan: ArrayPlan
    """Level 0 of the image."""

    def read(self, box: Box, plane: int) -> np.ndarray:
        """Return the pixels (y, x, c) of a box of the labels.

        Raises:
            ResultError: if the image is damaged there.
        """
        return np.moveaxis(BoxReader(self.store, self.plan).read(box, plane), 0, -1)

    def close(self) -> None:
        """Do nothing: no file is open."""


@dataclass(frozen=True, slots=True)
class SlideReader:
    """Reads the slide itself."""

    slide: Slide
    """Its level 0 is the working resolution."""

    def read(self, box: Box, plane: int) -> np.ndarray:
        """Return the pixels (y, x, c) of a box of the labels.

        Raises:
            SlideError: if the slide can't be read there.
        """
        return self.slide.read(box, 0, plane)

    def close(self) -> None:
        """Release the slide."""
        self.slide.close()


ImageReader = CarriedReader | SlideReader


def find_image(store: Store, record: RunRecord, layout: ResultLayout, path: str | None = None) -> Image | str:
    """Return the image that a result was made from, or why it can't be had.

    Args:
        store: the result's.
        record: what the run wrote about itself.
        layout: the result's arrays.
        path: where the slide's level 0 is now, if that is known; else it is where it was, and must not have changed.
    """
    kept = _in_result(store, record, layout)
    return kept if kept is not None else _of_slide(record, layout, path)


def channel_names(slide: Slide, known: Sequence[Channel]) -> tuple[str, ...]:
    """Return what the channels of a slide are called: red, green and blue, its own names where each has one, or numbers."""
    if slide.is_rgb and channels_of(slide) == len(RGB):
        return RGB
    return _names(known, channels_of(slide))


def _in_result(store: Store, record: RunRecord, layout: ResultLayout) -> Image | None:
    """Return the result's own image if it has the slide's own values at the working resolution."""
    image = read_image_record(store)
    if image is None or image.pixel_yx != (1.0, 1.0) or image.window is not None:
        return None
    plan = plan_of(store, "0")
    if plan.grid != layout.grid or missing_shards(store, plan):
        return None
    return Image(RGB if image.rgb else _names(record.slide.channels, plan.channels or 1))


def _of_slide(record: RunRecord, layout: ResultLayout, path: str | None) -> Image | str:
    where = path or record.slide.path
    selection = record.run.selection if path is None else WHOLE  # a copy is of what was selected
    source = Source(where, record.run.level, record.run.factors, selection)
    try:
        if path is None and fingerprint(where) != record.slide.fingerprint:
            return f"{where} is not the slide any more that the result was made from"
        with closing(source.open()) as slide:
            if slide.levels[0].shape != layout.grid.shape_yx:
                return f"{where} has another shape than the result"
            return Image(channel_names(slide, record.slide.channels), source)
    except SlidesegError as error:
        return str(error)


def _names(channels: Sequence[Channel], count: int) -> tuple[str, ...]:
    """Return the names of so many channels: the slide's own where each has one, else their numbers."""
    known = tuple(channel.name for channel in channels)
    if all(known) and len(set(known)) == len(known) == count:
        return known
    return tuple(str(number) for number in range(count))
