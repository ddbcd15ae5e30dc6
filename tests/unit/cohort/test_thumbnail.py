"""Small pictures of results, with outlines."""

import io

import numpy as np
import pytest
from PIL import Image

import slideseg
from slideseg.cohort.thumbnail import _outlines, thumbnail
from slideseg.testing.records import made_classes
from tests.made_results import CLASSES, make_result

GREY = 120
ORANGE, BLUE = (np.array(list(bytes.fromhex(known.color[1:]))) for known in CLASSES[1:])
NEAR = 40
"""JPEG is not exact."""


def seen(url, side):
    picture = Image.open(io.BytesIO(thumbnail(slideseg.open_result(url), side)))
    assert picture.format == "JPEG"
    return np.asarray(picture).astype(int)


def two_blocks(shape=(400, 600)):
    class_map = np.zeros(shape, np.uint8)
    class_map[100:200, 100:300] = 1
    class_map[200:300, 100:300] = 2
    return class_map


@pytest.mark.parametrize("objects", [False, True])
def test_regions_or_objects_are_outlined_in_the_colours_of_classes(tmp_path, objects):
    make_result(tmp_path / "x.zarr", two_blocks(), image=np.full((400, 600, 3), GREY, np.uint8))
    if objects:
        slideseg.objects(tmp_path / "x.zarr")
    picture = seen(tmp_path / "x.zarr", 600)
    assert picture.shape == (400, 600, 3)
    for place, color in {
        (101, 200): ORANGE, (150, 101): ORANGE, (198, 200): ORANGE, (201, 200): BLUE, (298, 200): BLUE, (250, 298): BLUE,
        (150, 200): GREY, (250, 200): GREY, (50, 200): GREY, (350, 550): GREY,
    }.items():  # fmt: skip
        assert abs(picture[place] - color).max() <= NEAR, place


def test_an_object_has_the_colour_of_most_of_its_pixels_of_a_class_not_of_its_rim(tmp_path):
    class_map = np.zeros((300, 300), np.uint8)
    class_map[50:250, 50:250], class_map[60:240, 60:240] = 2, 1
    classes = made_classes("background", "core", "border")
    classes = (classes[0], CLASSES[1], type(classes[2])(2, "border", "#0000ff"))
    make_result(tmp_path / "x.zarr", class_map, classes=classes, image=np.full((300, 300, 3), GREY, np.uint8))
    slideseg.objects(tmp_path / "x.zarr", grow=20)
    picture = seen(tmp_path / "x.zarr", 300)
    assert abs(picture[51, 150] - ORANGE).max() <= NEAR
    assert abs(picture[61, 150] - GREY).max() <= NEAR


def test_a_picture_is_as_large_as_asked_for_and_what_is_small_tints_it(tmp_path):
    class_map = np.zeros((2000, 3000), np.uint8)
    class_map[:, :1500][::4, ::4] = 1
    make_result(tmp_path / "x.zarr", class_map)
    picture = seen(tmp_path / "x.zarr", 300)
    assert picture.shape == (200, 300, 3)
    assert picture[100, 250].min() > 240
    make_result(tmp_path / "small.zarr", two_blocks()[90:120, 90:120])
    assert seen(tmp_path / "small.zarr", 480).shape == (160, 160, 3)


def test_of_a_stack_the_plane_in_the_middle_is_shown_and_pixels_have_their_form(tmp_path):
    planes = np.zeros((3, 200, 200), np.uint8)
    planes[1, 50:150, 50:150] = 1
    make_result(tmp_path / "x.zarr", planes, plane_axis="z", mpp=(1.0, 0.5))
    picture = seen(tmp_path / "x.zarr", 200)
    assert picture.shape == (200, 100, 3)
    assert abs(picture[51, 50] - ORANGE).max() <= NEAR + 20


def test_outlines_lie_inside_of_what_they_are_of():
    labels = np.zeros((12, 12), np.uint8)
    labels[2:10, 2:10] = 1
    shown = _outlines(labels)
    inner = np.zeros((12, 12), bool)
    inner[4:8, 4:8] = True
    assert (shown == ((labels > 0) & ~inner)).all()
    assert not _outlines(np.ones((5, 5), np.uint8)).any()


def test_a_picture_that_hardly_compresses_is_there_too(tmp_path, capfd):
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3), np.uint8)
    make_result(tmp_path / "x.zarr", np.zeros((300, 300), np.uint8), image=noise)
    assert seen(tmp_path / "x.zarr", 300).shape == (300, 300, 3)
    assert capfd.readouterr().err == ""
