"""Pictures that look like H&E, painted from nuclei whose outlines are known.

Freely licensed nuclei images are mostly fluorescence and haematoxylin alone. Light that passes stained tissue follows
Beer-Lambert: intensity = exp(-density), and the densities of several stains add up. So a nucleus of any source is turned into
a density of haematoxylin, a background of eosin (fibres, membranes, blood, empty lumen) is made up from smooth noise, and
both are dyed with drawn colours. Images are float32 (y, x, 3), white is 1; densities are float32 (y, x).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from slideseg.training.data.labels import median_diameter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float32]

HAEMATOXYLIN = (np.array([0.65, 0.70, 0.29]), np.array([0.56, 0.72, 0.41]))
EOSIN = (np.array([0.07, 0.99, 0.11]), np.array([0.22, 0.80, 0.56]))
"""Optical density of a stain in red, green and blue, as two laboratories measured it: what stains are told apart by."""
STAINS = np.loadtxt(Path(__file__).with_name("stains.csv"), delimiter=",", skiprows=1)
"""The same of slides of many laboratories, a row each: haematoxylin and eosin, of length 1."""
DARKEST = 0.01
BANK_SIDE = 384
USUAL_DIAMETER = 13.0
"""Pixels across a nucleus at 0.5 microns per pixel: textures are measured for it, and grow with the nuclei of a picture."""
STAINED = {"he": 1.0, "purple_on_purple": 0.75, "purple_on_white": 0.4}
"""Kinds of images whose tissue is stained already, and how often they are redyed as they are: the others lack what H&E has.
What begins with ``he``, as ``he_points``, is H&E."""
UNITS = (0.75, 4.0)
"""Bounds of that growth."""


@dataclass(frozen=True, slots=True)
class Stain:
    """The colours of one drawn slide."""

    haematoxylin: NDArray[np.float64]
    """Density in red, green and blue of haematoxylin 1."""
    eosin: NDArray[np.float64]
    """Density in red, green and blue of eosin 1."""

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Stain:
        """Draw both colours between those of two real slides."""
        one, other = STAINS[rng.integers(len(STAINS), size=2)]
        mixed = one + rng.uniform(0, 1) * (other - one)
        return cls(_varied(mixed[:3], rng), _varied(mixed[3:], rng))

    def dye(self, haematoxylin: Floats, eosin: Floats) -> Floats:
        """Return the image of two densities."""
        density = haematoxylin[..., None] * self.haematoxylin + eosin[..., None] * self.eosin
        return np.exp(-np.maximum(density, 0)).astype(np.float32)


def _varied(color: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.float64]:
    color = np.maximum(color + rng.normal(0, 0.05, 3), 0.02)
    return np.asarray(color / np.linalg.norm(color) * 1.5)


class Noise:
    """A bank of noise textures, made once: mean 0, deviation 1."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.smooth = {sigma: [_smooth(sigma, sigma, rng) for _ in range(6)] for sigma in (1, 2, 3, 4, 6, 8, 12, 16, 32, 64)}
        self.fibres = [_fibres(rng) for _ in range(12)]

    def draw(self, sigma: float, side: int, rng: np.random.Generator) -> Floats:
        """Return a smooth texture (side, side) whose blobs measure about ``sigma`` pixels."""
        nearest = min(self.smooth, key=lambda known: abs(np.log(known / sigma)))
        return _cut(self.smooth[nearest], side, rng)

    def draw_fibres(self, side: int, rng: np.random.Generator, unit: float = 1.0) -> Floats:
        """Return a texture (side, side) of bent fibres, ``unit`` times as thick as usual."""
        if unit <= 1:
            return _cut(self.fibres, side, rng)
        small = _cut(self.fibres, int(np.ceil(side / unit)) + 1, rng)
        return np.asarray(ndimage.zoom(small, unit, order=1)[:side, :side], np.float32)


def _smooth(sigma_y: float, sigma_x: float, rng: np.random.Generator) -> Floats:
    white = rng.standard_normal((BANK_SIDE, BANK_SIDE), dtype=np.float32)
    texture = ndimage.gaussian_filter(white, (sigma_y, sigma_x), mode="wrap")
    return np.asarray((texture - texture.mean()) / texture.std(), np.float32)


def _fibres(rng: np.random.Generator) -> Floats:
    straight = _smooth(rng.uniform(0.8, 2), rng.uniform(8, 25), rng)
    turned = ndimage.rotate(straight, rng.uniform(0, 180), reshape=False, mode="wrap", order=1)
    bend = _smooth(24, 24, rng) * rng.uniform(4, 15)
    rows, columns = np.mgrid[:BANK_SIDE, :BANK_SIDE]
    return np.asarray(ndimage.map_coordinates(turned, (rows + bend, columns + bend.T), order=1, mode="wrap"), np.float32)


