from __future__ import annotations

import struct

import numpy as np
import pytest

from slideseg.errors import SlideError
from slideseg.slide.open import open_file, open_slide
from slideseg.slide.selection import WHOLE
from slideseg.space.box import Box

pytest.importorskip("liffile")

RNG = np.random.default_rng(4)
GREY = RNG.integers(0, 4096, (3, 2, 40, 50), dtype=np.uint16)
"""A stack (z, c, y, x)."""
RGB = RNG.integers(0, 256, (30, 60, 3), dtype=np.uint8)
IDS = {"X": 1, "Y": 2, "Z": 3, "T": 4}


def dimension(axis: str, size: int, step: float, stride: int) -> str:
    unit = "s" if axis == "T" else "m"
    return (
        f'<DimensionDescription DimID="{IDS[axis]}" NumberOfElements="{size}" Origin="0" '
        f'Length="{step * (size - 1)!r}" Unit="{unit}" BitInc="0" BytesInc="{stride}"/>'
    )


def element(name: str, block: str, channels: list[tuple[int, int, str]], dimensions: list[str], size: int, bits: int) -> str:
    """Return the XML of an image; channels are (tag, offset in bytes, colour)."""
    described = "".join(
        f'<ChannelDescription DataType="0" ChannelTag="{tag}" Resolution="{bits}" NameOfMeasuredQuantity="" Min="0" Max="1" '
        f'Unit="" LUTName="{lut}" IsLUTInverted="0" BytesInc="{offset}" BitInc="0"/>'
        for tag, offset, lut in channels
    )
    return (
        f'<Element Name="{name}" UniqueID="{block}"><Data><Image TextDescription=""><ImageDescription><Channels>{described}'
        f"</Channels><Dimensions>{''.join(dimensions)}</Dimensions></ImageDescription></Image></Data>"
        f'<Memory Size="{size}" MemoryBlockID="{block}"/><Children/></Element>'
    )


def write(path, images: list[tuple[str, bytes]]):
    """Write a LIF of version 2: the description, then a block of bytes an image."""
    children = "".join(xml for xml, _ in images)
    root = f'<Element Name="x"><Children>{children}</Children></Element>'
    text = f'<LMSDataContainerHeader Version="2">{root}</LMSDataContainerHeader>'
    header = text.encode("utf-16-le")
    with path.open("wb") as file:
        file.write(struct.pack("<IIBI", 0x70, 5 + len(header), 0x2A, len(text)) + header)
        for number, (_, data) in enumerate(images):
            name = f"MemBlock_{number}"
            file.write(struct.pack("<IIBQBI", 0x70, 14 + 2 * len(name), 0x2A, len(data), 0x2A, len(name)))
            file.write(name.encode("utf-16-le") + data)
    return path


def stack():
    z, c, y, x = GREY.shape
    plane = 2 * y * x
    sides = [dimension("X", x, 0.3e-6, 2), dimension("Y", y, 0.6e-6, 2 * x), dimension("Z", z, 1.5e-6, c * plane)]
    return element("stack", "MemBlock_0", [(0, 0, "Green"), (0, plane, "Red")], sides, GREY.nbytes, 12), GREY.tobytes()


def colours():
    y, x, _ = RGB.shape
    sides = [dimension("X", x, 0.5e-6, 3), dimension("Y", y, 0.5e-6, 3 * x)]
    channels = [(tag, offset, lut) for offset, (tag, lut) in enumerate([(1, "Red"), (2, "Green"), (3, "Blue")])]
    return element("colours", "MemBlock_1", channels, sides, RGB.nbytes, 8), RGB.tobytes()


def test_planes_and_channels_of_a_stack(tmp_path):
    with open_slide(write(tmp_path / "x.lif", [stack()])) as slide:
        assert (slide.axes, slide.shape, slide.dtype) == ("zyxc", (3, 40, 50, 2), np.uint16)
        assert slide.mpp_yx == pytest.approx((0.6, 0.3))
        assert (slide.pixel.z, slide.pixel.source) == (pytest.approx(1.5), "LIF dimensions")
        assert [channel.name for channel in slide.channels] == ["Green", "Red"]
        for z in range(3):
            np.testing.assert_array_equal(slide.read(Box(3, 7, 40, 33), 0, z), GREY[z].transpose(1, 2, 0)[3:40, 7:33])


def test_one_of_several_images_is_chosen(tmp_path):
    path = write(tmp_path / "x.lif", [stack(), colours()])
    with open_file(str(path), WHOLE) as slide:
        assert [(image.number, image.name, image.used) for image in slide.images] == [(0, "stack", True), (1, "colours", False)]
        assert "image 0 of 2" in slide.remarks[0]
    with open_slide(path, series=1) as slide:
        assert slide.is_rgb
        np.testing.assert_array_equal(slide.read(Box(0, 0, 30, 60)), RGB)
    with pytest.raises(SlideError, match="no such image"):
        open_slide(path, series=2)


@pytest.mark.parametrize("share", [0.0005, 0.3, 0.7, 0.999])
def test_what_is_cut_off_is_refused(tmp_path, share):
    path = write(tmp_path / "x.lif", [stack(), colours()])
    data = path.read_bytes()
    path.write_bytes(data[: max(4, int(share * len(data)))])
    with pytest.raises(SlideError):
        open_slide(path)
