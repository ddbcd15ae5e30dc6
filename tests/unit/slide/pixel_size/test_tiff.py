"""Everything that a TIFF may say of the size of its pixels, in order."""

import numpy as np
import pytest

from slideseg.slide.pixel_size.tiff import SOURCES, pixel_of_tiff

CM = {"resolution": (40000, 40000), "resolutionunit": "CENTIMETER"}
FEI = (34682, "s", "[Scan]\r\nPixelWidth=5e-007\r\nPixelHeight=5e-007\r\n")
SIS = (33471, "s", "[Dimension]\nBand=x\n")
OME = '<OME><Image><Pixels SizeX="64" SizeY="48" PhysicalSizeX="1.5" PhysicalSizeY="1.5"/></Image></OME>'


@pytest.mark.parametrize(
    ("tags", "description", "mpp", "source"),
    [
        ([], None, 0.25, "resolution tags"),
        ([FEI], None, 0.5, "FEI's PixelWidth and PixelHeight"),
        ([FEI], "Aperio|MPP = 1.0", 1.0, "MPP in the description"),
        ([FEI], OME, 1.5, "OME-XML"),
    ],
)
def test_the_first_source_decides_and_the_rest_are_noted(tiff, tags, description, mpp, source):
    with tiff(*tags, description=description, **CM) as tif:
        pixel, notes = pixel_of_tiff(tif, tif.pages.first)
    assert (pixel.yx, pixel.source) == (pytest.approx((mpp, mpp)), source)
    assert len(notes) == len(tags) + (description is not None)
    assert all(f"by {source};" in note for note in notes)


def test_a_source_whose_tags_are_damaged_is_passed_over_and_said(tiff):
    with tiff(SIS) as tif:
        assert pixel_of_tiff(tif, tif.pages.first)[0].source == "Olympus SIS: its tags are damaged"
    with tiff(SIS, **CM) as tif:
        assert pixel_of_tiff(tif, tif.pages.first)[0].yx == (0.25, 0.25)


def test_nothing_is_made_up_where_nothing_is_said(tiff):
    with tiff(pixels=np.zeros((8, 8), np.uint8)) as tif:
        assert [name for name, ask in SOURCES.items() if ask(tif, tif.pages.first) is not None] == []
        assert pixel_of_tiff(tif, tif.pages.first)[0].source == "nothing in the file says it"
