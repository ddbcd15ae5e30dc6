"""Rows of a large PNG or JPEG by libvips, which decodes them from the top in memory for some hundred of them."""

from __future__ import annotations

import os
from contextlib import ExitStack
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

    def __init__(self, image: Any, close: Callable[[], None]) -> None:
        """Read ``image`` from its top; ``close`` releases what it is read from."""
        self._image, self._release, self._at = image, close, 0

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
        self._release()


def rows_of_file(path: str, shape: tuple[int, int, int], dtype: np.dtype) -> VipsRows:
    """Open the picture at ``path``, which has at least the samples of ``shape`` (y, x, samples), of ``dtype``.

    Raises:
        ValueError: if its rows don't come one by one, or it is damaged or another picture.
    """
    # not by its name: libvips maps a file, and one that is cut short meanwhile would end the process
    with ExitStack() as closed_on_failure:
        file = closed_on_failure.enter_context(open(path, "rb"))
        fail_on = "warning" if file.peek(len(_JPEG)).startswith(_JPEG) else "error"
        rows = _opened(file.read, fail_on, file.close, shape, dtype)
        closed_on_failure.pop_all()
    return rows


def rows_of_source(read: Callable[[int], bytes], shape: tuple[int, int, int], dtype: np.dtype) -> VipsRows:
    """Open a JPEG of which ``read`` gives so many next bytes, none at its end.

    Raises:
        ValueError: if its rows don't come one by one, or it is damaged or another picture.
    """
    return _opened(read, "warning", lambda: None, shape, dtype)


def _opened(
    read: Callable[[int], bytes], fail_on: str, close: Callable[[], None], shape: tuple[int, int, int], dtype: np.dtype
) -> VipsRows:
    source = pyvips.SourceCustom()
    source.on_read(read)
    try:
        image = pyvips.Image.new_from_source(source, "", access="sequential", fail_on=fail_on)
    except pyvips.Error as error:
        raise ValueError(" ".join(str(error).split())) from error
    if any(field in image.get_fields() and image.get(field) for field in _WHOLE_FIELDS):
        msg = "too large for a progressive or interlaced picture"
        raise ValueError(msg)
    found = (image.height, image.width, image.bands, _FORMATS.get(image.format))
    if found[:2] != shape[:2] or found[2] < shape[2] or found[3] != dtype:
        msg = f"{found} instead of {(*shape, dtype)}"
        raise ValueError(msg)
    return VipsRows(image, close)
