"""The five numbers of ISBI 2012, on cases worked out by hand and against scikit-image where its definitions agree."""

from pathlib import Path

import numpy as np
import pytest
import tifffile
from scipy import ndimage
from scipy.stats import entropy
from skimage.filters import gaussian, threshold_otsu
from skimage.metrics import adapted_rand_error, variation_of_information

from slideseg.evaluation.metrics import isbi
from slideseg.evaluation.metrics.isbi import IsbiScores, isbi_scores

PERFECT = IsbiScores(0.0, 0.0, 0.0, 1.0, 1.0)


def row(text: str) -> np.ndarray:
    """One row of pixels: ``#`` is membrane."""
    return np.array([[character != "#" for character in text]])


def walls(thickness: int = 1, gap: int = 0) -> np.ndarray:
    """Two cells of 21 x 10 pixels or less, a wall between them with a gap of so many pixels."""
    plane = np.ones((21, 20 + thickness), bool)
    plane[:, 10 : 10 + thickness] = False
    plane[8 : 8 + gap, 10 : 10 + thickness] = True
    return plane


def cells(seed: int, side: int = 120, count: int = 25) -> np.ndarray:
    """Cells of a random tessellation, membranes two pixels wide."""
    random = np.random.default_rng(seed)
    seeds = np.zeros((side, side), int)
    seeds[tuple(random.integers(0, side, (2, count)))] = np.arange(1, count + 1)
    nearest = ndimage.distance_transform_edt(seeds == 0, return_distances=False, return_indices=True)
    tessellation = seeds[tuple(nearest)]
    return ndimage.maximum_filter(tessellation, 3) == ndimage.minimum_filter(tessellation, 3)


def test_a_plane_is_perfect_against_itself() -> None:
    truth = cells(0)
    assert isbi_scores(truth, truth) == PERFECT
    assert isbi_scores(truth.astype(np.float32), truth.astype(np.uint8) * 255) == PERFECT


@pytest.mark.parametrize("plane", [np.ones((4, 5), bool), np.zeros((4, 5), bool)])
def test_one_cell_or_none_is_perfect_against_itself(plane: np.ndarray) -> None:
    assert isbi_scores(plane, plane) == PERFECT


def test_a_merge_of_two_equal_cells() -> None:
    """Truth 3 + 3 pixels, prediction one segment of 6: 2 (9 + 9) / (18 + 36); one segment holds no information."""
    truth, merged = row("ooo#ooo"), row("ooooooo")
    assert isbi.v_rand(merged, truth) == pytest.approx(2 / 3)
    assert isbi.v_info(merged, truth) == 0
    assert isbi.pixel_error(merged, truth) == pytest.approx(1 / 7)


def test_a_split_is_as_bad_as_its_merge() -> None:
    """Truth one cell of 6, prediction 3 + 3 and no border left in the cell: the same pairs the other way round."""
    truth = np.ones((1, 6), bool)
    halves = np.array([[1, 1, 1, 2, 2, 2]], np.int32)
    one = truth.astype(np.int32)
    assert isbi._pair_f_score(halves, one) == pytest.approx(2 / 3)
    assert isbi._information_f_score(halves, one) == 0


def test_a_predicted_border_inside_a_true_cell_is_a_segment_of_its_own() -> None:
    """Truth 3 + 3; predicted cells 2 + 3 and one border pixel: 2 (4 + 9 + 1) / (18 + 14)."""
    truth, thick = row("ooo#ooo"), row("oo##ooo")
    assert isbi.rand_error(thick, truth) == pytest.approx(1 - 28 / 32)
    shares = np.array([2, 3, 1]) / 6
    shared = np.log(2)  # every predicted segment lies in one true cell
    expected = 2 * shared / (np.log(2) + entropy(shares))
    assert isbi._information_f_score(np.array([[1, 1, 0, 0, 2, 2, 2]]), np.array([[1, 1, 1, 0, 2, 2, 2]])) == pytest.approx(
        expected
    )


def test_thinning_leaves_lines_of_one_pixel() -> None:
    thinned = isbi.thin_borders(walls(thickness=5))
    assert (thinned == 0).sum() == 21
    assert set(np.unique(thinned)) == {0, 1, 2}
    assert isbi.rand_error(walls(thickness=5), walls(5)) == 0
    thick = walls(thickness=5)
    thick[:, 8:17] = False
    assert isbi.rand_error(thick, walls(5)) > 0.1
    assert isbi.v_rand(thick, walls(5)) == pytest.approx(1)


def test_a_speck_and_an_open_end_vanish_in_thinning() -> None:
    plane = np.ones((9, 9), bool)
    plane[4, 4] = plane[0:3, 1] = False
    assert (isbi.thin_borders(plane) == 1).all()


def test_a_plane_without_cells_is_one_cell() -> None:
    assert (isbi.thin_borders(np.zeros((3, 4), bool)) == 1).all()


def test_a_gap_in_a_wall_lowers_the_scores_though_few_pixels_differ() -> None:
    good, broken = isbi_scores(walls(3), walls(3)), isbi_scores(walls(3, gap=2), walls(3))
    assert good == PERFECT
    assert broken.pixel_error == pytest.approx(6 / (21 * 23))
    assert broken.v_rand == pytest.approx(2 / 3)
    assert broken.v_info == 0


@pytest.mark.parametrize(("thickness", "gap"), [(1, 1), (3, 5), (5, 2)])
def test_warping_thins_a_wall_over_a_gap_to_one_line_and_no_further(thickness: int, gap: int) -> None:
    assert isbi.warping_error(walls(thickness, gap), walls(thickness)) == pytest.approx(gap / walls(thickness).size)


