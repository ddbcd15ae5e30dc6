"""Pictures without a nucleus, where all that is found is false: dark fields made of real ones, and places of real slides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml
from common import DATA
from nuclei_sets import dsb, read_image, read_labels
from PIL import Image
from scipy import ndimage

from slideseg.slide.open import open_slide
from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Iterator

PLACES = Path(__file__).with_name("no_nuclei.yaml")
LEAST = 128
"""Pixels a side of the smallest field."""
AWAY = 6
"""Pixels around nuclei that a field without any keeps away from."""
HIDDEN = 1.5
"""Grey levels of the brightest pixel of a field that was dimmed until nothing is to be seen."""


@dataclass(frozen=True)
class Made:
    """What is made of a real field, before it is stored as a JPEG."""

    factor: float
    """Values are multiplied by it ..."""
    noise: float
    """... and noise of this deviation is added, in grey levels."""
    quality: int
    """Of the JPEG."""


MADE = {
    "as it is": Made(1, 0, 95),
    "dimmed": Made(0.3, 1, 80),
    "noisy": Made(1, 4, 60),
    "brightened": Made(4, 2, 80),
}
WHOLE = Made(1, 2, 80)
"""Of whole fields, which are dimmed until nothing is to be seen."""


@dataclass(frozen=True)
class Nothing:
    """A picture without a nucleus."""

    path: Path
    """Where it was written."""
    shows: str
    """What there is instead."""
    light: str
    """``bright`` or ``dark``: which of two models is asked."""
    mpp: float | None = None
    """Microns of a pixel, where its slide says it."""


def dark_fields(folder: Path) -> Iterator[Nothing]:
    """Write dark fields: the largest square of an image that no nucleus is in, changed; and whole ones, where none is seen."""
    images = dsb("fluorescence")
    for number, path in enumerate(images.paths):
        image = read_image(path).astype(np.float64)
        field = _free(read_labels(images.labels, path.stem) > 0)
        for name, made in MADE.items() if field is not None else ():
            yield _write(folder, f"{number}-{name}", image[field], made, seed=number)
        if field is not None:
            yield _write(folder, f"{number}-hidden", image * HIDDEN / image.max(), WHOLE, seed=number)


def places(folder: Path) -> Iterator[Nothing]:
    """Write the places of real slides that are listed."""
    for number, place in enumerate(yaml.safe_load(PLACES.read_text(encoding="utf-8"))):
        slide = open_slide(DATA / "wsi" / place["slide"])
        path = folder / f"{number}-{place['shows'].replace(' ', '-')}.png"
        Image.fromarray(slide.read(Box(*place["box"]))).save(path)
        yield Nothing(path, place["shows"], "dark" if place["shows"].startswith("dark") else "bright", slide.mpp)
        slide.close()


def _free(nuclei: np.ndarray) -> tuple[slice, slice] | None:
    """Return the largest square without a nucleus; None if it is small."""
    empty = np.pad(~ndimage.binary_dilation(nuclei, iterations=AWAY), 1)
    reach = ndimage.distance_transform_cdt(empty, "chessboard")[1:-1, 1:-1]
    y, x = np.unravel_index(reach.argmax(), reach.shape)
    half = int(reach.max())
    if 2 * half < LEAST:
        return None
    return slice(int(y) - half + 1, int(y) + half), slice(int(x) - half + 1, int(x) + half)


def _write(folder: Path, name: str, field: np.ndarray, made: Made, seed: int) -> Nothing:
    noise = np.random.default_rng(seed).normal(0, made.noise, field.shape[:2]) if made.noise else 0.0
    changed = field[..., 0] * made.factor + noise
    path = folder / f"{name.replace(' ', '-')}.jpg"
    Image.fromarray(np.clip(np.rint(changed), 0, 255).astype(np.uint8)).save(path, quality=made.quality)
    return Nothing(path, name.partition("-")[2], "dark")
