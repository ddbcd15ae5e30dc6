"""What a compressed frame says of itself: its size, and what its colours are.

The rule of colours: what a stream says counts, whatever the file says of it. A JPEG says it by an Adobe marker, a JFIF marker,
components called R, G and B, or colour differences at half resolution; JPEG 2000 by its component transform, by the colour
space of a JP2 file around it, or by colour differences at half resolution. Where a stream says nothing, or says both, the
file's PhotometricInterpretation decides.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

_STANDALONE = {0x01, *range(0xD0, 0xD9)}
_FRAMES = {*range(0xC0, 0xD0), 0xF7} - {0xC4, 0xC8, 0xCC}
"""Markers of frame headers: all kinds of JPEG, and JPEG-LS."""
_FILL, _JFIF, _ADOBE = 0xFF, 0xE0, 0xEE
_SIZ, _COD, _FIRST_TILE = 0x51, 0x52, 0x90
_CODESTREAM = b"\xff\x4f\xff\x51"
_COLOUR_SPACES = (16, 18)
"""Of a JP2 file: red, green and blue, and luminance with colour differences; its decoder turns the second into the first."""


@dataclass(frozen=True, slots=True)
class Stream:
    """The head of a stream."""

    shape: tuple[int, int, int]
    """Rows, columns, components."""
    is_ybr: bool | None
    """Whether what comes out of its decoder, left to itself, is luminance and colour differences; None: it does not say it."""


def jpeg_head(data: bytes) -> Stream:
    """Return what a JPEG or JPEG-LS says.

    Raises:
        ValueError: if it has no frame header.
        struct.error: if it ends within one.
    """
    jfif = adobe = None
    at = 2
    while at + 4 <= len(data):
        marker = data[at + 1]
        if data[at] != _FILL or marker == _FILL:
            at += 1
            continue
        if marker in _STANDALONE:
            at += 2
            continue
        (length,) = struct.unpack_from(">H", data, at + 2)
        body = data[at + 4 : at + 2 + length]
        if marker == _JFIF and body.startswith(b"JFIF\0"):
            jfif = True
        elif marker == _ADOBE and body.startswith(b"Adobe"):
            adobe = body[11:12] != b"\0"
        elif marker in _FRAMES:
            rows, columns, components = struct.unpack_from(">HHB", body, 1)
            said = {says for says in (jfif, adobe, _components_say(body)) if says is not None}
            return Stream((rows, columns, components), said.pop() if len(said) == 1 else None)
        at += 2 + length
    msg = "a JPEG without a frame header"
    raise ValueError(msg)


def _components_say(frame: bytes) -> bool | None:
    names, sampling = frame[6:15:3], frame[7:15:3]
    if names == b"RGB":
        return False
    # colours of their own are never stored at a lower resolution than the others
    return True if len(sampling) == 3 and sampling[0] not in (sampling[1], sampling[2]) else None


def jpeg2000_head(data: bytes) -> Stream:
    """Return what JPEG 2000 says, bare or in a JP2 file.

    Raises:
        ValueError: if it has no header.
        struct.error: if it ends within one.
    """
    start = data.find(_CODESTREAM)
    box = data.find(b"colr", 0, max(0, start))
    known = box >= 0 and data[box + 4] == 1 and struct.unpack_from(">I", data, box + 7)[0] in _COLOUR_SPACES
    shape, at = (0, 0, 0), start + 2
    while 2 <= at <= len(data) - 4 and data[at + 1] != _FIRST_TILE:
        marker, length = data[at + 1], struct.unpack_from(">H", data, at + 2)[0]
        if marker == _SIZ:
            right, bottom, left, top, *_, components = struct.unpack_from(">IIIIIIIIH", data, at + 6)
            shape = (bottom - top, right - left, components)
            # its decoder takes colour differences at half resolution for what they are
            known = known or len(set(data[at + 41 : at + 2 + length : 3])) > 1
        elif marker == _COD:
            return Stream(shape, False if known or data[at + 8] == 1 else None)
        at += 2 + length
    msg = "JPEG 2000 without a coding style"
    raise ValueError(msg)
