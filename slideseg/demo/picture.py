"""The demonstration's picture: a slide and what was found on it."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from skimage.segmentation import find_boundaries

from slideseg.result.result import open_result
from slideseg.slide.open import open_slide
from slideseg.space.box import Box

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

PANEL = 1024
"""Pixels a side of each of the picture's three panels."""
ZOOM = 2
"""Magnification of the picture's details."""
BAND = 512
"""Rows of the class map that are read at once."""
MARK = np.array([255, 235, 0], np.uint8)
"""Colour of what was found."""


def draw(slide_path: Path, result_path: Path) -> Image.Image:
    """Return a picture of three panels: the slide with what was found, a detail of the slide, and its nuclei outlined.

    The detail lies in the slide's middle, where four shards meet. The result must have objects.
    """
    result = open_result(str(result_path))
    ids: Any = result.segmentation
    objects: Any = result.objects
    rows, columns = ids.shape
    detail = PANEL // ZOOM
    window = Box(0, 0, detail, detail).shift((rows - detail) // 2, (columns - detail) // 2)
    with closing(open_slide(slide_path)) as slide:
        pixels = slide.read(window)
        whole = slide.read(Box.of_shape(slide.levels[-1].shape), level=len(slide.levels) - 1)
    enlarged = np.asarray(Image.fromarray(pixels).resize((PANEL, PANEL), Image.Resampling.BICUBIC))
    found = np.kron(np.asarray(objects[window.slices]), np.ones((ZOOM, ZOOM), np.uint32))
    edges = find_boundaries(found)  # type: ignore[no-untyped-call]
    outlined = np.where(edges[..., None], MARK, enlarged)
    overview = tint(np.asarray(Image.fromarray(whole).resize((PANEL, PANEL), Image.Resampling.BOX)), density(ids, PANEL))
    frame(overview, window, PANEL / rows)
    gap = np.full((PANEL, 16, 3), 255, np.uint8)
    return Image.fromarray(np.hstack([overview, gap, enlarged, gap, outlined]))


def density(ids: Any, side: int) -> NDArray[np.float64]:
    """Return the share of nuclei in each block of a grid of ``side`` x ``side`` blocks, read band by band."""
    step = ids.shape[0] // side
    bands = (np.asarray(ids[y : y + BAND]) > 0 for y in range(0, side * step, BAND))
    return np.concatenate([band.reshape(BAND // step, step, side, step).mean((1, 3)) for band in bands])


def tint(image: NDArray[np.uint8], share: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Return the image with `MARK` mixed in by ``share``."""
    weight = share[..., None]
    return (weight * MARK + (1 - weight) * image).round().astype(np.uint8)


def frame(image: NDArray[np.uint8], window: Box, scale: float) -> None:
    """Draw a black frame around ``window``, given in pixels that are ``1 / scale`` times as small as the image's."""
    y0, x0, y1, x1 = (round(edge * scale) for edge in (window.y0, window.x0, window.y1, window.x1))
    for edge in (np.s_[y0 - 2 : y1 + 2, x0 - 2 : x0], np.s_[y0 - 2 : y1 + 2, x1 : x1 + 2]):
        image[edge] = 0
    for edge in (np.s_[y0 - 2 : y0, x0 - 2 : x1 + 2], np.s_[y1 : y1 + 2, x0 - 2 : x1 + 2]):
        image[edge] = 0
