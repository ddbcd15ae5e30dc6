"""PNG and JPEG: there is no way into their middle. Small ones are decoded whole at the first read, large ones row by row."""

from __future__ import annotations

import io
import struct
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
from PIL import Image, ImageOps, JpegImagePlugin, PngImagePlugin, UnidentifiedImageError

from slideseg.errors import SlideError, explain
from slideseg.slide.facts import Facts, make_levels
from slideseg.slide.jpeg import ends_too_early
from slideseg.slide.picture.whole import PNG, check_sums, check_whole
from slideseg.slide.pixel_size.density import is_turned, pixel_of_picture
from slideseg.slide.reader import MAX_WHOLE, Reader, over
from slideseg.slide.rows.stream import RowReader
from slideseg.slide.selection import facts_of

if TYPE_CHECKING:
    from slideseg.slide.rows.stream import RowStream
    from slideseg.space.box import Box

_SMALL = 256 << 20
"""Bytes of pixels that are decoded whole and kept; a larger picture is read row by row, from its top."""
_MAX_RATIO = 1100
"""Bytes of pixels that one byte of a file can become, at most."""
_PNG_DEPTH_BYTE = 24
_GREY_AND_ALPHA = 4
"""A PNG's kind of colours, behind its depth."""
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_EXIF_ORIENTATION = 274
_MODES = {
    "1": "L",
    "L": "L",
    "LA": "L",
    "P": "RGB",
    "PA": "RGB",
    "RGB": "RGB",
    "RGBA": "RGB",
    "I;16": "I;16",
    "I;16B": "I;16",
}
"""Pillow's picture modes that are read, and what each is read as, but for its alpha."""
_WITH_ALPHA = {"L": "LA", "RGB": "RGBA", "I;16": "I;16"}


