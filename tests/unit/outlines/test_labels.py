"""Outlines from points: what is kept, parted, grown and ignored, in any resolution."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from slideseg.outlines.labels import Counts, Outlined, outline_points, own

MPP = 0.25


def discs(places: list[tuple[float, float]], radius: float, shape: tuple[int, int] = (120, 160)) -> np.ndarray:
    """Discs (y, x) bool, in microns."""
    y, x = np.indices(shape) * MPP
    return np.any([np.hypot(y - place[0], x - place[1]) <= radius for place in places], axis=0) if places else y < 0


def outlined(mask: np.ndarray, points: list[tuple[float, float]], sure: np.ndarray | float = 0.95) -> Outlined:
    """Outline points (in microns) where the model's objects are the parts of a mask."""
    probability = np.where(mask, sure, 0.02).astype(np.float32)
    return outline_points(ndimage.label(mask)[0], probability, np.reshape(points, (-1, 2)) / MPP, MPP)


def label_at(found: Outlined, place: tuple[float, float]) -> int:
    return int(found.labels[round(place[0] / MPP), round(place[1] / MPP)])


def test_an_outline_with_one_point_is_kept_as_it_is() -> None:
    mask = discs([(8, 8), (8, 24)], 4)
    found = outlined(mask, [(8, 9), (7, 24)])
    assert found.counts == Counts(points=2, kept=2)
    assert ((found.labels > 0) == mask).all()
    assert label_at(found, (8, 8)) != label_at(found, (8, 24))
    assert (found.labels >= 0).all()


def test_each_outline_has_the_number_of_its_point_however_it_was_made() -> None:
    """So the number means the same whatever the model; points without an outline are nobody's."""
    mask = discs([(8, 8), (8, 24), (20, 10), (20, 16)], 4)
    faint = discs([(25, 32)], 2.5)
    probability = np.where(mask, 0.95, np.where(faint, 0.3, 0.02)).astype(np.float32)
    points = [(3, 37), (25, 32), (20, 16), (8, 24), (20, 10), (8, 11)]
    found = outline_points(ndimage.label(mask)[0], probability, np.array(points) / MPP, MPP)
    assert (found.counts.kept, found.counts.parted, found.counts.grown, found.counts.ignored) == (2, 2, 1, 1)
    assert found.points.tolist() == [2, 3, 4, 5, 6]
    for number in found.points:
        assert label_at(found, points[number - 1]) == number


def test_specks_are_no_outlines_though_a_point_lies_in_one() -> None:
    """What a poor model finds in pieces is ignored around the point, not learnt as nuclei of a pixel or two."""
    mask = discs([(8, 8)], 4) | discs([(8, 24)], 0.5)
    probability = np.where(mask, 0.95, 0.02).astype(np.float32)
    found = outline_points(ndimage.label(mask)[0], probability, np.array([(8, 8), (8, 24)]) / MPP, MPP)
    assert found.counts == Counts(points=2, kept=1, ignored=1)
    assert label_at(found, (8, 24)) == -1


def test_a_find_without_a_point_is_ignored() -> None:
    mask = discs([(8, 8), (8, 24)], 4)
    found = outlined(mask, [(8, 8)])
    assert found.counts == Counts(points=1, kept=1, without_point=1)
    assert ((found.labels == -1) == discs([(8, 24)], 4)).all()


def test_all_of_a_find_without_a_point_is_ignored_whatever_the_model_says_in_it() -> None:
    """A filled hole, for example."""
    mask = discs([(8, 24)], 4)
    found = outlined(mask, [], np.where(discs([(8, 24)], 1), 0.1, 0.9))
    assert ((found.labels == -1) == mask).all()


def test_a_point_just_beside_an_outline_is_its_point_and_one_farther_off_is_not() -> None:
    mask = discs([(10, 10)], 4)
    assert outlined(mask, [(10, 14.75)]).counts.kept == 1
    assert outlined(mask, [(10, 15.5)]).counts == Counts(points=1, ignored=1, without_point=1)


def test_two_objects_in_one_outline_are_parted_at_their_neck() -> None:
    mask = discs([(15, 10), (15, 17)], 4)
    found = outlined(mask, [(15, 9), (15, 18)])
    assert found.counts == Counts(points=2, parted=2)
    left, right = label_at(found, (15, 9)), label_at(found, (15, 18))
    assert left != right
    assert ((found.labels > 0) == mask).all()
    columns = np.flatnonzero((found.labels == left).any(axis=0)) * MPP
    assert columns.max() == pytest.approx(13.5, abs=0.75)
    assert np.unique(found.labels).tolist() == [0, 1, 2]


