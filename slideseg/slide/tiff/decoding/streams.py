"""What a coded tile or strip says of itself: its colours, and whether it is whole.

A TIFF says twice how its colours are stored: by the tag PhotometricInterpretation, and in the streams. What the stream says
decides, because it is what the encoder wrote. Where it says nothing the tag does.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    Colours = Literal["RGB", "YCbCr", "grey"]

JPEG = frozenset({6, 7, 33007, 34892})
"""TIFF compressions whose tiles are JPEG streams."""
JPEG_2000 = frozenset({33003, 33004, 33005, 34712})
"""TIFF compressions whose tiles are JPEG 2000 streams, bare or in a JP2."""
JPEG_XR = frozenset({22610, 34934})
"""TIFF compressions whose tiles are JPEG XR files."""
IMAGES = JPEG_2000 | JPEG_XR | {34933, 50001, 50002, 52546}
"""TIFF compressions whose tiles are pictures of their own, with rows and columns: also PNG, WebP, JPEG XL. Not JPEG."""
APERIO_YCBCR = 33003
"""Aperio's JPEG 2000 of Y, Cb and Cr."""
_END = b"\xff\xd9"
_START_OF_JPEG, _START_OF_JPEG_2000, _JP2 = b"\xff\xd8", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  "
_PROGRESSIVE = frozenset({0xC2, 0xCA})
_APP0, _APP14, _SCAN, _COD, _SIZ = 0xE0, 0xEE, 0xDA, 0x52, 0x51
_FRAMES = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC9, 0xCA, 0xCB})
_ADOBE: dict[int, Colours] = {0: "RGB", 1: "YCbCr"}
_MULTIPLE_COMPONENT_TRANSFORM = 4
"""Place in a COD segment of the byte that says whether the components are transformed."""
_FIRST_SAMPLING = 37
"""Place in a SIZ segment of the first component's sampling along x; the others' follow every third byte."""
_START_OF_JPEG_XR = b"II\xbc"
_XR_IMAGE_OFFSET, _XR_IMAGE_BYTES, _XR_ALPHA_BYTES = 0xBCC0, 0xBCC1, 0xBCC3
"""Tags in the table of a JPEG XR file."""
_ENUMERATED, _COLOUR_SPACES = 1, (16, 18)
"""How a JP2 names a colour space, and those of it that come as RGB: sRGB and sYCC."""


class JpegHead(NamedTuple):
    """What a JPEG stream says of itself."""

    colours: Colours | None
    """What its components are; None where it does not say it."""
    progressive: bool
    """Whether its pixels come in several passes."""


def jpeg_head(stream: bytes) -> JpegHead:
    """Return what the markers of a JPEG stream say.

    A single component is grey. Of three, JFIF's marker means YCbCr, Adobe's says which (where both are there and contradict
    each other, neither counts), components named R, G and B are those, and components of different sampling are YCbCr.

    >>> jpeg_head(b"no JPEG")
    JpegHead(colours=None, progressive=False)
    """
    said: set[Colours] = set()
    shape: Colours | None = None
    progressive = False
    for marker, body in _segments(stream):
        if marker == _APP0 and body.startswith(b"JFIF\0"):
            said.add("YCbCr")
        elif marker == _APP14 and body.startswith(b"Adobe") and len(body) > 11 and body[11] in _ADOBE:
            said.add(_ADOBE[body[11]])
        elif marker in _FRAMES and len(body) >= 9:
            progressive = marker in _PROGRESSIVE
            if body[5] == 1:
                return JpegHead("grey", progressive)
            if body[5] == 3 and len(body) >= 15:
                sampling = {body[7], body[10], body[13]}
                shape = "RGB" if (body[6], body[9], body[12]) == (*b"RGB",) else "YCbCr" if len(sampling) > 1 else None
    return JpegHead(said.pop() if len(said) == 1 else shape, progressive)


