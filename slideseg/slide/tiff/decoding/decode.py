"""Decode one tile or strip: tifffile knows how, and the usual codecs write straight into memory that is there already.

Each JPEG and JPEG 2000 tile has the colours that its own stream says; the page's tag counts where a stream says nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
from tifffile.tifffile import TIFF, jpeg_decode_colorspace

from slideseg.slide.jpeg import ends_too_early
from slideseg.slide.tiff.decoding.streams import APERIO_YCBCR, IMAGES, JPEG, JPEG_2000, SameHeads, decodes_to_rgb, jpeg_head

if TYPE_CHECKING:
    from collections.abc import Callable

    from slideseg.slide.tiff.decoding.streams import Colours, JpegHead

    Into = Callable[[bytes, np.ndarray], bool]
    """Decode bytes into an array (y, x, samples); False where they hold something of another size."""

_RGB, _YCBCR = 2, 6
"""Photometric interpretations of images in red, green and blue."""
_SEPARATE = 2
"""The planar configuration of samples each in tiles of their own."""
_BYTES = (5, 8, 32773, 32946, 34926, 50000, 50013)
"""LZW, deflate, PackBits, zstd: their decoders give bytes, which are pixels but for a predictor."""
_LZMA = 34925
_WEBP, _LERC = 50001, 34887
_FAX = (2, 3, 4)
"""CCITT's."""
_WHOLE_BYTES = (8, 16, 32, 64)
_HORIZONTAL = 2
"""The predictor of differences between neighbours."""
_COMPLEX = 5
"""The sample format of pairs of integers."""


