"""What the network makes of fixed validation samples, as one picture: image, truth and prediction side by side."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFont

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
FILL = 0.3
"""How much of its colour a class puts over the image; its outline is solid."""
UNKNOWN = "#808080"
"""Colour of ids without a class: pixels that don't count."""
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
    width = max(row.shape[1] for row in rows)
    sheet = np.full((HEADER + sum(len(row) + GAP for row in rows), width, 3), 255, np.uint8)
    top = HEADER
    for row in rows:
        sheet[top : top + len(row), : row.shape[1]] = row
        top += len(row) + GAP
    drawn = Image.fromarray(sheet[: top - GAP])
    _write_titles(drawn, (width + GAP) // len(TITLES))
    file = io.BytesIO()
    drawn.save(file, "PNG", compress_level=3)
    return file.getvalue()


def _write_titles(sheet: Image.Image, step: int) -> None:
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(14)
    for column, title in enumerate(TITLES):
        pen.text((column * step + 2, 2), title, fill="black", font=font)


def _row(image: Floats, truth: Ids, prediction: Ids, colors: Sequence[str]) -> Pixels:
    shown = _resized(_shown(image), Image.Resampling.LANCZOS)
    gap = np.full((len(shown), GAP, 3), 255, np.uint8)
    return np.hstack([shown, gap, _overlaid(shown, truth, colors), gap, _overlaid(shown, prediction, colors)])


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
    """Lay a class map over an image: fill thinly, outline in full."""
    ids = _resized(ids, Image.Resampling.NEAREST)
    palette = np.array([ImageColor.getrgb(color) for color in [*colors, UNKNOWN]], np.float32)
    color = palette[np.minimum(ids, len(colors))]
    weight = np.where(_outline(ids), 1.0, FILL)[:, :, None] * (ids > 0)[:, :, None]
    return np.asarray(shown * (1 - weight) + color * weight + 0.5, np.uint8)


def _outline(ids: Ids) -> NDArray[np.bool_]:
    """Return the pixels of a region that touch another one."""
    padded = np.pad(ids, 1, mode="edge")
    neighbours = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
    return np.asarray(np.any([ids != neighbour for neighbour in neighbours], axis=0))