class PictureSlide(Reader):
    """A PNG or JPEG. There is only one way through it, so it should be copied before several workers read it."""

    def __init__(self, path: str) -> None:
        """Read the head of the picture at ``path``.

        Raises:
            SlideError: if it is damaged, or of an unsupported kind.
        """
        check_whole(path)
        try:
            with _picture(path) as picture:
                mode, (columns, rows) = picture.mode, picture.size
                self._deep = _is_deep(path) and mode != "I;16"
                orientation = picture.getexif().get(_EXIF_ORIENTATION, 1) if _may_be_turned(path) else 1
                in_rows = not (picture.info.get("progressive") or picture.info.get("interlace")) and orientation == 1
                self._alpha = mode in ("LA", "PA", "RGBA") or "transparency" in picture.info
                self._key = picture.info.get("transparency") if mode.startswith("I;16") or self._deep else None
                self._palette = mode in ("P", "PA")
                self.has_colour_table = mode == "P" and not _is_grey(picture)
                grey = (self._palette and _is_grey(picture)) or (self._deep and _is_grey_and_alpha(path))
                pixel = pixel_of_picture(picture.info.get("dpi"), turned=is_turned(orientation))
        except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
            raise SlideError(explain(f"{path}: damaged picture", got=error)) from error
        if mode not in _MODES:
            raise SlideError(explain(f"{path}: a picture of an unsupported kind", got=mode, want="grey, RGB or palette"))
        self._mode = "L" if grey else _MODES[mode]
        shape = (columns, rows) if is_turned(orientation) else (rows, columns)
        channels = 3 if self._mode == "RGB" else 1
        dtype: np.dtype = np.dtype(np.uint16 if self._deep or self._mode == "I;16" else np.uint8)
        size = rows * columns * channels * dtype.itemsize
        _check_size(path, shape, size, in_rows=in_rows)
        super().__init__(
            Facts(
                path=path,
                axes="yxc",
                shape=(*shape, channels),
                dtype=dtype,
                levels=make_levels([shape]),
                pixel=pixel,
                is_rgb=channels == 3,
                background=(int(np.iinfo(dtype).max) if channels == 3 else 0,) * channels if self._alpha else None,
                direct=False,
            )
        )
        self._lock = threading.Lock()
        self._stored: np.ndarray | None = None
        self._rows = RowReader(self._begin, rows, size // rows) if in_rows and size > _SMALL else None

    def close(self) -> None:
        """Forget the pixels."""
        self._stored = None
        if self._rows is not None:
            self._rows.close()

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:  # noqa: ARG002  # there is only level 0
        stored = self._stored_in(box)
        pixels = stored[..., : self.shape[-1]]
        if self.background is None:
            return pixels.copy()
        opaque = int(np.iinfo(self.dtype).max)
        return np.ascontiguousarray(over(pixels, stored[..., -1], opaque, self.background, multiplied=False))

    def _scanned(self, box: Box, level: int, plane: int) -> np.ndarray | None:  # noqa: ARG002  # there is only level 0
        if self.background is None:
            return None
        shown = self._stored_in(box)[..., -1] != 0
        return None if shown.all() else shown

    def _stored_in(self, box: Box) -> np.ndarray:
        """Return the channels (y, x, c) of ``box``, and alpha as the last one where the picture has it."""
        if self._rows is not None:
            return self._with_key(self._streamed(box, self._rows))
        with self._lock:
            if self._stored is None:
                self._stored = self._with_key(self._decode())
            stored = self._stored
        return stored[box.slices]

    def _with_key(self, stored: np.ndarray) -> np.ndarray:
        """Return what was decoded, with alpha as its last sample also where it is a colour that means transparent."""
        if not self._alpha or stored.shape[2] > self.shape[-1]:
            return stored
        shown = (stored != np.asarray(self._key, self.dtype)).any(axis=2, keepdims=True)
        return np.concatenate([stored, np.where(shown, np.iinfo(self.dtype).max, 0).astype(self.dtype)], axis=2)

    def _streamed(self, box: Box, rows: RowReader) -> np.ndarray:
        samples = (3 if self._palette else self.shape[-1]) + self._alpha
        out = np.empty((*box.shape, samples), self.dtype)
        try:
            rows.read(box, out)
        except (OSError, EOFError, ValueError) as error:
            raise SlideError(explain(f"{self.path}: damaged picture", got=error)) from error
        # a palette of greys comes as red, green and blue that are the same
        return out if samples <= self.shape[-1] + 1 else np.concatenate([out[..., :1], out[..., 3:]], axis=2)

    def _begin(self) -> RowStream:
        from slideseg.slide.rows.vips import rows_of_file  # noqa: PLC0415 - for the few large ones

        rows, columns, channels = self.shape
        if _is_png(self.path):
            check_sums(self.path)
        return rows_of_file(self.path, (rows, columns, channels + self._alpha), self.dtype)

    def _decode(self) -> np.ndarray:
        if _is_png(self.path):
            check_sums(self.path)
        try:
            if self._deep:
                # Pillow would cut 16 bits a sample down to 8
                with open(self.path, "rb") as file:
                    pixels = imagecodecs.png_decode(file.read())
            else:
                with _picture(self.path) as picture:
                    _check_coded(picture, self.path)
                    upright = ImageOps.exif_transpose(picture)
                    mode = _WITH_ALPHA[self._mode] if self._alpha else self._mode
                    pixels = np.asarray(upright if upright.mode == mode else upright.convert(mode))
        except (OSError, SyntaxError, ValueError, RuntimeError, MemoryError) as error:
            raise SlideError(explain(f"{self.path}: damaged picture", got=error)) from error
        pixels = pixels.reshape(*pixels.shape[:2], -1)[..., : self.shape[-1] + self._alpha].astype(self.dtype, copy=False)
        if (*pixels.shape[:2], min(pixels.shape[2], self.shape[-1])) != self.shape:
            raise SlideError(explain(f"{self.path}: damaged picture", got=f"shape {pixels.shape}", want=self.shape))
        return pixels


class IndexedPicture(Reader):
    """A picture as the numbers behind its palette of colours, which is for people: so annotation programs store classes."""

    def __init__(self, picture: PictureSlide) -> None:
        """See ``picture``, which has a table of colours, by its numbers; nothing is decoded yet."""
        facts = replace(facts_of(picture), shape=(*picture.shape[:2], 1), is_rgb=False, background=None)
        super().__init__(facts, (picture.dtype.name,))
        self._lock = threading.Lock()
        self._stored: np.ndarray | None = None

    def close(self) -> None:
        """Forget the numbers."""
        self._stored = None

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:  # noqa: ARG002  # there is only level 0
        with self._lock:
            if self._stored is None:
                self._stored = self._decode()
            stored = self._stored
        return stored[box.slices][..., None].copy()

    def _decode(self) -> np.ndarray:
        if _is_png(self.path):
            check_sums(self.path)
        try:
            with _picture(self.path) as picture:
                return np.asarray(ImageOps.exif_transpose(picture))
        except (OSError, SyntaxError, ValueError, RuntimeError, MemoryError) as error:
            raise SlideError(explain(f"{self.path}: damaged picture", got=error)) from error


def _check_coded(picture: Image.Image, path: str) -> None:
    """Check that the coded pixels of a JPEG are all there.

    Raises:
        ValueError: if some are missing.
    """
    if not isinstance(picture, JpegImagePlugin.JpegImageFile):
        return

    def decode(stream: bytes) -> np.ndarray:
        with JpegImagePlugin.JpegImageFile(io.BytesIO(stream)) as again:
            return np.asarray(again)

    progressive = bool(picture.info.get("progressive"))
    if ends_too_early(Path(path).read_bytes(), np.asarray(picture), decode, progressive=progressive):
        msg = "its coded pixels end too early"
        raise ValueError(msg)


def _check_size(path: str, shape: tuple[int, int], size: int, *, in_rows: bool) -> None:
    if size > MAX_WHOLE and not in_rows:
        got = f"{shape[0]} x {shape[1]}, progressive, interlaced or turned"
        raise SlideError(explain(f"{path}: too large for a picture that is decoded whole", got=got, try_="a tiled TIFF"))
    stored = Path(path).stat().st_size
    if size > _SMALL and size > stored * _MAX_RATIO:
        got, want = f"{stored} bytes", f"{shape[0]} x {shape[1]} pixels"
        raise SlideError(explain(f"{path}: damaged picture, too short for its size", got=got, want=want))


def sides_of_picture(path: str) -> tuple[int, int]:
    """Return rows and columns of a PNG or JPEG as it is stored, by its head alone.

    Raises:
        SlideError: if the head is damaged.
    """
    try:
        with _picture(path) as picture:
            return picture.size[1], picture.size[0]
    except (OSError, SyntaxError, ValueError, UnidentifiedImageError) as error:
        raise SlideError(explain(f"{path}: damaged picture", got=error)) from error


def _picture(path: str) -> Image.Image:
    """Open a PNG or JPEG without Pillow's own limit on pixels: ours is on bytes."""
    return PngImagePlugin.PngImageFile(path) if _is_png(path) else JpegImagePlugin.JpegImageFile(path)


def _is_grey_and_alpha(path: str) -> bool:
    """Tell whether a PNG has one channel and alpha; of 16 bits, Pillow takes it for colours."""
    with open(path, "rb") as file:
        return file.read(_PNG_DEPTH_BYTE + 2)[-1] == _GREY_AND_ALPHA


def _is_grey(picture: Image.Image) -> bool:
    """Tell whether all colours of a palette are grey."""
    colours = np.asarray(picture.getpalette("RGB") or [], np.uint8).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _is_png(path: str) -> bool:
    with open(path, "rb") as file:
        return file.read(len(PNG)) == PNG


def _is_deep(path: str) -> bool:
    """Tell whether a picture is a PNG of 16 bits a sample."""
    with open(path, "rb") as file:
        head = file.read(_PNG_DEPTH_BYTE + 1)
    return head.startswith(PNG) and head[-1] == 16


def _may_be_turned(path: str) -> bool:
    """Tell whether a picture may name an orientation: of a PNG, Pillow decodes all pixels before it says so."""
    with open(path, "rb") as file:
        if file.read(len(PNG)) != PNG:
            return True
        while len(head := file.read(8)) == 8:
            length, kind = struct.unpack(">I4s", head)
            if kind == b"eXIf" or (kind in _TEXTS and file.read(16) == b"Raw profile type"):
                return True
            file.seek(length + 4 - (16 if kind in _TEXTS else 0), 1)
    return False
