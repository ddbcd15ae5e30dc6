"""What of a result's objects is unlike those that its model learnt from."""

import numpy as np
import pytest

import slideseg
from slideseg.model.learnt import Learnt, density_of
from slideseg.result.found.plausible import doubts_of
from slideseg.slide.fingerprint import fingerprint
from slideseg.testing.records import made_classes
from tests.damage import rewrite
from tests.made_results import make_result

SIDE = 1000
DISC = 317
"""Pixels of a disc of radius 10."""
PURPLE = np.array([0.4, 0.3, 0.6])
LIKE = Learnt(500, (200.0, 300.0, 450.0), 900.0, 0.3, tuple(density_of(PURPLE)), 4.0)
MADE_FOR = {"images": "nuclei in H&E", "light": "bright", "color": True}


def discs(radius=10, step=50, side=SIDE):
    """Return a class map of discs."""
    y, x = np.mgrid[:side, :side]
    return (((y % step - step // 2) ** 2 + (x % step - step // 2) ** 2) <= radius**2).astype(np.uint8)


def doubts(folder, class_map, *, mpp=0.25, color=None, learnt=LIKE, tissue=None, factor=1.0):
    """Return what is told of a result with a class map, by a model of 0.25 microns a pixel that learnt from 300 pixels."""
    slide = {}
    if color is not None:
        image = np.where(class_map[..., None] > 0, 255 * np.asarray(color), 240).astype(np.uint8)
        np.save(folder / "s.npy", image)
        slide = {"path": str(folder / "s.npy"), "fingerprint": fingerprint(str(folder / "s.npy"))}
    made = made_classes("background", "nucleus")
    make_result(folder / "x.zarr", class_map, mpp=mpp, classes=made, slide=slide, factor=factor)
    slideseg.objects(folder / "x.zarr")

    def tell(said):
        said["slideseg"]["model"] |= {"mpp": 0.25, "learnt": learnt and learnt.to_json(), "made_for": MADE_FOR}
        if tissue is not None:
            said["slideseg"]["tissue_pixels"] = tissue

    rewrite(folder / "x.zarr" / "zarr.json", tell)
    return doubts_of(slideseg.open_result(folder / "x.zarr"))


def test_what_is_as_the_model_learnt_is_told_nothing_of(tmp_path):
    assert doubts(tmp_path, discs(), color=PURPLE) == ()


def test_of_a_model_that_does_not_say_what_it_learnt_nothing_is_told(tmp_path):
    assert doubts(tmp_path, discs(25), learnt=None) == ()


def test_without_objects_nothing_is_told(tmp_path):
    make_result(tmp_path / "x.zarr", discs())
    assert doubts_of(slideseg.open_result(tmp_path / "x.zarr")) == ()


@pytest.mark.parametrize(("radius", "step", "across"), [(3, 20, "1.5"), (24, 120, "12")], ids=["too small", "too large"])
def test_objects_of_another_size(tmp_path, radius, step, across):
    (told,) = doubts(tmp_path, discs(radius, step))
    assert told == (
        f"the object in the middle is {across} \u00b5m across, 4 \u00b5m to 6 \u00b5m where the model learnt: "
        "the size of a pixel, 0.25 \u00b5m, may be wrong, or they are of another kind"
    )


def test_sizes_are_compared_at_the_resolution_of_the_result(tmp_path):
    """At 0.5 microns a pixel nuclei have a quarter of the pixels, and at 0.25 those of radius 5 are too small."""
    assert doubts(tmp_path, discs(5, 30), mpp=0.5) == ()
    (tmp_path / "b").mkdir()
    assert len(doubts(tmp_path / "b", discs(5, 30), mpp=0.25)) == 1


@pytest.mark.parametrize(
    ("radius", "step", "guess"), [(5, 30, "0.48 \u00b5m or more"), (20, 90, "0.12 \u00b5m or less"), (11, 50, None)]
)
def test_of_a_slide_of_unknown_resolution_it_is_told_what_would_explain_it(tmp_path, radius, step, guess):
    told = doubts(tmp_path, discs(radius, step), mpp=None)
    assert len(told) == (guess is not None)
    if guess:
        assert f"those that model made knows 20: pixels may be of {guess}, not of 0.25; if so, try --mpp-of-slide 0." in told[0]


def test_few_objects_tell_nothing_of_their_size(tmp_path):
    class_map = np.zeros((SIDE, SIDE), np.uint8)
    class_map[:250, :250] = discs(3, 50)[:250, :250]
    assert doubts(tmp_path, class_map) == ()


def test_too_much_of_the_tissue_is_covered(tmp_path):
    (told,) = doubts(tmp_path, discs(10, 24))
    assert told.startswith("objects cover 55 % of 0.0625 mm\u00b2 of image, at most 30 % of what the model learnt from: ")


def test_blobs(tmp_path):
    class_map = discs()
    class_map[300:500, 300:500] = 1
    (told,) = doubts(tmp_path, class_map)
    assert told.startswith(
        "25 % of the objects' area is in 1 blob, more than 12 \u00b5m across, as none was that the model learnt"
    )


@pytest.mark.parametrize(("found", "said"), [(0, "nothing at all was found"), (3, "hardly anything was found, 3 objects")])
def test_nothing_or_hardly_anything_is_found(tmp_path, found, said):
    class_map = np.zeros((SIDE, SIDE), np.uint8)
    class_map[:, : 50 * found] = discs()[:, : 50 * found] * (np.arange(SIDE)[:, None] < 50)
    (told,) = doubts(tmp_path, class_map, tissue=5_000_000)
    assert told == (
        f"{said} on 0.3125 mm\u00b2 of tissue: does the slide suit the model, which is made for nuclei in H&E (bright field, "
        "in colour), and is the size of a pixel, 0.25 \u00b5m, right?"
    )
    (tmp_path / "b").mkdir()
    assert doubts(tmp_path / "b", class_map, tissue=300_000) == (), "on little tissue that is nothing odd"


def test_another_stain(tmp_path):
    (told,) = doubts(tmp_path, discs(), color=[0.6, 0.4, 0.2])
    assert told.startswith("the objects have another colour than those that the model learnt from, 39 degrees apart, where up")


def test_info_summary_and_the_run_tell_it(tmp_path):
    from slideseg.cohort.facts import facts_of  # noqa: PLC0415

    (told,) = doubts(tmp_path, discs(10, 24))
    assert facts_of(tmp_path / "x.zarr")["warnings"] == told
