"""What scanners write of the size of a pixel."""

import numpy as np
import pytest

from slideseg.slide.open import open_slide
from slideseg.slide.pixel_size.claims import Claim
from slideseg.slide.pixel_size.scanners import hint_of, leica_claim, openslide_claim

APERIO = "Aperio Image Library v12.0.15\r\n64x48 (16x16) JPEG/RGB Q=70|AppMag = 40"
PHILIPS = (
    '<?xml version="1.0"?><DataObject ObjectType="DPUfsImport"><Attribute Name="PIM_DP_SCANNED_IMAGES"><Array>'
    '<DataObject><Attribute Name="PIM_DP_IMAGE_TYPE">WSI</Attribute>'
    '<Attribute Name="DICOM_PIXEL_SPACING" PMSVR="IDoubleArray">&quot;0.000227&quot; &quot;0.000226&quot;</Attribute>'
    '<Attribute Name="DICOM_PIXEL_SPACING" PMSVR="IDoubleArray">"0.000454" "0.000452"</Attribute>'
    "</DataObject></Array></Attribute></DataObject>"
)
LEICA = (
    '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01"><collection>'
    '<image name="macro"><pixels sizeX="10" sizeY="20"><dimension r="0" ifd="1" sizeX="10" sizeY="20"/></pixels>'
    '<view sizeX="26000000" sizeY="76000000" offsetX="0" offsetY="0"/></image>'
    '<image name="scan"><pixels sizeX="64" sizeY="48"><dimension r="0" ifd="0" sizeX="64" sizeY="48"/>'
    '</pixels><view sizeX="32000" sizeY="48000"/></image></collection></scn>'
)
VIPS = (
    '<?xml version="1.0"?><image xmlns="http://www.vips.ecs.soton.ac.uk//dzsave"><properties>'
    '<property><name>openslide.mpp-x</name><value type="VipsRefString">0.2525</value></property>'
    '<property><name>openslide.mpp-y</name><value type="VipsRefString">0.2530</value></property></properties></image>'
)
TILED = {"tile": (16, 16)}


def test_aperio_names_its_mpp(facts_of_tiff):
    pixel, notes = facts_of_tiff(description=f"{APERIO}|MPP = 0.2520|Left = 3", **TILED)
    assert (pixel.yx, pixel.source, notes) == ((0.252, 0.252), "MPP in the description", ())


def test_of_aperio_without_an_mpp_the_magnification_is_a_hint_and_no_size(facts_of_tiff):
    pixel, _ = facts_of_tiff(description=APERIO, **TILED)
    assert pixel.yx is None
    assert pixel.source == "Aperio's description: names no MPP (at 40x it is about 0.25 \u00b5m)"


@pytest.mark.parametrize("text", ["{'mpp': 0.25, 'x': 1}", '{"MPP":"0,25"}', "scanner=A;MPP=0.25;x=2", "by hand\nmpp: 0.25"])
def test_others_name_an_mpp_in_their_descriptions(facts_of_tiff, text):
    assert facts_of_tiff(description=text)[0].yx == (0.25, 0.25)


def test_of_two_that_disagree_the_description_is_believed_and_the_tags_are_noted(facts_of_tiff):
    options = {"resolution": (20000, 20000), "resolutionunit": "CENTIMETER"}
    pixel, notes = facts_of_tiff(description=f"{APERIO}|MPP = 0.25", **TILED, **options)
    assert pixel.yx == (0.25, 0.25)
    assert notes == ("pixels are 0.25 \u00b5m by MPP in the description; 0.5 \u00b5m by resolution tags is not used",)


def test_philips_keeps_the_spacing_of_rows_and_columns_in_millimetres(facts_of_tiff):
    pixel, _ = facts_of_tiff(description=PHILIPS, software="Philips DP v1.0", **TILED)
    assert (pixel.yx, pixel.source) == (pytest.approx((0.227, 0.226)), "Philips' DICOM_PIXEL_SPACING")


def test_philips_spacing_is_not_that_of_a_label_or_macro_in_strips(facts_of_tiff):
    assert facts_of_tiff(description=PHILIPS, software="Philips DP v1.0")[0].yx is None


def test_leica_keeps_the_size_of_each_image_in_nanometres(tiff):
    with tiff(description=LEICA) as tif:
        assert leica_claim(tif, tif.pages[0]) == Claim("Leica's XML", (1.0, 0.5))
    with tiff(description=LEICA, pixels=np.zeros((20, 10), np.uint8)) as tif:
        assert leica_claim(tif, tif.pages[0]).doubt == "says nothing of this image"  # that size is of directory 1


def test_ventana_keeps_its_resolution_in_the_xmp(facts_of_tiff):
    xmp = b'<EncodeInfo><SlideStitchInfo/><iScan Mode="x" ScanRes="0.465000" Magnification="20"/></EncodeInfo>'
    pixel, _ = facts_of_tiff((700, "B", xmp), software="ScanOutputManager 1.1.0.15854")
    assert (pixel.yx, pixel.source) == ((0.465, 0.465), "Ventana's ScanRes")


def test_libvips_keeps_what_openslide_said(facts_of_tiff):
    pixel, _ = facts_of_tiff(description=VIPS)
    assert pixel.yx == (0.253, 0.2525)


def test_openslide_says_both_sides_or_none():
    assert openslide_claim({"openslide.mpp-x": "0.25", "openslide.mpp-y": "0.5"}).yx == (0.5, 0.25)
    assert "72 dpi" in openslide_claim({"openslide.mpp-x": "352.7778", "openslide.mpp-y": "352.7778"}).doubt
    assert openslide_claim({"openslide.mpp-x": "0.25"}).yx is None
    assert openslide_claim({"openslide.objective-power": "20"}).doubt == "says no size (at 20x it is about 0.5 \u00b5m)"


@pytest.mark.parametrize("magnification", [None, "", "fine", "0", "nan", "1e9"])
def test_no_magnification_is_no_hint(magnification):
    assert hint_of(magnification) == ""


def test_real_slides_say_their_sizes(data):
    expected = {
        "wsi/aperio/CMU-1-Small-Region.svs": ((0.499, 0.499), "MPP in the description"),
        "wsi/ndpi/test3-DAPI-2-387.ndpi": ((0.22817505, 0.22817505), "OpenSlide's mpp-y and mpp-x"),
        "wsi/qptiff/small_vectra.qptiff": ((0.49653463, 0.49653463), "resolution tags"),
        "reported/c30_bright.mrxs": ((0.25, 0.25), "OpenSlide's mpp-y and mpp-x"),
    }
    for name, (yx, source) in expected.items():
        with open_slide(data / name) as slide:
            np.testing.assert_allclose(slide.mpp_yx, yx, rtol=1e-6)
            assert slide.pixel.source == source
    with open_slide(data / "wsi/aperio/tcga-cr-7395-01a-01-ts1.svs") as slide:
        assert (slide.mpp, slide.pixel.source) == (None, "Aperio's description: names no MPP")


def test_an_aperio_thumbnail_has_not_the_size_of_its_slide(data):
    path = data / "wsi" / "aperio" / "CMU-1-Small-Region.svs"
    if not path.is_file():
        pytest.skip("no CMU-1-Small-Region.svs in the data folder")
    with open_slide(path, series=1) as thumbnail:
        assert (thumbnail.mpp, thumbnail.pixel.source) == (None, "Aperio's description: is that of the slide")
