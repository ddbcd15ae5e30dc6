"""What OME-XML says beside the axes: where an image lies, how wide its pixels are, in which colours planes are shown."""

from __future__ import annotations

import numpy as np
import pytest
import tifffile

from slideseg.slide.open import open_slide

GREY = np.random.default_rng(3).integers(0, 255, (6, 40, 50), np.uint8)
SIZES = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.25}
RED, GREEN, BLUE = -16776961, 16711935, 65535


def opened(path, pixels, axes, **metadata):
    tifffile.imwrite(path, pixels, ome=True, photometric="minisblack", metadata={"axes": axes, **metadata})
    return open_slide(path)


def planes(number, unit, **positions):
    found = {f"Position{axis}": [float(value) for value in np.broadcast_to(at, number)] for axis, at in positions.items()}
    return {"Plane": found | ({f"Position{axis}Unit": [unit] * number for axis in positions} if unit else {})}


@pytest.mark.parametrize(("unit", "microns"), [("mm", 1000), ("µm", 1), ("nm", 0.001), ("m", 1e6)])
def test_an_image_lies_where_its_first_plane_does(tmp_path, unit, microns):
    with opened(tmp_path / "x.ome.tif", GREY[0], "YX", **SIZES, **planes(1, unit, X=-2, Y=3)) as slide:
        assert slide.origin == pytest.approx((3 * microns, -2 * microns))
        assert not slide.notes


@pytest.mark.parametrize("unit", [None, "pixel", "reference frame"])
def test_a_position_without_a_length_is_not_used_and_that_is_told(tmp_path, unit):
    with opened(tmp_path / "x.ome.tif", GREY[0], "YX", **SIZES, **planes(1, unit, X=2, Y=3)) as slide:
        assert slide.origin == (0, 0)
        assert "no length" in slide.remarks[0]


def test_a_position_is_of_no_use_where_the_size_of_pixels_is_unknown(tmp_path):
    with opened(tmp_path / "x.ome.tif", GREY[0], "YX", **planes(1, "mm", X=2, Y=3)) as slide:
        assert slide.origin == (0, 0)
        assert "size of its pixels is not known" in slide.remarks[0]


@pytest.mark.parametrize(
    ("heights", "size", "step"),
    [((5, 7, 9, 11, 13, 15), {}, 2), ((5, 7, 9, 11, 13, 15), {"PhysicalSizeZ": 3}, 3), ((5, 7, 8, 9, 10, 11), {}, None)],
)
def test_planes_lie_at_their_heights(tmp_path, heights, size, step):
    with opened(tmp_path / "x.ome.tif", GREY, "ZYX", **SIZES, **size, **planes(6, "µm", Z=heights)) as slide:
        assert (slide.pixel.z, slide.pixel.z_first) == (step, 5)


@pytest.mark.parametrize("wide", [(0.016, "mm"), (16000, "nm")])
def test_widths_are_compared_in_their_units(tmp_path, wide):
    path = tmp_path / "x.ome.tif"
    sizes = {"PhysicalSizeX": wide[0], "PhysicalSizeY": wide[0], "PhysicalSizeXUnit": wide[1], "PhysicalSizeYUnit": wide[1]}
    with tifffile.TiffWriter(path, ome=True) as writer:
        writer.write(np.zeros((90, 80), np.uint8), metadata={"axes": "YX"} | sizes)
        writer.write(GREY[0], metadata={"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5})
    with open_slide(path) as slide:
        assert slide.shape == (40, 50, 1)
        assert [image.role for image in slide.images] == ["overview", "slide"]


@pytest.mark.parametrize(
    ("names", "colors", "dtype", "is_rgb"),
    [
        (["", "", ""], [RED, GREEN, BLUE], "u1", True),
        (["Channel 0", "Channel 1", "Channel 2"], [RED, GREEN, BLUE], "u1", True),
        (["", "", ""], [RED, GREEN, BLUE], "u2", False),
        (["", "", ""], [BLUE, GREEN, RED], "u1", False),
        (["DAPI", "FITC", "Cy3"], [RED, GREEN, BLUE], "u1", False),
        (["Red", "Green", "Blue"], [RED, GREEN, BLUE], "u2", True),
    ],
)
def test_planes_in_red_green_and_blue(tmp_path, names, colors, dtype, is_rgb):
    channel = {"Channel": {"Name": names, "Color": colors}}
    with opened(tmp_path / "x.ome.tif", GREY[:3].astype(dtype), "CYX", **channel) as slide:
        assert slide.is_rgb is is_rgb


def test_a_file_that_was_renamed_is_its_own(tmp_path):
    xml = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0"><Pixels ID="Pixels:0" '
        'DimensionOrder="XYCZT" Type="uint8" SizeX="50" SizeY="40" SizeC="2" SizeZ="1" SizeT="1">'
        '<Channel ID="Channel:0" SamplesPerPixel="1"/><Channel ID="Channel:1" SamplesPerPixel="1"/>'
        + "".join(
            f'<TiffData FirstC="{c}" IFD="{c}" PlaneCount="1"><UUID FileName="old.ome.tif">urn:uuid:1</UUID></TiffData>'
            for c in (0, 1)
        )
        + "</Pixels></Image></OME>"
    )
    path = tmp_path / "new.ome.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(GREY[0], description=xml, metadata=None)
        writer.write(GREY[1], metadata=None)
    with open_slide(path) as slide:
        np.testing.assert_array_equal(slide.read((0, 0, 40, 50)), np.moveaxis(GREY[:2], 0, -1))