def _cut(bank: list[Floats], side: int, rng: np.random.Generator) -> Floats:
    """Return a piece of one of the textures; a side longer than theirs goes around."""
    texture = bank[rng.integers(len(bank))]
    y, x = rng.integers(0, max(1, BANK_SIDE - side + 1), 2)
    way = np.arange(side)
    piece = texture.take(y + way, 0, mode="wrap").take(x + way, 1, mode="wrap")
    piece = np.rot90(piece, int(rng.integers(4)))
    return np.asarray(piece if rng.random() < 0.5 else -piece, np.float32)


def density_of(image: Floats) -> Floats:
    """Return the mean optical density of an image's channels: 0 where it is white."""
    return np.asarray(-np.log(np.maximum(image, DARKEST)).mean(axis=2), np.float32)


def paint(
    image: Floats, labels: NDArray[np.int32], kind: str, noise: Noise, rng: np.random.Generator
) -> tuple[Floats, NDArray[np.int32]]:
    """Return an image that looks like H&E and its nuclei (y, x), from an image of ``kind`` and its nuclei ``labels``.

    Fluorescence gives its nuclei (or, as grey images always do, only the outlines, filled by noise) to a made-up tissue; images
    that are stained already are mostly redyed as they are.
    """
    if rng.random() < STAINED.get("he" if kind.startswith("he") else kind, 0):
        image = hollowed(image, labels, noise, rng) if rng.random() < 0.5 else image
        return finish(grained(redye(image, rng), noise, rng), rng), labels
    unit = unit_of(labels, rng)
    if rng.random() < 0.6 or kind == "brightfield_grey_cytology":  # whose cytoplasm is as dark as its nuclei
        labels = crowded(labels, rng) if rng.random() < 0.5 else labels
        nuclei = invented_nuclei(labels, noise, rng, unit)
    else:
        nuclei = measured_nuclei(image, labels, rng)
    haematoxylin, eosin = tissue(labels, noise, rng, unit)
    thickness = 2 ** rng.uniform(-0.5, 0.8)
    dyed = Stain.draw(rng).dye(thickness * (nuclei + haematoxylin), thickness * eosin)
    return finish(grained(dyed, noise, rng), rng), labels


def unit_of(labels: NDArray[np.int32], rng: np.random.Generator) -> float:
    """Return by how much the nuclei of a picture are larger than usual; drawn where there are none."""
    diameter = median_diameter(labels)
    low, high = UNITS
    return (
        float(low * (high / low) ** rng.random()) if diameter is None else float(np.clip(diameter / USUAL_DIAMETER, low, high))
    )


