"""Rows of a large PNG or JPEG by libvips, which decodes them from the top in memory for some hundred of them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import numpy as np

os.environ.setdefault("VIPS_CONCURRENCY", "1")  # decoding is one thread's work; each more would have buffers of its own
import pyvips  # reads that when it is loaded

if TYPE_CHECKING:
    from collections.abc import Callable

_FORMATS = {"uchar": np.dtype(np.uint8), "ushort": np.dtype(np.uint16)}
_WHOLE_FIELDS = ("jpeg-multiscan", "interlaced")
"""What libvips tells of progressive JPEGs and interlaced PNGs, whose rows come last."""
_JPEG = b"\xff\xd8"
"""How one begins; what its decoder only warns of is missing or damaged pixels. Of a PNG it may be about anything."""
pyvips.cache_set_max(0)  # bands of the past are not wanted again


class VipsRows:
    """A `RowStream` of a picture."""

    def __init__(self, image: Any) -> None:
        self._image, self._at = image, 0

    def read(self, count: int) -> np.ndarray:
        """Return the next rows (y, x, samples).

        Raises:
            EOFError: if the picture is damaged or ends there.
        """
        try:
            pixels: np.ndarray = self._image.crop(0, self._at, self._image.width, count).numpy()
        except pyvips.Error as error:
            raise EOFError(" ".join(str(error).split())) from error
        self._at += count
        return pixels.reshape(count, self._image.width, self._image.bands)

    def close(self) -> None:
        """Release the file."""
        self._image = None


def rows_of_file(path: str, shape: tuple[int, int, int], dtype: np.dtype) -> VipsRows:
    """Open the picture at ``path``, which has at least the samples of ``shape`` (y, x, samples), of ``dtype``.

    Raises:
        ValueError: if its rows don't come one by one, or it is damaged or another picture.
    """
    with open(path, "rb") as file:
        fail_on = "warning" if file.read(2) == _JPEG else "error"
    return _opened(lambda: pyvips.Image.new_from_file(path, access="sequential", fail_on=fail_on), shape, dtype)


def rows_of_source(read: Callable[[int], bytes], shape: tuple[int, int, int], dtype: np.dtype) -> VipsRows:
    """Open a JPEG of which ``read`` gives so many next bytes, none at its end.

    Raises:
        ValueError: if its rows don't come one by one, or it is damaged or another picture.
    """
    source = pyvips.SourceCustom()
    source.on_read(read)
    return _opened(lambda: pyvips.Image.new_from_source(source, "", access="sequential", fail_on="warning"), shape, dtype)


def _opened(open_it: Callable[[], Any], shape: tuple[int, int, int], dtype: np.dtype) -> VipsRows:
    try:
        image = open_it()
    except pyvips.Error as error:
        raise ValueError(" ".join(str(error).split())) from error
    if any(field in image.get_fields() and image.get(field) for field in _WHOLE_FIELDS):
        msg = "too large for a progressive or interlaced picture"
        raise ValueError(msg)
    found = (image.height, image.width, image.bands, _FORMATS.get(image.format))
    if found[:2] != shape[:2] or found[2] < shape[2] or found[3] != dtype:
        msg = f"{found} instead of {(*shape, dtype)}"
        raise ValueError(msg)
    return VipsRows(image)
