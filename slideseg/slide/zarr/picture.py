"""From the metadata of a zarr to what is read: the arrays that are levels, and the facts of the slide."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from slideseg.errors import SlideError, explain
from slideseg.slide.facts import Facts, Level, PixelSize
from slideseg.slide.reader import MAX_WHOLE, READ_SIDE, SMALL_PLANE, reads_directly
from slideseg.slide.zarr.bare import letters_by_shape, named_letters
from slideseg.slide.zarr.chunks import Chunks
from slideseg.slide.zarr.converted import NOTHING_SAID, Converted, converted_of, map_of
from slideseg.slide.zarr.form import Form
from slideseg.slide.zarr.layout import find_picture
from slideseg.slide.zarr.metadata import channels_in, pixel_of
from slideseg.slide.zarr.own import own_readers
from slideseg.slide.zarr.pyramid import levels_in, tiers_of
from slideseg.slide.zarr.tier import Tier
from slideseg.slide.zarr.whole import checked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.arrays.boxes import BoxReader
    from slideseg.slide.facts import Channel, Image
    from slideseg.slide.zarr.census import Census
    from slideseg.slide.zarr.keys import Keys
    from slideseg.slide.zarr.place import Opened
    from slideseg.space.box import Box

CHUNKED = "slideseg_chunked"
"""Attribute of the arrays that `chunk_slide` writes: path, axes, mpp, is_rgb, complete."""
UNKNOWN = PixelSize()
"""That of an array that says nothing of itself."""
_RGB_COLORS = ("#ff0000", "#00ff00", "#0000ff")
_RGB_NAMES = (("red", "green", "blue"), ("r", "g", "b"))
_ALPHA_NAMES = ("alpha", "a")
_NO_NAME = re.compile(r"((ch|channel)?[ _:.-]*\d*)")
"""Names, in small letters, that programs give to channels that have none."""

_MOST_IN_SHARD = 1 << 24
"""Chunks of a shard, whose index is read with each of its boxes: 256 MiB."""


@dataclass(frozen=True, slots=True)
class Layer:
    """One level, as it is read."""

    array: zarr.Array[Any]
    """Its pixels."""
    level: Level
    """Its sides and its scale."""
    own: BoxReader | None = None
    """What reads it, where slideseg wrote it."""
    chunks: Chunks | None = None
    """Which of its chunks are stored, where some may be missing."""
    scanned: Layer | None = None
    """Its map of what was scanned, where it has one."""


@dataclass(frozen=True, slots=True)
class Picture:
    """An image in a zarr, as it is read."""

    layers: tuple[Layer, ...]
    """Levels, finest first."""
    letters: tuple[str, ...]
    """What the arrays' axes are."""
    pixel: PixelSize = UNKNOWN
    """Size of a pixel of the finest level."""
    origin: tuple[float, float] = (0.0, 0.0)
    """Where the centre of its first one lies."""
    is_rgb: bool | None = None
    """Whether it is RGB; None: decide by the shape."""
    channels: tuple[Channel, ...] = ()
    """Names and colours."""
    images: tuple[Image, ...] = ()
    """All images of the file."""
    notes: tuple[str, ...] = ()
    """What was decided that its user should know."""
    remarks: tuple[str, ...] = ()
    """What else was."""
    background: tuple[int, ...] | None = None
    """Of a copy whose last channel says where something was scanned: the pixel that stands where nothing was."""
    converted: Converted = NOTHING_SAID
    """What a slide that slideseg converted says of its source."""
    alpha: bool = False
    """Whether the last channel says how opaque red, green and blue are."""


def picture_of(path: str, place: Opened, series: int | None, *, sparse: bool) -> Picture:
    """Return the image that is the slide, or image number ``series``; ``sparse`` if it may be empty nearly everywhere.

    Raises:
        SlideError: if there is none that can be read.
        Exception: as zarr raises, if it is damaged.
    """
    if isinstance(place.node, zarr.Group):
        return _of_group(path, place.node, place.keys, series, sparse=sparse)
    if series:
        raise SlideError(explain(f"{path} has no such image", got=f"--series {series}", want="0 alone"))
    array = checked(place.node)
    chunked = Form(path, "", dict(array.attrs)).get(CHUNKED)
    if chunked is not None:
        return _of_copy(path, array, chunked)
    letters = named_letters(array) or letters_by_shape(path, array.shape)
    tiers, notes = _stocked(path, [Tier(array)], letters, place.keys, sparse=sparse)
    return Picture(_layers([(tiers[0], Level(tiers[0].side(letters)))]), letters, notes=tuple(notes))