class SameHeads:
    """Heads of JPEG streams that begin alike, as the tiles of a page do: read once. Serves several threads."""

    def __init__(self) -> None:
        self._last: tuple[bytes, JpegHead] | None = None

    def __call__(self, stream: bytes) -> JpegHead:
        """Return what `jpeg_head` does."""
        last = self._last
        if last is not None and stream.startswith(last[0]):
            return last[1]
        head = jpeg_head(stream)
        end = _end_of_head(stream)
        if end:
            self._last = stream[:end], head
        return head


def decodes_to_rgb(stream: bytes) -> bool:
    """Tell whether what comes out of the decoder of a JPEG 2000 stream is RGB, by what the stream says.

    It has a component transform, which the decoder undoes; or it has components of different sampling, which the decoder takes
    for YCbCr; or a JP2 around it says that it is RGB, or YCbCr, which the decoder turns into RGB.
    """
    start = stream.find(_START_OF_JPEG_2000)
    if start < 0:
        return False
    colour = stream.find(b"colr", 0, start)
    if colour >= 0 and stream[colour + 4] == _ENUMERATED and stream[colour + 10] in _COLOUR_SPACES:
        return True
    return any(
        (marker == _COD and len(body) > _MULTIPLE_COMPONENT_TRANSFORM and body[_MULTIPLE_COMPONENT_TRANSFORM] > 0)
        or (marker == _SIZ and len(set(body[_FIRST_SAMPLING::3])) > 1)
        for marker, body in _segments(stream[start:])
    )


def is_jpeg(stream: bytes) -> bool:
    """Tell whether a stream begins as JPEG does."""
    return stream.startswith(_START_OF_JPEG)


def is_whole(compression: int, stream: bytes | memoryview) -> bool:
    """Tell whether a JPEG or JPEG 2000 stream has its end, and a JPEG XR its length; what is behind that is padding.

    Their decoders fill what is missing with grey or worse and say nothing. The first two don't put the end's two bytes into
    coded pixels, so one behind the head is the end; a JPEG XR says how long it is.
    """
    if compression in JPEG_XR:
        return len(stream) >= _length_of_jpeg_xr(bytes(stream))
    if compression not in JPEG and compression not in JPEG_2000:
        return True
    data = bytes(stream[-2:])
    if data == _END:
        return True
    data = bytes(stream)
    return data.rfind(_END) > data.find(b"\xff\xda" if compression in JPEG else b"\xff\x93") >= 0


def _length_of_jpeg_xr(stream: bytes) -> float:
    """Return the bytes that a JPEG XR should have, by its table: without end, if the table is cut off; 0 if it is none."""
    if not stream.startswith(_START_OF_JPEG_XR):
        return 0
    try:
        (start,) = struct.unpack_from("<I", stream, 4)
        (count,) = struct.unpack_from("<H", stream, start)
        entries = [struct.unpack_from("<HHII", stream, start + 2 + 12 * number) for number in range(count)]
    except struct.error:
        return float("inf")
    told: dict[int, int] = {tag: value for tag, _, _, value in entries}
    # of alpha, the usual encoder writes where its bytes end instead of their number
    return max(told.get(_XR_IMAGE_OFFSET, 0) + told.get(_XR_IMAGE_BYTES, 0), told.get(_XR_ALPHA_BYTES, 0))


def _end_of_head(stream: bytes) -> int:
    """Return where the coded pixels of a JPEG begin, behind all that decides its head; 0 if it has none."""
    place = 2
    for marker, body in _segments(stream):
        place = stream.index(bytes((0xFF, marker)), place) + 4 + len(body)  # behind fill bytes
        if marker == _SCAN:
            return place
    return 0


def _segments(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and body of a JPEG's or a JPEG 2000 codestream's segments, as far as the first coded pixels."""
    place = 2
    while place + 4 <= len(stream) and stream[place] == 0xFF:
        marker = stream[place + 1]
        if marker == 0xFF:  # fill byte
            place += 1
            continue
        (length,) = struct.unpack_from(">H", stream, place + 2)
        if length < 2:
            return
        yield marker, stream[place + 4 : place + 2 + length]
        if marker in (_SCAN, 0x93):
            return
        place += 2 + length
