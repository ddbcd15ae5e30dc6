"""Where objects of a result lie, against a threshold of the pixels as others read them: OpenSlide, tifffile, or the picture."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import openslide
import shapely
import tifffile
from skimage.measure import label, regionprops

import slideseg
from tests.qupath_reader import number_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DARK = 128
"""Red below this is found, by `slideseg.testing.models.threshold_model` and here."""


@dataclass(frozen=True)
class Truth:
    """What one level of a slide holds, as others read it."""

    found: np.ndarray
    """Which pixels (y, x) are wanted."""
    scale_yx: tuple[float, float]
    """Pixels of level 0 a pixel."""
    mpp_yx: tuple[float, float]
    """Microns a pixel of level 0."""
    corner_yx: tuple[int, int]
    """Corner of what QuPath shows."""


def by_openslide(path: Path, level: int, wanted: Callable[[np.ndarray], np.ndarray]) -> Truth:
    """Read a level with OpenSlide; where it is transparent nothing is found."""
    with openslide.OpenSlide(str(path)) as slide:
        said = slide.properties
        columns, rows = slide.level_dimensions[level]
        pixels = np.asarray(slide.read_region((0, 0), level, (columns, rows)))
        scale = slide.level_downsamples[level]
        return Truth(
            wanted(pixels[..., 0]) & (pixels[..., 3] > 0),
            (scale, scale),
            (float(said["openslide.mpp-y"]), float(said["openslide.mpp-x"])),
            (int(said.get("openslide.bounds-y", 0)), int(said.get("openslide.bounds-x", 0))),
        )


def by_tifffile(path: Path, level: int, wanted: Callable[[np.ndarray], np.ndarray], mpp_yx: tuple[float, float]) -> Truth:
    """Read a level of the first series with tifffile."""
    with tifffile.TiffFile(path) as file:
        levels = file.series[0].levels
        pixels = levels[level].asarray()
        scale = [full / own for full, own in zip(levels[0].shape[:2], pixels.shape[:2], strict=True)]
        return Truth(wanted(pixels[..., 0]), (scale[0], scale[1]), mpp_yx, (0, 0))


def dark(red: np.ndarray) -> np.ndarray:
    """Return what the model finds of one that looks for dark pixels."""
    return red < DARK


def bright(red: np.ndarray) -> np.ndarray:
    """Return what the model finds of one that looks for bright pixels."""
    return red >= DARK


def centres_of(truth: Truth) -> np.ndarray:
    """Return the centres (y, x) of what was found, in pixels of the whole level 0, in raster order."""
    ids = label(truth.found, connectivity=1)
    return (np.reshape([one.centroid for one in regionprops(ids)], (-1, 2)) + 0.5) * truth.scale_yx


def differences(result: Path, truth: Truth, folder: Path) -> dict[str, float]:
    """Compare the objects of a result with the truth; return by how many level-0 pixels they differ at most.

    ``pixels`` and ``microns`` are those of the table, ``qupath`` are the polygons where QuPath shows the slide. The number of
    objects must be the same.
    """
    want = centres_of(truth)
    table = slideseg.open_result(result).table
    assert table is not None
    assert table.num_rows == len(want) > 0, (table.num_rows, len(want))
    slideseg.export(result, "geojson", folder / "x.geojson", overwrite=True)
    features = json.loads((folder / "x.geojson").read_text())["features"]
    shapes = {number_of(feature): shapely.geometry.shape(feature["geometry"]).centroid for feature in features}
    centres = np.array([(shapes[number].y, shapes[number].x) for number in table["id"].to_pylist()])
    areas = label_areas(truth) * np.prod(truth.mpp_yx)
    assert np.allclose(table["area_um2"], areas)
    return {
        "pixels": abs(found_in(result) - want).max(),
        "microns": abs(found_in(result, "um") / truth.mpp_yx - want).max(),
        "qupath": abs(centres + truth.corner_yx - want).max(),
    }


def label_areas(truth: Truth) -> np.ndarray:
    """Return the areas of what was found, in pixels of level 0."""
    ids = label(truth.found, connectivity=1)
    return np.bincount(ids.ravel())[1:] * np.prod(truth.scale_yx)


def farthest(found: np.ndarray, wanted: np.ndarray) -> float:
    """Return how far, along y or x, the places (y, x) that were found are at most from the wanted ones next to them."""
    assert len(found) == len(wanted) > 0, (len(found), len(wanted))
    apart = abs(found[:, None] - wanted[None]).max(axis=2)
    return float(max(apart.min(axis=0).max(), apart.min(axis=1).max()))


def found_in(result: Path, unit: str = "px") -> np.ndarray:
    """Return the centres (y, x) of a result's objects as its table has them."""
    table = slideseg.open_result(result).table
    assert table is not None
    return np.stack([table[f"centroid_{axis}_{unit}"] for axis in "yx"], axis=1)
