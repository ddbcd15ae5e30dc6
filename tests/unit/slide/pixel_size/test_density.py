"""Resolutions: TIFF's tags, ImageJ's unit, and the heads of PNG and JPEG."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from slideseg.slide.open import open_slide

CM = {"resolutionunit": "CENTIMETER"}


def test_tags_give_each_axis_its_size(facts_of_tiff):
    pixel, _ = facts_of_tiff(resolution=(40000, 20000), **CM)
    assert (pixel.yx, pixel.source) == ((0.5, 0.25), "resolution tags")


@pytest.mark.parametrize(("orientation", "yx"), [(1, (0.5, 0.25)), (3, (0.5, 0.25)), (6, (0.25, 0.5)), (8, (0.25, 0.5))])
def test_a_picture_on_its_side_has_its_sizes_turned(facts_of_tiff, orientation, yx):
    assert facts_of_tiff((274, "H", orientation), resolution=(40000, 20000), **CM)[0].yx == yx


@pytest.mark.parametrize(
    ("resolution", "unit", "why"),
    [
        *((72, "INCH", "72 dpi is of a screen or a printer"), (300, "INCH", "300 dpi"), (118.11, "CENTIMETER", "300 dpi")),
        *((4, "NONE", "without a unit of length"), (1, "CENTIMETER", "one pixel per cm"), (1, "NONE", "nothing in the file")),
    ],
)
def test_tags_that_say_no_size_say_why(facts_of_tiff, resolution, unit, why):
    pixel, _ = facts_of_tiff(resolution=(resolution, resolution), resolutionunit=unit)
    assert pixel.yx is None
    assert why in pixel.source


@pytest.mark.parametrize(("number", "yx"), [(4, (0.5, 0.25)), (5, (0.0005, 0.00025))])
def test_units_that_are_extensions_are_known(facts_of_tiff, number, yx):
    assert facts_of_tiff(resolution=(4000, 2000), resolutionunit=number)[0].yx == pytest.approx(yx)


@pytest.mark.parametrize(
    ("unit", "resolution", "mpp"),
    [
        *(("um", 4, 0.25), ("micron", 4, 0.25), ("\\u00B5m", 4, 0.25), ("nm", 1 / 0.784, 0.000784), ("mm", 4000, 0.25)),
        *(("inch", 101600, 0.25), ("cm", 40000, 0.25), ("mm", 10, 100.0)),
    ],
)
def test_imagej_names_a_unit(tmp_path, unit, resolution, mpp):
    path = tmp_path / "x.tif"
    metadata = {"unit": unit, "spacing": 2}
    tifffile.imwrite(path, np.zeros((2, 8, 8), np.uint8), imagej=True, resolution=(resolution, resolution), metadata=metadata)
    with open_slide(path) as slide:
        assert slide.mpp_yx == pytest.approx((mpp, mpp))
        assert slide.pixel.source == "ImageJ"
        assert slide.pixel.z is not None


@pytest.mark.parametrize(
    ("unit", "resolution", "why"),
    [
        *(("inch", 72, "72 dpi is of a screen or a printer"), ("cm", 28.3465, "72 dpi"), ("mm", 2.834646, "72 dpi")),
        *(("um", 1, "one pixel per um"), ("pixel", 4, "per pixel, which is no length"), (None, 4, "without a unit")),
    ],
)
def test_imagej_says_no_size_where_it_has_none(tmp_path, unit, resolution, why):
    path = tmp_path / "x.tif"
    metadata = {} if unit is None else {"unit": unit}
    tifffile.imwrite(path, np.zeros((8, 8), np.uint8), imagej=True, resolution=(resolution, resolution), metadata=metadata)
    with open_slide(path) as slide:
        assert slide.mpp is None
        assert why in slide.pixel.source
        assert "resolution tags" not in slide.pixel.source  # they are the same


@pytest.mark.parametrize(
    ("units", "resolution", "yx"),
    [
        ("unit=micron\nyunit=nm", (4, 0.004), (0.25, 0.25)),
        ("unit=mm\nyunit=micron", (4000, 2), (0.5, 0.25)),
        ("unit=um\nyunit=\\u00B5m", (4, 4), (0.25, 0.25)),
    ],
)
def test_a_unit_of_its_own_along_y_counts_there(facts_of_tiff, units, resolution, yx):
    pixel, _ = facts_of_tiff(description=f"ImageJ=1.53\n{units}\n", resolution=resolution)
    assert pixel.yx == pytest.approx(yx)
    pixel, _ = facts_of_tiff(description=f"ImageJ=1.53\n{units.rpartition('=')[0]}=pixel\n", resolution=resolution)
    assert pixel.source.startswith("ImageJ: counts in ")


def test_a_unit_of_its_own_along_y_that_makes_needles_of_pixels_is_not_believed(facts_of_tiff):
    pixel, _ = facts_of_tiff(description="ImageJ=1.53\nunit=um\nyunit=nm\n", resolution=(4, 4))
    assert pixel.source.startswith("ImageJ: counts in um along x, but in nm along y")


def test_a_map_is_no_specimen(facts_of_tiff):
    tags = [(33550, "d", (0.5, 0.5, 0.0)), (34735, "H", (1, 1, 0, 0))]
    assert "it is a map" in facts_of_tiff(*tags)[0].source


@pytest.mark.parametrize("value", [(0, 0), (0, 5), (5, 0)])
def test_fractions_without_a_value_are_none(facts_of_tiff, value):
    assert facts_of_tiff((282, "2I", value), (283, "2I", value), (296, "H", 3))[0].yx is None


@pytest.mark.parametrize("kind", ["png", "jpg"])
@pytest.mark.parametrize(("dpi", "yx"), [((50800, 25400), (1.0, 0.5)), ((72, 72), None), ((300, 300), None), (None, None)])
def test_pictures_name_a_density(tmp_path, kind, dpi, yx):
    path = tmp_path / f"x.{kind}"
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(path, **({} if dpi is None else {"dpi": dpi}))
    with open_slide(path) as slide:
        assert slide.mpp_yx == (None if yx is None else pytest.approx(yx, rel=1e-3))
        assert slide.pixel.source.startswith("nothing in the file" if dpi is None else "density in the picture's head")


def test_a_jpeg_of_a_fine_scan_and_on_its_side(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "x.jpg", dpi=(5080, 2540), exif=exif)
    with open_slide(tmp_path / "x.jpg") as slide:
        assert slide.mpp_yx == (5.0, 10.0)


@pytest.mark.parametrize(
    ("name", "yx", "why"),
    [
        ("reported/c02_aniso_tags.tif", (0.5, 0.25), "resolution tags"),
        ("reported/c52_72dpi_imagej.tif", None, "ImageJ: 72 dpi is of a screen or a printer, no pixel size"),
        ("reported/c60_tomogram_nm.tif", (0.000784, 0.000784), "ImageJ"),
        ("wsi/generic/libvips-sample.tif", None, "resolution tags: 300 dpi"),
        ("wsi/generic/large_image/grey10kx5k.tif", None, "resolution tags: 72 dpi"),
        ("wsi/generic/large_image/global_dem.tif", None, "GeoTIFF: it is a map"),
        ("wsi/ome/qupath-cells.tif", (0.25, 0.25), "ImageJ"),
    ],
)
def test_real_files_say_it_or_say_why_not(data, name, yx, why):
    with open_slide(data / name) as slide:
        assert slide.mpp_yx == (None if yx is None else pytest.approx(yx))
        assert slide.pixel.source.startswith(why)
