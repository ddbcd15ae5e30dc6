"""Measures of objects are those of scikit-image on the whole image, whatever the shards."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops

from slideseg.instances.labelling.measure import HALO, Measures, Pixels, chained, forms_of, in_hulls_of, measure, merged
from slideseg.instances.labelling.paint import label_image
from slideseg.instances.labelling.reach import Place
from slideseg.model.objects import ObjectRules
from slideseg.space.box import Box
from slideseg.space.grid import ShardGrid
from tests.properties.test_objects_equal_whole import blobs, comb, spiral

SHAPES = {"blobs": blobs(60, 3, 2), "comb": comb(21), "spiral": spiral(19), "full": np.ones((9, 12), np.uint8)}


def in_shards(labels: np.ndarray, class_map: np.ndarray, foreground, side: int, image=None) -> Measures:
    pieces = []
    for shard in ShardGrid(labels.shape, 1, side):
        seen = shard.write_box.grow(HALO).intersect(Box.of_shape(labels.shape))
        place, own = Place(shard.write_box, 0, labels.shape), shard.write_box.slices
        pixels = Pixels(class_map[own], foreground[own], None if image is None else image[own])
        pieces.append(measure(labels[seen.slices], pixels, place, (1, 2)))
    return merged(Measures.from_bytes(chained(pieces).to_bytes()))


def check(class_map: np.ndarray, side: int, *, together: bool = False) -> None:
    labels = label_image(class_map, ObjectRules((1, 2), connectivity=8, together=together)).astype(np.int64)
    foreground = np.random.default_rng(0).integers(0, 256, labels.shape).astype(np.uint8)
    got = in_shards(labels, class_map, foreground, side)
    want = regionprops(labels, foreground)
    forms = forms_of(got, in_hulls_of(got))
    assert got.id.tolist() == [one.label for one in want]
    assert got.pixels.tolist() == [one.area for one in want]
    assert got.box.tolist() == [list(one.bbox) for one in want]
    counts = [np.bincount(class_map[tuple(one.coords.T)], minlength=3)[1:] for one in want]
    assert got.class_of((1, 2)).tolist() == [1 + int(count[1] > count[0]) for count in counts]
    np.testing.assert_allclose(got.probability / got.pixels, [one.intensity_mean for one in want])
    np.testing.assert_allclose(forms.centroid - 0.5, np.reshape([one.centroid for one in want], (-1, 2)))
    np.testing.assert_allclose(forms.perimeter, [one.perimeter for one in want])
    np.testing.assert_allclose(forms.major_axis, [one.axis_major_length for one in want])
    np.testing.assert_allclose(forms.minor_axis, [one.axis_minor_length for one in want], atol=1e-6)
    np.testing.assert_allclose(forms.eccentricity, [one.eccentricity for one in want], atol=1e-9)
    np.testing.assert_allclose(forms.solidity, [one.solidity for one in want], rtol=1e-12)
    turned = forms.orientation - [one.orientation for one in want]
    round_ones = np.isclose(forms.major_axis, forms.minor_axis)
    np.testing.assert_allclose(np.sin(turned[~round_ones]), 0, atol=1e-7)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("side", [3, 16, 100])
def test_measures_are_those_of_regionprops(name, side):
    check(SHAPES[name], side)


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 30), st.integers(2, 28), st.booleans())
def test_measures_of_any_blobs(seed, side, size, together):
    check(blobs(size, seed, 2), side, together=together)


def test_sums_of_objects_larger_than_64_bits_are_exact():
    far = 3_000_000
    lines = [measure_of(Box(y, 0, y + 1, 1), (far + 1, 1)) for y in (0, far)]
    whole = merged(chained(lines))
    assert whole.moments[0].tolist() == [far, 0, far**2, 0, 0]
    assert forms_of(whole, in_hulls_of(whole)).major_axis[0] == pytest.approx(4 * (far / 2))


@pytest.mark.parametrize("side", [100, 10_000, 1_000_000])
def test_the_form_of_a_square_is_exact_however_large_it_is(side):
    ones, squares = side * (side - 1) // 2, (side - 1) * side * (2 * side - 1) // 6
    dot = measure_of(Box(0, 0, 1, 1), (1, 1))
    moments = np.array([[side * ones, side * ones, side * squares, side * squares, ones * ones]], object)
    square = replace(dot, pixels=np.array([side**2]), box=np.array([[0, 0, side, side]]), moments=moments)
    forms = forms_of(square, np.array([side**2]))
    assert forms.major_axis[0] == forms.minor_axis[0] == pytest.approx(4 * np.sqrt((side**2 - 1) / 12), rel=1e-15)
    assert forms.eccentricity[0] == 0
    assert forms.centroid[0].tolist() == [side / 2, side / 2]


def measure_of(box: Box, shape: tuple[int, int]) -> Measures:
    seen = box.grow(HALO).intersect(Box.of_shape(shape))
    ones = np.ones(box.shape, np.uint8)
    return measure(np.ones(seen.shape, np.int64), Pixels(ones), Place(box, 0, shape), (1,))


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
@pytest.mark.parametrize("side", [3, 16, 100])
def test_intensities_are_the_means_of_regionprops(dtype, side):
    class_map = SHAPES["blobs"]
    labels = label_image(class_map, ObjectRules((1, 2))).astype(np.int64)
    image = (np.random.default_rng(1).random((*labels.shape, 3)) * (1 if dtype == "float32" else 250)).astype(dtype)
    got = in_shards(labels, class_map, np.zeros(labels.shape, np.uint8), side, image)
    want = np.array([one.intensity_mean for one in regionprops(labels, image)])
    np.testing.assert_allclose(got.intensity / got.pixels[:, None], want, rtol=1e-6 if dtype == "float32" else 1e-12)
    assert got.intensity.dtype == (np.float64 if dtype == "float32" else np.int64)


@pytest.mark.parametrize("side_yx", [(0.5, 0.25), (1.0, 3.0), (2.0, 2.0)])
@pytest.mark.parametrize("name", SHAPES)
def test_pixels_need_not_be_square(name, side_yx):
    """But for perimeters, which scikit-image only has of square pixels."""
    class_map = SHAPES[name]
    labels = label_image(class_map, ObjectRules((1, 2), connectivity=8)).astype(np.int64)
    got = in_shards(labels, class_map, np.zeros(labels.shape, np.uint8), 7)
    forms = forms_of(got, in_hulls_of(got), side_yx)
    want = regionprops(labels, spacing=side_yx)
    np.testing.assert_allclose(forms.area, [one.area for one in want])
    np.testing.assert_allclose(forms.centroid - np.array(side_yx) / 2, np.reshape([one.centroid for one in want], (-1, 2)))
    np.testing.assert_allclose(forms.box, np.array([one.bbox for one in want]) * np.tile(side_yx, 2))
    np.testing.assert_allclose(forms.major_axis, [one.axis_major_length for one in want])
    np.testing.assert_allclose(forms.minor_axis, [one.axis_minor_length for one in want], atol=1e-6)
    np.testing.assert_allclose(forms.eccentricity, [one.eccentricity for one in want], atol=1e-7)
    turned = forms.orientation - [one.orientation for one in want]
    round_ones = np.isclose(forms.major_axis, forms.minor_axis)
    np.testing.assert_allclose(np.sin(turned[~round_ones]), 0, atol=1e-7)
    if side_yx[0] == side_yx[1]:
        np.testing.assert_allclose(forms.perimeter, [one.perimeter for one in want])


def test_an_outline_has_the_length_of_its_steps():
    """Of a rectangle through the middles of its pixels; of a diamond, whose steps are all from corner to corner."""
    rectangle = np.pad(np.ones((4, 7), np.uint8), 3)
    y, x = np.indices((21, 21)) - 10
    diamond = (abs(y) + abs(x) <= 8).astype(np.uint8)
    for class_map, length in ((rectangle, 2 * (3 * 0.5 + 6 * 0.25)), (diamond, 4 * 8 * np.hypot(0.5, 0.25))):
        found = in_shards(class_map.astype(np.int64), class_map, np.zeros(class_map.shape, np.uint8), 5)
        assert forms_of(found, in_hulls_of(found), (0.5, 0.25)).perimeter == pytest.approx([length])
