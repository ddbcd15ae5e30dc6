"""Whether a file may be DICOM: asked of every file, so pydicom is not waited for."""

from __future__ import annotations

import struct
from pathlib import Path

HEAD = 132
"""Bytes of a file that are looked at."""
_MAGIC_AT = 128


def looks_like_dicom(head: bytes) -> bool:
    """Tell whether a file that starts with ``head`` (132 bytes) may be DICOM: with its preamble, or without one."""
    if head[_MAGIC_AT : _MAGIC_AT + 4] == b"DICM":
        return True
    if len(head) < 8 or head[1] or head[3] or head[0] not in (2, 8) or head[2] > 0x18:  # (0002,00xx), (0008,00xx)
        return False
    return (head[4:6].isalpha() and head[4:6].isupper()) or struct.unpack("<I", head[4:8])[0] <= 64


def holds_dicom(folder: str) -> bool:
    """Tell whether a folder has a file that may be DICOM; no sub-folders."""
    return any(is_dicom(file) for file in Path(folder).iterdir())


def is_dicom(file: Path) -> bool:
    """Tell whether ``file`` may be DICOM; what is hidden is not."""
    if file.name.startswith(".") or not file.is_file():
        return False
    try:
        with file.open("rb") as opened:
            return looks_like_dicom(opened.read(HEAD))
    except OSError:
        return False
