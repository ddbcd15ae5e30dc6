"""Small images in which each rule decides a pixel: sizes at their limits, reaches, and what several shards know together."""

from __future__ import annotations

import numpy as np
import pytest

from slideseg.instances.labelling.paint import label_image
from slideseg.instances.labelling.reach import halo_of
from slideseg.instances.labelling.split import find_peaks
from slideseg.model.objects import ObjectRules
from tests.properties.test_objects_equal_whole import blobs, peaks_of


@pytest.mark.parametrize("side", [5, 64])
def test_a_hole_between_parts_that_only_another_shard_joins_is_filled_and_counts(side):
    class_map = np.zeros((5, 10), np.uint8)
    class_map[1:4, 1:5] = 2  # grows from three pixels on the other side of the seam, so it has three parts
    class_map[2, 2] = 0
    class_map[1:4, 5:8] = 1
    want = np.zeros((5, 10), int)
    want[1:4, 1:8] = 1
    for min_area, kept in ((21, 1), (22, 0)):
        rules = ObjectRules((1,), border=2, grow=6, fill_holes=1, min_area=min_area)
        np.testing.assert_array_equal(label_image(class_map, rules, side), want * kept)
    class_map[2, 4:8] = 0  # now it lies between two objects
    assert label_image(class_map, ObjectRules((1,), border=2, grow=6, fill_holes=9), side)[2, 2] == 0


@pytest.mark.parametrize("side", [2, 64])
def test_a_hole_of_just_the_largest_area_is_filled(side):
    ring = np.ones((3, 4), np.uint8)
    ring[1, 1:3] = 0
    assert label_image(ring, ObjectRules((1,), fill_holes=2), side).all()
    assert not label_image(ring, ObjectRules((1,), fill_holes=1), side)[1, 1:3].any()


def test_the_halo_is_as_far_as_growing_and_parting_look():
    assert halo_of(ObjectRules((1,))) == 0
    assert halo_of(ObjectRules((1,), border=2, grow=4)) == 4
    assert halo_of(ObjectRules((1,), split=10)) == 133
    assert halo_of(ObjectRules((1,), split=10, border=2, grow=4)) == 137
    assert label_image(np.array([[1, 2, 2, 2, 2, 2]], np.uint8), ObjectRules((1,), border=2, grow=4), 1).tolist() == [
        [1] * 5 + [0]
    ]


def test_middles_do_not_grow_into_another_class():
    class_map = np.ones((12, 30), np.uint8)
    class_map[:, 4:] = 3  # the middle of class 1 is nearer to most of it than its own
    labels = label_image(class_map, ObjectRules((1, 3), split=3))
    np.testing.assert_array_equal(labels, np.where(class_map == 3, 2, 1))


def test_the_corners_of_a_wide_square_belong_to_it():
    square = np.pad(np.ones((21, 21), np.uint8), 1)
    np.testing.assert_array_equal(label_image(square, ObjectRules((1,), split=2)), square)


MASKS = {
    "square": np.pad(np.ones((33, 33), np.bool_), 1),
    "at the edges": np.indices((30, 20)).sum(0) > 8,
    "blobs": blobs(40, 0) > 0,
    "all": np.ones((9, 7), np.bool_),
}


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("radius", [1, 2, 3])
def test_middles_are_where_the_documentation_says(name, radius):
    np.testing.assert_array_equal(find_peaks(MASKS[name].astype(np.uint8), radius), peaks_of(MASKS[name], radius))
