"""Pictures painted as H&E: in a camera's range, nuclei darker than what is around them, textures as large as the nuclei."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slideseg.training.samples.stain import (
    STAINED,
    STAINS,
    UNITS,
    USUAL_DIAMETER,
    Noise,
    Stain,
    density_of,
    grained,
    hollowed,
    paint,
    unit_of,
)

KINDS = ("fluorescence", "brightfield_grey_cytology", *STAINED)
SIDE = 64


def discs(radius: float, side: int = SIDE) -> np.ndarray:
    """Return round nuclei on a lattice (y, x) int32."""
    y, x = np.mgrid[:side, :side]
    step = max(16, int(3 * radius))
    inside = ((y % step - step / 2) ** 2 + (x % step - step / 2) ** 2) < radius**2
    return np.where(inside, 1 + (y // step) * 100 + x // step, 0).astype(np.int32)


def picture(labels: np.ndarray, kind: str) -> np.ndarray:
    """Return bright nuclei on black, or purple ones on pink (y, x, 3) float32."""
    nucleus, ground = ((0.35, 0.2, 0.5), (0.9, 0.7, 0.8)) if kind in STAINED else ((0.7,) * 3, (0.08,) * 3)
    return np.where(labels[..., None] > 0, np.float32(nucleus), np.float32(ground)).astype(np.float32)


@pytest.fixture(scope="module")
def noise() -> Noise:
    return Noise(np.random.default_rng(0))


@pytest.mark.parametrize("kind", KINDS)
def test_painted_nuclei_are_darker_on_average_and_pixels_in_the_range_of_a_camera(kind: str, noise: Noise) -> None:
    rng, darker = np.random.default_rng(2), []
    for _ in range(16):
        labels = discs(6)
        painted, painted_labels = paint(picture(labels, kind), labels, kind, noise, rng)
        assert painted.shape == (SIDE, SIDE, 3)
        assert painted.dtype == np.float32
        assert 0 <= painted.min() <= painted.max() <= 1
        assert np.array_equal(painted_labels[labels > 0], labels[labels > 0]), "nuclei that were there were lost"
        density = density_of(painted)
        darker.append(density[painted_labels > 0].mean() - density[painted_labels == 0].mean())
    assert np.mean(darker) > 0.05


def test_painting_follows_from_the_seed(noise: Noise) -> None:
    labels = discs(6)
    image = picture(labels, "fluorescence")
    one, other, third = (paint(image, labels, "fluorescence", noise, np.random.default_rng(seed))[0] for seed in (1, 1, 2))
    assert np.array_equal(one, other)
    assert not np.array_equal(one, third)


def test_a_picture_without_nuclei_can_be_painted(noise: Noise) -> None:
    labels = np.zeros((SIDE, SIDE), np.int32)
    for kind in KINDS:
        painted, found = paint(picture(labels, kind), labels, kind, noise, np.random.default_rng(0))
        assert np.isfinite(painted).all()
        assert not found.any()


@given(st.floats(1, 60))
def test_the_unit_grows_with_the_nuclei_within_its_bounds(radius: float) -> None:
    labels = discs(radius, 2 * max(16, int(3 * radius)))  # four whole ones
    unit = unit_of(labels, np.random.default_rng(0))
    low, high = UNITS
    assert unit == pytest.approx(np.clip(2 * np.sqrt((labels == 1).sum() / np.pi) / USUAL_DIAMETER, low, high), rel=0.2)


def test_hollowed_nuclei_are_paler_inside_and_nothing_else_changes(noise: Noise) -> None:
    labels = discs(14, 96)
    image = picture(labels, "he")
    out = hollowed(image, labels, noise, np.random.default_rng(1))
    assert np.allclose(out[labels == 0], image[labels == 0], atol=1e-6)
    assert density_of(out)[labels > 0].mean() < 0.95 * density_of(image)[labels > 0].mean()
    assert (density_of(out) <= density_of(image) + 1e-6).all()


def test_grain_changes_densities_in_proportion_so_that_glass_stays_glass(noise: Noise) -> None:
    image = np.ones((SIDE, SIDE, 3), np.float32)
    image[:, SIDE // 2 :] = 0.5
    varied = [grained(image, noise, np.random.default_rng(seed)) for seed in range(8)]
    assert all(np.array_equal(one[:, : SIDE // 2], image[:, : SIDE // 2]) for one in varied)
    assert any(one[:, SIDE // 2 :].std() > 0.02 for one in varied)


def test_thick_fibres_fill_the_picture(noise: Noise) -> None:
    for unit in (0.75, 1.0, 1.3, 4.0):
        assert noise.draw_fibres(SIDE, np.random.default_rng(0), unit).shape == (SIDE, SIDE)


def test_stain_follows_beer_and_lambert() -> None:
    stain = Stain.draw(np.random.default_rng(0))
    none, one = np.zeros((2, 2), np.float32), np.ones((2, 2), np.float32)
    assert np.allclose(stain.dye(none, none), 1)
    assert np.allclose(stain.dye(one, one), stain.dye(one, none) * stain.dye(none, one))
    assert np.allclose(density_of(stain.dye(one, none)), stain.haematoxylin.mean(), atol=1e-5)


def test_stains_are_colours_of_length_one_and_haematoxylin_takes_more_red_than_eosin():
    assert STAINS.shape[1] == 6
    assert np.allclose(np.linalg.norm(STAINS[:, :3], axis=1), 1, atol=0.01)
    assert np.allclose(np.linalg.norm(STAINS[:, 3:], axis=1), 1, atol=0.01)
    assert (STAINS[:, 0] > STAINS[:, 3]).all()


def test_drawn_stains_are_like_real_ones():
    drawn = [Stain.draw(np.random.default_rng(seed)) for seed in range(300)]
    for colors, real in (([one.haematoxylin for one in drawn], STAINS[:, :3]), ([one.eosin for one in drawn], STAINS[:, 3:])):
        assert np.allclose(np.linalg.norm(colors, axis=1), 1.5)
        assert np.allclose(np.mean(colors, axis=0) / 1.5, real.mean(axis=0), atol=0.04)
        assert (np.std(colors, axis=0) > 0.04).all()
