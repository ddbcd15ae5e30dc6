"""What the network makes of fixed validation samples, as one picture: image, truth and prediction side by side."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from slideseg.colors import UNKNOWN, rgb_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Floats = NDArray[np.float32]
    Ids = NDArray[np.uint8]
    Pixels = NDArray[np.uint8]

SMALLEST, LARGEST = 256, 512
"""Sides of a sample in the picture: smaller ones are enlarged by a whole factor, larger ones shrunk."""
GAP, HEADER = 6, 22
TITLES = ("image", "truth", "prediction")
FILL, OUTLINE = 0.2, 0.8
"""How much of its colour a class puts over the image."""
DIM = 0.5
"""An image whose brightest pixels are darker than this is brightened; fluorescence is often nearly black."""
BRIGHTEST = 99.8
"""Percentile that stands for the brightest pixels."""


def picture(images: Sequence[Floats], truths: Sequence[Ids], predictions: Sequence[Ids], colors: Sequence[str]) -> bytes:
    """Return a PNG with a row for every sample: image, truth over it, prediction over it.

    Images are (y, x, c) float32 where white is 1: three channels are red, green and blue, of any other number the first is
    shown. Class maps are (y, x) uint8 of the same sides; ``colors`` has ``#rrggbb`` for each class. Background (0) is left
    free, ids without a class are grey.
    """
    rows = [_row(*sample, colors) for sample in zip(images, truths, predictions, strict=True)]
    width = max(row[0].shape[1] for row in rows) + GAP
    sheet = np.full((HEADER + sum(len(row[0]) + GAP for row in rows), len(TITLES) * width, 3), 255, np.uint8)
    top = HEADER
    for row in rows:
        for column, cell in enumerate(row):
            sheet[top : top + len(cell), column * width : column * width + cell.shape[1]] = cell
        top += len(row[0]) + GAP
    return _png(sheet[:-GAP, :-GAP], width)


def _png(sheet: Pixels, step: int) -> bytes:
    """Return a sheet as a PNG, with a title over each of its columns, which are ``step`` pixels apart."""
    drawn = Image.fromarray(sheet)
    pen, font = ImageDraw.Draw(drawn), ImageFont.load_default(14)
    for column, title in enumerate(TITLES):
        pen.text((column * step + 2, 2), title, fill="black", font=font)
    file = io.BytesIO()
    drawn.save(file, "PNG", compress_level=1)
    return file.getvalue()


def _row(image: Floats, truth: Ids, prediction: Ids, colors: Sequence[str]) -> tuple[Pixels, Pixels, Pixels]:
    shown = _resized(_shown(image), Image.Resampling.LANCZOS)
    return shown, _overlaid(shown, truth, colors), _overlaid(shown, prediction, colors)


def _shown(image: Floats) -> Pixels:
    """Return an image in red, green and blue for the eye."""
    values = image if image.shape[2] == 3 else np.repeat(image[:, :, :1], 3, axis=2)
    brightest = float(np.percentile(values, BRIGHTEST))
    scale = 255 / brightest if 0 < brightest < DIM else 255
    return np.asarray(np.clip(np.nan_to_num(values) * scale + 0.5, 0, 255), np.uint8)


def _resized(pixels: Pixels, shrink: Image.Resampling) -> Pixels:
    """Return pixels enlarged by a whole factor, each as it is, or shrunk."""
    rows, columns = pixels.shape[:2]
    factor = max(1, SMALLEST // max(rows, columns)) if max(rows, columns) <= LARGEST else LARGEST / max(rows, columns)
    if factor == 1:
        return pixels
    size = (max(1, round(columns * factor)), max(1, round(rows * factor)))
    return np.asarray(Image.fromarray(pixels).resize(size, shrink if factor < 1 else Image.Resampling.NEAREST))


def _overlaid(shown: Pixels, ids: Ids, colors: Sequence[str]) -> Pixels:
    """Lay a class map over an image: thinly, its outlines boldly."""
    ids = _resized(ids, Image.Resampling.NEAREST)
    palette = np.array([rgb_of(color) for color in [*colors, UNKNOWN]], np.float32)
    color = palette[np.minimum(ids, len(colors))]
    weight = np.where(_outline(ids), OUTLINE, FILL)[:, :, None] * (ids > 0)[:, :, None]
    return np.asarray(shown * (1 - weight) + color * weight + 0.5, np.uint8)


def _outline(ids: Ids) -> NDArray[np.bool_]:
    """Return the pixels of a region that touch another one."""
    padded = np.pad(ids, 1, mode="edge")
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.asarray(np.any([ids != neighbour for neighbour in neighbours], axis=0))