def test_warping_forgives_a_moved_wall() -> None:
    """By its own thickness; a wall further away would have to cross pixels that agree."""
    truth = walls(3)
    assert isbi.pixel_error(np.roll(truth, 3, axis=1), truth) > 0
    assert isbi.warping_error(np.roll(truth, 3, axis=1), truth) == 0
    assert isbi.warping_error(np.roll(truth, 4, axis=1), truth) > 0


def test_warping_counts_a_speck_and_a_hole() -> None:
    truth = np.ones((9, 9), bool)
    hole = truth.copy()
    hole[4, 4] = False
    assert isbi.warping_error(hole, truth) == pytest.approx(1 / 81)
    assert isbi.warping_error(~hole, ~truth) == pytest.approx(1 / 81)


def test_warping_takes_the_most_certain_pixels_first() -> None:
    """A wall of two pixels, predicted gone: one column must stay, and it is the one the prediction is less sure of."""
    certainty = np.zeros(walls(2).shape)
    certainty[:, 11] = 1
    left = isbi._warp(walls(2), np.ones_like(walls(2)), certainty)
    assert not left[:, 10].any()
    assert left[:, 11].all()


def test_simple_points_by_counting_components() -> None:
    for code, simple in enumerate(isbi.simple_points()):
        ring = np.zeros((3, 3), bool)
        for bit, (dy, dx) in enumerate(isbi._RING):
            ring[1 + dy, 1 + dx] = code >> bit & 1
        parts = ndimage.label(ring)[0]
        touching = set(parts[[0, 1, 1, 2], [1, 0, 2, 1]].tolist()) - {0}
        outside = ~ring
        outside[1, 1] = False
        assert simple == (len(touching) == 1 and ndimage.label(outside, np.ones((3, 3)))[1] == 1), code


def test_agrees_with_scikit_image_where_borders_are_segments_of_one_pixel() -> None:
    """`adapted_rand_error` leaves out the pairs of a pixel with itself; with them it is ours exactly."""
    truth = isbi._components(cells(1))
    predicted = isbi.thin_borders(cells(1) & cells(2))
    alone = np.where(predicted == 0, predicted.max() + 1 + np.arange(predicted.size).reshape(predicted.shape), predicted)
    error, precision, recall = adapted_rand_error(truth, alone, ignore_labels=(0,))
    inside = truth > 0
    pairs = [float(np.sum(np.unique(ids[inside], return_counts=True)[1] ** 2)) for ids in (truth, alone)]
    n = int(inside.sum())
    shared = precision * (pairs[0] - n)  # scikit-image's names of the two are the other way round
    assert shared == pytest.approx(recall * (pairs[1] - n))
    assert isbi._pair_f_score(predicted, truth) == pytest.approx(2 * (shared + n) / sum(pairs))
    assert isbi._pair_f_score(predicted, truth) == pytest.approx(1 - error, abs=0.01)
    split, merge = variation_of_information(truth, alone, ignore_labels=(0,))
    entropies = sum(entropy(np.unique(ids[inside], return_counts=True)[1], base=2) for ids in (truth, alone))
    assert isbi._information_f_score(predicted, truth) == pytest.approx(1 - (split + merge) / entropies)


def test_scikit_image_differs_where_borders_are_left() -> None:
    truth = isbi._components(cells(1))
    predicted = isbi._components(ndimage.binary_erosion(cells(1), iterations=2))
    assert abs(isbi._pair_f_score(predicted, truth) - (1 - adapted_rand_error(truth, predicted, ignore_labels=(0,))[0])) > 0.02


def test_a_probability_map_is_cut_where_each_score_is_best() -> None:
    truth = walls(3)
    assert isbi_scores(np.where(truth, 0.25, 0.15), truth) == PERFECT
    assert isbi_scores(np.where(truth, 0.95, 0.91), truth).v_rand == pytest.approx(2 / 3)


def test_the_threshold_is_one_for_the_whole_stack_and_planes_are_averaged() -> None:
    truth = np.stack([walls(3), walls(3)])
    probability = np.stack([np.where(walls(3), 0.25, 0.15), np.where(walls(3), 0.75, 0.65)])
    assert isbi_scores(probability, truth).v_rand == pytest.approx((1 + 2 / 3) / 2)
    broken = np.stack([walls(3), walls(3, gap=2)])
    assert isbi_scores(broken, truth).v_rand == pytest.approx((1 + 2 / 3) / 2)


def test_two_shapes_or_a_line_are_refused() -> None:
    for shapes in (((3, 4), (4, 3)), ((5,), (5,)), ((0, 3), (0, 3))):
        with pytest.raises(ValueError, match="planes or stacks"):
            isbi_scores(np.zeros(shapes[0], bool), np.zeros(shapes[1], bool))


def test_the_floor_of_the_real_stack_is_the_known_one(data: Path) -> None:
    """Blurred Otsu: pixel error 0.255 over the stack; four slices of it come near."""
    folder = data / "isbi2012"
    if not folder.is_dir():
        pytest.skip("no isbi2012 in the real data")
    pages = [4, 12, 20, 28]
    volume, truth = (tifffile.imread(folder / f"train-{name}.tif", key=pages) for name in ("volume", "labels"))
    blurred = [gaussian(plane, 2.0) for plane in volume]
    scores = isbi_scores(np.stack([plane > threshold_otsu(plane) for plane in blurred]), truth)
    assert scores.pixel_error == pytest.approx(0.255, abs=0.015)
    assert 0.8 < scores.v_rand < 0.95
    assert isbi_scores(truth, truth) == PERFECT
