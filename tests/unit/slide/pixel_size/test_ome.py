"""Sizes in OME-XML: of the right image, with any unit, in any form of XML."""

import tracemalloc

import numpy as np
import pytest
import tifffile

from slideseg.slide.open import open_slide
from slideseg.slide.pixel_size.ome import claim_of_xml, ome_claim

PIXELS = (
    '<Pixels ID="P" DimensionOrder="XYCZT" Type="uint8" SizeC="1" SizeZ="1" SizeT="1" SizeX="{x}" SizeY="{y}" {more}>'
    '<TiffData IFD="{ifd}" PlaneCount="1"/></Pixels>'
)


def ome(*pixels, head='<?xml version="1.0" encoding="UTF-8"?>'):
    return f'{head}<OME xmlns="ome">{"".join(f"<Image>{each}</Image>" for each in pixels)}</OME>'


def sizes(x, y=None, unit=None, z=None):
    said = {"X": x, "Y": x if y is None else y, "Z": z}
    text = "".join(f'PhysicalSize{axis}="{size}" ' for axis, size in said.items() if size is not None)
    return text + ("" if unit is None else "".join(f'PhysicalSize{axis}Unit="{unit}" ' for axis in "XYZ"))


def image(x=64, y=48, ifd=0, more=""):
    return PIXELS.format(x=x, y=y, ifd=ifd, more=more)


@pytest.mark.parametrize(
    ("size", "unit", "mpp"),
    [
        *(
            (0.5, "&#181;m", 0.5),
            (0.5, "&micro;m", 0.5),
            (0.5, "&amp;#xB5;m", 0.5),
            (0.5, "\u00c2\u00b5m", 0.5),
            (0.5, None, 0.5),
        ),
        *(
            ("&#48;.5", "um", 0.5),
            (0.784, "nm", 0.000784),
            (7.84, "\u00c5", 0.000784),
            (0.001, "mm", 1.0),
            ("0,25", "\u00b5m", 0.25),
        ),
    ],
)
def test_a_size_has_a_unit(size, unit, mpp):
    said = claim_of_xml(ome(image(more=sizes(size, unit=unit))), (48, 64))
    assert said.yx == pytest.approx((mpp, mpp))


def test_sides_and_steps_are_of_their_own_axes():
    said = claim_of_xml(ome(image(more=sizes(250, 500, "nm", 2000))), (48, 64))
    assert (said.yx, said.z) == (pytest.approx((0.5, 0.25)), 2.0)


@pytest.mark.parametrize("unit", ["pixel", "reference frame"])
def test_a_reference_frame_is_no_length(unit):
    said = claim_of_xml(ome(image(more=sizes(1, unit=unit))), (48, 64))
    assert (said.yx, said.doubt) == (None, f"says 1 {unit}, which is no length")


def test_the_size_of_a_screen_that_a_converter_took_from_tags_is_none():
    said = claim_of_xml(ome(image(more=sizes(352.7778))), (48, 64))
    assert "72 dpi" in said.doubt


def test_of_several_images_it_is_the_one_of_that_size():
    xml = ome(image(9, 9, 0, sizes(7)), image(64, 48, 1, sizes(0.5)), image(32, 24, 2, sizes(8)))
    assert claim_of_xml(xml, (48, 64)).yx == (0.5, 0.5)
    assert claim_of_xml(xml, (24, 32)).yx == (8.0, 8.0)
    assert claim_of_xml(xml, (10, 10)).doubt == "has no image of 10 x 10 pixels"


def test_of_several_images_of_that_size_it_is_the_one_in_the_directory():
    xml = ome(image(ifd=0, more=sizes(0.25)), image(ifd=1, more=sizes(0.5)))
    assert [claim_of_xml(xml, (48, 64), directory).yx for directory in (0, 1)] == [(0.25, 0.25), (0.5, 0.5)]


def test_of_several_images_in_several_files_it_is_the_one_of_that_number():
    xml = ome(image(ifd=0, more=sizes(0.25)), image(ifd=0, more=sizes(0.5)), image(9, 9, 0, sizes(7)))
    assert [claim_of_xml(xml, (48, 64), None, number).yx for number in (0, 1)] == [(0.25, 0.25), (0.5, 0.5)]
    assert claim_of_xml(xml, (48, 64), None, 2).yx == (0.25, 0.25)  # a number that lies


@pytest.mark.parametrize(
    "xml",
    [
        "\ufeff" + ome(image(more=sizes(0.5))),
        ome(image(more=sizes(0.5)), head='<?xml version="1.0" encoding="UTF-16"?>'),
        ome(image(more=sizes(0.5))).replace('"', "'"),
        ome(image(more=sizes(0.5)))
        .replace("<Pixels", "<ome:Pixels")
        .replace("</Pixels", "</ome:Pixels")
        .replace("<OME", "<ome:OME"),
        ome(image(more=sizes(0.5)))[:-40],
        ome(image(more=sizes(0.5))).replace(" PhysicalSize", "\n\tPhysicalSize").replace('="', ' = "'),
        '<!DOCTYPE OME [<!ENTITY a "b">]>' + ome(image(more=sizes(0.5))),
    ],
)
def test_any_form_of_xml_is_read(xml):
    assert claim_of_xml(xml, (48, 64)).yx == (0.5, 0.5)


def test_entities_are_not_expanded():
    entities = '<!ENTITY l0 "\u00b5m">' + "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    xml = f"<!DOCTYPE OME [{entities}]>" + ome(image(more=sizes(0.5, unit="&l11;")))
    tracemalloc.start()
    said = claim_of_xml(xml, (48, 64))
    assert tracemalloc.get_traced_memory()[1] < 1 << 20
    tracemalloc.stop()
    assert "&l11;" in said.doubt


def test_text_without_end_is_searched_once():
    assert claim_of_xml("<Pixels " * 200_000 + "<" * 200_000 + ' a="' * 200_000, (48, 64)).yx is None


def test_a_companion_says_it_for_the_file_beside_it(tiff):
    with tiff() as tif:
        said = ome_claim(tif, tif.pages.first, ome(image(9, 9, 0, sizes(7)), image(more=sizes(0.5))), 1)
        assert said.yx == (0.5, 0.5)
        assert ome_claim(tif, tif.pages.first) is None


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16", "utf-16-be"])
def test_a_file_may_keep_its_xml_in_any_encoding(tmp_path, encoding):
    xml = ome(image(more=sizes(0.5, 0.25, "\u00b5m")))
    tags = [(270, "s", 0, xml.encode(encoding), True)]
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((48, 64), np.uint8), metadata=None, extratags=tags)
    with open_slide(tmp_path / "x.tif") as slide:
        assert (slide.mpp_yx, slide.pixel.source) == ((0.25, 0.5), "OME-XML")


def test_what_a_file_says_of_its_stack_is_kept(tmp_path):
    metadata = {"axes": "ZYX", "PhysicalSizeX": 0.2, "PhysicalSizeY": 0.4, "PhysicalSizeZ": 900, "PhysicalSizeZUnit": "nm"}
    path = tmp_path / "x.ome.tif"
    tifffile.imwrite(path, np.zeros((3, 48, 64), np.uint8), photometric="minisblack", metadata=metadata)
    with open_slide(path) as slide:
        assert (slide.mpp_yx, slide.pixel.z) == ((0.4, 0.2), pytest.approx(0.9))


def test_the_reported_unit_as_an_entity_is_microns(data):
    with open_slide(data / "reported" / "c01_unit_entity.ome.tif") as slide:
        assert (slide.mpp_yx, slide.pixel.source) == ((0.25, 0.25), "OME-XML")
