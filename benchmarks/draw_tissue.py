"""Draw what is found as tissue on real slides, and on one that is spoilt on purpose: docs/images/tissue.jpg.

    python benchmarks/draw_tissue.py [FOLDER_OF_TEST_DATA]

The folder is that of SLIDESEG_TEST_DATA. Tissue has a green outline; blocks that are not segmented are blue.
Only pictures that may be shown are drawn: CMU-1-Small-Region of OpenSlide's test data (CC0), two NDPI files (CC BY 4.0, Manuel
Stritt) and two tiles of Naylor et al., TNBC (CC BY 4.0).
"""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFilter
from scipy import ndimage

from slideseg.slide.array import ArraySlide
from slideseg.slide.open import open_slide
from slideseg.slide.tissue.blocks import BLOCK
from slideseg.slide.tissue.detect import Found, detect_tissue
from slideseg.slide.tissue.picture import take_picture
from slideseg.space.box import Box

if TYPE_CHECKING:
    from slideseg.slide.base import Slide

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "images" / "tissue.jpg"
SIDE, GAP, COLUMNS = 300, 8, 4
OUTLINE, SKIPPED = (0, 255, 0), (40, 60, 230)


def main() -> None:
    data = Path(sys.argv[1] if len(sys.argv) > 1 else os.environ.get("SLIDESEG_TEST_DATA", ROOT.parent / "shared" / "data"))
    panels = [panel(slide) for slide in slides(data)]
    rows = -(-len(panels) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * (SIDE + GAP) - GAP, rows * (SIDE + GAP) - GAP), "white")
    for number, drawn in enumerate(panels):
        sheet.paste(drawn, (number % COLUMNS * (SIDE + GAP), number // COLUMNS * (SIDE + GAP)))
    sheet.save(OUT, quality=82, optimize=True)
    print(f"{OUT}: {OUT.stat().st_size / 1000:.0f} kB")


def slides(data: Path) -> list[Slide]:
    """Return what is drawn, row by row."""
    wsi, tnbc = data / "wsi", data / "nuclei_tnbc" / "images"
    with open_slide(wsi / "aperio" / "CMU-1-Small-Region.svs") as slide:
        plain = slide.read(Box(0, 0, *slide.levels[0].shape))
    return [
        ArraySlide(plain),
        ArraySlide(jpeg(with_ink(plain))),
        ArraySlide(jpeg(with_borders(plain))),
        ArraySlide(jpeg(with_vignette(plain))),
        *(open_slide(wsi / "ndpi" / name) for name in ("test3-DAPI-2-387.ndpi", "test3-TRITC-2-560.ndpi")),
        *(open_slide(tnbc / name) for name in ("04_5.png", "03_4.png")),
    ]


def with_ink(plain: np.ndarray) -> np.ndarray:
    """Add glass to the right, with green and black lines of a pen and some dust."""
    rng = np.random.default_rng(0)
    wide = np.concatenate([plain, np.array((244, 243, 243)) + rng.normal(0, 2, (len(plain), 1500, 3))], axis=1)
    for colour, line in (
        ((20, 130, 80), [(2500, 300), (3300, 900), (2700, 1500)]),
        ((30, 28, 32), [(2500, 1900), (3300, 2600)]),
    ):
        drawn = Image.new("L", wide.shape[1::-1])
        ImageDraw.Draw(drawn).line(line, fill=255, width=90, joint="curve")
        share = np.asarray(drawn.filter(ImageFilter.GaussianBlur(3)))[..., None] / 255 * 0.96
        uneven = ndimage.gaussian_filter(rng.normal(0, 1, share.shape), (9, 9, 0)) * 120
        wide = wide * (1 - share) + (np.array(colour) + uneven) * share
    for y, x in rng.integers((200, 2400), (2700, 3600), (12, 2)):
        wide[y : y + 14, x : x + 14] = 90
    return wide


def with_borders(plain: np.ndarray) -> np.ndarray:
    """Put black around, and below a strip of noise that nobody scanned."""
    rows, columns = plain.shape[:2]
    image = np.zeros((rows + 900, columns + 1000, 3))
    image[300 : 300 + rows, 500 : 500 + columns] = plain
    image[300 + rows :] = np.random.default_rng(1).normal(6, 6, (600, columns + 1000, 3))
    return image


def with_vignette(plain: np.ndarray) -> np.ndarray:
    """Let the light fade to black in the corners."""
    y, x = (np.linspace(-1, 1, side) for side in plain.shape[:2])
    return plain * np.clip((1.3 - np.hypot(y[:, None], x[None, :])) / 0.25, 0, 1)[..., None]


def jpeg(image: np.ndarray) -> np.ndarray:
    """Return the picture after a JPEG's losses."""
    stream = io.BytesIO()
    Image.fromarray(np.clip(image, 0, 255).astype(np.uint8)).save(stream, "JPEG", quality=60)
    return np.asarray(Image.open(stream))


def panel(slide: Slide) -> Image.Image:
    """Draw one slide with what was found on it; where that is too little to matter, nothing is left out."""
    found = detect_tissue(slide, (slide.levels[0].shape[0], slide.levels[0].shape[1]))
    image = Image.fromarray(shown(take_picture(slide).pixels))
    scale = SIDE / max(image.size)
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    pixels = np.asarray(image.resize(size, Image.Resampling.LANCZOS)).copy()
    if found is not None and found.matters:
        pixels = marked(pixels, found)
    square = Image.new("RGB", (SIDE, SIDE), "white")
    square.paste(Image.fromarray(pixels), ((SIDE - size[0]) // 2, (SIDE - size[1]) // 2))
    return square


def shown(pixels: np.ndarray) -> np.ndarray:
    """Return the small picture as bytes; the dark brightened, so that one sees it."""
    top = np.percentile(pixels, 99.9)
    dark = top < 128 or pixels.mean() < 40
    return np.clip(pixels * (4 if dark else 1), 0, 255).astype(np.uint8)


def marked(pixels: np.ndarray, found: Found) -> np.ndarray:
    """Tint the blocks that are not segmented, and draw the outline of tissue."""
    rows, columns = ((np.arange(side) + 0.5) / side for side in pixels.shape[:2])
    height, width = found.shape_yx
    kept = found.blocks.blocks[np.ix_((rows * height).astype(int) // BLOCK, (columns * width).astype(int) // BLOCK)]
    y = np.minimum(rows * height / found.scale[0], found.mask.shape[0] - 1).astype(int)
    x = np.minimum(columns * width / found.scale[1], found.mask.shape[1] - 1).astype(int)
    mask = found.mask[np.ix_(y, x)]
    pixels = np.where(kept[..., None], pixels, 0.55 * pixels + 0.45 * np.array(SKIPPED)).astype(np.uint8)
    pixels[mask ^ ndimage.binary_erosion(mask, border_value=1)] = OUTLINE
    return pixels


if __name__ == "__main__":
    main()
