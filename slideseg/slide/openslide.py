"""Read what OpenSlide reads: scanner formats such as NDPI, MRXS, DICOM, BIF, SCN."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import openslide

from slideseg.errors import SlideError, explain
from slideseg.slide.facts import Facts, make_levels
from slideseg.slide.pixel_size.claims import settle
from slideseg.slide.pixel_size.scanners import openslide_claim
from slideseg.slide.pixel_size.units import to_float
from slideseg.slide.reader import Reader
from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Mapping

_WHITE = 255
_BLOCK = 1024


def vendor_of(path: str) -> str | None:
    """Return OpenSlide's name of the format at ``path``; None if it knows none."""
    try:
        vendor: str | None = openslide.OpenSlide.detect_format(path)
    except openslide.OpenSlideError:
        return None
    return vendor


class OpenSlideSlide(Reader):
    """A slide that OpenSlide reads; transparent pixels become white, as light through glass is."""

    def __init__(self, path: str) -> None:
        """Open the slide at ``path``.

        Raises:
            SlideError: if OpenSlide refuses it.
        """
        try:
            self._handle = openslide.OpenSlide(path)
        except (openslide.OpenSlideError, OSError) as error:
            raise SlideError(explain(f"{path}: OpenSlide can't read it", got=error)) from error
        shapes = [(rows, columns) for columns, rows in self._handle.level_dimensions]
        pixel, notes = settle([openslide_claim(self._handle.properties)])
        super().__init__(
            Facts(
                path=path,
                axes="yxc",
                shape=(*shapes[0], 3),
                dtype=np.dtype(np.uint8),
                levels=make_levels(shapes),
                pixel=pixel,
                is_rgb=True,
                direct=True,
                bounds=_bounds(self._handle.properties),
                notes=notes,
            )
        )

    def close(self) -> None:
        """Release the file."""
        self._handle.close()

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:  # noqa: ARG002  # OpenSlide has no planes
        down = self._handle.level_downsamples[level]
        if down == round(down):
            return self._region(box, level, down)
        # At a fractional downsample OpenSlide shifts pixels by a part of one, differently for each corner. Reading blocks
        # of one fixed grid makes a pixel the same whichever box asks for it.
        out = np.empty((*box.shape, 3), np.uint8)
        whole = Box.of_shape(self.levels[level].shape)
        for block in box.round_out(_BLOCK).intersect(whole).split(_BLOCK, _BLOCK):
            part = block.intersect(box)
            out[part.relative_to(box).slices] = self._region(block, level, down)[part.relative_to(block).slices]
        return out

    def _region(self, box: Box, level: int, down: float) -> np.ndarray:
        """Return the pixels (y, x, 3) of ``box``; OpenSlide takes the corner in whole pixels of level 0."""
        corner = (round(box.x0 * down), round(box.y0 * down))
        try:
            image = self._handle.read_region(corner, level, (box.x1 - box.x0, box.y1 - box.y0))
        except (openslide.OpenSlideError, OSError) as error:
            raise SlideError(explain(f"{self.path}: damaged slide in {box}", got=error)) from error
        return _on_white(np.asarray(image))


def _bounds(properties: Mapping[str, str]) -> Box | None:
    """Return the part of level 0 that was scanned, where OpenSlide says so."""
    sides = [to_float(properties.get(f"openslide.bounds-{side}")) for side in ("y", "x", "height", "width")]
    if any(side is None for side in sides):
        return None
    y, x, height, width = (round(side) for side in sides if side is not None)
    return Box(y, x, y + height, x + width)


def _on_white(rgba: np.ndarray) -> np.ndarray:
    """Return the pixels (y, x, 3) of ``rgba`` (y, x, 4), both uint8, in front of white."""
    alpha = rgba[..., 3:]
    if (alpha == _WHITE).all():
        return np.ascontiguousarray(rgba[..., :3])
    mixed = rgba[..., :3].astype(np.uint32) * alpha + _WHITE * (_WHITE - alpha.astype(np.uint32))
    rgb: np.ndarray = ((mixed + _WHITE // 2) // _WHITE).astype(np.uint8)
    return rgb
