"""From the bytes of a frame to its pixels: decoded, as red, green and blue or as grey where more is brighter."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
from PIL import Image

from slideseg.errors import SlideError, explain
from slideseg.slide.dicom.stream import jpeg2000_head, jpeg_head
from slideseg.slide.jpeg import ends_too_early
from slideseg.slide.reader import MAX_WHOLE

if TYPE_CHECKING:
    from slideseg.slide.dicom.stream import Stream
    from slideseg.slide.dicom.syntaxes import Syntax

_BYTE, _RGB = 8, 3
_EXTENDED = 12
"""Bits of the samples of a JPEG that are more than bytes."""
_PHOTOMETRIC = ("MONOCHROME1", "MONOCHROME2", "RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_DECODERS = {
    "jpeg2000": imagecodecs.jpeg2k_decode,
    "jpeg-ls": imagecodecs.jpegls_decode,
    "jpeg-xl": imagecodecs.jpegxl_decode,
    "lossless-jpeg": imagecodecs.jpeg8_decode,
}
_END_OF_JPEG = b"\xff\xd9"


@dataclass(frozen=True, slots=True)
class Codec:
    """How the frames of one file are coded."""

    syntax: Syntax
    rows: int
    columns: int
    samples: int
    """Of a pixel: 1 or 3."""
    allocated: int
    """Bits that a sample takes: 8 or 16."""
    stored: int
    """Bits of them that count."""
    photometric: str
    """What the file says of its colours: PhotometricInterpretation."""
    planar: bool
    """Whether all red come first, then all green, then all blue (where frames are not in a codec of their own)."""

    @property
    def dtype(self) -> np.dtype:
        """Type of the pixels."""
        return np.dtype(np.uint8 if self.allocated == _BYTE else np.uint16)

    @property
    def nbytes(self) -> int:
        """Bytes of a frame that is not compressed, with all samples of each pixel."""
        return self.rows * self.columns * self.samples * self.dtype.itemsize

    @property
    def _halved(self) -> int | None:
        """Bytes of a frame whose pixels share colour differences two by two; None where the file does not say so.

        Writers say YBR_FULL_422 of frames with all samples too, so the length decides.
        """
        return 2 * self.rows * self.columns if self.photometric == "YBR_FULL_422" and self.samples == _RGB else None

    def bytes_of_each(self, length: int, count: int) -> int:
        """Return the bytes of one of ``count`` frames that follow each other without items and take ``length`` bytes."""
        return self.nbytes if self._halved is None or length >= count * self.nbytes else self._halved

    def check(self, path: str, *, signed: bool) -> None:
        """Refuse what is not read.

        Raises:
            SlideError: naming it.
        """
        if self.samples not in (1, _RGB):
            raise SlideError(explain(f"{path}: samples of a pixel", got=self.samples, want="1 or 3"))
        if signed:
            raise SlideError(explain(f"{path}: samples of a pixel", got="numbers with a sign", want="numbers without"))
        if self.allocated not in (_BYTE, 2 * _BYTE) or not 0 < self.stored <= self.allocated:
            raise SlideError(explain(f"{path}: bits of a sample", got=f"{self.stored} of {self.allocated}", want="8 or 16"))
        if not 0 < self.nbytes <= MAX_WHOLE:
            size = f"{self.rows} x {self.columns}"
            raise SlideError(explain(f"{path}: size of a frame", got=size, want=f"1 to {MAX_WHOLE} bytes"))
        grey = self.photometric.startswith("MONOCHROME")
        if self.photometric not in _PHOTOMETRIC or grey != (self.samples == 1):
            want = ", ".join(_PHOTOMETRIC)
            got = f"{self.photometric or 'nothing'} of {self.samples} samples"
            raise SlideError(explain(f"{path}: unsupported PhotometricInterpretation", got=got, want=want))

    def decode(self, data: bytes, out: np.ndarray | None = None) -> np.ndarray:
        """Return the pixels (rows, columns, samples) of a frame.

        ``out`` is memory in C order for them; it may be used, and is then what is returned.

        Raises:
            ValueError: if it is not one of this size, or cut off. The decoders raise errors of their own.
        """
        shape = (self.rows, self.columns, self.samples)
        head = self._head(data)
        if head is not None and head.shape != shape:
            msg = f"a frame of {head.shape} instead of {shape}"
            raise ValueError(msg)  # before anything is decoded that could be of any size
        pixels = self._jpeg(data, head, out) if self.syntax.codec == "jpeg" else self._samples(data)
        if pixels.shape[:2] != shape[:2] or pixels.size != math.prod(shape) or pixels.dtype != self.dtype:
            msg = f"a frame of {pixels.shape} {pixels.dtype} instead of {shape} {self.dtype}"
            raise ValueError(msg)
        pixels = pixels if pixels.shape == shape else pixels.reshape(shape)
        if self.photometric == "MONOCHROME1":
            return np.asarray((1 << self.stored) - 1 - pixels, self.dtype)
        return pixels if self.syntax.codec == "jpeg" or not self.is_ybr(head) else _to_rgb(pixels)

    def is_ybr(self, head: Stream | None) -> bool:
        """Tell whether a frame is luminance and colour differences, by the rule of `slideseg.slide.dicom.stream`.

        Where PhotometricInterpretation decides, YBR_ICT is luminance and colour differences that the writer made; those of
        YBR_RCT need 9 bits, so there are none outside of a stream.
        """
        if self.samples == 1:
            return False
        if head is not None and head.is_ybr is not None:
            return head.is_ybr
        return self.photometric.startswith("YBR") and self.photometric != "YBR_RCT" and self.syntax.codec != "jpeg-xl"

    def note(self, data: bytes) -> str:
        """Return what is to be told of the colours of a frame: where the stream contradicts the file; else nothing.

        Raises:
            ValueError: if the frame has no header that could say it.
        """
        head = self._head(data)
        if self.samples == 1 or head is None or self.syntax.codec == "jpeg-ls":
            return ""
        is_ybr = self.is_ybr(head)
        if self.syntax.codec == "jpeg2000":
            transformed = head.is_ybr is False
            agree = transformed == (self.photometric in ("YBR_ICT", "YBR_RCT"))
            streams = "with a component transform" if transformed else "without a component transform"
        else:
            agree = is_ybr == self.photometric.startswith("YBR")
            streams = "YCbCr" if is_ybr else "RGB"
        taken = f"read as {'YCbCr' if is_ybr else 'RGB'}"
        return "" if agree else f"PhotometricInterpretation says {self.photometric}, the streams are {streams}: {taken}"

    def _head(self, data: bytes) -> Stream | None:
        if self.syntax.codec in ("jpeg", "lossless-jpeg", "jpeg-ls"):
            return jpeg_head(data)
        return jpeg2000_head(data) if self.syntax.codec == "jpeg2000" else None

    def _samples(self, data: bytes) -> np.ndarray:
        """Return the samples of what is no JPEG, as stored."""
        codec = self.syntax.codec
        if codec == "native":
            return self._native(data)
        if codec == "deflate":
            return self._native(zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, self.nbytes))
        if codec == "rle":
            planes = np.frombuffer(imagecodecs.dicomrle_decode(data, self.dtype.newbyteorder("<")), self.dtype)
            return np.moveaxis(planes.reshape(self.samples, self.rows, self.columns), 0, -1)
        return np.asarray(_DECODERS[codec](data))

    def _native(self, data: bytes) -> np.ndarray:
        if self._halved is not None and self._halved <= len(data) < self.nbytes:
            return _doubled(np.frombuffer(data, np.uint8, self._halved), self.rows, self.columns)
        if len(data) < self.nbytes:
            msg = f"a frame of {len(data)} bytes instead of {self.nbytes}"
            raise ValueError(msg)
        stored = np.frombuffer(
            data, self.dtype.newbyteorder(">" if self.syntax.big else "<"), self.nbytes // self.dtype.itemsize
        )
        pixels: np.ndarray = stored.astype(self.dtype, copy=False) & self.dtype.type((1 << self.stored) - 1)
        if self.planar and self.samples > 1:
            return np.moveaxis(pixels.reshape(self.samples, self.rows, self.columns), 0, -1)
        return pixels.reshape(self.rows, self.columns, self.samples)

    def _jpeg(self, data: bytes, head: Stream | None, out: np.ndarray | None) -> np.ndarray:
        """Return the samples as red, green and blue, or as grey; ``out`` itself where that has their form."""
        # libjpeg fills what is missing of a cut-off stream with grey and says nothing
        if data.rfind(_END_OF_JPEG) < 0:
            msg = "a frame that is cut off"
            raise ValueError(msg)
        stored, wanted = (None, None) if self.samples == 1 else ("YCBCR" if self.is_ybr(head) else "RGB", "RGB")

        def decode(stream: bytes, out: np.ndarray | None = None) -> np.ndarray:
            return np.asarray(imagecodecs.jpeg8_decode(stream, colorspace=stored, outcolorspace=wanted, out=out))

        target = out if out is None or self.samples > 1 else out[..., 0]
        pixels = decode(data, target)
        if ends_too_early(data, pixels, decode, bits=_BYTE if pixels.dtype == np.uint8 else _EXTENDED):
            msg = "a frame whose coded pixels end too early"
            raise ValueError(msg)
        return pixels if out is None else out


def _to_rgb(pixels: np.ndarray) -> np.ndarray:
    """Return red, green and blue of luminance and colour differences (full range, as in JFIF), uint8."""
    if pixels.dtype != np.uint8:
        msg = f"colour differences of {pixels.dtype}"
        raise ValueError(msg)
    return np.asarray(Image.fromarray(np.ascontiguousarray(pixels), "YCbCr").convert("RGB"))


def _doubled(data: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Return (rows, columns, 3) of groups of four bytes: two of luminance, one of each colour difference for both pixels."""
    groups = data.reshape(rows, columns // 2, 4)
    out = np.empty((rows, columns // 2, 2, 3), np.uint8)
    out[..., 0] = groups[..., :2]
    out[..., 1:] = groups[..., None, 2:]
    return out.reshape(rows, columns, 3)