def test_objects_are_parted_where_the_model_is_less_sure() -> None:
    """The gap is nearer to one of the points, and there is no neck."""
    mask = np.zeros((120, 160), bool)
    mask[40:60, 20:80] = True
    sure = np.full(mask.shape, 0.95)
    sure[:, 38:40] = 0.6
    found = outlined(mask, [(12.5, 8.5), (12.5, 16)], sure)
    assert found.counts.parted == 2
    assert np.flatnonzero((found.labels == 1).any(axis=0)).max() == pytest.approx(38.5, abs=1)


def test_a_part_that_is_too_small_is_ignored() -> None:
    """A tail of 1 by 3 microns on a disc, with a point of its own."""
    mask = discs([(15, 10)], 4)
    mask[58:62, 56:68] = True
    found = outlined(mask, [(15, 10), (15, 16)])
    assert found.counts == Counts(points=2, parted=1, ignored=1)
    assert label_at(found, (15, 16)) == -1
    assert (found.labels[mask] != 0).all()


def test_points_in_one_pixel_have_one_outline() -> None:
    found = outlined(discs([(15, 10)], 4), [(15, 10), (15.05, 10.05)])
    assert found.counts == Counts(points=2, parted=1, ignored=1)


def test_an_outline_is_grown_where_the_model_saw_something() -> None:
    """Half as sure as at the point, in a disc of 2.5 microns that is no object of the model's, as it is less sure than 0.5."""
    dim = discs([(15, 10)], 2.5)
    probability = np.where(dim, 0.4, 0.15).astype(np.float32)
    found = outline_points(np.zeros(dim.shape, np.int32), probability, np.array([[60.0, 40.0]]), MPP)
    assert found.counts == Counts(points=1, grown=1)
    grown = found.labels == 1
    assert (grown & dim).sum() > 0.9 * dim.sum()
    assert not (grown & ~dim).any()
    ring = ndimage.binary_dilation(grown, iterations=3) & ~grown
    assert (found.labels[ring] == -1).all()
    assert (found.labels[discs([(15, 30)], 3)] == 0).all()


def test_around_a_point_where_nothing_is_seen_a_disc_is_ignored() -> None:
    nothing = np.full((120, 160), 0.01, np.float32)
    found = outline_points(np.zeros(nothing.shape, np.int32), nothing, np.array([[60.0, 40.0]]), MPP)
    assert found.counts == Counts(points=1, ignored=1)
    assert ((found.labels == -1) == discs([(15, 10)], 3)).all()


def test_what_grows_much_larger_than_the_others_is_a_flood() -> None:
    small = [(4, 4), (4, 12), (4, 20), (4, 28)]
    objects, _ = ndimage.label(discs(small, 1.6))
    dim = discs([(20, 16)], 6)
    probability = np.where(objects > 0, 0.95, np.where(dim, 0.3, 0.02)).astype(np.float32)
    found = outline_points(objects, probability, np.array([*small, (20, 16)]) / MPP, MPP)
    assert found.counts == Counts(points=5, kept=4, ignored=1)
    assert label_at(found, (20, 16)) == -1


def test_what_is_much_larger_than_the_others_is_ignored() -> None:
    small = [(4, 4), (4, 12), (4, 20), (4, 28)]
    mask = discs(small, 2.5) | discs([(20, 16)], 7)
    found = outlined(mask, [*small, (20, 16)])
    assert found.counts == Counts(points=5, kept=4, ignored=1)
    assert label_at(found, (20, 16)) == -1


def test_a_find_without_a_point_that_the_model_is_not_sure_of_is_background() -> None:
    """On average: it counts as a whole."""
    mask = discs([(8, 8), (8, 24), (20, 16)], 4)
    sure = np.where(discs([(8, 24)], 3.9), 0.7, np.where(discs([(20, 16)], 2), 0.6, 0.9))
    found = outlined(mask, [(8, 8)], sure)
    assert found.counts == Counts(points=1, kept=1, without_point=2)
    assert ((found.labels == -1) == discs([(20, 16)], 4)).all()
    assert (found.labels[discs([(8, 24)], 4)] == 0).all()