def crowded(labels: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
    """Return twice as many nuclei: the same ones once more, turned and moved, behind those that were there."""
    moved = _moved(labels, rng)
    return np.where((labels == 0) & (moved > 0), moved + labels.max(), labels)


def _moved(labels: NDArray[np.int32], rng: np.random.Generator) -> NDArray[np.int32]:
    return np.roll(np.rot90(labels, int(rng.integers(1, 4))), rng.integers(0, labels.shape[0], 2), (0, 1))


def redye(image: Floats, rng: np.random.Generator) -> Floats:
    """Return a stained image in other colours: its two stains are told apart, weighed anew and dyed with drawn colours."""
    colors = np.stack([HAEMATOXYLIN[1], EOSIN[1]])
    density = -np.log(np.maximum(image, DARKEST))
    amounts = density @ np.linalg.pinv(colors)
    rest = density - amounts @ colors
    drawn = Stain.draw(rng)
    dyes = np.stack([drawn.haematoxylin, drawn.eosin]) / 1.5
    amounts = amounts * rng.uniform(0.7, 1.4, 2) * 2 ** rng.uniform(-0.5, 0.7) + rng.normal(0, 0.04, 2)
    return np.asarray(np.exp(-np.maximum(amounts @ dyes + rest * rng.uniform(0, 1), 0)), np.float32)


def hollowed(image: Floats, labels: NDArray[np.int32], noise: Noise, rng: np.random.Generator) -> Floats:
    """Return a stained image whose nuclei are paler inside than at their rim, each by a drawn amount; clumps are left dark."""
    side = labels.shape[0]
    rim = rng.uniform(0.7, 2) * unit_of(labels, rng) ** 0.7
    inside = np.clip(ndimage.distance_transform_edt(labels > 0) / rim - 0.8, 0, 1)
    clumps = np.clip(noise.draw(rim * rng.uniform(0.7, 1.5), side, rng) - rng.uniform(0, 1.5), 0, 1)
    paler = inside * _per_nucleus(labels, 0.1, 1, rng) * rng.uniform(0.3, 0.95) * (1 - clumps)
    density = -np.log(np.maximum(image, DARKEST))
    return np.asarray(np.exp(-density * np.clip(1 - paler, 0.05, 1)[..., None]), np.float32)


def grained(image: Floats, noise: Noise, rng: np.random.Generator) -> Floats:
    """Return a stained image whose densities vary from spot to spot, inside nuclei as outside: grain says nothing."""
    side = image.shape[0]
    grain = 1 + rng.uniform(0, 0.5) * noise.draw(rng.uniform(1, 3.5), side, rng)
    if rng.random() < 0.4:
        return image
    density = -np.log(np.maximum(image, DARKEST))
    return np.asarray(np.exp(-density * np.clip(grain, 0.1, 2.5)[..., None]), np.float32)


def measured_nuclei(image: Floats, labels: NDArray[np.int32], rng: np.random.Generator) -> Floats:
    """Return nuclei's density as the image has it: what is unlike the background, on the scale of the labelled nuclei."""
    value = image.mean(axis=2)
    inside, outside = value[labels > 0], value[labels == 0]
    if inside.size == 0 or outside.size == 0:
        return np.zeros_like(value)
    floor, top = np.median(outside), np.percentile(inside, 80 if np.median(inside) > np.median(outside) else 20)
    contrast = (value - floor) / (top - floor if abs(top - floor) > DARKEST else 1)
    shape = np.clip(contrast, 0, 1.4) ** rng.uniform(0.5, 1.1)
    return np.asarray(shape * _per_nucleus(labels, 0.3, 1.0, rng) * rng.uniform(0.6, 1.3), np.float32)


def invented_nuclei(labels: NDArray[np.int32], noise: Noise, rng: np.random.Generator, unit: float = 1.0) -> Floats:
    """Return nuclei's density drawn from noise inside their outlines: solid, or pale with a dark rim and dark clumps.

    Chromatin is as fine in large nuclei as in small ones, or as coarse as their size (``unit``) lets it be, or between.
    """
    side = labels.shape[0]
    grain = max(1.0, unit) ** rng.uniform(0, 1)
    mask = ndimage.gaussian_filter((labels > 0).astype(np.float32), rng.uniform(0.4, 0.9) * grain**0.5)
    depth = ndimage.distance_transform_edt(labels > 0)
    rim = np.exp(-(((depth / grain - 1.2) / rng.uniform(0.7, 1.3)) ** 2)) * (labels > 0)
    pale = rng.random() < 0.4
    grains = noise.draw(grain, side, rng) * rng.uniform(0, 0.4) + noise.draw(2 * grain, side, rng) * rng.uniform(0, 0.5)
    spots = noise.draw(int(rng.integers(1, 3)) * grain, side, rng) - rng.uniform(0.7, 1.6)
    clumps = np.clip(spots, 0, 1) * rng.uniform(0, 0.9) * (depth > 0)
    low, high = (0.05, 0.5) if pale else (0.25, 1.0)
    body = _per_nucleus(labels, low, high, rng) * np.maximum(1 + grains, 0.05) + clumps
    return np.asarray(mask * body * rng.uniform(0.7, 1.4) + rim * rng.uniform(0.2 * pale, 0.5 + 0.4 * pale), np.float32)


def _per_nucleus(labels: NDArray[np.int32], low: float, high: float, rng: np.random.Generator) -> Floats:
    """Return a factor that is drawn nucleus by nucleus, in a narrower range that is drawn for the picture; 1 outside."""
    first, second = sorted(rng.uniform(low, high, 2))
    ids, inverse = np.unique(labels, return_inverse=True)
    factors = rng.uniform(first, max(second, high * 0.45), len(ids)).astype(np.float32)
    factors[ids == 0] = 1
    return ndimage.gaussian_filter(factors[inverse.reshape(labels.shape)], 0.6)


def tissue(labels: NDArray[np.int32], noise: Noise, rng: np.random.Generator, unit: float = 1.0) -> tuple[Floats, Floats]:
    """Return haematoxylin and eosin of a made-up tissue around (and thinly over) nuclei, ``unit`` times as large as usual."""
    side = labels.shape[0]
    coarse = noise.draw(int(rng.choice([8, 16, 32])) * unit, side, rng)
    grain = max(1.0, unit) ** rng.uniform(0, 1)
    fine = noise.draw(grain, side, rng) * 0.5 + noise.draw(2 * grain, side, rng)
    fibres = noise.draw_fibres(side, rng, unit) if rng.random() < 0.6 else noise.draw(4 * unit, side, rng)
    eosin = rng.uniform(0.1, 0.7) * (1 + 0.25 * coarse + rng.uniform(0, 0.35) * fibres + rng.uniform(0.02, 0.2) * fine)
    basophil = rng.uniform(0, 0.3) * np.clip(1 + 0.5 * noise.draw(16 * unit, side, rng) + 0.3 * fine, 0, None)
    haematoxylin = basophil if rng.random() < 0.6 else basophil * 0.2
    membranes = _membranes(noise, rng, side, unit) * rng.uniform(0, 0.6)
    eosin, haematoxylin = eosin + membranes, haematoxylin + membranes * rng.uniform(0, 0.5)
    if rng.random() < 0.35:
        eosin = eosin + _blobs(labels, rng) * rng.uniform(0.3, 1.2)
    if rng.random() < 0.5:
        cytoplasm = _grown(labels, rng.uniform(7, 16) * unit, 1.5 * unit)
        eosin, haematoxylin = eosin + cytoplasm * rng.uniform(-0.1, 0.4), haematoxylin + cytoplasm * rng.uniform(0, 0.25)
    present = _presence(noise, rng, side, unit)
    inside = ndimage.gaussian_filter((labels > 0).astype(np.float32), 0.7 * grain**0.5)
    around = _grown(labels, 5 * unit, 0.8 * unit) - inside
    thinner = 1 - inside * rng.uniform(0.1, 0.9) - np.clip(around, 0, 1) * (rng.uniform(0, 0.9) if rng.random() < 0.3 else 0)
    share = np.clip(thinner, 0, 1) * present
    return (haematoxylin * share).astype(np.float32), (np.maximum(eosin, 0) * share).astype(np.float32)


def _grown(labels: NDArray[np.int32], size: float, sigma: float) -> Floats:
    """Return 1 on nuclei and around them, up to half of ``size`` pixels away; soft at its edge."""
    near = ndimage.distance_transform_edt(labels == 0) <= size / 2 if labels.any() else np.zeros(labels.shape, bool)
    return np.asarray(ndimage.gaussian_filter(near.astype(np.float32), sigma), np.float32)


def _membranes(noise: Noise, rng: np.random.Generator, side: int, unit: float) -> Floats:
    """Return thin dark lines: where smooth noise changes its sign."""
    return np.asarray(np.exp(-((noise.draw(8 * unit, side, rng) / rng.uniform(0.08, 0.25)) ** 2)), np.float32)


def _blobs(labels: NDArray[np.int32], rng: np.random.Generator) -> Floats:
    """Return round bodies that are no nuclei (blood cells): the nuclei's outlines elsewhere, not where nuclei are."""
    moved = _moved(labels, rng)
    return ndimage.gaussian_filter(((moved > 0) & (labels == 0)).astype(np.float32), 0.8)


def _presence(noise: Noise, rng: np.random.Generator, side: int, unit: float) -> Floats:
    """Return 1 where there is tissue and less where the glass shines through."""
    if rng.random() < 0.45:
        return np.ones((side, side), np.float32)
    field = noise.draw(int(rng.choice([4, 8, 16])) * unit, side, rng) + rng.uniform(-0.5, 1.8)
    hole = rng.uniform(0, 0.4)
    return np.asarray(hole + (1 - hole) / (1 + np.exp(-field * rng.uniform(3, 12))), np.float32)


def finish(image: Floats, rng: np.random.Generator) -> Floats:
    """Return the image as a scanner would see it: white balance, exposure, focus, sharpening and noise vary."""
    seen = np.asarray(image * rng.uniform(0.85, 1.02, 3) * rng.uniform(0.9, 1.03), np.float32)
    focus = rng.random()
    if focus < 0.35:
        seen = _blurred(seen, rng.uniform(0.2, 1.1))
    elif focus < 0.8:
        amount, softer = rng.uniform(0, 2.5), _blurred(seen, rng.uniform(0.8, 3))
        seen = np.asarray(seen + amount * (seen - softer), np.float32)
    noise = rng.normal(0, rng.uniform(0, 0.025), seen.shape)
    return np.clip(seen + noise, 0, 1).astype(np.float32)


def _blurred(image: Floats, sigma: float) -> Floats:
    return np.asarray(ndimage.gaussian_filter(image, (sigma, sigma, 0)), np.float32)