def _of_group(path: str, group: zarr.Group, keys: Keys, series: int | None, *, sparse: bool) -> Picture:
    found, images = find_picture(path, group, keys, series)
    multiscale, listed, notes = tiers_of(path, found)
    letters = multiscale.letters
    tiers, gaps = _stocked(path, listed, letters, keys, sparse=sparse)
    size = dict(zip(letters, tiers[0].array.shape, strict=True))
    middle = {letter: count // 2 for letter, count in size.items() if letter not in "yxc"}
    levels, more = levels_in(tiers, letters, lambda array, box: pixels_of(array, letters, box, middle))
    pixel, origin = pixel_of(multiscale, tiers[0].dataset)
    channels = channels_in(found.ome, size.get("c", 1))
    remarks = []
    if images and series is None:
        used = next(image.number for image in images if image.used)
        remarks.append(f"{len(images)} images in the file, number {used} is taken: slideseg info lists them, --series chooses")
    if multiscale.systems:
        remarks.append(f"it is placed in {', '.join(multiscale.systems)} too; lengths are those of its own coordinate system")
    alpha = tiers[0].array.dtype.kind == "u" and _has_alpha(channels)
    is_rgb = alpha or _named_rgb(channels)
    told = (*notes, *gaps, *more)
    converted = converted_of(path, tiers[0], letters)
    layers = _layers(levels) if converted.background is None else _with_maps(path, found.group, levels, letters)
    return Picture(
        layers, letters, pixel, origin, is_rgb, channels, images, told, tuple(remarks), converted=converted, alpha=alpha
    )


def _with_maps(path: str, group: zarr.Group, levels: Sequence[tuple[Tier, Level]], letters: Sequence[str]) -> tuple[Layer, ...]:
    """Return the levels of a converted slide with the maps of what was scanned."""
    maps = [map_of(path, group, tier, letters) for tier, _ in levels]
    readers = own_readers(path, maps)
    return tuple(
        replace(layer, scanned=Layer(array, layer.level, reader))
        for layer, array, reader in zip(_layers(levels), maps, readers, strict=True)
    )


def _of_copy(path: str, array: zarr.Array[Any], chunked: Form) -> Picture:
    """Return what `chunk_slide` has written."""
    if not chunked.entries().get("complete"):
        raise SlideError(explain(f"{path}: an unfinished copy of a slide", try_="the same command again"))
    letters, sides = tuple(chunked.at("axes").text()), chunked.get("mpp_yx")
    numbers = None if sides is None else sides.numbers()
    pixel = PixelSize(None if numbers is None else (numbers[0], numbers[-1]), chunked.at("mpp_source").text())
    tier = Tier(array)
    is_rgb = bool(chunked.entries().get("is_rgb"))
    background = chunked.get("background")
    pixel_there = None if background is None else tuple(int(number) for number in background.numbers())
    return Picture(_layers([(tier, Level(tier.side(letters)))]), letters, pixel, is_rgb=is_rgb, background=pixel_there)


def _layers(levels: Sequence[tuple[Tier, Level]]) -> tuple[Layer, ...]:
    return tuple(Layer(tier.array, level, tier.own, tier.chunks) for tier, level in levels)


def _stocked(path: str, tiers: list[Tier], letters: Sequence[str], keys: Keys, *, sparse: bool) -> tuple[list[Tier], list[str]]:
    """Return the arrays whose chunks are stored, with what may be missing of each, and notes of what is.

    What slideseg wrote has every chunk, and says so itself where one is missing.
    """
    kept: list[Tier] = []
    notes: list[str] = []
    for tier, own in zip(tiers, own_readers(path, [tier.array for tier in tiers]), strict=True):
        if own is not None:
            kept.append(replace(tier, own=own))
            continue
        _check_chunk(path, tier.array)
        chunks = Chunks(tier.array, letters, keys)
        census = chunks.count()
        if not kept:
            chunks.refuse_absent(path, census, sparse=sparse)
        elif census.elsewhere is not None:
            notes.append(f"level {tier.name}: its chunks lie under other names ({census.elsewhere}), it is not used")
            continue
        elif census.hardly_any:
            notes.append(f"level {tier.name}: {census.stored} of {census.looked} chunks are stored, it is not used")
            continue
        if not census.full:
            notes.append(_gaps(tier, census))
        kept.append(replace(tier, chunks=None if census.complete else chunks, absent=census.absent))
    return kept, notes


def _gaps(tier: Tier, census: Census) -> str:
    of = f"level {tier.name}: " if tier.name else ""
    return f"{of}{census.lacking}: they hold the fill value {tier.array.fill_value}"


def _check_chunk(path: str, array: zarr.Array[Any]) -> None:
    """Refuse an array of which one chunk is more than can be decoded."""
    size = math.prod(array.chunks) * array.dtype.itemsize
    if size > MAX_WHOLE:
        want = f"at most {MAX_WHOLE >> 20} MiB"
        raise SlideError(explain(f"{path}: its chunks are too large", got=f"{size >> 20} MiB", want=want))
    inner = math.prod(array.shards or array.chunks) // max(1, math.prod(array.chunks))
    if inner > _MOST_IN_SHARD:
        got = f"{inner} chunks in one"
        raise SlideError(explain(f"{path}: its shards are too large", got=got, want=f"at most {_MOST_IN_SHARD}"))


def pixels_of(array: zarr.Array[Any], letters: Sequence[str], box: Box, at: dict[str, int]) -> np.ndarray:
    """Return the pixels (y, x, c) of a box of the plane ``at`` (an index along each axis of the stack)."""
    where: dict[str, Any] = {**at, "y": box.slices[0], "x": box.slices[1], "c": slice(None)}
    pixels = np.asarray(array[tuple(where.get(letter, 0) for letter in letters)])
    left = [letter for letter in letters if letter in "yxc"]
    return pixels.transpose([left.index(letter) for letter in "yxc" if letter in left]).reshape(*box.shape, -1)


def _named_rgb(channels: tuple[Channel, ...]) -> bool | None:
    """Tell whether three channels are red, green and blue by their colours or names; None where these say nothing."""
    names = tuple(channel.name.casefold().strip() for channel in channels)
    colors = tuple(channel.color for channel in channels)
    if names in _RGB_NAMES or colors == _RGB_COLORS:
        return True
    return None if not any(colors) and all(_NO_NAME.fullmatch(name) for name in names) else False


def _has_alpha(channels: tuple[Channel, ...]) -> bool:
    """Tell whether four channels are red, green, blue and how opaque these are."""
    return len(channels) == 4 and channels[3].name.casefold().strip() in _ALPHA_NAMES and _named_rgb(channels[:3]) is True


def facts_of(path: str, picture: Picture) -> Facts:
    """Return the facts of a slide.

    Raises:
        SlideError: if its axes are no slide's.
    """
    first = picture.layers[0].array
    size = dict(zip(picture.letters, map(int, first.shape), strict=True))
    stack = _stack(path, size)
    dtype = np.dtype(np.uint8) if first.dtype == np.bool_ else first.dtype.newbyteorder("=")
    channels = size.get("c", 1) - (picture.background is not None or picture.alpha)
    is_rgb = picture.is_rgb if picture.is_rgb is not None else channels == 3 and dtype == np.uint8
    return Facts(
        path=path,
        axes=stack + "yxc",
        shape=(*(size[axis] for axis in stack), size["y"], size["x"], channels),
        dtype=dtype,
        levels=tuple(layer.level for layer in picture.layers),
        pixel=picture.pixel,
        is_rgb=is_rgb,
        direct=_direct(first, picture.letters),
        channels=picture.channels[:channels],
        bounds=picture.converted.bounds,
        origin=picture.origin,
        background=_background(picture, dtype, channels),
        images=picture.images,
        notes=picture.notes,
        remarks=picture.remarks,
    )


def _background(picture: Picture, dtype: np.dtype, channels: int) -> tuple[int, ...] | None:
    """Return the pixel that stands where nothing was scanned: white behind alpha, the fill value where chunks are missing."""
    if picture.alpha:
        return (int(np.iinfo(dtype).max),) * channels
    if any(layer.chunks is not None for layer in picture.layers):
        return (_whole(picture.layers[0].array.fill_value),) * channels
    return picture.background or picture.converted.background


def _stack(path: str, size: dict[str, int]) -> str:
    """Return the axes of planes: t and z, where they have more than one entry."""
    long = [axis for axis, count in size.items() if axis not in "yxc" and count != 1]
    if not set(long) <= {"t", "z"}:
        got = ", ".join(f"{axis}={count}" for axis, count in size.items())
        raise SlideError(explain(f"{path}: too many axes", got=got, want="y, x, c, z and t"))
    return "".join(axis for axis in "tz" if axis in long)


def _whole(fill: Any) -> int:
    """Return a fill value as a whole number; 0 for none, and for NaN, which stays NaN in the pixels."""
    return int(fill) if fill is not None and math.isfinite(fill) else 0


def _direct(array: zarr.Array[Any], letters: Sequence[str]) -> bool:
    chunk = dict(zip(letters, array.chunks, strict=True))
    size = dict(zip(letters, array.shape, strict=True))
    deep = chunk.get("z", 1) * chunk.get("t", 1)
    if deep > 1:
        box = min(size["y"], READ_SIDE) * min(size["x"], READ_SIDE)
        return box * deep <= SMALL_PLANE
    return reads_directly((size["y"], size["x"]), (chunk["y"], chunk["x"]))
