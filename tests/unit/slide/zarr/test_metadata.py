"""Sizes, places, names and colours that an OME-Zarr says of itself."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from slideseg.errors import SlideError
from slideseg.slide.open import open_slide
from tests.unit.slide.zarr.made import PIXELS, image, multiscale, placed

ROOM = np.ones((4, 20, 30), np.uint8)


def test_y_x_and_z_have_their_own_units(tmp_path):
    scale = multiscale("zyx", [(1.5, 250, 0.5)])
    for axis, unit in zip(scale["axes"], ("micrometer", "nanometer", "micrometer"), strict=True):
        axis["unit"] = unit
    with open_slide(image(tmp_path / "x.zarr", [ROOM], scale)) as slide:
        assert (slide.mpp_yx, slide.pixel.z) == ((0.25, 0.5), 1.5)


def test_translations_of_level_and_image_say_where_it_lies(tmp_path):
    own = [{"type": "scale", "scale": [1, 0.5, 0.5]}, {"type": "translation", "translation": [0, 10, 20]}]
    whole = [{"type": "scale", "scale": [1, 2, 1]}, {"type": "translation", "translation": [0, 3, 4]}]
    scale = multiscale("zyx", [(1, 1, 1)], coordinateTransformations=whole)
    scale["datasets"][0]["coordinateTransformations"] = own
    with open_slide(image(tmp_path / "x.zarr", [ROOM], scale)) as slide:
        assert slide.mpp_yx == (1, 0.5)
        assert slide.origin == (23, 24)


def test_without_a_unit_the_place_is_in_pixels(tmp_path):
    scale = multiscale("zyx", [(1, 2, 4)], units=None)
    scale["datasets"][0]["coordinateTransformations"].append({"type": "translation", "translation": [0, 10, 20]})
    with open_slide(image(tmp_path / "x.zarr", [ROOM], scale)) as slide:
        assert (slide.mpp, slide.origin) == (None, (5, 5))
        assert "unit" in slide.pixel.source


SCALE = {"type": "scale", "scale": [2, 0.5, 0.25]}
MOVE = {"type": "translation", "translation": [1, 30, 40]}


@pytest.mark.parametrize(
    ("transformation", "yx", "z", "origin"),
    [
        (SCALE, (0.5, 0.25), 2, (0, 0)),
        ({"type": "identity"}, (1, 1), 1, (0, 0)),
        (MOVE, (1, 1), 1, (30, 40)),
        ({"type": "sequence", "transformations": [SCALE, MOVE]}, (0.5, 0.25), 2, (30, 40)),
        (
            {"type": "sequence", "transformations": [MOVE, {"type": "sequence", "transformations": [SCALE]}]},
            (0.5, 0.25),
            2,
            (15, 10),
        ),
        ({"type": "affine", "affine": [[2, 0, 0, 1], [0, 0.5, 0, 30], [0, 0, 0.25, 40]]}, (0.5, 0.25), 2, (30, 40)),
        ({"type": "rotation", "rotation": [[1, 0, 0], [0, 1, 0], [0, 0, 1]]}, (1, 1), 1, (0, 0)),
    ],
)
def test_transformations_of_0_6(tmp_path, transformation, yx, z, origin):
    scale = placed("zyx", ["own"], [transformation])
    with open_slide(image(tmp_path / "x.zarr", [ROOM], scale, version="0.6")) as slide:
        assert (slide.mpp_yx, slide.pixel.z, slide.origin) == (yx, z, origin)


@pytest.mark.parametrize(
    ("transformation", "why"),
    [
        ({"type": "affine", "affine": [[1, 0, 0, 0], [0, 1, 0.2, 0], [0, 0, 1, 0]]}, "turns or skews"),
        ({"type": "affine", "affine": [[1, 0, 0, 0]]}, "1 rows for 3 axes"),
        ({"type": "affine", "path": "somewhere"}, "affine"),
        ({"type": "rotation", "rotation": [[1, 0, 0], [0, 0, 1], [0, 1, 0]]}, "turns or skews"),
        ({"type": "scale", "scale": [1, 1]}, "2 numbers for 3 axes"),
        ({"type": "scale", "scale": [1, -1, 1]}, "a side of -1"),
        ({"type": "scale", "scale": [1, "wide", 1]}, "want a number"),
        ({"type": "scale", "scale": 2}, "want a list"),
        ({"type": "displacements", "path": "field"}, "displacements"),
        ({"type": 7}, "want a text"),
        ({}, "type"),
    ],
)
def test_what_is_no_scale_leaves_the_size_unknown_and_says_why(tmp_path, transformation, why):
    scale = placed("zyx", ["own"], [transformation])
    with open_slide(image(tmp_path / "x.zarr", [ROOM], scale, version="0.6")) as slide:
        assert (slide.mpp, slide.pixel.z, slide.origin) == (None, None, (0, 0))
        assert why in slide.pixel.source


def test_sequences_in_sequences_end(tmp_path):
    deep = {"type": "identity"}
    for _ in range(200):
        deep = {"type": "sequence", "transformations": [deep]}
    with open_slide(image(tmp_path / "x.zarr", [ROOM], placed("zyx", ["own"], [deep]), version="0.6")) as slide:
        assert "too deep" in slide.pixel.source


def test_other_coordinate_systems_don_t_change_the_size_and_are_told(tmp_path):
    more = {"type": "scale", "scale": [10, 10, 10], "input": {"name": "own"}, "output": {"name": "world"}}
    scale = placed("zyx", ["own", "world"], [{"type": "scale", "scale": [1, 1, 1]}], [more])
    with open_slide(image(tmp_path / "x.zarr", [ROOM], scale, version="0.6")) as slide:
        assert slide.mpp == 1
        assert slide.remarks == ("it is placed in world too; lengths are those of its own coordinate system",)


def test_channels_have_their_names_and_colours(tmp_path):
    omero = {
        "channels": [
            {"label": "DAPI", "color": "0000FF"},
            {"label": "GFP", "color": "#00ff00FF"},
            {"color": "blue", "label": 7},
        ]
    }
    with open_slide(image(tmp_path / "x.zarr", [PIXELS], multiscale("cyx", [(1, 1, 1)]), {"omero": omero})) as slide:
        assert [(one.name, one.color) for one in slide.channels] == [("DAPI", "#0000ff"), ("GFP", "#00ff00"), ("", None)]
        assert not slide.is_rgb
    with open_slide(tmp_path / "x.zarr", channel="gfp") as slide:
        np.testing.assert_array_equal(slide.read((0, 0, 48, 64))[..., 0], PIXELS[1])


@pytest.mark.parametrize(
    ("names", "dtype", "is_rgb"),
    [
        (["Red", "Green", "Blue"], "u1", True),
        (["r", "g", "b"], "u2", True),
        (["Channel 0", "Channel 1", "Channel 2"], "u1", True),  # which says nothing of them
        (["Channel 0", "Channel 1", "Channel 2"], "u2", False),
        (["DAPI", "GFP", "2"], "u1", False),
        (["blue", "green", "red"], "u1", False),
        (["red", "green"], "u1", True),  # they are three, and this says nothing of them
    ],
)
def test_planes_named_red_green_and_blue_are_rgb(tmp_path, names, dtype, is_rgb):
    omero = {"channels": [{"label": name} for name in names]}
    path = image(tmp_path / "x.zarr", [PIXELS.astype(dtype)], multiscale("cyx", [(1, 1, 1)]), {"omero": omero})
    assert open_slide(path).is_rgb is is_rgb


def test_more_axes_in_the_arrays_than_in_the_metadata_are_those_of_the_arrays(tmp_path):
    group = zarr.open_group(
        str(tmp_path / "x.zarr"), mode="w", attributes={"multiscales": [multiscale("cxyz", [(1, 2, 3, 4)])]}
    )
    group.create_array("0", shape=(1, 2, 3, 20, 30), chunks=(1, 1, 3, 20, 30), dtype="u1", dimension_names=list("ctzyx"))[:] = 1
    with open_slide(tmp_path / "x.zarr", t=1) as slide:
        assert (slide.axes, slide.shape, slide.mpp_yx, slide.pixel.z) == ("zyxc", (3, 20, 30, 1), (3, 2), 4)
        assert slide.notes == ("the metadata names the axes c, x, y, z, the arrays c, t, z, y, x: those of the arrays count",)


@pytest.mark.parametrize(("colors", "is_rgb"), [(["FF0000", "00FF00", "0000FF"], True), (["FFFFFF"] * 3, False)])
def test_colours_say_it_where_names_don_t(tmp_path, colors, is_rgb):
    omero = {"channels": [{"label": f"Channel {k}", "color": color} for k, color in enumerate(colors)]}
    path = image(tmp_path / "x.zarr", [PIXELS.astype("u2")], multiscale("cyx", [(1, 1, 1)]), {"omero": omero})
    assert open_slide(path).is_rgb is is_rgb


def test_names_of_the_oldest_versions(tmp_path):
    old = {"version": "0.1", "datasets": [{"path": "0"}]}
    with open_slide(image(tmp_path / "x.zarr", [PIXELS[None, :, None]], old, version="0.1", zarr_format=2)) as slide:
        assert (slide.shape, slide.pixel.source) == ((48, 64, 3), "it has no coordinateTransformations")
    with pytest.raises(SlideError, match="lying metadata"):
        open_slide(image(tmp_path / "y.zarr", [PIXELS], old, version="0.1", zarr_format=2))
