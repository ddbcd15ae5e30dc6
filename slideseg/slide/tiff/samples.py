"""How stored samples become pixels: palettes are looked up, white is the largest value, alpha lets the background through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.errors import SlideError, explain
from slideseg.slide.reader import over
from slideseg.slide.tiff.codecs import CMYK_AND_OTHERS, check_compression
from slideseg.slide.tiff.streams import APERIO_YCBCR, JPEG, JPEG_2000, decodes_to_rgb, jpeg_colours

if TYPE_CHECKING:
    from collections.abc import Sequence

_ASSOCIATED, _UNASSOCIATED = 1, 2
_DECODED_TO_RGB = frozenset({34892, 50001, 50002, 52546})
"""Compressions whose decoders give RGB whatever is inside: lossy DNG, WebP, JPEG XL."""
_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
COLOURED = frozenset({_RGB, _YCBCR})
"""Photometric interpretations of images in red, green and blue."""
MANY = 1 << 30
"""All samples are kept."""
_GDAL_NODATA = 42113
_HEAD = 1 << 16
"""Bytes of a stream that are read to see what it says of its colours."""


@dataclass(frozen=True, slots=True)
class Colour:
    """How stored samples become the pixels that are handed out."""

    dtype: np.dtype
    """Of the pixels."""
    keep: int = MANY
    """Samples that are channels: those in front."""
    alpha: int | None = None
    """Number of the sample that says how opaque a pixel is; None for no."""
    associated: bool = False
    """Whether the channels are multiplied by alpha already."""
    opaque: int = 0
    """The value of alpha where nothing shines through."""
    inverted_from: int = 0
    """White is 0: pixels become this minus what is stored; 0 for no."""
    palette: np.ndarray | None = None
    """Pixels (index, channels) of a palette image."""
    full: np.ndarray | None = None
    """What each value of fewer than 8 bits becomes, white being white however few bits say it; None for whole bytes."""
    is_rgb: bool = False
    """Whether the pixels are red, green and blue."""
    is_ycbcr: bool = False
    """Whether the decoder leaves Y, Cb and Cr."""
    background: tuple[int, ...] = ()
    """The pixel that shows where alpha is 0 or nothing was stored, one number a channel."""
    notes: tuple[str, ...] = ()
    """What was decided, and against what."""

    @property
    def may_be_transparent(self) -> bool:
        """Whether there is alpha."""
        return self.alpha is not None

    def apply(self, stored: np.ndarray) -> np.ndarray:
        """Return the pixels (y, x, c) of ``stored`` (y, x, samples)."""
        if self.palette is not None:
            return self.palette[stored[..., 0].astype(np.intp)]
        if self.full is not None:
            stored = self.full[stored.astype(np.uint8)]
        kept = stored[..., : self.keep]
        if self.inverted_from:
            kept = (self.inverted_from - kept.astype(np.int64)).astype(kept.dtype)
        if self.is_ycbcr:
            kept = _rgb_of(kept)
        if self.alpha is not None:
            kept = over(kept, stored[..., self.alpha], self.opaque, self.background, multiplied=self.associated)
        return kept

    def shown(self, stored: np.ndarray) -> np.ndarray:
        """Return which pixels (y, x) are not wholly transparent."""
        return np.ones(stored.shape[:2], bool) if self.alpha is None else np.asarray(stored[..., self.alpha] != 0)


def colour_of(path: str, series: Any, *, as_labels: bool = False) -> Colour:
    """Return how the samples of a tifffile series become pixels; ``as_labels``, few bits stay the numbers that they are.

    Raises:
        SlideError: if its compression, its colours or its type of pixels are not supported.
    """
    page = series.keyframe
    stream = _first_stream(page)
    check_compression(path, page, stream)
    photometric = int(page.photometric)
    if photometric in CMYK_AND_OTHERS or photometric not in {_MIN_IS_WHITE, _MIN_IS_BLACK, _PALETTE, *COLOURED}:
        name = CMYK_AND_OTHERS.get(photometric, "unknown")
        got = f"{name} (photometric {photometric})"
        raise SlideError(explain(f"{path}: unsupported colours", got=got, want="grey, RGB or palette", try_="an RGB copy"))
    if page.dtype is None:
        got = f"{page.bitspersample} bits a sample"
        raise SlideError(explain(f"{path}: pixels of an unsupported type", got=got, want="1 to 32 bits, or float"))
    samples = page.shaped[0] * page.shaped[4]
    # in OME-TIFF and ImageJ's a palette is how values are shown, not what they are
    if photometric == _PALETTE and samples == 1 and not page.parent.is_ome and not page.parent.is_imagej:
        return _of_palette(page, as_labels)
    return _of_samples(path, series, samples, stream, as_labels=as_labels)


def fill_value(page: Any) -> int | None:
    """Return what the file says stands where there is no data (GDAL's tag), None where it says nothing of use."""
    tag = page.tags.get(_GDAL_NODATA)
    try:
        value = float(str(tag.value).strip(" \0")) if tag is not None else float("nan")
    except ValueError:
        return None
    if page.dtype.kind not in "ui" or value != value or value != int(value):  # not a number
        return None
    limits = np.iinfo(page.dtype)
    return int(value) if limits.min <= value <= limits.max else None


def _of_samples(path: str, series: Any, samples: int, stream: bytes, *, as_labels: bool) -> Colour:
    page = series.keyframe
    alpha, associated = _alpha_of(page, samples)
    photometric = int(page.photometric)
    unnamed = samples == 4 and not page.extrasamples and photometric == _RGB
    keep = MANY if alpha is None and not unnamed else alpha if alpha is not None else 3
    notes = ["its fourth sample has no name and is left out"] if unnamed else []
    channels = min(samples, keep)
    coloured = photometric in COLOURED and channels == 3
    decoding = _settle_colours(path, series, stream) if coloured else _Decoding()
    notes.extend([decoding.note] if decoding.note else [])
    bits = int(page.bitspersample)
    full = _full_range(bits, (1 << bits) - 1 if as_labels else 255) if bits < 8 and page.dtype.kind in "ub" else None
    white = int(full[-1]) if full is not None else _white(page.dtype, bits)
    if full is None and page.dtype.kind in "ui" and bits != 8 * page.dtype.itemsize:
        notes.append(f"its samples have {bits} of {8 * page.dtype.itemsize} bits: the largest value is {(1 << bits) - 1}")
    return Colour(
        dtype=page.dtype.newbyteorder("=") if full is None else np.dtype(np.uint8),
        keep=keep,
        alpha=alpha,
        associated=associated,
        opaque=white,
        inverted_from=_inversion(path, page, white) if photometric == _MIN_IS_WHITE else 0,
        full=full,
        is_rgb=coloured,
        is_ycbcr=decoding.leaves_ycbcr,
        background=_background(page, channels, white if coloured else 0),
        notes=tuple(notes),
    )


def _background(page: Any, channels: int, usual: int) -> tuple[int, ...]:
    stated = fill_value(page)
    return (usual if stated is None else stated,) * channels


def _full_range(bits: int, top: int) -> np.ndarray:
    """Return what values of fewer than 8 bits become, the largest ``top``."""
    most = (1 << bits) - 1
    return np.asarray(np.rint(np.arange(most + 1) * (top / most)).astype(np.uint8))


def _white(dtype: np.dtype, bits: int) -> int:
    return 1 if dtype.kind in "fc" else (1 << (bits - (dtype.kind == "i"))) - 1


def _alpha_of(page: Any, samples: int) -> tuple[int | None, bool]:
    """Return the number of a pixel's sample that is alpha, and whether colours are multiplied by it."""
    extra: Sequence[int] = [int(kind) for kind in page.extrasamples or ()]
    if samples == 1 or len(extra) >= samples:
        return None, False
    # what lies behind alpha has no name and is left out with it
    found = next((place for place, kind in enumerate(extra) if kind in (_ASSOCIATED, _UNASSOCIATED)), None)
    return (None, False) if found is None else (samples - len(extra) + found, extra[found] == _ASSOCIATED)


@dataclass(frozen=True, slots=True)
class _Decoding:
    """What is done with the three components of a page."""

    as_they_are: bool = False
    """A JPEG says nothing of its colours, and they are RGB: its decoder must be told so, or it takes them for YCbCr."""
    leaves_ycbcr: bool = False
    """The decoder leaves Y, Cb and Cr."""
    note: str = ""
    """What was decided against what."""


def _decoding_of(page: Any, photometric: int, stream: bytes) -> _Decoding:
    """Let the stream of a page decide what its three components are, and the tag where the stream says nothing."""
    compression, tag = int(page.keyframe.compression), "YCbCr" if photometric == _YCBCR else "RGB"
    if compression in JPEG:
        said = jpeg_colours(stream)
        told = said or jpeg_colours(page.jpegtables or b"") or tag
        note = f"its JPEG streams say that they are {told}, its tag that they are {tag}: the streams are believed"
        return _Decoding(as_they_are=said is None and told == "RGB", note="" if told == tag else note)
    if compression in JPEG_2000:
        if decodes_to_rgb(stream):
            return _Decoding()
        note = "its JPEG 2000 streams are YCbCr, as compression 33003 says, though its tag says RGB"
        by_compression = compression == APERIO_YCBCR
        return _Decoding(leaves_ycbcr=by_compression or tag == "YCbCr", note=note if by_compression and tag == "RGB" else "")
    return _Decoding(leaves_ycbcr=tag == "YCbCr" and compression not in _DECODED_TO_RGB)


def _settle_colours(path: str, series: Any, stream: bytes) -> _Decoding:
    """Return what is done with the three components of all pages of a series, and have tifffile do it.

    tifffile asks the tag: RGB leaves a JPEG's components as they are, YCbCr has the decoder ask the stream.
    """
    first, photometric = series.keyframe, int(series.keyframe.photometric)
    found = _decoding_of(first, photometric, stream)
    if int(first.compression) not in JPEG | JPEG_2000:
        return found
    for page in (page for page in series if page is not None):
        other = found if page is first else _decoding_of(page, photometric, _first_stream(page))
        if (other.as_they_are, other.leaves_ycbcr) != (found.as_they_are, found.leaves_ycbcr):
            what = f"{path}: pages of different colours in one stack"
            raise SlideError(explain(what, got="RGB and YCbCr", want="one of them"))
    if int(first.compression) in JPEG:
        for keyframe in {id(page.keyframe): page.keyframe for page in series if page is not None}.values():
            keyframe.photometric = type(first.photometric)(_RGB if found.as_they_are else _YCBCR)
            keyframe.__dict__["is_jfif"] = not found.as_they_are
    return found


def _first_stream(page: Any) -> bytes:
    """Return the head of a page's first tile or strip that has bytes."""
    handle = page.parent.filehandle
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if offset and count:
            handle.seek(offset)
            return bytes(handle.read(min(count, _HEAD)))
    return b""


def _of_palette(page: Any, as_labels: bool) -> Colour:  # one caller, by place
    """Return the look-up of a palette page: one channel if all its colours are grey."""
    colours = np.asarray(page.colormap)
    size = 1 << (8 * page.dtype.itemsize)
    kind: type[np.unsignedinteger[Any]] = np.uint8
    grey = bool((colours[0] == colours[1]).all() and (colours[0] == colours[2]).all())
    if as_labels:
        table = np.arange(len(colours[0]), dtype=page.dtype if page.dtype.kind == "u" else np.uint8)[:, None]
    elif grey and page.dtype.itemsize > 1:
        table, kind = colours[:1].T, np.uint16
    else:
        table = (colours >> 8 if colours.max() > 255 else colours)[: 1 if grey else 3].T
    kind = table.dtype.type if as_labels else kind
    padded = np.pad(table.astype(kind), ((0, max(0, size - len(table))), (0, 0)))
    channels = padded.shape[1]
    return Colour(
        dtype=padded.dtype,
        keep=1,
        palette=padded,
        is_rgb=channels == 3,
        background=(255 if channels == 3 else 0,) * channels,
    )


def _inversion(path: str, page: Any, white: int) -> int:
    if page.dtype.kind not in "ub":
        raise SlideError(
            explain(f"{path}: unsupported colours", got=f"white is 0 in {page.dtype.name}", want="unsigned integers")
        )
    return white


def _rgb_of(ycbcr: np.ndarray) -> np.ndarray:
    """Return red, green and blue of Y, Cb and Cr over the type's full range (ITU-R BT.601, as in JFIF)."""
    top = np.iinfo(ycbcr.dtype).max
    y, cb, cr = np.moveaxis(ycbcr.astype(np.float32), -1, 0)
    cb, cr = cb - (top + 1) / 2, cr - (top + 1) / 2
    rgb = np.stack([y + 1.402 * cr, y - 0.344136 * cb - 0.714136 * cr, y + 1.772 * cb], axis=-1)
    return np.asarray(np.clip(np.rint(rgb), 0, top).astype(ycbcr.dtype))


def is_inverted(page: Any) -> bool:
    """Tell whether white is 0 on a page."""
    return bool(page.photometric == _MIN_IS_WHITE)
