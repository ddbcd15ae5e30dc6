"""Objects found shard by shard are those of the whole image, label by label, whatever the shards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from scipy.spatial.distance import cdist

from slideseg.instances.labelling.paint import id_type, label_image
from slideseg.model.objects import ObjectRules

UNSEEN = 10**9
SIDES = (1, 2, 3, 5, 8, 64)


def structure(connectivity: int) -> np.ndarray:
    return ndimage.generate_binary_structure(2, connectivity // 4)


def in_raster_order(labels: np.ndarray) -> np.ndarray:
    """Number the labels 1, 2, ... by their first pixels."""
    values, first = np.unique(labels, return_index=True)
    lookup = np.zeros(int(values.max()) + 1, np.int64)
    ordered = [value for _, value in sorted(zip(first, values, strict=True)) if value]
    lookup[ordered] = np.arange(1, len(ordered) + 1)
    return lookup[labels]


def whole(class_map: np.ndarray, rules: ObjectRules) -> np.ndarray:
    """Return the objects of a whole image, by scipy and by windows around its pixels."""
    labels, seeds = np.zeros(class_map.shape, np.int64), numbers(class_map.shape)
    masks = [class_map == class_id for class_id in rules.classes]
    for mask in [np.logical_or.reduce(masks)] if rules.together else masks:
        found = ndimage.label(mask, structure(rules.connectivity))[0]
        if rules.split:
            found, own = parted(mask, rules)
            seeds[mask] = own[mask]
        labels[found > 0] = found[found > 0] + labels.max()
    if rules.border is not None:
        labels, _ = grown(labels, seeds, class_map == rules.border, rules.grow, rules.connectivity)
    if rules.fill_holes:
        labels = filled(labels, rules)
    areas = np.bincount(labels.ravel())
    labels[areas[labels] < rules.min_area] = 0
    return in_raster_order(labels)


def numbers(shape: tuple[int, int]) -> np.ndarray:
    return np.arange(shape[0] * shape[1]).reshape(shape)


def parted(mask: np.ndarray, rules: ObjectRules) -> tuple[np.ndarray, np.ndarray]:
    """Return the objects of a class (its peaks, what grows to them, and what is far from all) and each pixel's seed."""
    around = structure(rules.connectivity)
    middles, number = ndimage.label(peaks_of(mask, rules.split), around)
    own = numbers(mask.shape)
    found, seeds = grown(middles, own, mask & (middles == 0), 8 * rules.split, rules.connectivity)
    rest, _ = ndimage.label(mask & (found == 0), around)
    return np.where(rest > 0, rest + number, found), np.where(rest > 0, own, seeds)


