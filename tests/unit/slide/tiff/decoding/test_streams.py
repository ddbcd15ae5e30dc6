from __future__ import annotations

import imagecodecs
import numpy as np
import pytest

from slideseg.slide.tiff.decoding.streams import SameHeads, decodes_to_rgb, is_whole, jpeg_head

RGB = np.random.default_rng(1).integers(0, 256, (64, 80, 3), dtype=np.uint8)
JFIF = imagecodecs.jpeg8_encode(RGB, colorspace="RGB", outcolorspace="YCBCR")
ADOBE = imagecodecs.jpeg8_encode(RGB, colorspace="RGB", outcolorspace="RGB")


def without(stream: bytes, marker: int) -> bytes:
    """Cut a marker's segment out of a JPEG's head."""
    start = stream.index(bytes([0xFF, marker]))
    return stream[:start] + stream[start + 2 + int.from_bytes(stream[start + 2 : start + 4], "big") :]


def renamed(stream: bytes, names: bytes) -> bytes:
    """Give the components of a baseline JPEG other names."""
    data, frame, scan = bytearray(stream), stream.index(b"\xff\xc0"), stream.index(b"\xff\xda")
    for number, name in enumerate(names):
        data[frame + 10 + 3 * number] = data[scan + 5 + 2 * number] = name
    return bytes(data)


def test_markers_say_the_colours():
    assert jpeg_head(JFIF).colours == "YCbCr"
    assert jpeg_head(ADOBE).colours == "RGB"
    plain = imagecodecs.jpeg8_encode(RGB, subsampling="444")
    assert jpeg_head(plain).colours == "YCbCr"
    assert ADOBE[2:4] == b"\xff\xee"
    assert jpeg_head(plain[:2] + ADOBE[2:18] + plain[2:]).colours is None  # one marker against the other


def test_names_and_sampling_say_them_where_markers_are_missing():
    bare = without(JFIF, 0xE0)
    assert jpeg_head(renamed(bare, b"RGB")).colours == "RGB"
    assert jpeg_head(without(imagecodecs.jpeg8_encode(RGB, subsampling="420"), 0xE0)).colours == "YCbCr"
    flat = without(imagecodecs.jpeg8_encode(RGB, subsampling="444"), 0xE0)
    assert jpeg_head(renamed(flat, b"\0\1\2")).colours is None
    assert jpeg_head(b"").colours is None


def test_a_component_transform_is_found():
    for transform in (True, False):
        for container in ("j2k", "jp2"):
            space = "SRGB" if transform else "UNSPECIFIED"
            stream = imagecodecs.jpeg2k_encode(RGB, codecformat=container, mct=transform, colorspace=space)
            assert decodes_to_rgb(stream) is transform
    assert not decodes_to_rgb(JFIF)


@pytest.mark.parametrize(("space", "known"), [("SRGB", True), ("SYCC", True), ("UNSPECIFIED", False)])
def test_a_jp2_says_its_colours(space, known):
    assert decodes_to_rgb(imagecodecs.jpeg2k_encode(RGB, codecformat="jp2", mct=False, colorspace=space)) is known


@pytest.mark.parametrize("padding", [b"", b"\0" * 300, b"\xff" * 5000, bytes(range(256)) * 9])
def test_padding_behind_the_end_is_no_damage(padding):
    for compression, stream in ((7, JFIF), (33005, imagecodecs.jpeg2k_encode(RGB, codecformat="j2k"))):
        assert is_whole(compression, stream + padding)
        for cut in (2, 40, len(stream) // 2):
            assert not is_whole(compression, stream[:-cut] + b"\0" * len(padding))
    assert is_whole(8, b"whatever")


@pytest.mark.parametrize("pixels", [RGB, RGB[..., 0], np.dstack([RGB, RGB[..., :1]]), RGB.astype("u2") * 200])
def test_a_jpeg_xr_is_as_long_as_its_table_says(pixels):
    """Its decoder makes pixels of whatever is there."""
    stream = imagecodecs.jpegxr_encode(np.ascontiguousarray(pixels), level=90)
    if pixels.shape[-1] != 4:
        assert imagecodecs.jpegxr_decode(stream[: len(stream) // 2]).shape == pixels.shape
    for compression in (22610, 34934):
        assert is_whole(compression, stream)
        assert is_whole(compression, stream + b"padding")
        assert not any(is_whole(compression, stream[:length]) for length in range(8, len(stream), 7))
        assert not is_whole(compression, stream[:-1])


def test_heads_that_are_read_once_are_those_of_each_stream():
    """Whatever came before: streams that begin alike, changed and cut ones, fill bytes in front of a marker."""
    rng = np.random.default_rng(3)
    filled = JFIF[:2] + b"\xff\xff" + JFIF[2:]
    streams = [
        JFIF,
        JFIF[:-9],
        ADOBE,
        renamed(without(JFIF, 0xE0), b"RGB"),
        filled,
        b"",
        imagecodecs.jpeg8_encode(RGB[..., 0].copy()),
    ]
    for _ in range(300):
        changed = bytearray(streams[rng.integers(4)])
        changed[rng.integers(2, 700)] = rng.integers(256)
        streams.append(bytes(changed[: rng.integers(3, len(changed))] if rng.random() < 0.3 else changed))
    heads = SameHeads()
    for number in rng.integers(0, len(streams), 3000):
        assert heads(streams[number]) == jpeg_head(streams[number])
