"""The outlines of a label image don't depend on how it is cut into shards, and hold exactly its pixels."""

import gc
import tracemalloc

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from skimage.measure import label

from slideseg.exports.outline import rings_of, segments_of
from slideseg.exports.trace import trace, trace_with
from slideseg.space.grid import ShardGrid

SHAPES = st.tuples(st.integers(1, 11), st.integers(1, 11))
IMAGES = SHAPES.flatmap(lambda shape: arrays(np.uint16, shape, elements=st.sampled_from([0, 0, 1, 1, 2, 40000])))


def spiral(side):
    image = np.zeros((side, side), np.uint16)
    for start in range(0, side // 2, 2):
        image[start : side - start, start : side - start] = 1
        image[start + 1 : side - start - 1, start + 1 : side - start - 1] = 0
        image[start + 1, start] = 0
        image[min(side - 1, start + 2), start + 1] = 1
    return image


def comb(side):
    image = np.zeros((side, side), np.uint16)
    image[:, ::2] = 1
    image[0] = 1
    return image


SPECIAL = {
    "checkerboard": np.indices((13, 13)).sum(0).astype(np.uint16) % 2,
    "full": np.ones((12, 17), np.uint16),
    "empty": np.zeros((5, 6), np.uint16),
    "spiral": spiral(16),
    "comb": comb(15),
    "ring": np.pad(np.zeros((7, 7), np.uint16), 2, constant_values=3),
    "corner hole": np.array([[0, 1, 1], [1, 0, 1], [1, 1, 1]], np.uint16),
}


def features(image, side, second=None):
    """Return (value, counts, polygons) of every region."""
    grid = ShardGrid(image.shape, 1, side)
    found = []
    for regions in (
        trace(grid, lambda box: image[box.slices])
        if second is None
        else trace_with(grid, lambda box: (image[box.slices], second[box.slices]), 4)
    ):
        polygons = [[] for _ in regions.value]
        rings = regions.rings
        lines = [rings.corners[a:b, ::-1] for a, b in zip(rings.first[:-1], rings.first[1:], strict=True)]
        for part, region in enumerate(regions.of_part):
            outer, *holes = [lines[n] for n in np.flatnonzero(rings.part == part)]
            polygons[region].append(shapely.Polygon(outer, holes))
        found += zip(regions.value.tolist(), regions.counts.tolist(), polygons, strict=True)
    return found


def filled(polygons, shape):
    y, x = np.indices(shape)
    return shapely.contains_xy(shapely.MultiPolygon(polygons), x + 0.5, y + 0.5)


def check(image, side, second=None):
    regions = label(image, background=0, connectivity=2)
    seen = np.zeros(image.shape, int)
    for value, counts, polygons in features(image, side, second):
        assert shapely.MultiPolygon(polygons).is_valid
        assert all(p.exterior.is_ccw and not any(hole.is_ccw for hole in p.interiors) for p in polygons)
        inside = filled(polygons, image.shape)
        (which,) = np.unique(regions[inside])
        assert np.array_equal(inside, regions == which)
        assert set(image[inside].tolist()) == {value}
        if second is not None:
            assert counts == np.bincount(second[inside], minlength=4).tolist()
        seen[inside] += 1
    assert np.array_equal(seen, image != 0)


@settings(max_examples=60)
@given(IMAGES, st.integers(1, 12), st.data())
def test_polygons_hold_exactly_the_pixels_of_a_region(image, side, data):
    second = data.draw(arrays(np.uint8, image.shape, elements=st.integers(0, 3)))
    check(image, side, second)


@pytest.mark.parametrize("side", [1, 3, 5, 20])
@pytest.mark.parametrize("name", SPECIAL)
def test_polygons_of_hard_shapes(name, side):
    check(SPECIAL[name], side)


@settings(max_examples=40)
@given(IMAGES, st.integers(1, 12))
def test_no_corner_depends_on_the_shards(image, side):
    """Not only the same area: the same rings, corner by corner, as when the image is traced at once."""

    def normal(side):
        return sorted(
            (value, sorted(shapely.normalize(p).wkt for p in polygons)) for value, _, polygons in features(image, side)
        )

    assert normal(side) == normal(20)


@settings(max_examples=30)
@given(IMAGES)
def test_no_corner_lies_on_a_straight_line(image):
    rings = rings_of(segments_of(label(image, background=0, connectivity=1)))
    for start, stop in zip(rings.first[:-1], rings.first[1:], strict=True):
        steps = np.diff(rings.corners[start:stop], axis=0, append=rings.corners[start : start + 1])
        assert (np.count_nonzero(steps, axis=1) == 1).all()
        axis = np.flatnonzero(steps.reshape(-1)) % 2
        assert (axis != np.roll(axis, 1)).all()


def test_memory_does_not_grow_with_the_number_of_regions():
    """Regions that lie in one shard or two, in an image of 8 strips and of 64."""

    def read(box):
        gc.collect()
        y, x = np.ogrid[box.y0 : box.y1, box.x0 : box.x1]
        return (((y % 9 < 6) & (x % 7 < 5)) * (1 + (y // 9 + x // 7) % 3)).astype(np.uint8)

    def peak(strips):
        grid = ShardGrid((64 * strips, 128), 1, 64)
        gc.freeze()
        tracemalloc.start()
        try:
            number = sum(len(regions.value) for regions in trace(grid, read))
            return number, tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            gc.unfreeze()

    (few, small), (many, large) = peak(9), peak(72)
    assert many > 7 * few
    assert large < 1.2 * small
