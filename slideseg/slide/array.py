"""Images that are arrays already, or become one at the first read: numpy, ``.npy``, PNG, JPEG."""

from __future__ import annotations

import threading
from pathlib import Path
from tokenize import TokenError
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
from PIL import Image, ImageOps, JpegImagePlugin, PngImagePlugin, UnidentifiedImageError

from slideseg.errors import SlideError, explain
from slideseg.slide.facts import Facts, PixelSize, make_levels
from slideseg.slide.picture.whole import PNG, check_sums, check_whole
from slideseg.slide.pixel_size.density import is_turned, pixel_of_picture
from slideseg.slide.raw import RawImage
from slideseg.slide.reader import DTYPES, MAX_WHOLE, Reader

if TYPE_CHECKING:
    from slideseg.space.box import Box

_MAX_LAST_CHANNELS = 4
"""A last axis of at most this many entries is channels; a longer one is x."""
_PNG_DEPTH_BYTE = 24
_EXIF_ORIENTATION = 274
_MODES = {"L": "L", "LA": "L", "P": "RGB", "PA": "RGB", "RGB": "RGB", "RGBA": "RGB", "I;16": "I;16", "I;16B": "I;16"}
"""Pillow's picture modes that are read, and what each is read as (alpha is dropped)."""


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
        """Open the file at ``path``, whose pixels are of one of ``types``.

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
        native = mapped.dtype.newbyteorder("=")
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
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115  # closed by close()

    def close(self) -> None:
        """Release the file."""
        self._file.close()

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:  # noqa: ARG002  # there is only level 0
        shifted = RawImage(self._image.offset + plane * self._image.nbytes, self._image.shape, self._image.dtype)
        try:
            return np.ascontiguousarray(shifted.read(self._file.fileno(), box), self.dtype)
        except (OSError, EOFError, ValueError) as error:
            raise SlideError(explain(f"{self.path}: cut off or closed", got=error)) from error


class PictureSlide(Reader):
    """A PNG or JPEG: decoded whole at the first read, because these formats can't be read in part."""

    def __init__(self, path: str) -> None:
        """Read the head of the picture at ``path``.

        Raises:
            SlideError: if it is damaged, or of an unsupported kind.
        """
        check_whole(path)
        try:
            with _picture(path) as picture, open(path, "rb") as file:
                mode, (columns, rows) = picture.mode, picture.size
                self._is_png = file.read(len(PNG)) == PNG
                self._deep = self._is_png and _depth(path) == 16 and mode != "I;16"
                turned = _may_be_turned(path) and is_turned(picture.getexif().get(_EXIF_ORIENTATION, 1))
                pixel = pixel_of_picture(picture.info.get("dpi"), turned=turned)
        except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
            raise SlideError(explain(f"{path}: damaged picture", got=error)) from error
        if mode not in _MODES:
            raise SlideError(explain(f"{path}: a picture of an unsupported kind", got=mode, want="grey, RGB or palette"))
        self._mode = _MODES[mode]
        shape = (columns, rows) if turned else (rows, columns)
        channels = 3 if self._mode == "RGB" else 1
        dtype = np.dtype(np.uint16 if self._deep or self._mode == "I;16" else np.uint8)
        if rows * columns * channels * dtype.itemsize > MAX_WHOLE:
            got = f"{rows} x {columns}"
            raise SlideError(explain(f"{path}: too large for a picture that is decoded whole", got=got, try_="a tiled TIFF"))
        super().__init__(
            Facts(
                path=path,
                axes="yxc",
                shape=(*shape, channels),
                dtype=dtype,
                levels=make_levels([shape]),
                pixel=pixel,
                is_rgb=channels == 3,
                direct=False,
            )
        )
        self._lock = threading.Lock()
        self._pixels: np.ndarray | None = None

    def close(self) -> None:
        """Forget the pixels."""
        self._pixels = None

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:  # noqa: ARG002  # there is only level 0
        with self._lock:
            if self._pixels is None:
                self._pixels = self._decode()
            pixels = self._pixels
        return pixels[box.slices].copy()

    def _decode(self) -> np.ndarray:
        if self._is_png:
            check_sums(self.path)
        try:
            if self._deep:
                # Pillow would cut 16 bits a sample down to 8
                with open(self.path, "rb") as file:
                    pixels = imagecodecs.png_decode(file.read())
            else:
                with _picture(self.path) as picture:
                    upright = ImageOps.exif_transpose(picture)
                    pixels = np.asarray(upright if upright.mode == self._mode else upright.convert(self._mode))
        except (OSError, SyntaxError, ValueError, RuntimeError, MemoryError) as error:
            raise SlideError(explain(f"{self.path}: damaged picture", got=error)) from error
        pixels = pixels.reshape(*pixels.shape[:2], -1)[..., : self.shape[-1]].astype(self.dtype, copy=False)
        if pixels.shape != self.shape:
            raise SlideError(explain(f"{self.path}: damaged picture", got=f"shape {pixels.shape}", want=self.shape))
        return pixels


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


def _picture(path: str) -> Image.Image:
    """Open a PNG or JPEG without Pillow's own limit on pixels: ours is on bytes."""
    with open(path, "rb") as file:
        png = file.read(len(PNG)) == PNG
    return PngImagePlugin.PngImageFile(path) if png else JpegImagePlugin.JpegImageFile(path)


def _may_be_turned(path: str) -> bool:
    """Tell whether a picture may name an orientation: of a PNG, Pillow decodes all pixels before it says so."""
    data = Path(path).read_bytes()
    return not data.startswith(PNG) or b"eXIf" in data or b"Raw profile type" in data


def _depth(path: str) -> int:
    """Return the bits a sample of a PNG."""
    with open(path, "rb") as file:
        return file.read(_PNG_DEPTH_BYTE + 1)[-1]