def test_what_is_no_find_and_has_no_point_is_background() -> None:
    mask = discs([(15, 10)], 4)
    probability = np.where(mask, 0.95, 0.02).astype(np.float32)
    probability[ndimage.binary_dilation(mask, iterations=3) & ~mask] = 0.6
    probability[100:110, 100:110] = 0.4
    found = outline_points(mask.astype(np.int32), probability, np.array([[60.0, 40.0]]), MPP)
    assert ((found.labels == 1) == mask).all()
    assert (found.labels >= 0).all()


def test_without_points_everything_found_is_ignored() -> None:
    mask = discs([(8, 8), (20, 24)], 4)
    found = outlined(mask, [])
    assert found.counts == Counts(without_point=2)
    assert ((found.labels == -1) == mask).all()


def test_nothing_found_and_no_points_are_background() -> None:
    assert (outlined(discs([], 1), []).labels == 0).all()


def test_a_point_is_moved_to_the_nearest_pixel_of_its_object() -> None:
    objects = np.zeros((20, 20), int)
    objects[5:8, 5:8], objects[5:8, 12:15] = 3, 4
    places, owner = own(objects, np.array([[6, 6], [6, 9], [6, 10], [19, 0]]), 4)
    assert owner.tolist() == [3, 3, 4, 0]
    assert places.tolist() == [[6, 6], [6, 7], [6, 12], [19, 0]]


@given(
    st.lists(st.tuples(st.floats(0, 29), st.floats(0, 39), st.floats(1, 5)), max_size=8),
    st.lists(st.tuples(st.floats(0, 29.7), st.floats(0, 39.7)), max_size=12),
    st.integers(0, 2**32 - 1),
)
def test_every_point_is_counted_once_and_outlines_are_as_many_as_said(
    blobs: list[tuple[float, float, float]], points: list[tuple[float, float]], seed: int
) -> None:
    mask = np.any([discs([(y, x)], radius) for y, x, radius in blobs], axis=0) if blobs else discs([], 1)
    noise = np.random.default_rng(seed).random(mask.shape)
    probability = ndimage.gaussian_filter(np.where(mask, 0.9, 0.1) + 0.5 * (noise - 0.5), 1).clip(0, 1).astype(np.float32)
    objects = ndimage.label(probability > 0.5)[0]
    objects = np.where((np.bincount(objects.ravel()) >= 5 / MPP**2)[objects], objects, 0)  # specks are none
    places = np.reshape(points, (-1, 2)) / MPP
    found = outline_points(objects, probability, places, MPP)
    counts = found.counts
    assert counts.points == len(points) == counts.kept + counts.parted + counts.grown + counts.ignored
    assert sorted(set(np.unique(found.labels)) - {-1, 0}) == found.points.tolist()
    assert len(found.points) == counts.kept + counts.parted + counts.grown
    assert set(found.points.tolist()) <= set(range(1, len(points) + 1))
    assert counts.without_point <= objects.max(initial=0)
    # each outline holds its point, moved at most to the nearest pixel of what the model found
    moved, owner = own(objects, np.clip(np.rint(places), 0, np.array(mask.shape) - 1).astype(int), 4)
    assert found.labels[tuple(moved[found.points - 1].T)].tolist() == found.points.tolist()
    # nothing that the model is sure of and nobody pointed at is background, nor an outline
    ids = np.setdiff1d(objects, 0)
    sure = ids[np.reshape(ndimage.mean(probability, objects, ids), -1) > 0.751]
    if not counts.grown:
        assert (found.labels[np.isin(objects, np.setdiff1d(sure, owner))] == -1).all()


def test_the_resolution_does_not_matter() -> None:
    """Lengths are in microns: twice the pixels give the same outlines, up to pixels of their edges."""
    mask = discs([(8, 8), (15, 20), (15, 27), (24, 10)], 4)
    points = [(8, 8), (15, 20), (15, 27), (20, 35)]
    fine = outlined(mask, points)
    large = mask.repeat(2, 0).repeat(2, 1)
    probability = np.where(large, 0.95, 0.02).astype(np.float32)
    double = outline_points(ndimage.label(large)[0], probability, (np.array(points) / MPP + 0.5) * 2 - 0.5, MPP / 2)
    assert double.counts == fine.counts
    assert (double.labels[::2, ::2] == fine.labels).mean() > 0.99
