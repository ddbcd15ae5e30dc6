"""Which image is the slide: series, wells, plates, scenes, labels."""

from __future__ import annotations

import numpy as np
import pytest
import zarr

from slideseg.errors import SlideError
from slideseg.slide.open import open_slide
from slideseg.slide.zarr.layout import _names, role_of
from tests.unit.slide.zarr.made import PIXELS, image, multiscale

SCALE = multiscale("cyx", [(1, 1, 1)])
LARGE = np.full((3, 200, 300), 9, np.uint8)


def series(path, names=None, zarr_format=3, listed=None):
    """Write what bioformats2raw makes of a slide with label and macro, of which the macro is the largest."""
    attributes = {"bioformats2raw.layout": 3}
    zarr.open_group(
        str(path), mode="w", attributes=attributes if zarr_format == 2 else {"ome": attributes}, zarr_format=zarr_format
    )
    order = listed or ["0", "1", "2"]
    for number, pixels in zip(order, (PIXELS, PIXELS[:, :20, :20], LARGE), strict=True):
        scale = SCALE | {"name": names[order.index(number)] if names else ""}
        image(path / number, [pixels], scale, version="0.4" if zarr_format == 2 else "0.5", zarr_format=zarr_format)
    return path


def test_roles_by_name():
    assert [role_of(name) for name in ("", "Label image", "MACRO", "thumbnail", "overview", "scan 1")] == [
        *("slide", "label", "macro", "thumbnail", "overview", "slide")
    ]


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_a_macro_that_is_larger_is_not_the_slide(tmp_path, zarr_format):
    path = series(tmp_path / "x.zarr", ["slide.svs", "label image", "macro image"], zarr_format)
    with open_slide(path) as slide:
        assert slide.shape == (48, 64, 3)
        assert [(one.role, one.shape, one.name, one.used) for one in slide.images] == [
            ("slide", (48, 64, 3), "slide.svs", True),
            ("label", (20, 20, 3), "label image", False),
            ("macro", (200, 300, 3), "macro image", False),
        ]
    with open_slide(path, series=2) as slide:
        assert slide.read((0, 0, 200, 300)).min() == 9
        assert [one.used for one in slide.images] == [False, False, True]
    with pytest.raises(SlideError, match=r"no such image .got --series 3, want 0 to 2"):
        open_slide(path, series=3)


def test_names_come_from_the_ome_xml_and_the_order_from_the_group(tmp_path):
    path = series(tmp_path / "x.zarr", listed=["a", "b", "c"])
    zarr.open_group(str(path / "OME"), mode="w", attributes={"ome": {"series": ["c", "a", "b"]}})
    xml = '<OME xmlns="x"><Image ID="1" Name="macro"/><Image ID="2" Name="tumour"/><Image ID="3" Name="label"/></OME>'
    (path / "OME" / "METADATA.ome.xml").write_text(xml)
    with open_slide(path) as slide:
        assert slide.shape == (48, 64, 3)
        assert [one.role for one in slide.images] == ["macro", "slide", "label"]
    (path / "OME" / "METADATA.ome.xml").write_text("<OME")
    with open_slide(path) as slide:
        assert slide.shape == (200, 300, 3), "nobody says that it is the macro"
        assert "3 images in the file" in slide.remarks[-1]


def test_one_series_is_just_an_image(tmp_path):
    zarr.open_group(str(tmp_path / "x.zarr"), mode="w", attributes={"ome": {"bioformats2raw.layout": 3}})
    image(tmp_path / "x.zarr" / "0", [PIXELS], SCALE)
    with open_slide(tmp_path / "x.zarr", series=0) as slide:
        assert (slide.shape, slide.images, slide.notes) == ((48, 64, 3), (), ())
    with pytest.raises(SlideError, match="no such image"):
        open_slide(tmp_path / "x.zarr", series=1)


