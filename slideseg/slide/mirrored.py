"""Read boxes that leave the slide: behind its edge it is mirrored, as `numpy.pad` does with ``mode="reflect"``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.space.box import Box
from slideseg.space.mirror_index import mirror_index

if TYPE_CHECKING:
    import numpy as np

    from slideseg.slide.base import Slide


def read_mirrored(slide: Slide, box: Box, level: int = 0, plane: int = 0) -> np.ndarray:
    """Return the pixels (y, x, c) of ``box``, which may leave the level on any side, by any distance.

    Law: with ``image`` the whole level and a margin p, ``read_mirrored(slide, Box.of_shape(image.shape[:2]).grow(p))`` is
    ``numpy.pad(image, ((p, p), (p, p), (0, 0)), mode="reflect")``. The edge pixel is not repeated; an image smaller than
    the margin is mirrored again and again; a side of one pixel is that pixel throughout. Only pixels inside are read.

    Raises:
        SlideError: if there is no such level or plane, or its pixels can't be decoded.
    """
    if not box.area or not 0 <= level < len(slide.levels):
        # no pixels to mirror, but a wrong level or plane is still refused by the slide
        return slide.read(Box(0, 0, 0, 0), level, plane).reshape(*box.shape, slide.shape[-1])
    rows, columns = slide.levels[level].shape
    if Box.of_shape((rows, columns)).contains(box):
        return slide.read(box, level, plane)
    ys, xs = mirror_index(box.y0, box.y1, rows), mirror_index(box.x0, box.x1, columns)
    inside = Box(int(ys.min()), int(xs.min()), int(ys.max()) + 1, int(xs.max()) + 1)
    pixels = slide.read(inside, level, plane)
    if box.y0 < 0 or box.y1 > rows:
        pixels = pixels.take(ys - inside.y0, axis=0)
    if box.x0 < 0 or box.x1 > columns:
        pixels = pixels.take(xs - inside.x0, axis=1)
    return pixels
