"""Boxes: the algebra that tiles and shards stand on."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slideseg.space.box import Box

small = st.integers(-50, 50)
sizes = st.integers(0, 40)


@st.composite
def boxes(draw):
    y, x = draw(small), draw(small)
    return Box(y, x, y + draw(sizes), x + draw(sizes))


def pixels(box):
    return {(y, x) for y in range(box.y0, box.y1) for x in range(box.x0, box.x1)}


@given(boxes(), boxes())
def test_the_intersection_holds_exactly_the_shared_pixels(a, b):
    assert pixels(a.intersect(b)) == pixels(a) & pixels(b)


@given(boxes(), st.integers(1, 17), st.integers(1, 17))
def test_a_split_holds_every_pixel_once(box, height, width):
    parts = list(box.split(height, width))

    assert sum(part.area for part in parts) == box.area
    assert set().union(*map(pixels, parts)) == pixels(box)
    assert all(part.shape[0] <= height and part.shape[1] <= width for part in parts)


@given(boxes(), st.integers(1, 32))
def test_rounding_out_gives_the_smallest_aligned_box(box, grid):
    rounded = box.round_out(grid)

    assert rounded.contains(box)
    assert all(side % grid == 0 for side in (rounded.y0, rounded.x0, rounded.y1, rounded.x1))
    assert box.y0 - rounded.y0 < grid
    assert rounded.y1 - box.y1 < grid


@given(boxes(), boxes())
def test_contains_means_every_pixel(outer, inner):
    assert outer.contains(inner) == (pixels(inner) <= pixels(outer))


@given(boxes(), st.integers(0, 9))
def test_growing_is_undone_by_coordinates(box, margin):
    grown = box.grow(margin)

    assert box.relative_to(grown) == Box(margin, margin, margin + box.shape[0], margin + box.shape[1])


def test_a_box_can_not_end_before_it_starts():
    with pytest.raises(ValueError, match="ends before it starts"):
        Box(0, 5, 3, 4)
