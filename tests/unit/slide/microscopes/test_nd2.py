from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from slideseg.errors import SlideError
from slideseg.slide.open import open_slide
from slideseg.space.box import Box

pytest.importorskip("nd2")

RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 60000, (90, 130), dtype=np.uint16)
RGB = RNG.integers(0, 256, (70, 50, 3), dtype=np.uint8)
MAGIC = 0x0ABECEDA


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack("<IIQ", MAGIC, len(name), len(data)) + name + data


def number(name: str, value: int) -> bytes:
    """Return an unsigned number of the format's own tree of values."""
    return struct.pack("BB", 3, len(name) + 1) + f"{name}\0".encode("utf-16-le") + struct.pack("<I", value)


def value(name: str, kind: int, form: str, content: float) -> bytes:
    return struct.pack("BB", kind, len(name) + 1) + f"{name}\0".encode("utf-16-le") + struct.pack(form, content)


def text(name: str, content: str) -> bytes:
    return struct.pack("BB", 8, len(name) + 1) + f"{name}\0{content}\0".encode("utf-16-le")


def level(name: str, entries: list[bytes]) -> bytes:
    head = struct.pack("BB", 11, len(name) + 1) + f"{name}\0".encode("utf-16-le")
    body = b"".join(entries)
    return head + struct.pack("<IQ", len(entries), len(head) + 12 + len(body)) + body + bytes(8 * len(entries))


def write(path, image: np.ndarray, *, packed: bool = False, lost: bool = False, mpp: float | None = 0.65):
    """Write an image (y, x) or (y, x, 3) as ND2 of version 3; ``lost``: the frame is not in the file's map."""
    samples = image.shape[2] if image.ndim == 3 else 1
    stored = image[..., ::-1] if samples == 3 else image
    bits = 8 * image.itemsize
    said = {
        "uiWidth": image.shape[1], "uiWidthBytes": image.shape[1] * samples * image.itemsize, "uiHeight": image.shape[0],
        "uiComp": samples, "uiBpcInMemory": bits, "uiBpcSignificant": bits, "uiSequenceCount": 1,
        "eCompression": 0 if packed else 2,
    }  # fmt: skip
    plane = [number("uiCompCount", samples), text("sDescription", "Brightfield"), number("uiColor", 0x0000FF)]
    plane += [level("pFluorescentProbe", [number("uiFlags", 1)])]
    planes = [number("uiCount", 1), level("sPlaneNew", [level("a0", plane)])]
    calibrated = [value("bCalibrated", 1, "<B", mpp is not None), value("dCalibration", 6, "<d", mpp or 0.0)]
    pixels = np.ascontiguousarray(stored).tobytes()
    frame = bytes(8) + (zlib.compress(pixels) if packed else pixels)
    chunks = [
        (b"ND2 FILE SIGNATURE CHUNK NAME01!", b"Ver3.0".ljust(64, b"\0")),
        (b"ImageAttributesLV!", level("SLxImageAttributes", [number(*entry) for entry in said.items()])),
        (b"ImageMetadataSeqLV|0!", level("SLxPictureMetadata", [*calibrated, level("sPicturePlanes", planes)])),
        (b"ImageDataSeq|0!".ljust(4072, b"\0"), frame),
    ]
    data, places = b"", b""
    for name, content in chunks:
        if not (lost and name.startswith(b"ImageData")):
            places += name.rstrip(b"\0") + struct.pack("<QQ", len(data), len(content))
        data += chunk(name, content)
    end = b"ND2 CHUNK MAP SIGNATURE 0000001!" + struct.pack("<Q", len(data))
    path.write_bytes(data + chunk(b"ND2 FILEMAP SIGNATURE NAME 0001!", places + end))
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("image", [GREY, RGB], ids=["grey", "rgb"])
def test_pixels_are_those_of_the_frame(tmp_path, image, packed):
    with open_slide(write(tmp_path / "x.nd2", image, packed=packed)) as slide:
        whole = image.reshape(*image.shape[:2], -1)
        assert (slide.shape, slide.dtype, slide.is_rgb) == (whole.shape, image.dtype, image.ndim == 3)
        assert (slide.mpp_yx, slide.pixel.source) == ((0.65, 0.65), "ND2 calibration")
        assert [channel.name for channel in slide.channels] == ([] if slide.is_rgb else ["Brightfield"])
        np.testing.assert_array_equal(slide.read(Box.of_shape(image.shape[:2])), whole)
        np.testing.assert_array_equal(slide.read(Box(9, 11, 50, 44)), whole[9:50, 11:44])


def test_pixels_that_are_not_calibrated_have_no_size(tmp_path):
    with open_slide(write(tmp_path / "x.nd2", GREY, mpp=None)) as slide:
        assert (slide.mpp, slide.pixel.source) == (None, "ND2 calibration: says no size")


def test_a_frame_that_is_missing_is_damage_and_not_black(tmp_path):
    with pytest.raises(SlideError, match="frames are missing"):
        open_slide(write(tmp_path / "x.nd2", GREY, lost=True))


@pytest.mark.parametrize("share", [0.001, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("packed", [False, True])
def test_what_is_cut_off_is_refused(tmp_path, share, packed):
    path = write(tmp_path / "x.nd2", GREY, packed=packed)
    data = path.read_bytes()
    path.write_bytes(data[: max(12, int(share * len(data)))])
    with pytest.raises(SlideError):
        open_slide(path)


def test_a_map_that_lies_is_refused(tmp_path):
    path = write(tmp_path / "x.nd2", GREY)
    data = bytearray(path.read_bytes())
    place = data.rindex(b"ImageDataSeq|0!") + len(b"ImageDataSeq|0!")
    data[place : place + 8] = struct.pack("<Q", len(data) - 100)
    path.write_bytes(data)
    with pytest.raises(SlideError):
        open_slide(path)
