"""Sums and medians of sizes that come in pieces, against those of all of them at once."""

import numpy as np
import pytest

from slideseg.result.found.sizes import Sizes, Summed


@pytest.mark.parametrize(("number", "most"), [(1, 9), (2, 9), (999, 50), (1000, 50), (1000, 2**40)])
def test_pieces_are_summed_as_all_at_once(number, most):
    random = np.random.default_rng(number)
    classes, pixels, likely = random.integers(1, 4, number), random.integers(1, most, number), random.random(number)
    sizes = Sizes()
    for part in np.array_split(np.arange(number), 7):
        sizes.add(classes[part].astype(np.uint8), pixels[part], likely[part])

    for wanted in ([1], [2], [3], [1, 3], [1, 2, 3]):
        mine = np.isin(classes, wanted)
        found = sizes.of(wanted)
        assert (found.count, found.pixels) == (mine.sum(), pixels[mine].sum())
        assert found.median == (np.median(pixels[mine]) if mine.any() else None)
        assert found.probability == (pytest.approx(likely[mine].mean()) if mine.any() else None)
        if len(wanted) == 1:
            assert (sizes.counts[wanted[0]], sizes.pixels[wanted[0]]) == (found.count, found.pixels)


def test_of_no_objects_nothing_is_known():
    assert Sizes().of([1, 2]) == Summed(0, 0, None, None)
    assert Sizes().of([]) == Summed(0, 0, None, None)


def test_a_mean_of_probabilities_wants_all_of_them():
    sizes = Sizes()
    sizes.add(np.array([1, 1], np.uint8), np.array([3, 4]), np.array([0.5, 1.0]))
    assert sizes.of([1]).probability == 0.75
    sizes.add(np.array([2], np.uint8), np.array([3]), None)
    assert (sizes.of([1]).probability, sizes.of([1]).median) == (None, 3.5)


def test_what_is_kept_does_not_grow_with_the_objects():
    sizes = Sizes()
    for _ in range(20):
        sizes.add(np.ones(1000, np.uint8), np.arange(1000) % 50 + 1, None)
    assert sizes.of([1]).count == 20_000
    assert sum(array.size for array in vars(sizes).values() if isinstance(array, np.ndarray)) <= 3 * 50 + 256
