"""What is stored for a window is compared with what a single look at it finds: equal if right, and every mistake is seen."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from slideseg.instances.labelling.check import compare_window
from slideseg.instances.labelling.paint import label_image
from slideseg.model.objects import ObjectRules
from slideseg.space.box import Box
from tests.properties.test_objects_equal_whole import blobs, rules_of_all_kinds

RULES = ObjectRules((1,), border=2, grow=2)


def compared(class_map: np.ndarray, labels: np.ndarray, rules: ObjectRules, window: Box) -> tuple[int, int]:
    return compare_window(class_map[window.slices], labels[window.slices], rules, window, Box.of_shape(class_map.shape))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), rules_of_all_kinds, st.tuples(*[st.integers(0, 45)] * 2), st.tuples(*[st.integers(1, 45)] * 2))
def test_right_objects_are_equal_in_every_window(seed, rules, corner, size):
    class_map = blobs(46, seed, 3)
    window = Box(*corner, corner[0] + size[0], corner[1] + size[1]).intersect(Box.of_shape(class_map.shape))
    assert compared(class_map, label_image(class_map, rules), rules, window)[1] == 0


def test_whole_objects_are_counted_whatever_their_ids():
    class_map = blobs(60, 3, 2)
    labels = label_image(class_map, RULES)
    assert compared(class_map, labels * 1000, RULES, Box(0, 0, 60, 60)) == (labels.max(), 0)
    whole, different = compared(class_map, labels, RULES, Box(10, 10, 50, 50))
    assert (0 < whole < labels.max(), different) == (True, 0)


@pytest.mark.parametrize("mistake", ["two of one", "one of two", "a pixel more", "a pixel less", "none", "one too many"])
def test_a_mistake_is_seen(mistake):
    class_map = np.zeros((40, 40), np.uint8)
    class_map[10:20, 10:18] = 1
    class_map[10:20, 22:30] = 1
    labels = label_image(class_map, RULES)
    assert compared(class_map, labels, RULES, Box(2, 2, 38, 38)) == (2, 0)
    match mistake:
        case "two of one":
            labels[15:20, 10:18] = 9
        case "one of two":
            labels[labels == 2] = 1
        case "a pixel more":
            labels[9, 12] = 1
        case "a pixel less":
            labels[10, 10] = 0
        case "none":
            labels[labels == 2] = 0
        case "one too many":
            labels[30, 30] = 7
    assert compared(class_map, labels, RULES, Box(2, 2, 38, 38))[1] > 0
