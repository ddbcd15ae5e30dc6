"""A demonstration that needs nothing from outside: make a slide of real tissue, find its nuclei, draw what was found.

The tissue is the picture of colon that comes with scikit-image. Its antibody is brown (DAB) and the bundled model knows
haematoxylin and eosin, so the stains are told apart and the brown one is painted as eosin. Copies of
the picture are sewn together into three pieces of tissue on a glass slide, with a pyramid, as a scanner would write it.
"""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image
from scipy.ndimage import maximum_filter, minimum_filter
from skimage import color, data
from skimage.segmentation import find_boundaries

from slideseg.prediction.run import predict
from slideseg.result.result import open_result
from slideseg.slide.open import open_slide
from slideseg.space.box import Box
from slideseg.testing.slides import write_pyramid

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

    from slideseg.tasks.progress import Watcher

SIDE = 8192
"""Pixels a side of the slide."""
MPP = 0.5
"""Microns per pixel of the tissue picture, about."""
OVERLAP = 80
"""Pixels by which the patches that the tissue is sewn from overlap."""
CELL = 64
"""Pixels a side of the squares that are all glass, all tissue, or looked at pixel by pixel."""
TILE = 512
"""Pixels a side of the TIFF's tiles."""
GLASS = 243
"""Brightness of bare glass."""
PIECES = ((0.30, 0.36, 0.24, 1.0), (0.66, 0.62, 0.28, 2.0), (0.24, 0.80, 0.13, 3.0))
"""Pieces of tissue: centre (y, x) and radius as shares of the slide's side, and a number that shapes the outline."""
STAINS = np.array([[0.65, 0.70, 0.29], [0.22, 0.86, 0.46], [0.27, 0.57, 0.78]])
"""Optical densities (red, green, blue) of haematoxylin, of the eosin that is painted, and of a stain that is not used."""
PANEL = 1024
"""Pixels a side of each of the picture's three panels."""
ZOOM = 2
"""Magnification of the picture's details."""
NUCLEUS = 1
"""Class id that is drawn."""
MARK = np.array([255, 235, 0], np.uint8)
"""Colour of what was found."""


def run_demo(folder: str | os.PathLike[str], workers: int = 2, on_progress: Watcher | None = None) -> Path:
    """Make a slide in ``folder``, find its nuclei, and return a picture of the result.

    Writes ``slide.tif``, ``slide.zarr`` and ``overlay.png``; those of an earlier demonstration are replaced.

    Raises:
        SlidesegError: if the run fails.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    slide, result, picture = folder / "slide.tif", folder / "slide.zarr", folder / "overlay.png"
    write_slide(slide)
    # At the slide's own resolution: enlarged to the model's, it would take four times as long.
    predict(slide, result, workers=workers, level=0, objects=True, overwrite=True, on_progress=on_progress)
    draw(slide, result).save(picture, optimize=True)
    return picture


def write_slide(path: Path, side: int = SIDE) -> None:
    """Write the slide, a pyramidal tiled TIFF of ``side`` pixels a side."""
    plane = quilt(tissue(), side)
    centres = (np.arange(0, side, CELL) + CELL / 2) / side
    roughly = coverage(centres[:, None], centres[None, :])
    inside, outside = minimum_filter(roughly, 3) == 1, maximum_filter(roughly, 3) == 0
    for box in Box.of_shape((side, side)).split(CELL, CELL):
        cell = box.y0 // CELL, box.x0 // CELL
        if outside[cell]:
            plane[box.slices] = GLASS
        elif not inside[cell]:
            y, x = np.ogrid[box.slices]
            share = coverage((y + 0.5) / side, (x + 0.5) / side)[..., None]
            plane[box.slices] = (share * plane[box.slices] + (1 - share) * GLASS).round()
    write_pyramid(path, plane, tile=TILE, levels=4, mpp=MPP)


def tissue() -> NDArray[np.uint8]:
    """Return the picture (512, 512, 3) as if its stains were haematoxylin and eosin."""
    picture = data.immunohistochemistry()  # type: ignore[no-untyped-call]
    haematoxylin, _, brown = np.moveaxis(color.rgb2hed(picture), -1, 0)
    stains = np.stack([1.5 * (haematoxylin - 0.008), 0.7 * brown, np.zeros_like(brown)], axis=-1).clip(0)
    rgb: NDArray[np.float64] = color.combine_stains(stains, STAINS)
    return (255 * rgb).round().astype(np.uint8)


def quilt(patch: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return ``side`` x ``side`` pixels sewn together from a square patch, turned and mirrored by chance.

    Neighbours overlap and fade into each other, so that the seams don't catch the eye.
    """
    random = np.random.default_rng(0)
    plane = np.empty((side, side, 3), np.uint8)
    length = len(patch)
    seams = ((slice(OVERLAP), slice(None)), (slice(None), slice(OVERLAP)))
    ramp, flat = np.clip(np.arange(length, dtype=np.float32) / OVERLAP, 0, 1), np.ones(length, np.float32)
    for y in range(0, side, length - OVERLAP):
        for x in range(0, side, length - OVERLAP):
            under = plane[y : y + length, x : x + length]
            turned = np.rot90(patch, int(random.integers(4)))[:, :: int(random.choice((-1, 1)))]
            weight = np.minimum.outer(ramp if y else flat, ramp if x else flat)[..., None]
            weight, turned = weight[: len(under), : under.shape[1]], turned[: len(under), : under.shape[1]]
            blended = [(weight[part] * turned[part] + (1 - weight[part]) * under[part]).round() for part in seams]
            under[:] = turned
            for part, pixels in zip(seams, blended, strict=True):
                under[part] = pixels
    return plane


def coverage(y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of tissue, 0 to 1, at points given as shares of the slide's side."""
    shares = np.zeros(np.broadcast_shapes(y.shape, x.shape))
    for centre_y, centre_x, radius, shape in PIECES:
        angle = np.arctan2(y - centre_y, x - centre_x)
        waves = 0.16 * np.sin(2 * angle + shape) + 0.08 * np.sin(5 * angle + 2 * shape) + 0.03 * np.sin(13 * angle)
        inside = radius * (1 + waves) - np.hypot(y - centre_y, x - centre_x)
        shares = np.maximum(shares, np.clip(inside * SIDE / 24, 0, 1))
    return shares


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
    bands = (np.asarray(ids[y : y + TILE]) == NUCLEUS for y in range(0, side * step, TILE))
    return np.concatenate([band.reshape(TILE // step, step, side, step).mean((1, 3)) for band in bands])


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
