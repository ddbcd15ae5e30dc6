"""What finds nuclei without learning anything: Otsu's threshold and a plain watershed. The rival of the models' figures.

    python benchmarks/without_learning.py            choose its two numbers, and write them down

Haematoxylin by colour deconvolution (in fluorescence the mean of the channels), a Gaussian of 1.5 pixels, Otsu's threshold; a
watershed on the distance to the background from its peaks, which are at least so many pixels apart; objects of fewer than so
many pixels are left out. The two numbers are chosen for the largest mean of AJI, F1 and PQ on the images that the models are
chosen by too: TNBC's patients 09, 10 and 11, and the fluorescence of the validation split of the 2018 Data Science Bowl.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from itertools import product
from typing import TYPE_CHECKING, Literal

import numpy as np
from common import RESULTS, hardware, write_result
from nuclei_sets import dsb, read_image, read_labels, tnbc
from scipy import ndimage
from skimage.color import rgb2hed
from skimage.feature import peak_local_max
from skimage.filters import threshold_otsu
from skimage.segmentation import watershed

from slideseg.evaluation.metrics.instances import instance_scores
from slideseg.evaluation.metrics.overlap import OverlapTable

if TYPE_CHECKING:
    from nuclei_sets import Images

Light = Literal["bright", "dark"]
SIGMA = 1.5
APART, LEAST = (4, 6, 8, 10, 12, 15, 20, 25), (20, 30, 60, 100, 150, 200, 300)
"""Pixels that are tried."""


@dataclass(frozen=True)
class Numbers:
    """What is chosen."""

    apart: int
    """Pixels between peaks at least."""
    least: int
    """Pixels of an object at least."""


def stain_of(image: np.ndarray, light: Light) -> np.ndarray:
    """Return how much of a nucleus a pixel of an image (y, x, 3) is."""
    strength = rgb2hed(image)[..., 0] if light == "bright" else image.mean(axis=2)
    return ndimage.gaussian_filter(strength, SIGMA)


def parted(image: np.ndarray, light: Light, apart: int) -> np.ndarray:
    """Return the labels (y, x) of all objects, however small."""
    strength = stain_of(image, light)
    if np.ptp(strength) == 0:
        return np.zeros(strength.shape, np.int32)
    mask = strength > threshold_otsu(strength)
    distance = ndimage.distance_transform_edt(mask)
    peaks = peak_local_max(distance, min_distance=apart, labels=mask.astype(int), exclude_border=False)
    seeds = np.zeros(mask.shape, np.int32)
    seeds[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return watershed(-distance, seeds, mask=mask)


def large_enough(labels: np.ndarray, least: int) -> np.ndarray:
    """Return labels without objects of fewer pixels."""
    small = np.bincount(labels.ravel()) < least
    small[0] = True
    return np.where(small[labels], 0, labels).astype(np.int32)


def find(image: np.ndarray, light: Light) -> np.ndarray:
    """Return the labels (y, x) of nuclei, with the numbers that were chosen for this light."""
    chosen = json.loads((RESULTS / "without_learning.json").read_text(encoding="utf-8"))["chosen"][light]
    return large_enough(parted(image, light, chosen["apart"]), chosen["least"])


def choose(images: Images) -> tuple[Numbers, dict[str, float]]:
    """Return the best numbers on a set of images, and the score that all had."""
    scores: dict[Numbers, list[float]] = {Numbers(*pair): [] for pair in product(APART, LEAST)}
    for path in images.paths:
        image, truth = read_image(path), read_labels(images.labels, path.stem)
        for apart in APART:
            labels = parted(image, images.light, apart)
            for least in LEAST:
                said = instance_scores(OverlapTable.of(large_enough(labels, least), truth))
                scores[Numbers(apart, least)].append((said.aji + said.f1 + said.pq) / 3)
    means = {numbers: float(np.mean(values)) for numbers, values in scores.items()}
    return max(means, key=means.__getitem__), {f"{n.apart}, {n.least}": round(mean, 4) for n, mean in means.items()}


def main() -> None:
    sets = {"bright": tnbc(), "dark": dsb("fluorescence")}
    found = {light: choose(images) for light, images in sets.items()}
    chosen = {light: asdict(numbers) for light, (numbers, _) in found.items()}
    tried = {light: means for light, (_, means) in found.items()}
    write_result("without_learning", {"chosen": chosen, "mean_of_aji_f1_pq_by_apart_least": tried}, hardware())


if __name__ == "__main__":
    main()