def test_several_multiscales_are_several_images(tmp_path):
    other = {"axes": SCALE["axes"], "datasets": [{"path": "1"}], "name": "overview"}
    path = image(tmp_path / "x.zarr", [PIXELS, LARGE], [SCALE, other])
    assert open_slide(path).shape == (48, 64, 3)
    assert open_slide(path, series=1).shape == (200, 300, 3)


def test_a_well_is_refused_unless_a_field_is_named(tmp_path):
    well = {"version": "0.5", "well": {"images": [{"path": "0"}, {"path": "1"}]}}
    zarr.open_group(str(tmp_path / "x.zarr"), mode="w", attributes={"ome": well})
    image(tmp_path / "x.zarr" / "0", [PIXELS], SCALE)
    image(tmp_path / "x.zarr" / "1", [LARGE], SCALE)
    with pytest.raises(SlideError, match=r"a well of many fields \(got 2, want one image; try --series 0, --series 1\)"):
        open_slide(tmp_path / "x.zarr")
    assert open_slide(tmp_path / "x.zarr", series=1).shape == (200, 300, 3)


@pytest.mark.parametrize(
    ("ome", "message"),
    [
        (
            {"plate": {"wells": [{"path": "A/1"}, {"path": "B/2"}]}},
            r"a plate of many images \(got 2 wells.*try .*x.zarr/A/1/0, ",
        ),
        ({"plate": {"wells": 7}}, "wells .got 7, want a list"),
        ({"plate": {"wells": [{}]}}, "lacks something .want ome.plate.wells.0..path"),
        ({"bioformats2raw.layout": 3, "plate": {"wells": []}}, "a plate"),
        ({"bioformats2raw.layout": 3}, "without an image"),
        ({"scene": {"coordinateTransformations": []}}, "a scene of many images"),
        ({"labels": ["nuclei"]}, "a group of label images .*x.zarr/nuclei"),
        ({"well": {"images": [{"path": "7"}]}}, "an image is missing .got 7"),
        ({"well": []}, "well .got .., want an object"),
        ({}, "without an image .*try .*x.zarr/inner"),
    ],
)
def test_groups_of_many_images_are_refused_with_what_to_try(tmp_path, ome, message):
    zarr.open_group(str(tmp_path / "x.zarr"), mode="w", attributes={"ome": ome})
    image(tmp_path / "x.zarr" / "inner", [PIXELS], SCALE)
    with pytest.raises(SlideError, match=message):
        open_slide(tmp_path / "x.zarr")


def test_images_deep_in_a_group_are_named(tmp_path):
    store = zarr.open_group(str(tmp_path / "x.zarr"), mode="w", attributes={"spatialdata_attrs": {"version": "0.2"}})
    store.create_group("tables")
    store.create_array("array", shape=(3, 4), dtype="u1")
    (tmp_path / "x.zarr" / "damaged").mkdir()
    (tmp_path / "x.zarr" / "damaged" / "zarr.json").write_text("{")
    for name in ("images/he", "labels/cells"):
        image(tmp_path / "x.zarr" / name, [PIXELS], SCALE)
    with pytest.raises(SlideError, match=r"without an image \(.*try \S*x.zarr/images/he, \S*x.zarr/labels/cells\)"):
        open_slide(tmp_path / "x.zarr")
    assert open_slide(tmp_path / "x.zarr/images/he").shape == (48, 64, 3)


BOMB = '<!DOCTYPE OME [<!ENTITY a "aaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]><OME><Image Name="&b;"/></OME>'


@pytest.mark.parametrize("coding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be"])
def test_xml_that_unfolds_is_not_read_in_any_coding(coding):
    plain = '<?xml version="1.0"?><!-- a note --><OME><Image Name="a"/></OME>'
    assert _names(plain.encode("utf-16")) == ["a"]
    assert _names(BOMB.encode(coding)) == []


@pytest.mark.parametrize("coding", ["nothing", "shift_jis", "base64"])
def test_xml_in_a_coding_that_nobody_knows_has_no_names(coding):
    assert _names(f'<?xml version="1.0" encoding="{coding}"?><OME><Image Name="a"/></OME>'.encode()) == []
