"""What the readers of microscopes' formats share: their libraries are not always there, and raise of everything."""

from __future__ import annotations

import struct
from contextlib import contextmanager
from typing import TYPE_CHECKING

from slideseg.errors import SlideError, explain
from slideseg.installed import pip_install
from slideseg.slide.pixel_size.claims import claim_in_microns, settle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.slide.facts import PixelSize

FAULTS = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    NameError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)
"""What the libraries raise of damaged files."""


@contextmanager
def refusing(path: str, kind: str, where: str = "") -> Iterator[None]:
    """Turn what a library raises, or that it is not installed, into a SlideError."""
    try:
        yield
    except SlideError:
        raise
    except ImportError as error:
        try_ = pip_install("microscopes")
        raise SlideError(explain(f"{path}: {kind} files need a library that is not installed", got=error, try_=try_)) from error
    except FAULTS as fault:
        got = f"{type(fault).__name__}: {fault}"[:200]
        raise SlideError(explain(f"{path}: damaged or unsupported {kind}{where}", got=got)) from fault


def pixel_size(y: float | None, x: float | None, z: float | None, source: str, factor: float = 1.0) -> PixelSize:
    """Return the size of pixels from sides in units of ``factor`` microns; 0 and less are what writers put who know none."""
    known = [None if side is None or not side > 0 else side * factor for side in (y, x, z)]
    return settle([claim_in_microns(source, *known)])[0]
