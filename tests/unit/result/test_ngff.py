"""NGFF metadata: the numbers; the validators' view is tests/integration/test_ngff_validity.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slideseg.model.info import ModelClass
from slideseg.result.coordinates import Coordinates
from slideseg.result.ngff import label_metadata, labels_metadata, multiscales, omero_metadata
from slideseg.slide.facts import Channel, PixelSize
from slideseg.testing.records import made_coordinates


def place(entry: dict, level: int) -> tuple[list, list]:
    scale, translation = entry["datasets"][level]["coordinateTransformations"]
    return scale["scale"], translation["translation"]


def test_a_pixel_of_side_s_has_its_centre_at_half_of_s_minus_half_a_working_pixel():
    entry = multiscales("n", "yx", [("0", (1, 1)), ("1", (2, 2)), ("2", (4, 4))], made_coordinates(0.5), "mode")
    assert place(entry, 0) == ([0.5, 0.5], [0, 0])
    assert place(entry, 1) == ([1, 1], [0.25, 0.25])
    assert place(entry, 2) == ([2, 2], [0.75, 0.75])


@given(st.floats(0.01, 100), st.floats(0.1, 64), st.floats(0.1, 64))
def test_all_levels_share_their_outer_corner(mpp, rows, columns):
    entry = multiscales("n", "cyx", [("0", (rows, columns)), ("1", (2 * rows, 2 * columns))], made_coordinates(mpp), "mean")
    for level in (0, 1):
        scale, translation = place(entry, level)
        for side, centre in list(zip(scale, translation, strict=True))[1:]:
            assert centre - side / 2 == pytest.approx(-mpp / 2)


def test_units_are_micrometres_only_where_the_slide_says():
    known = multiscales("n", "zyx", [("0", (1, 1))], made_coordinates(0.5), "mode")["axes"]
    assert known == [
        {"name": "z", "type": "space"},
        {"name": "y", "type": "space", "unit": "micrometer"},
        {"name": "x", "type": "space", "unit": "micrometer"},
    ]
    unknown = multiscales("n", "tcyx", [("0", (1, 1))], made_coordinates(None), "mode")
    assert [axis["type"] for axis in unknown["axes"]] == ["time", "channel", "space", "space"]
    assert not any("unit" in axis for axis in unknown["axes"])
    assert place(unknown, 0) == ([1, 1, 1, 1], [0, 0, 0, 0])


def test_labels_carry_names_colours_and_their_image():
    classes = [ModelClass(0, "background", "#102030"), ModelClass(1, "nucleus", "#FF8000")]
    label = label_metadata(multiscales("n", "yx", [("0", (1, 1))], made_coordinates(None), "mode"), classes, "../../")[
        "image-label"
    ]
    assert label["colors"] == [{"label-value": 0, "rgba": [16, 32, 48, 0]}, {"label-value": 1, "rgba": [255, 128, 0, 255]}]
    assert [entry["name"] for entry in label["properties"]] == ["background", "nucleus"]
    assert label["source"] == {"image": "../../"}
    assert label_metadata({}, [], None)["image-label"] == {}
    assert labels_metadata(["a"]) == {"version": "0.5", "labels": ["a"]}


def test_channels_have_colours_and_windows():
    rgb = omero_metadata(3, rgb=True)["channels"]
    assert [channel["color"] for channel in rgb] == ["FF0000", "00FF00", "0000FF"]
    assert rgb[0]["window"] == {"min": 0, "max": 255, "start": 0, "end": 255}
    many = omero_metadata(9, rgb=False, windows=[(0.0, n + 1.0) for n in range(9)])["channels"]
    assert many[8]["window"]["end"] == 9.0
    assert len({channel["label"] for channel in many}) == 9


def test_a_source_s_place_and_steps_go_along():
    """Where the slide says that its first pixel lies elsewhere, and how far apart its planes are."""
    made = Coordinates.of_slide(PixelSize((0.5, 0.25), z=2.0), (100.0, -7.0), (2.0, 2.0))
    entry = multiscales("n", "zyx", [("0", (1, 1)), ("1", (2, 2))], made, "mode")
    assert place(entry, 0) == ([2.0, 1.0, 0.5], [0.0, 100.25, -6.875])
    assert place(entry, 1) == ([2.0, 2.0, 1.0], [0.0, 100.75, -6.625])
    assert {axis["name"]: axis.get("unit") for axis in entry["axes"]} == dict.fromkeys("zyx", "micrometer")


def test_a_source_s_channels_keep_their_names_and_colours():
    known = (Channel("DAPI", "#0000ff"), Channel("", None), Channel("CD3", None))
    shown = omero_metadata(3, rgb=False, known=known)["channels"]
    assert [channel["label"] for channel in shown] == ["DAPI", "channel 1", "CD3"]
    assert [channel["color"] for channel in shown] == ["0000FF", "00FF00", "FF00FF"]
    assert [channel["label"] for channel in omero_metadata(3, rgb=True, known=known)["channels"]] == ["red", "green", "blue"]
