"""What electron microscopes write into TIFFs."""

import numpy as np
import pytest
import tifffile

ZEISS = "0\r\n0\r\n0\r\n{unnamed}\r\n{name}\r\n{text} = {size}\r\nAP_MAG\r\nMag = 5.00 K X\r\n"


@pytest.mark.parametrize("tag", [34680, 34682])
@pytest.mark.parametrize("section", ["Scan", "EScan"])
def test_fei_keeps_metres(facts_of_tiff, tag, section):
    text = f"[User]\r\nDate=1\r\n[Beam]\r\nHV=5000\r\n[{section}]\r\nPixelWidth=3.345e-009\r\nPixelHeight=4e-009\r\n"
    pixel, _ = facts_of_tiff((tag, "s", text))
    assert (pixel.yx, pixel.source) == (pytest.approx((0.004, 0.003345)), "FEI's PixelWidth and PixelHeight")


def test_fei_without_a_width_says_so(facts_of_tiff):
    assert facts_of_tiff((34682, "s", "[User]\r\nDate=1\r\n"))[0].source == "FEI's tags: say no PixelWidth"


@pytest.mark.parametrize(
    ("size", "micron"), [("558.2 pm", 0.0005582), ("2.614 nm", 0.002614), ("1.5 \u00b5m", 1.5), ("0.1 mm", 100.0)]
)
def test_zeiss_keeps_the_size_with_its_unit(facts_of_tiff, size, micron):
    text = ZEISS.format(unnamed="9e-9", name="AP_IMAGE_PIXEL_SIZE", text="Image Pixel Size", size=size)
    pixel, _ = facts_of_tiff((34118, "s", text.encode("latin-1")))
    assert (pixel.yx, pixel.source) == (pytest.approx((micron, micron)), "Zeiss' Image Pixel Size")


def test_zeiss_of_the_image_comes_before_that_of_the_screen(facts_of_tiff):
    two = "AP_PIXEL_SIZE\r\nPixel Size = 9 nm\r\nAP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = 3 nm\r\n"
    assert facts_of_tiff((34118, "s", two))[0].yx == pytest.approx((0.003, 0.003))
    assert facts_of_tiff((34118, "s", two[:40]))[0].yx == pytest.approx((0.009, 0.009))


def test_zeiss_without_names_keeps_the_size_for_its_screen(facts_of_tiff):
    text = ZEISS.format(unnamed="2e-9", name="AP_WD", text="WD", size="5 mm")
    pixel, _ = facts_of_tiff((34118, "s", text))
    assert (pixel.yx, pixel.source) == (pytest.approx((0.032, 0.032)), "Zeiss' SEM tag")  # 1024 columns, here 64


def test_tvips_keeps_nanometres(facts_of_tiff):
    first, second = (np.zeros((), np.dtype(kind)) for kind in (tifffile.TIFF.TVIPS_HEADER_V1, tifffile.TIFF.TVIPS_HEADER_V2))
    first["Version"], second["Magic"], second["PixelSizeX"], second["PixelSizeY"] = 2, 0xAAAAAAAA, 0.784, 0.8
    pixel, _ = facts_of_tiff((37706, "B", first.tobytes() + second.tobytes()))
    assert pixel.yx == pytest.approx((0.0008, 0.000784), rel=1e-6)


def test_tescan_keeps_metres(facts_of_tiff):
    pixel, _ = facts_of_tiff((50431, "B", b"\x01\x00[MAIN]\r\nPixelSizeX=1.25e-08\r\nPixelSizeY=2.5e-08\r\n"))
    assert (pixel.yx, pixel.source) == (pytest.approx((0.025, 0.0125)), "Tescan's PixelSizeX and PixelSizeY")


@pytest.mark.parametrize(("unit", "microns"), [(b"nm", 1e-3), (b"\xb5m", 1.0), ("\u00b5m".encode(), 1.0), (b"\xc5", 1e-4)])
def test_digital_micrograph_keeps_scales_and_units(facts_of_tiff, unit, microns):
    tags = [(65003, "s", unit), (65004, "s", unit), (65009, "d", 0.5), (65010, "d", 0.75)]
    pixel, _ = facts_of_tiff(*tags)
    assert (pixel.yx, pixel.source) == (pytest.approx((0.75 * microns, 0.5 * microns)), "DigitalMicrograph's scale")


def test_what_a_microscope_says_comes_before_what_a_program_made_of_it(facts_of_tiff):
    text = "[Scan]\r\nPixelWidth=4e-009\r\nPixelHeight=4e-009\r\n"
    pixel, notes = facts_of_tiff((34682, "s", text), (270, "s", "ImageJ=1.53\nunit=nm\n"), resolution=((1, 8), (1, 8)))
    assert pixel.yx == pytest.approx((0.004, 0.004))
    assert notes == ("pixels are 4 nm by FEI's PixelWidth and PixelHeight; 8 nm by ImageJ is not used",)


@pytest.mark.parametrize(
    "tags",
    [
        [(34680, "H", 7)],
        [(34118, "H", 7)],
        [(37706, "B", b"\0" * 8)],
        [(34118, "s", "AP_IMAGE_PIXEL_SIZE\r\nImage Pixel Size = fine nm\r\n")],
        [(65003, "H", 3), (65009, "H", 3)],
        [(34682, "s", "[Scan]\r\nPixelWidth=\r\nPixelHeight=\r\n")],
    ],
)
def test_damaged_tags_say_nothing_and_refuse_nothing(facts_of_tiff, tags):
    pixel, _ = facts_of_tiff(*tags, resolution=(40000, 40000), resolutionunit="CENTIMETER")
    assert pixel.yx == (0.25, 0.25)