def peaks_of(mask: np.ndarray, radius: int) -> np.ndarray:
    """Return the peaks of a mask as the documentation says it, with the distance of every pixel from every other."""
    far = np.full(mask.shape, np.inf)
    if not mask.all():
        far[mask] = cdist(np.argwhere(mask), np.argwhere(~mask)).min(1, initial=np.inf)
        far[~mask] = 0
    levels = (np.minimum(far, 4 * radius) * (40 / radius)).astype(np.int64)
    smooth = np.where(mask, windows(np.pad(levels, 1, mode="edge"), 1).sum((2, 3)) // 9, 0)
    highest = windows(np.pad(smooth, radius), radius).max((2, 3))
    return windows(np.pad(mask & (smooth == highest), 1), 1).any((2, 3)) & mask


def windows(padded: np.ndarray, radius: int) -> np.ndarray:
    """Return for each pixel that was not padded the square around it: (y, x, 2 radius + 1, 2 radius + 1)."""
    return np.lib.stride_tricks.sliding_window_view(padded, (2 * radius + 1,) * 2)


def grown(
    labels: np.ndarray, seeds: np.ndarray, border: np.ndarray, reach: int, connectivity: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return what every pixel belongs to after so many steps into ``border``, and its seed: the first of the nearest."""
    around = structure(connectivity)
    seeds = np.where(labels > 0, seeds, UNSEEN)
    for _ in range(reach):
        near = windows(np.pad(seeds, 1, constant_values=UNSEEN), 1)[:, :, around].min(2)
        seeds = np.where(border & (seeds == UNSEEN), near, seeds)
    return np.where(seeds < UNSEEN, labels.ravel()[np.minimum(seeds, labels.size - 1)], 0), seeds


def filled(labels: np.ndarray, rules: ObjectRules) -> np.ndarray:
    around = structure(12 - rules.connectivity)
    holes, number = ndimage.label(labels == 0, around)
    at_edge = {*holes[0], *holes[-1], *holes[:, 0], *holes[:, -1]}
    out = labels.copy()
    for hole in set(range(1, number + 1)) - at_edge:
        inside = holes == hole
        owners = set(labels[ndimage.binary_dilation(inside, around) & ~inside])
        if inside.sum() <= rules.fill_holes and len(owners) == 1:
            out[inside] = owners.pop()
    return out


def spiral(side: int) -> np.ndarray:
    """Return one line that winds to the middle: one object through all shards, and so is what lies between."""
    out = np.zeros((side, side), np.uint8)
    y, x, dy, dx = 0, -1, 0, 1
    for length in [side, *(n for n in range(side - 1, 0, -2) for _ in range(2))]:
        for _ in range(length):
            y, x = y + dy, x + dx
            out[y, x] = 1
        dy, dx = dx, -dy
    return out


def comb(side: int) -> np.ndarray:
    """Return teeth that only the last row joins."""
    out = np.zeros((side, side), np.uint8)
    out[:, ::2] = 1
    out[-1] = 1
    return out


def checkerboard(side: int) -> np.ndarray:
    return (np.indices((side, side)).sum(0) % 2).astype(np.uint8)


def blobs(side: int, seed: int, classes: int = 1) -> np.ndarray:
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).random((classes + 1, side, side)), (0, 1.5, 1.5))
    return noise.argmax(0).astype(np.uint8)


SHAPES = {
    "spiral": spiral(23),
    "comb": comb(21),
    "comb, lying": comb(21).T.copy(),
    "comb, upside down": comb(21)[::-1].copy(),
    "checkerboard": checkerboard(17),
    "blobs": blobs(28, 0),
    "blobs of three classes": blobs(28, 1, 3),
    "full": np.ones((19, 11), np.uint8),
    "empty": np.zeros((9, 12), np.uint8),
    "rings": (np.maximum(*np.abs(np.indices((25, 25)) - 12)) % 3 == 0).astype(np.uint8),
}

masks = hnp.arrays(
    np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=14), elements=st.sampled_from([0, 0, 1, 1, 2, 3])
)
connectivities = st.sampled_from([4, 8])
plain = st.builds(ObjectRules, st.sampled_from([(1,), (1, 2, 3)]), together=st.booleans(), connectivity=connectivities)
rules_of_all_kinds = st.builds(
    ObjectRules,
    classes=st.sampled_from([(1,), (1, 3)]),
    together=st.booleans(),
    split=st.sampled_from([0, 0, 1, 2]),
    border=st.sampled_from([None, 2]),
    grow=st.integers(0, 4),
    connectivity=connectivities,
    fill_holes=st.sampled_from([0, 1, 2, 6, 100]),
    min_area=st.sampled_from([0, 2, 6]),
)


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize("fill_holes", [0, 50])
def test_shapes_that_wind_through_shards(name, connectivity, fill_holes):
    rules = ObjectRules((1, 2, 3), connectivity=connectivity, fill_holes=fill_holes)
    want = whole(SHAPES[name], rules)
    for side in (*SIDES, 7, 16):
        np.testing.assert_array_equal(label_image(SHAPES[name], rules, side), want)


@settings(max_examples=80, deadline=None)
@given(masks, plain, st.sampled_from(SIDES))
def test_objects_of_any_mask_are_those_of_the_whole_image(class_map, rules, side):
    np.testing.assert_array_equal(label_image(class_map, rules, side), whole(class_map, rules))


@settings(max_examples=120, deadline=None)
@given(masks, rules_of_all_kinds, st.sampled_from(SIDES))
@example(np.array([[1, 0], [0, 1]], np.uint8), ObjectRules((1,), connectivity=8), 1)
@example(np.array([[0, 1], [1, 0]], np.uint8), ObjectRules((1,), connectivity=8), 1)
@example(np.array([[1, 2, 2, 2, 2, 1]], np.uint8), ObjectRules((1,), border=2, grow=4), 2)
@example(np.array([[0] * 4] * 3 + [[2, 0, 0, 1], [1, 0, 0, 1]], np.uint8), ObjectRules((1,), border=2, grow=1), 4)
def test_growing_filling_and_removing_too(class_map, rules, side):
    np.testing.assert_array_equal(label_image(class_map, rules, side), whole(class_map, rules))


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10**6), rules_of_all_kinds, st.integers(4, 50))
def test_blobs_with_borders(seed, rules, side):
    class_map = blobs(36, seed, 3)
    np.testing.assert_array_equal(label_image(class_map, rules, side), whole(class_map, rules))


@settings(max_examples=30, deadline=None)
@given(masks, rules_of_all_kinds)
def test_planes_of_a_stack_are_numbered_one_after_the_other(class_map, rules):
    stack = np.stack([class_map, class_map[::-1], np.zeros_like(class_map), class_map])
    got = label_image(stack, rules, 4)
    before = 0
    for plane, labels in zip(stack, got, strict=True):
        want = whole(plane, rules)
        np.testing.assert_array_equal(labels, np.where(want > 0, want + before, 0))
        before += int(want.max())


def test_touching_disks_are_parted_at_their_necks_for_any_shards():
    y, x = np.indices((40, 130))
    disks = [(20, 12, 11), (20, 32, 11), (20, 52, 11), (20, 90, 17)]
    class_map = np.max([(y - j) ** 2 + (x - i) ** 2 < r * r for j, i, r in disks], axis=0).astype(np.uint8)
    class_map[19:22, 60:110] = 1  # a bridge
    assert label_image(class_map, ObjectRules((1,))).max() == 1
    rules = ObjectRules((1,), split=6)
    labels = label_image(class_map, rules)
    assert len({labels[j, i] for j, i, _ in disks}) == 4
    assert set(np.unique(labels[class_map > 0])) == set(range(1, labels.max() + 1)), "every pixel stays in an object"
    for side in (7, 16, 33):
        np.testing.assert_array_equal(label_image(class_map, rules, side), labels)


def test_what_no_peak_reaches_is_an_object_of_its_own():
    y, x = np.indices((41, 400))
    cone = (np.abs(y - 20) <= x / 20).astype(np.uint8)
    labels = label_image(cone, ObjectRules((1,), split=2))
    assert labels[20, 399] != labels[20, 0] != 0
    for side in (9, 40):
        np.testing.assert_array_equal(label_image(cone, ObjectRules((1,), split=2), side), labels)


def test_parting_never_joins_classes():
    class_map = np.ones((20, 30), np.uint8)
    class_map[:, 15:] = 3
    labels = label_image(class_map, ObjectRules((1, 3), split=3), 7)
    assert labels.max() == 2
    np.testing.assert_array_equal(labels == 2, class_map == 3)
    assert label_image(class_map, ObjectRules((1, 3), together=True), 7).max() == 1, "unless they are to be together"


def test_ids_have_64_bits_where_32_are_too_few():
    assert label_image(checkerboard(4), ObjectRules((1,))).dtype == np.uint32
    assert (id_type(0), id_type(2**32 - 1), id_type(2**32)) == ("uint32", "uint32", "uint64")


def test_an_object_grows_no_farther_than_its_reach_and_never_across_background():
    class_map = np.array([[1, 2, 2, 2, 0, 2, 1]], np.uint8)
    assert label_image(class_map, ObjectRules((1,), border=2, grow=2)).tolist() == [[1, 1, 1, 0, 0, 2, 2]]


def test_between_two_objects_as_near_the_first_in_raster_order_gets_the_pixel():
    class_map = np.array([[0, 1, 0], [1, 2, 0]], np.uint8)
    assert label_image(class_map, ObjectRules((1,), border=2, grow=1)).tolist() == [[0, 1, 0], [2, 1, 0]]
    assert label_image(np.array([[1, 2, 1]], np.uint8), ObjectRules((1,), border=2, grow=9), 1).tolist() == [[1, 1, 2]]


def test_a_hole_between_several_objects_or_at_the_edge_stays():
    ring = np.pad(np.zeros((1, 1), np.uint8), 1, constant_values=1)
    rules = ObjectRules((1, 3), fill_holes=5)
    assert label_image(ring, rules, 1).tolist() == [[1, 1, 1]] * 3
    shared = ring.copy()
    shared[:, 2] = 3
    assert label_image(shared, rules, 1)[1, 1] == 0
    assert label_image(ring[:2], rules, 1)[1, 1] == 0
