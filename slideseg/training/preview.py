"""A sheet of augmented training samples, one a row: the raw window, the sample, what is learnt of it, and its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from slideseg.colors import BACKGROUND, PALETTE, UNKNOWN, rgb_of
from slideseg.errors import ConfigError, explain
from slideseg.storage.whole_file import check_target, whole
from slideseg.training.check import tell, tell_of_classes
from slideseg.training.recipe.data import IGNORED
from slideseg.training.recipe.reading import load_config
from slideseg.training.samples.batches import Batches
from slideseg.training.team import Team

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import Tensor

    from slideseg.training.samples.windows import Windows

    Pixels = NDArray[np.uint8]

PREVIEWED = 6
"""Samples on a sheet."""
CELL = 256
"""Side of a picture on the sheet in px."""
GAP = 8
CAPTION = 22
PAPER, INK, FRAME = (24, 24, 24), (235, 235, 235), (255, 191, 0)
GREY = rgb_of(UNKNOWN)
"""Colour of pixels that teach nothing."""
COLORS = (BACKGROUND, *PALETTE)
"""Colours of the classes where none are given; they repeat."""
RAMP = np.array([[10, 7, 46], [62, 15, 114], [122, 28, 109], [181, 49, 88], [229, 92, 48], [249, 150, 12], [247, 209, 61],
                 [252, 255, 190]])  # fmt: skip
"""Weights from the lowest to the highest: ever lighter, so that it reads in grey as well."""


def write_preview(config: str | os.PathLike[str], path: str, settings: tuple[str, ...] = ()) -> None:
    """Draw the first samples of a recipe as a PNG: as they are, augmented, their targets and their weights.

    Raises:
        SlidesegError: if the recipe or its data can't be used, or the PNG can't be written.
    """
    if not path.lower().endswith(".png"):
        raise ConfigError(explain("the preview is a PNG", got=path, want="a name that ends in .png"))
    target = check_target(path, overwrite=True)
    recipe = load_config(config, settings)
    tell_of_classes(recipe)
    data = Batches(recipe, Team.join("cpu"))
    tell((*data.notes, *data.label_notes))
    stages = data.stages(PREVIEWED)
    patches, colors = stages.patches, [named.color for named in recipe.model_classes]
    sheet = preview_sheet(stages.read, stages.augmented, patches.shown_NHW, patches.weights_NHW, colors)
    with whole(target) as partial:
        sheet.save(partial, "PNG")


def preview_sheet(
    before: Windows, after: Windows, target_NHW: Tensor, weights_NHW: Tensor | None, colors: Sequence[str] = COLORS
) -> Image.Image:
    """Return the sheet: raw windows (the frame is as large as a sample), samples, target classes, and weights if there are any.

    Target and weights may be smaller than the samples (a network in valid form): then the sample has a frame as well.
    """
    scale = None if weights_NHW is None else (float(weights_NHW.min()), float(weights_NHW.max()))
    titles = ["window", "sample", "target"]
    if scale is not None:
        titles.append(f"weights {scale[0]:.2f} to {scale[1]:.2f}")
    sheet = _paper(rows=len(after), titles=titles)
    for row in range(len(after)):
        core = target_NHW.shape[-1]
        cells = [
            _framed(picture_of(before.image_NCHW[row]), after.side),
            _framed(picture_of(after.image_NCHW[row]), core),
            _cell(target_picture(_middle(picture_of(after.image_NCHW[row]), core), target_NHW[row], colors)),
        ]
        if weights_NHW is not None and scale is not None:
            cells.append(_cell(heat(weights_NHW[row].cpu().numpy(), scale)))
        for column, cell in enumerate(cells):
            sheet.paste(cell, (GAP + column * (CELL + GAP), CAPTION + row * (CELL + GAP)))
    return sheet


def _paper(rows: int, titles: Sequence[str]) -> Image.Image:
    sheet = Image.new("RGB", (GAP + len(titles) * (CELL + GAP), CAPTION + rows * (CELL + GAP)), PAPER)
    pen = ImageDraw.Draw(sheet)
    for column, title in enumerate(titles):
        pen.text((GAP + column * (CELL + GAP), 4), title, INK, ImageFont.load_default(13))
    return sheet


def picture_of(image_CHW: Tensor) -> Pixels:
    """Return the picture (y, x, 3) of an image whose white is 1: RGB where it has three channels, else its first in grey."""
    chosen = image_CHW if image_CHW.shape[0] == 3 else image_CHW[:1].expand(3, -1, -1)
    return np.asarray(np.rint(chosen.permute(1, 2, 0).clamp(0, 1).cpu().numpy() * 255), np.uint8)


def target_picture(picture: Pixels, target_HW: Tensor, colors: Sequence[str] = COLORS) -> Pixels:
    """Return the classes (y, x) in their colours, with the sample in grey behind them to show whether they lie on it.

    What is ignored is grey as well.
    """
    palette = np.array([rgb_of(color) for color in colors])
    ids = target_HW.cpu().numpy()
    dyed = np.where((ids == IGNORED)[..., None], GREY, palette[ids % len(palette)])
    grey = picture.mean(axis=2, keepdims=True)
    return np.asarray(0.6 * dyed + 0.4 * grey, np.uint8)


def heat(values: NDArray[np.float32], scale: tuple[float, float]) -> Pixels:
    """Return values (y, x) as colours (y, x, 3), from dark at the lowest of ``scale`` to light at the highest.

    Colours follow the root of the value: a few weights are far above all others, which would else look the same.
    """
    low, high = scale
    place = np.sqrt(np.clip((values - low) / max(high - low, 1e-12), 0, 1))
    stops = np.linspace(0, 1, len(RAMP))
    return np.stack([np.interp(place, stops, channel) for channel in RAMP.T], axis=-1).astype(np.uint8)


def _middle(picture: Pixels, side: int) -> Pixels:
    before = (picture.shape[0] - side) // 2
    return picture[before : before + side, before : before + side]


def _cell(picture: Pixels) -> Image.Image:
    """Return a picture in the size of a cell; small ones stay in sharp pixels."""
    way = Image.Resampling.NEAREST if picture.shape[0] <= CELL else Image.Resampling.BOX
    return Image.fromarray(picture).resize((CELL, CELL), way)


def _framed(picture: Pixels, side: int) -> Image.Image:
    """Return a cell with a frame around the middle ``side`` px of the picture, unless that is all of it."""
    cell = _cell(picture)
    if side < picture.shape[0]:
        half = side / picture.shape[0] * CELL / 2
        ImageDraw.Draw(cell).rectangle((CELL / 2 - half, CELL / 2 - half, CELL / 2 + half, CELL / 2 + half), outline=FRAME)
    return cell
