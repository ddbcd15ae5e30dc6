"""Transfer syntaxes: which are read, and as what."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Syntax:
    """How the pixels of a file are stored."""

    name: str
    """As people say it."""
    codec: str
    """Which decoder: native, jpeg, lossless-jpeg, jpeg-ls, jpeg2000, rle, deflate or jpeg-xl."""
    big: bool = False
    """Whether numbers are stored with the high byte first."""
    implicit: bool = False
    """Whether elements don't name their type."""


_UID = "1.2.840.10008.1.2"
SYNTAXES = {
    _UID: Syntax("implicit little endian", "native", implicit=True),
    f"{_UID}.1": Syntax("uncompressed", "native"),
    f"{_UID}.1.98": Syntax("uncompressed, in items", "native"),
    f"{_UID}.1.99": Syntax("deflated", "native"),
    f"{_UID}.2": Syntax("big endian", "native", big=True),
    f"{_UID}.4.50": Syntax("JPEG baseline", "jpeg"),
    f"{_UID}.4.51": Syntax("JPEG extended", "jpeg"),
    f"{_UID}.4.57": Syntax("JPEG lossless", "lossless-jpeg"),
    f"{_UID}.4.70": Syntax("JPEG lossless", "lossless-jpeg"),
    f"{_UID}.4.80": Syntax("JPEG-LS", "jpeg-ls"),
    f"{_UID}.4.81": Syntax("JPEG-LS near-lossless", "jpeg-ls"),
    f"{_UID}.4.90": Syntax("JPEG 2000 lossless", "jpeg2000"),
    f"{_UID}.4.91": Syntax("JPEG 2000", "jpeg2000"),
    f"{_UID}.4.110": Syntax("JPEG XL lossless", "jpeg-xl"),
    f"{_UID}.4.111": Syntax("JPEG XL of a JPEG", "jpeg-xl"),
    f"{_UID}.4.112": Syntax("JPEG XL", "jpeg-xl"),
    f"{_UID}.4.201": Syntax("HTJ2K lossless", "jpeg2000"),
    f"{_UID}.4.202": Syntax("HTJ2K lossless, by resolution", "jpeg2000"),
    f"{_UID}.4.203": Syntax("HTJ2K", "jpeg2000"),
    f"{_UID}.5": Syntax("RLE", "rle"),
    f"{_UID}.8.1": Syntax("deflated frames", "deflate"),
}
"""By UID."""
