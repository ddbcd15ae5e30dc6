"""What programs that drive light microscopes write into TIFFs."""

import json
import struct

import numpy as np
import pytest
import tifffile

from slideseg.slide.pixel_size.claims import Claim
from slideseg.slide.pixel_size.light import fluoview_claim, zeiss_lsm_claim

METASERIES = (
    '<MetaData><prop id="Description" type="string" value="x"/><PlaneInfo>'
    '<prop id="spatial-calibration-state" type="bool" value="{state}"/>'
    '<prop id="spatial-calibration-x" type="float" value="0.16"/><prop id="spatial-calibration-y" type="float" value="0.32"/>'
    '<prop id="spatial-calibration-units" type="string" value="um"/></PlaneInfo></MetaData>'
)


@pytest.mark.parametrize(("exponent", "size"), [(-6, 0.645), (-9, 645.0)])
def test_olympus_keeps_metres_and_their_power(facts_of_tiff, exponent, size):
    head = struct.pack("<4s6xhhhhh6x32sH", b"SIS0", 1, 1, 1, 1, 100, b"name", 1)
    data = struct.pack("<10xhdd8xd2x34s32s", exponent, size, 2 * size, 10.0, b"camera", b"type")

    def point(path):
        """Write where the data begins, which counts from the beginning of the file."""
        raw = bytearray(path.read_bytes())
        at = raw.index(b"SIS0") + len(head)
        raw[at : at + 8] = struct.pack("<hhI", 1, 1, at + 8)
        path.write_bytes(raw)

    pixel, _ = facts_of_tiff((33560, "B", head + bytes(8) + data), patch=point)
    assert (pixel.yx, pixel.source) == (pytest.approx((1.29, 0.645)), "Olympus' SIS tag")


@pytest.mark.parametrize("calibrated", [True, False])
def test_metamorph_keeps_its_calibration_in_the_tags_of_a_stack(facts_of_tiff, calibrated):
    unit = b"um\x00"
    uic4 = struct.pack("<HI", 3, calibrated) + struct.pack("<HII", 4, 1, 4) + struct.pack("<HII", 5, 1, 2)
    uic4 += struct.pack("<HI", 6, len(unit)) + unit + struct.pack("<H", 0)
    uic4 += b"\0" * (-len(uic4) % 4)
    tags = [
        (33628, "I", (0, 0)),
        (33629, "2I", (3, 10, 0, 0, 0, 0)),
        (33631, "I", struct.unpack(f"<{len(uic4) // 4}I", uic4)),
    ]

    def count_planes(path):
        """Let the tag say one plane, of six numbers, where TIFF would count three fractions."""
        path.write_bytes(path.read_bytes().replace(struct.pack("<HHI", 33629, 5, 3), struct.pack("<HHI", 33629, 5, 1)))

    pixel, _ = facts_of_tiff(*tags, patch=count_planes)
    if calibrated:
        assert (pixel.yx, pixel.z, pixel.source) == ((0.5, 0.25), pytest.approx(0.3), "MetaMorph's calibration")
    else:
        assert (pixel.yx, pixel.source) == (None, "MetaMorph's tags: say that it is not calibrated")


@pytest.mark.parametrize(("state", "yx"), [("on", (0.32, 0.16)), ("off", None)])
def test_metamorph_keeps_its_calibration_in_xml(facts_of_tiff, state, yx):
    assert facts_of_tiff(description=METASERIES.format(state=state), software="MetaSeries")[0].yx == yx


def test_zeiss_lsm_keeps_the_size_of_a_voxel_in_metres(tiff):
    record = np.zeros((), np.dtype(tifffile.TIFF.CZ_LSMINFO))
    record["MagicNumber"], record["StructureSize"] = 67127628, record.dtype.itemsize
    record["DimensionX"], record["DimensionY"], record["DimensionZ"] = 64, 48, 1
    record["DimensionChannels"] = record["DimensionTime"] = 1
    record["VoxelSizeX"], record["VoxelSizeY"], record["VoxelSizeZ"] = 1e-7, 2e-7, 5e-7
    pages = {"pixels": np.zeros((2, 48, 64), np.uint8), "photometric": "minisblack"}  # each image has a thumbnail
    with tiff((34412, "B", record.tobytes()), **pages) as tif:
        said = zeiss_lsm_claim(tif, tif.pages.first)
    assert (said.yx, said.z) == (pytest.approx((0.2, 0.1)), pytest.approx(0.5))


def test_fluoview_keeps_lengths_with_their_units(tiff):
    record = np.zeros((), np.dtype(tifffile.TIFF.MM_HEADER))
    for index, (name, size, length) in enumerate(((b"x", 64, 0.25), (b"y", 48, 0.5), (b"z", 1, 2.0))):
        record["Dimensions"][index] = (name, size, 0.0, length, b"um")
    with tiff((34361, "B", record.tobytes()), (34362, "d", (0.0,) * 8)) as tif:
        assert fluoview_claim(tif, tif.pages.first) == Claim("FluoView's tag", (0.5, 0.25), 2.0)


@pytest.mark.parametrize(("said", "yx"), [({"PixelSizeUm": 0.108}, (0.108, 0.108)), ({"PixelSizeUm": 0}, None), ({}, None)])
def test_micro_manager_keeps_microns(facts_of_tiff, said, yx):
    pixel, _ = facts_of_tiff((51123, "s", json.dumps({"Width": 64, **said})))
    assert pixel.yx == yx
    assert pixel.source.startswith("Micro-Manager")


def test_scan_image_keeps_the_corners_of_its_field(facts_of_tiff):
    software = "SI.VERSION_MAJOR = 2020\nSI.hRoiManager.imagingFovUm = [-16 -24;16 -24;16 24;-16 24]\n"
    software += "SI.hStackManager.actualStackZStepSize = 5\n"
    pixel, _ = facts_of_tiff(software=software)
    assert (pixel.yx, pixel.z, pixel.source) == ((1.0, 0.5), 5.0, "ScanImage's imagingFovUm")
