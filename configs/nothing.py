"""Pictures that models of nuclei learn from what no nucleus is: places of a real slide, and dark fields made of real images.

    python configs/nothing.py CMU-1-Small-Region.svs nuclei_dsb2018 nothing

writes nothing/bright, the places of nothing.csv, and nothing/dark, fluorescence that was dimmed, made noisy and stored as
JPEG: kind fluorescence_nothing has no nucleus, or none that is to be seen; fluorescence_worn has all of its own, so that a
model does not learn that whatever is dim and noisy is empty. Each folder holds images, labels (instances) and an index.csv.
"""

from __future__ import annotations

import argparse
import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import tifffile
from PIL import Image
from scipy import ndimage

from slideseg.slide.open import open_slide
from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACES = Path(__file__).with_suffix(".csv")
"""Places of OpenSlide's CMU-1-Small-Region.svs (CC0), looked at one by one: pixels of level 0 from y0, x0 to y1, x1. None
overlaps those of benchmarks/no_nuclei.yaml, in which false finds are counted."""
LEAST = 96
"""Pixels a side of the smallest field that is kept."""
AWAY = 6
"""Pixels around nuclei that a field without any keeps away from."""
HIDDEN = (0.0, 2.5)
"""Grey levels of the brightest pixel of an image of which nothing is to be seen."""
COPIES = 2
"""Changed copies of each image of fluorescence."""
SOFT = 2.0
"""Pixels that noise is blurred by at most, as it is in images that were resampled."""
SEEN = 12
"""Grey levels of the brightest pixel of an image whose nuclei are still to be seen."""
ENLARGED = 2
"""Places are stored so much larger: at the 0.25 microns per pixel that the models want."""


@dataclass(frozen=True)
class Picture:
    """What is written."""

    name: str
    kind: str
    image: np.ndarray
    """(y, x, 3), uint8."""
    nuclei: np.ndarray
    """(y, x): 0, or the number of a nucleus."""


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("slide", type=Path)
    parser.add_argument("fluorescence", type=Path)
    parser.add_argument("folder", type=Path)
    wanted = parser.parse_args()
    write(wanted.folder / "bright", places(wanted.slide))
    write(wanted.folder / "dark", dark_fields(wanted.fluorescence))


def places(path: Path) -> Iterator[Picture]:
    """Yield the listed places of the slide."""
    slide = open_slide(str(path))
    for number, place in enumerate(rows_of(PLACES)):
        image = Image.fromarray(slide.read(Box(*(int(place[edge]) for edge in ("y0", "x0", "y1", "x1")))))
        large = np.asarray(image.resize((image.width * ENLARGED, image.height * ENLARGED), Image.Resampling.BICUBIC))
        yield Picture(f"{number}-{place['shows']}", "he_nothing", large, np.zeros(large.shape[:2], np.uint16))
    slide.close()


def dark_fields(folder: Path) -> Iterator[Picture]:
    """Yield changed copies of the training images of fluorescence."""
    names = [row["id"] for row in rows_of(folder / "index.csv") if (row["split"], row["kind"]) == ("train", "fluorescence")]
    for number, name in enumerate(COPIES * names):
        rng = np.random.default_rng(number)
        image = np.asarray(Image.open(folder / "images" / f"{name}.png").convert("L")).astype(np.float64)
        nuclei = tifffile.imread(folder / "labels" / f"{name}.tif")
        field, bright = free(nuclei > 0), max(1.0, float(image.max()))
        if field is not None:
            yield empty(f"{number}-field", worn(image[field], factor_between(rng, 0.2, 5), rng))
        yield empty(f"{number}-hidden", worn(image, rng.uniform(*HIDDEN) / bright, rng))
        if bright > SEEN:
            factor = factor_between(rng, SEEN / bright, 1)
            yield Picture(f"{number}-worn", "fluorescence_worn", worn(image, factor, rng, noise=bright * factor / 12), nuclei)


def rows_of(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def empty(name: str, image: np.ndarray) -> Picture:
    """Return a picture without nuclei."""
    return Picture(name, "fluorescence_nothing", image, np.zeros(image.shape[:2], np.uint16))


def factor_between(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a factor, all ratios alike."""
    return float(low * (high / low) ** rng.random())


def worn(image: np.ndarray, factor: float, rng: np.random.Generator, noise: float = 6) -> np.ndarray:
    """Return grey values (y, x) after a factor, some noise (at most of this deviation) and a JPEG, as RGB."""
    grain = ndimage.gaussian_filter(rng.normal(0, 1, image.shape), rng.uniform(0, SOFT))
    changed = image * factor + grain * rng.uniform(0, noise) / grain.std()
    stored = io.BytesIO()
    Image.fromarray(np.clip(np.rint(changed), 0, 255).astype(np.uint8)).save(stored, "JPEG", quality=int(rng.integers(50, 96)))
    return np.asarray(Image.open(stored).convert("RGB"))


def free(nuclei: np.ndarray) -> tuple[slice, slice] | None:
    """Return the largest square without a nucleus; None if it is small."""
    empty = np.pad(~ndimage.binary_dilation(nuclei, iterations=AWAY), 1)
    reach = ndimage.distance_transform_cdt(empty, "chessboard")[1:-1, 1:-1]
    y, x = np.unravel_index(reach.argmax(), reach.shape)
    half = int(reach.max())
    return (slice(y - half + 1, y + half), slice(x - half + 1, x + half)) if 2 * half >= LEAST else None


def write(folder: Path, pictures: Iterator[Picture]) -> None:
    """Write pictures as a source of a recipe."""
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    rows = ["id,kind,split"]
    for picture in pictures:
        Image.fromarray(picture.image).save(folder / "images" / f"{picture.name}.png")
        tifffile.imwrite(folder / "labels" / f"{picture.name}.tif", picture.nuclei, compression="zlib")
        rows.append(f"{picture.name},{picture.kind},train")
    (folder / "index.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
