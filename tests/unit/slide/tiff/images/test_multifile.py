from __future__ import annotations

import shutil

import numpy as np
import pytest
import tifffile

from slideseg.errors import SlideError
from slideseg.slide.open import open_file, open_slide
from slideseg.slide.selection import WHOLE

STACK = np.random.default_rng(4).integers(0, 9999, (2, 3, 2, 40, 50), dtype=np.uint16)
"""t, z, c, y, x"""
HEAD = '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" UUID="urn:uuid:{}">{}</OME>'
SIZES = 'SizeX="50" SizeY="40" SizeZ="3" SizeC="2" SizeT="2" PhysicalSizeX="0.25" PhysicalSizeY="0.5"'
PIXELS = f'<Image ID="Image:0"><Pixels DimensionOrder="XYZCT" Type="uint16" {SIZES}>{{}}</Pixels></Image>'
UUID = '<UUID FileName="{name}">urn:uuid:{name}</UUID>'
DATA = f'<TiffData FirstT="{{t}}" FirstC="{{c}}" FirstZ="0" IFD="0" PlaneCount="3">{UUID}</TiffData>'
GREY = {"metadata": None, "photometric": "minisblack"}


def write(folder, companion: bool, compression=None, order=None):
    """Write a file for each time point and channel, with the planes along z in it."""
    parts = [(t, c, f"T{t}_C{c}.ome.tif") for t in range(2) for c in range(2)]
    xml = PIXELS.format("".join(DATA.format(t=t, c=c, name=order or name) for t, c, name in parts))
    for t, c, name in parts:
        only = '<BinaryOnly MetadataFile="it.companion.ome" UUID="urn:uuid:all"/>'
        description = HEAD.format(name, only if companion else xml)
        tifffile.imwrite(folder / name, STACK[t, :, c], description=description, compression=compression, **GREY)
    if companion:
        (folder / "it.companion.ome").write_text(HEAD.format("all", xml))
    return folder / parts[2][2]


@pytest.mark.parametrize("companion", [True, False])
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_all_planes_are_read_from_any_of_the_files(tmp_path, companion, compression):
    with open_file(str(write(tmp_path, companion, compression)), WHOLE) as slide:
        assert (slide.axes, slide.shape, slide.mpp_yx) == ("tzyxc", (2, 3, 40, 50, 2), (0.5, 0.25))
        for plane in range(6):
            expected = STACK[plane // 3, plane % 3].transpose(1, 2, 0)
            np.testing.assert_array_equal(slide.read((0, 0, 40, 50), 0, plane), expected)
    with pytest.raises(SlideError):
        slide.read((0, 0, 40, 50))


@pytest.mark.parametrize("companion", [True, False])
def test_a_file_that_is_missing_is_named(tmp_path, companion):
    path = write(tmp_path, companion)
    (tmp_path / "T0_C1.ome.tif").unlink()
    with pytest.raises(SlideError, match=r"no T0_C1\.ome\.tif beside it"):
        open_slide(path)
    if companion:
        (tmp_path / "it.companion.ome").unlink()
        with pytest.raises(SlideError, match=r"no it\.companion\.ome beside it"):
            open_slide(path)


@pytest.mark.parametrize("name", ["../T0_C0.ome.tif", "/etc/passwd", "..", "a\\b.tif"])
def test_only_files_beside_it_are_opened(tmp_path, name):
    (tmp_path / "in").mkdir()
    path = write(tmp_path / "in", companion=False, order=name)
    shutil.copy(path, tmp_path / "T0_C0.ome.tif")
    with pytest.raises(SlideError, match="a file elsewhere"):
        open_slide(path)


def test_a_file_of_other_pages_is_refused(tmp_path):
    path = write(tmp_path, companion=True)
    tifffile.imwrite(tmp_path / "T0_C1.ome.tif", STACK[0, :, 0, :20], **GREY)
    with pytest.raises(SlideError, match="don't fit"):
        open_slide(path)
    tifffile.imwrite(tmp_path / "T0_C1.ome.tif", STACK[0, 0, 0], **GREY)
    with pytest.raises(SlideError, match="planes are missing"):
        open_slide(path)


def test_a_cut_off_sibling_is_named(tmp_path):
    path = write(tmp_path, companion=True)
    other = tmp_path / "T0_C1.ome.tif"
    other.write_bytes(other.read_bytes()[:-2000])
    with pytest.raises(SlideError, match=r"T0_C1\.ome\.tif"):
        open_slide(path)


def test_a_file_that_was_renamed_is_still_its_own(tmp_path):
    tifffile.imwrite(tmp_path / "a.ome.tif", STACK[0, :, 0], ome=True, metadata={"axes": "ZYX"}, photometric="minisblack")
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as tif:
        xml = tif.ome_metadata
    uuid = xml.split('UUID="')[1].split('"')[0]
    named = xml.replace("<TiffData", "<TiffData", 1).replace(
        'PlaneCount="3"/>', f'PlaneCount="3"><UUID FileName="old.ome.tif">{uuid}</UUID></TiffData>'
    )
    assert named != xml
    tifffile.imwrite(tmp_path / "b.ome.tif", STACK[0, :, 0], description=named, **GREY)
    with open_slide(tmp_path / "b.ome.tif") as slide:
        assert slide.shape == (3, 40, 50, 1)


def test_the_real_set_is_one_stack_from_any_file(data):
    folder = data / "wsi" / "ome" / "multifile"
    if not folder.is_dir():
        pytest.skip("no multi-file OME-TIFF in the data folder")
    for number in (1, 4):
        with open_slide(folder / f"multifile-Z{number}.ome.tiff") as slide:
            assert slide.shape == (5, 24, 18, 1)
            for z in range(5):
                expected = tifffile.imread(folder / f"multifile-Z{z + 1}.ome.tiff", _multifile=False)
                np.testing.assert_array_equal(slide.read((0, 0, 24, 18), 0, z)[..., 0], expected)


def test_a_companion_opens_the_slide_that_it_describes(tmp_path):
    one = write(tmp_path, companion=True)
    with open_file(str(one), WHOLE) as slide, open_file(str(tmp_path / "it.companion.ome"), WHOLE) as same:
        assert same.shape == slide.shape
        np.testing.assert_array_equal(same.read((0, 0, 40, 50), 0, 1), slide.read((0, 0, 40, 50), 0, 1))
    (tmp_path / "it.companion.ome").write_text("no XML")
    with pytest.raises(SlideError, match="is damaged"):
        open_file(str(tmp_path / "it.companion.ome"), WHOLE)