@dataclass(frozen=True, slots=True)
class SegmentDecoder:
    """Decodes tiles or strips of one page."""

    page: Any
    """The tifffile page (or frame)."""
    whole: Callable[[bytes, int], np.ndarray]
    """Decodes into memory of its own."""
    into: Into | None
    """Decodes into memory that is there; None for the codecs that can't."""

    def __call__(self, data: bytes, index: int, out: np.ndarray | None = None) -> np.ndarray:
        """Return tile or strip ``index`` (y, x, samples), whose bytes are ``data``, in the machine's byte order.

        ``out`` is memory in C order for a whole tile of that kind; it may be used, and is then what is returned.

        Raises:
            Exception: whatever the codec raises on damaged data.
        """
        # OpenJPEG would write bytes where one bit each is said to be
        if self.into is not None and out is not None and out.dtype != np.bool_ and self.into(data, out):
            return out
        decoded = self.whole(data, index)
        if int(self.page.keyframe.compression) in (*_BYTES, _LZMA) and not self.page.keyframe.is_subsampled:
            self._check_length(data, index)
        if self.page.dtype == np.bool_ and int(self.page.keyframe.compression) in _FAX:
            decoded = decoded.astype(np.bool_)  # CCITT's decoders give bytes of 0 and 1
        if decoded.dtype.newbyteorder("=") != self.page.dtype.newbyteorder("="):
            msg = f"tile {index} holds {decoded.dtype}"
            raise TypeError(msg)
        return decoded

    def _check_length(self, data: bytes, index: int) -> None:
        """Refuse a tile with too few bytes, which tifffile fills up, or with many more: of other samples than the page says."""
        keyframe = self.page.keyframe
        _, _, rows, columns, samples = self.page.shaped
        height, width = (keyframe.tilelength, keyframe.tilewidth) if keyframe.is_tiled else (keyframe.rowsperstrip, columns)
        down, across = -(-rows // height), -(-columns // width)
        top = (index // across) % down * height
        row = (width * samples * int(keyframe.bitspersample) + 7) // 8
        length = len(TIFF.DECOMPRESSORS[int(keyframe.compression)](data))
        if not min(height, rows - top) * row <= length < 2 * height * row:
            msg = f"tile {index} holds {length} bytes of pixels, not {height * row}"
            raise ValueError(msg)


def decoder_of(page: Any) -> SegmentDecoder:
    """Return what decodes the tiles or strips of a tifffile page."""
    keyframe = page.keyframe
    compression = int(keyframe.compression)
    if compression in JPEG:
        jpeg = _JpegTiles.of(page)
        return SegmentDecoder(page, jpeg.whole, jpeg.into if jpeg.bits == 8 else None)
    if compression in IMAGES or (compression == _LERC and keyframe.predictor == 1):
        pictures = _PictureTiles.of(page)
        return SegmentDecoder(page, pictures.whole, pictures.into if compression in JPEG_2000 else None)
    _ = page.decode  # built once, here: later it is used by several threads
    return SegmentDecoder(page, lambda data, index: np.asarray(page.decode(data, index)[0][0]), _into(page))


def are_coloured(page: Any) -> bool:
    """Tell whether three of a page's samples are one picture in colours, by its tags; a fourth may be alpha or have no name."""
    keyframe = page.keyframe
    samples, extra = keyframe.shaped[0] * keyframe.shaped[4], len(keyframe.extrasamples or ())
    return int(keyframe.photometric) in (_RGB, _YCBCR) and (samples - extra == 3 or (samples, extra) == (4, 0))


def tag_of(page: Any) -> Colours:
    """Return what the tag of a coloured page says of its colours."""
    return "YCbCr" if int(page.keyframe.photometric) == _YCBCR else "RGB"


def colours_of_jpeg(page: Any, head: JpegHead) -> Colours:
    """Return what the components of a JPEG with that ``head`` are: by itself, by the tables of its page, or by the tag."""
    return head.colours or _head_of_tables(page.jpegtables or b"").colours or tag_of(page)


@lru_cache(maxsize=64)
def _head_of_tables(tables: bytes) -> JpegHead:
    return jpeg_head(tables)


def leaves_ycbcr(page: Any, stream: bytes) -> bool:
    """Tell whether what comes out of the decoder of a coloured JPEG 2000 stream is Y, Cb and Cr."""
    known = int(page.keyframe.compression) == APERIO_YCBCR or tag_of(page) == "YCbCr"
    return known and not decodes_to_rgb(stream)


@dataclass(frozen=True, slots=True)
class _JpegTiles:
    """JPEG tiles or strips of one page."""

    page: Any
    bits: int
    """Of a sample."""
    colours: bool
    """Whether three components are a picture in colours, each stream in those that it says."""
    spaces: tuple[Any, Any]
    """The colour spaces of others: as stored, as wanted."""
    heads: SameHeads
    """What streams say of themselves."""

    @classmethod
    def of(cls, page: Any) -> _JpegTiles:
        keyframe = page.keyframe
        spaces = jpeg_decode_colorspace(keyframe.photometric, keyframe.planarconfig, keyframe.extrasamples, True)
        colours = are_coloured(page) and keyframe.shaped[4] == 3
        return cls(page, int(keyframe.bitspersample), colours, spaces, SameHeads())

    def into(self, data: bytes, out: np.ndarray) -> bool:
        target = out if out.shape[2] > 1 else out[..., 0]
        try:
            self._decoded(data, out.shape[:2], target)
        except (ValueError, imagecodecs.Jpeg8Error):  # another size or kind, or damage: decoded as a whole it is seen
            return False
        return True

    def whole(self, data: bytes, index: int) -> np.ndarray:
        keyframe, (_, _, rows, columns, _) = self.page.keyframe, self.page.shaped
        height, width = (keyframe.tilelength, keyframe.tilewidth) if keyframe.is_tiled else (keyframe.rowsperstrip, columns)
        last = rows - index % -(-rows // height) * height
        return _fitted(self.page, index, self._decoded(data, (height if keyframe.is_tiled else min(height, last), width)))

    def _decoded(self, data: bytes, shape: tuple[int, int], out: np.ndarray | None = None) -> np.ndarray:
        head, spaces = self.heads(data), self.spaces
        if self.colours:
            told = colours_of_jpeg(self.page, head)
            spaces = (None if told == "grey" else told.upper(), "RGB")

        def decode(stream: bytes, out: np.ndarray | None = None) -> np.ndarray:
            options = {"tables": self.page.jpegtables, "colorspace": spaces[0], "outcolorspace": spaces[1], "shape": shape}
            return np.asarray(imagecodecs.jpeg_decode(stream, bitspersample=self.bits, out=out, **options))

        pixels = decode(data, out)
        if ends_too_early(data, pixels, decode, bits=self.bits, progressive=head.progressive):
            msg = "its coded pixels end too early"
            raise ValueError(msg)
        return pixels


@dataclass(frozen=True, slots=True)
class _PictureTiles:
    """Tiles or strips of one page that are pictures of their own, with rows and columns: JPEG 2000, PNG, WebP and others."""

    page: Any
    decode: Callable[..., np.ndarray]
    """Makes the pixels of a stream."""
    colours: bool
    """Whether they are JPEG 2000 with three components that are a picture in colours, each in those that its stream says."""

    @classmethod
    def of(cls, page: Any) -> _PictureTiles:
        keyframe = page.keyframe
        compression = int(keyframe.compression)
        decode = TIFF.DECOMPRESSORS[compression]
        if compression == _WEBP and keyframe.samplesperpixel == 4:
            decode = partial(imagecodecs.webp_decode, hasalpha=True)  # streams without it are opaque
        is_jpeg2000 = compression in JPEG_2000
        return cls(page, decode, is_jpeg2000 and are_coloured(page) and keyframe.planarconfig != _SEPARATE)

    def into(self, data: bytes, out: np.ndarray) -> bool:
        try:
            imagecodecs.jpeg2k_decode(data, out=out if out.shape[2] > 1 else out[..., 0])
        except (ValueError, imagecodecs.Jpeg2kError):
            return False
        self._turn(data, out)
        return True

    def whole(self, data: bytes, index: int) -> np.ndarray:
        pixels = _fitted(self.page, index, np.asarray(self.decode(data)))
        self._turn(data, pixels)
        return pixels

    def _turn(self, data: bytes, pixels: np.ndarray) -> None:
        if self.colours and leaves_ycbcr(self.page, data):
            pixels[..., :3] = rgb_of(pixels[..., :3])


def _fitted(page: Any, index: int, decoded: np.ndarray) -> np.ndarray:
    """Return the picture (y, x, samples) that was decoded of tile or strip ``index``, if it has its form.

    Some writers make tiles at the edges smaller, or strips too long. What is larger, or has as many pixels in other rows and
    columns, is another picture.
    """
    keyframe, (_, _, rows, columns, samples) = page.keyframe, page.shaped
    height, width = (keyframe.tilelength, keyframe.tilewidth) if keyframe.is_tiled else (keyframe.rowsperstrip, columns)
    across, down = -(-columns // width), -(-rows // height)
    y, x = (index % (across * down)) // across * height, index % across * width
    wanted = (min(height, rows - y), min(width, columns - x), samples)
    pixels = decoded.reshape(*decoded.shape[:2], -1)
    tall, wide, many = pixels.shape
    fits = wanted[0] <= tall <= (height if keyframe.is_tiled else tall) and wanted[1] <= wide <= width and many == samples
    if decoded.ndim not in (2, 3) or not fits:
        msg = f"it holds {pixels.shape} instead of {wanted}"
        raise ValueError(msg)
    return pixels


def rgb_of(ycbcr: np.ndarray) -> np.ndarray:
    """Return red, green and blue of Y, Cb and Cr over the type's full range (ITU-R BT.601, as in JFIF)."""
    top = np.iinfo(ycbcr.dtype).max
    y, cb, cr = np.moveaxis(ycbcr.astype(np.float32), -1, 0)
    cb, cr = cb - (top + 1) / 2, cr - (top + 1) / 2
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    return np.asarray(np.clip(np.rint(rgb), 0, top).astype(ycbcr.dtype))


def _into(page: Any) -> Into | None:
    keyframe = page.keyframe
    compression, bits = int(keyframe.compression), keyframe.bitspersample
    plain = bits in _WHOLE_BYTES and keyframe.fillorder == 1 and keyframe.sampleformat != _COMPLEX
    if compression in _BYTES and plain and not keyframe.is_subsampled and int(keyframe.predictor) in (1, _HORIZONTAL):
        return _bytes_into(keyframe, compression)
    return None


def _bytes_into(keyframe: Any, compression: int) -> Into:
    decompress = TIFF.DECOMPRESSORS[compression]
    differs = int(keyframe.predictor) == _HORIZONTAL
    swapped = not np.dtype(keyframe.parent.byteorder + "u2").isnative

    def into(data: bytes, out: np.ndarray) -> bool:
        memory = out.reshape(-1).view(np.uint8)
        if len(decompress(data, out=memory)) != memory.size:
            return False
        if swapped and out.dtype.itemsize > 1:
            out.byteswap(inplace=True)
        if differs:
            imagecodecs.delta_decode(out, axis=-2, out=out)
        return True

    return into
