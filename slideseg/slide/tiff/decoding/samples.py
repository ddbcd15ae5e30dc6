"""How stored samples become pixels: palettes are looked up, white is the largest value, alpha lets the background through."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from slideseg.errors import SlideError, explain
from slideseg.slide.reader import over
from slideseg.slide.tiff.decoding.codecs import CMYK_AND_OTHERS, check_compression
from slideseg.slide.tiff.decoding.decode import are_coloured, colours_of_jpeg, leaves_ycbcr, rgb_of, tag_of
from slideseg.slide.tiff.decoding.streams import JPEG, JPEG_2000, jpeg_head

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Expect = Callable[[Sequence[tuple[int, int]]], None]
    """Is told of parts (offset, length) of the file that are read next."""

_ASSOCIATED, _UNASSOCIATED = 1, 2
_DECODED_TO_RGB = frozenset({34892, 50001, 50002, 52546})
"""Compressions whose decoders give RGB whatever is inside: lossy DNG, WebP, JPEG XL."""
_MIN_IS_WHITE, _MIN_IS_BLACK, _RGB, _PALETTE, _YCBCR = 0, 1, 2, 3, 6
COLOURED = frozenset({_RGB, _YCBCR})
"""Photometric interpretations of images in red, green and blue."""
MANY = 1 << 30
"""All samples are kept."""
_GDAL_NODATA = 42113
_SEPARATE = 2
"""The planar configuration of samples each in tiles of their own."""
_HEAD = 1 << 14
"""Bytes of a stream that are read to see what it says of its colours."""
_HEADS = 32
"""Streams of a page or stack, spread over it, that are looked at for what is told of their colours."""


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
    """Whether a pixel's three samples are Y, Cb and Cr once its tiles are decoded."""
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
            kept = rgb_of(kept)
        if self.alpha is not None:
            kept = over(kept, stored[..., self.alpha], self.opaque, self.background, multiplied=self.associated)
        return kept

    def shown(self, stored: np.ndarray) -> np.ndarray:
        """Return which pixels (y, x) are not wholly transparent."""
        return np.ones(stored.shape[:2], bool) if self.alpha is None else np.asarray(stored[..., self.alpha] != 0)


def colour_of(path: str, series: Any, expect: Expect, *, as_labels: bool = False) -> Colour:
    """Return how the samples of a tifffile series become pixels; ``as_labels``, few bits stay the numbers that they are.

    ``expect`` is told of parts of the file that are read next.

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
    return _of_samples(path, series, expect, as_labels=as_labels)


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


def _of_samples(path: str, series: Any, expect: Expect, *, as_labels: bool) -> Colour:
    page = series.keyframe
    samples = page.shaped[0] * page.shaped[4]
    alpha, associated = _alpha_of(page, samples)
    photometric = int(page.photometric)
    unnamed = samples == 4 and not page.extrasamples and photometric == _RGB
    keep = MANY if alpha is None and not unnamed else alpha if alpha is not None else 3
    notes = ["its fourth sample has no name and is left out"] if unnamed else []
    channels = min(samples, keep)
    coloured = photometric in COLOURED and channels == 3
    notes.extend(_notes_of_streams(series, expect) if coloured else [])
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
        is_ycbcr=coloured and _is_left_ycbcr(page),
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


def _is_left_ycbcr(page: Any) -> bool:
    """Tell whether a pixel's first samples are Y, Cb and Cr once its tiles are decoded, by the tag: no stream says it."""
    compression = int(page.compression)
    says_it = page.planarconfig != _SEPARATE and (compression in JPEG_2000 or (compression in JPEG and page.shaped[4] == 3))
    return tag_of(page) == "YCbCr" and not says_it and compression not in _DECODED_TO_RGB


def _notes_of_streams(series: Any, expect: Expect) -> list[str]:
    """Return what is to be told of the colours of JPEG and JPEG 2000 streams: each is believed, whatever the tag says."""
    page = series.keyframe
    compression, tag = int(page.compression), tag_of(page)
    if compression not in JPEG | JPEG_2000 or page.planarconfig == _SEPARATE or not are_coloured(page):
        return []
    if compression in JPEG_2000:
        if tag == "RGB" and any(leaves_ycbcr(one, head) for one, head in _heads(series, expect)):
            return ["its JPEG 2000 streams are YCbCr, as compression 33003 says, though its tag says RGB"]
        return []
    found = {colours_of_jpeg(one, jpeg_head(head)) for one, head in _heads(series, expect)} - {"grey"}
    if len(found) > 1:
        return ["some of its JPEG streams are RGB, others YCbCr: each is read as it says"]
    told = next(iter(found), tag)
    note = f"its JPEG streams say that they are {told}, its tag that they are {tag}: the streams are believed"
    return [] if told == tag else [note]


def _heads(series: Any, expect: Expect) -> Iterator[tuple[Any, bytes]]:
    """Yield the heads of some streams, spread over the tiles of all pages, with the pages that they are of."""
    pages = [page for page in series if page is not None]
    chosen: list[tuple[Any, int, int]] = []
    for page in pages[:: -(-len(pages) // _HEADS)]:
        places = [(offset, count) for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False) if count]
        most = max(1, _HEADS // len(pages))
        chosen += [(page, offset, min(count, _HEAD)) for offset, count in places[:: max(1, -(-len(places) // most))]]
    expect([(offset, length) for _, offset, length in chosen])
    for page, offset, length in chosen:
        yield page, _head(page, offset, length)


def _first_stream(page: Any) -> bytes:
    """Return the head of a page's first tile or strip that has bytes."""
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=False):
        if offset and count:
            return _head(page, offset, count)
    return b""


def _head(page: Any, offset: int, count: int) -> bytes:
    handle = page.parent.filehandle
    handle.seek(offset)
    return bytes(handle.read(min(count, _HEAD)))


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


def are_alike(level: Any, series: Any) -> bool:
    """Tell whether a reduced level stores pixels as level 0 does."""
    a, b = level.keyframe, series.keyframe
    white_is_0 = [page.photometric == _MIN_IS_WHITE for page in (a, b)]
    return bool((a.dtype, a.shaped[0], a.shaped[4]) == (b.dtype, b.shaped[0], b.shaped[4]) and white_is_0[0] == white_is_0[1])
