"""Images that are arrays already: numpy, ``.npy``."""

from __future__ import annotations

from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING

import numpy as np

from slideseg.errors import SlideError, explain
from slideseg.slide.facts import Facts, PixelSize, make_levels
from slideseg.slide.raw import LocalFile, RawImage
from slideseg.slide.reader import DTYPES, LABEL_TYPES, Reader

if TYPE_CHECKING:
    from slideseg.space.box import Box

_MAX_LAST_CHANNELS = 4
"""A last axis of at most this many entries is channels; a longer one is x."""


class ArraySlide(Reader):
    """A numpy image in memory: (y, x), (y, x, c) or (z, y, x, c), c at most 4 unless four axes are given."""

    def __init__(self, array: np.ndarray, mpp: float | tuple[float, float] | None = None, path: str = "<memory>") -> None:
        """Wrap ``array``; it is not copied. ``mpp`` is (y, x) where they differ.

        Raises:
            SlideError: if it has an unsupported shape or type.
        """
        axes, shape = array_axes(array.shape, path)
        self._array = array.reshape(shape)
        native = array.dtype.newbyteorder("=")
        super().__init__(
            Facts(
                path=path,
                axes=axes,
                shape=shape,
                dtype=native,
                levels=make_levels([(shape[-3], shape[-2])]),
                pixel=PixelSize() if mpp is None else PixelSize(mpp if isinstance(mpp, tuple) else (mpp, mpp), "the caller"),
                is_rgb=shape[-1] == 3 and native == np.uint8,
                direct=True,
            )
        )

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:  # noqa: ARG002  # there is only level 0
        image = self._array[plane] if self._array.ndim == 4 else self._array
        return np.array(image[box.slices], self.dtype, order="C")


class NpySlide(Reader):
    """A ``.npy`` file, read box by box."""

    def __init__(self, path: str, types: tuple[str, ...] = DTYPES) -> None:
        """Open the file at ``path``, whose pixels are of one of ``types``; truth values are black and white, or labels 0 and 1.

        Raises:
            SlideError: if it is damaged, or holds no image.
        """
        try:
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError, SyntaxError, TypeError, OverflowError, TokenError) as error:
            raise SlideError(explain(f"{path}: damaged or unsupported npy", got=error)) from error
        if Path(path).stat().st_size != mapped.offset + mapped.nbytes:
            got, want = f"{Path(path).stat().st_size} bytes", f"{mapped.offset + mapped.nbytes} by its head"
            raise SlideError(explain(f"{path}: damaged npy", got=got, want=want, try_="another copy"))
        axes, shape = array_axes(mapped.shape, path)
        if not mapped.flags.c_contiguous:
            raise SlideError(
                explain(f"{path}: an npy in Fortran order", want="C order", try_="numpy.ascontiguousarray before saving")
            )
        self._one = None if mapped.dtype != np.bool_ else np.uint8(1 if types == LABEL_TYPES else 255)
        native = mapped.dtype.newbyteorder("=") if self._one is None else np.dtype(np.uint8)
        facts = Facts(
            path=path,
            axes=axes,
            shape=shape,
            dtype=native,
            levels=make_levels([(shape[-3], shape[-2])]),
            pixel=PixelSize(source="an npy file says none"),
            is_rgb=shape[-1] == 3 and native == np.uint8,
            direct=True,
        )
        super().__init__(facts, types)
        self._image = RawImage(mapped.offset, (shape[-3], shape[-2], shape[-1]), mapped.dtype)
        self._file = LocalFile.open(path)

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:  # noqa: ARG002  # there is only level 0
        shifted = RawImage(self._image.offset + plane * self._image.nbytes, self._image.shape, self._image.dtype)
        try:
            pixels = shifted.read(self._file, box)
            return np.ascontiguousarray(pixels if self._one is None else pixels * self._one, self.dtype)
        except (OSError, EOFError, ValueError) as error:
            raise SlideError(explain(f"{self.path}: cut off or closed", got=error)) from error


def array_axes(shape: tuple[int, ...], path: str) -> tuple[str, tuple[int, ...]]:
    """Return the axes of a plain array of ``shape`` and its shape with channels last.

    Two axes are (y, x); three are (y, x, c) if the last has at most 4 entries, else (z, y, x); four are (z, y, x, c).

    >>> array_axes((30, 512, 512), "stack.npy")
    ('zyxc', (30, 512, 512, 1))

    Raises:
        SlideError: if it has fewer or more axes.
    """
    if len(shape) == 2:
        return "yxc", (*shape, 1)
    if len(shape) == 3:
        return ("yxc", shape) if shape[-1] <= _MAX_LAST_CHANNELS else ("zyxc", (*shape, 1))
    if len(shape) == 4:
        return "zyxc", shape
    want = "(y, x), (y, x, c), (z, y, x) or (z, y, x, c)"
    raise SlideError(explain(f"{path}: unsupported axes", got=f"shape {shape}", want=want))
