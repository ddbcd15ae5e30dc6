"""Read OME-Zarr images (0.4, 0.5), bare zarr arrays (v2, v3) and the copies that `chunk_slide` makes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
import zarr.errors

from slideseg.colors import OME_RGB
from slideseg.errors import ResultError, SlideError, explain
from slideseg.slide.facts import Facts, PixelSize, make_levels
from slideseg.slide.own_zarr import open_zarr, own_readers
from slideseg.slide.pixel_size.ngff import pixel_of_scale
from slideseg.slide.reader import (
    DTYPES,
    READ_SIDE,
    SMALL_PLANE,
    Reader,
    reads_directly,
    same_picture,
)
from slideseg.storage.store import storage_errors, zarr_store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.arrays.boxes import BoxReader
    from slideseg.space.box import Box

CHUNKED = "slideseg_chunked"
"""Attribute of the arrays that `chunk_slide` writes: path, axes, mpp, is_rgb, complete."""
_URLS = ("s3://", "gs://", "az://", "http://", "https://")
_FAULTS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AttributeError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    zarr.errors.BaseZarrError,
    *storage_errors(),
)
_MAX_CHANNELS = 4
"""An axis without a name and with at most this many entries is taken for channels."""


@dataclass(frozen=True, slots=True)
class _Picture:
    """What the metadata says of an image in a zarr."""

    arrays: tuple[zarr.Array[Any], ...]
    """Levels, finest first."""
    axes: str
    """One letter an axis of the arrays."""
    pixel: PixelSize
    """Size of a pixel of the finest level."""
    is_rgb: bool | None
    """Whether it is RGB; None: decide by the shape."""


def is_url(path: str) -> bool:
    """Tell whether ``path`` is the address of an object store rather than a local path."""
    return path.startswith(_URLS)


def is_zarr(path: str) -> bool:
    """Tell whether the local folder ``path`` is a zarr group or array."""
    return any((Path(path) / name).is_file() for name in ("zarr.json", ".zgroup", ".zarray", ".zattrs"))


class ZarrSlide(Reader):
    """An image in a zarr hierarchy, read in place."""

    def __init__(self, path: str, types: tuple[str, ...] = DTYPES) -> None:
        """Open the zarr at ``path``, a folder or an address, whose pixels are of one of ``types``.

        Raises:
            SlideError: if it is damaged, no image, or has unsupported axes.
        """
        try:
            node = zarr.open(_store(path), mode="r")
            picture = _array_picture(path, node) if isinstance(node, zarr.Array) else _group_picture(path, node)
            self._arrays, self._axes = picture.arrays, picture.axes
            self._own = own_readers(path, picture.arrays)
            super().__init__(_facts(path, picture), types)
        except SlideError:
            raise
        except _FAULTS as fault:
            raise SlideError(explain(f"{path}: missing, damaged or unsupported zarr", got=_short(fault))) from fault

    def _read(self, box: Box, level: int, plane: int) -> np.ndarray:
        own = self._own[level]
        if own is not None:
            return self._read_own(own, box, plane)
        array = self._arrays[level]
        where: dict[str, Any] = {self.axes[0]: plane, "y": box.slices[0], "x": box.slices[1], "c": slice(None)}
        index = tuple(where.get(axis, 0) for axis in self._axes)
        try:
            pixels = np.asarray(array[index])
        except _FAULTS as fault:
            raise SlideError(explain(f"{self.path}: damaged zarr in {box}", got=_short(fault))) from fault
        left = "".join(axis for axis in self._axes if axis in "yxc")
        pixels = pixels.transpose([left.index(axis) for axis in "yxc" if axis in left])
        return np.ascontiguousarray(pixels.reshape(*box.shape, -1), self.dtype)

    def _read_own(self, reader: BoxReader, box: Box, plane: int) -> np.ndarray:
        """Read what slideseg wrote, (y, x, c)."""
        try:
            pixels = reader.read(box, plane)
        except ResultError as fault:
            what, _, _ = str(fault).partition(" (")
            try_ = "slideseg convert it anew; of a result, slideseg verify --repair"
            raise SlideError(explain(f"{self.path}: damaged zarr in {box}", got=what, try_=try_)) from fault
        return np.ascontiguousarray(np.moveaxis(pixels.reshape(-1, *box.shape), 0, -1))


def labels_in(path: str) -> list[str]:
    """Return the names of the label images in the OME-Zarr at ``path``: each is opened as ``path/labels/NAME``.

    Raises:
        SlideError: if the zarr is missing or damaged.
    """
    try:
        node = zarr.open(_store(path), mode="r")
        group = node.get("labels") if isinstance(node, zarr.Group) else None
        attributes: dict[str, Any] = {} if group is None else dict(group.attrs)
        listed = attributes.get("ome", attributes).get("labels", [])
        return [str(name) for name in listed]
    except SlideError:
        raise
    except _FAULTS as fault:
        raise SlideError(explain(f"{path}: missing, damaged or unsupported zarr", got=_short(fault))) from fault


def _short(fault: Exception) -> str:
    return f"{type(fault).__name__}: {fault}"[:200]


def _store(path: str) -> Any:
    if not is_url(path):
        return path
    return zarr_store(open_zarr(path))


def _facts(path: str, picture: _Picture) -> Facts:
    first = picture.arrays[0]
    size = dict(zip(picture.axes, first.shape, strict=True))
    stack = _stack_axis(path, size)
    channels = size.get("c", 1)
    shapes = [_side(array, picture.axes) for array in picture.arrays]
    dtype = first.dtype.newbyteorder("=")
    is_rgb = picture.is_rgb if picture.is_rgb is not None else channels == 3 and dtype == np.uint8
    return Facts(
        path=path,
        axes=(stack or "") + "yxc",
        shape=(*((size[stack],) if stack else ()), *shapes[0], channels),
        dtype=dtype,
        levels=make_levels(shapes),
        pixel=picture.pixel,
        is_rgb=is_rgb,
        direct=_direct(first, picture.axes),
    )


def _stack_axis(path: str, size: dict[str, int]) -> str | None:
    """Return the axis of planes, z or t, or None for a single plane."""
    if "y" not in size or "x" not in size:
        raise SlideError(explain(f"{path}: no image axes", got=", ".join(size), want="y and x"))
    stacks = [axis for axis, count in size.items() if axis not in "yxc" and count != 1]
    if len(stacks) > 1 or (stacks and stacks[0] not in "zt"):
        got = ", ".join(f"{axis}={count}" for axis, count in size.items())
        raise SlideError(explain(f"{path}: too many axes", got=got, want="y, x, c and one of z and t"))
    return stacks[0] if stacks else None


def _direct(array: zarr.Array[Any], axes: str) -> bool:
    chunk = dict(zip(axes, array.chunks, strict=True))
    side = _side(array, axes)
    deep = chunk.get("z", 1) * chunk.get("t", 1)
    if deep > 1:
        box = min(side[0], READ_SIDE) * min(side[1], READ_SIDE)
        return box * deep <= SMALL_PLANE
    return reads_directly(side, (chunk["y"], chunk["x"]))


def _side(array: zarr.Array[Any], axes: str) -> tuple[int, int]:
    return int(array.shape[axes.index("y")]), int(array.shape[axes.index("x")])


def _array_picture(path: str, array: zarr.Array[Any]) -> _Picture:
    chunked = array.attrs.get(CHUNKED)
    if isinstance(chunked, dict):
        if not chunked.get("complete"):
            raise SlideError(explain(f"{path}: an unfinished copy of a slide", try_="the same command again"))
        pixel = PixelSize(_pair(chunked["mpp_yx"]), chunked["mpp_source"])
        return _Picture((array,), str(chunked["axes"]), pixel, bool(chunked["is_rgb"]))
    named = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    axes = _named_axes(named, len(array.shape)) or _guessed_axes(path, array.shape)
    return _Picture((array,), axes, PixelSize(), None)


def _pair(sides: Any) -> tuple[float, float] | None:
    return None if sides is None else (float(sides[0]), float(sides[1]))


def _named_axes(names: Any, ndim: int) -> str | None:
    """Return one letter a named axis, or None where names are missing or say nothing."""
    if not isinstance(names, list | tuple) or len(names) != ndim or not all(isinstance(name, str) for name in names):
        return None
    letters = ["c" if name.lower() in {"c", "channel", "channels", "band", "s"} else name.lower() for name in names]
    axes = "".join(letters)
    return axes if len(axes) == ndim and {"y", "x"} <= set(axes) and len(set(axes)) == ndim else None


def _guessed_axes(path: str, shape: Sequence[int]) -> str:
    """Return the axes of an array that does not name them.

    Two are (y, x). Three are (y, x, c) or (c, y, x) if that axis has at most 4 entries and the others have more, else a
    stack (z, y, x). Four are a stack (z, y, x, c), or (z, c, y, x) if the last has more than 4 entries.
    """
    if len(shape) == 2:
        return "yx"
    if len(shape) == 3:
        if shape[-1] <= _MAX_CHANNELS and shape[-1] <= min(shape[:2]):
            return "yxc"
        return "cyx" if shape[0] <= _MAX_CHANNELS else "zyx"
    if len(shape) == 4 and min(shape[-1], shape[1]) <= _MAX_CHANNELS:
        return "zyxc" if shape[-1] <= _MAX_CHANNELS else "zcyx"
    raise SlideError(explain(f"{path}: unsupported axes", got=f"shape {tuple(shape)}", want="2 to 4 axes", try_="naming them"))


def _group_picture(path: str, group: zarr.Group) -> _Picture:
    attributes: dict[str, Any] = dict(group.attrs)
    ome: dict[str, Any] = attributes.get("ome", attributes)
    first = group.get("0")
    if "multiscales" not in ome and "bioformats2raw.layout" in ome and isinstance(first, zarr.Group):
        return _group_picture(path, first)
    scales = ome.get("multiscales")
    if not isinstance(scales, list) or not scales:
        what = "a plate of many images" if "plate" in ome else "a zarr group without an image"
        raise SlideError(explain(f"{path}: {what}", want="multiscales", try_="the path of one image in it"))
    scale = scales[0]
    axes, units = _ome_axes(path, scale)
    arrays = [_level(path, group, dataset) for dataset in scale["datasets"]]
    if any(len(array.shape) != len(axes) for array in arrays):
        raise SlideError(explain(f"{path}: lying metadata", got=f"{len(axes)} axes for shape {arrays[0].shape}"))
    return _Picture(_pyramid(arrays, axes), axes, _ome_pixel(scale, axes, units), _ome_rgb(ome, arrays[0], axes))


def _ome_axes(path: str, scale: dict[str, Any]) -> tuple[str, list[str | None]]:
    """Return the letters and the units of a multiscale's axes."""
    listed = scale.get("axes", ["t", "c", "z", "y", "x"])
    names = [axis["name"] if isinstance(axis, dict) else axis for axis in listed]
    units = [axis.get("unit") if isinstance(axis, dict) else None for axis in listed]
    axes = _named_axes(names, len(names))
    if axes is None:
        raise SlideError(explain(f"{path}: unsupported axes", got=", ".join(map(str, names)), want="y, x and c, z or t"))
    return axes, units


def _level(path: str, group: zarr.Group, dataset: dict[str, Any]) -> zarr.Array[Any]:
    array = group.get(str(dataset["path"]))
    if not isinstance(array, zarr.Array):
        raise SlideError(explain(f"{path}: a level is missing", got=dataset["path"], want="the arrays its metadata names"))
    return array


def _pyramid(arrays: list[zarr.Array[Any]], axes: str) -> tuple[zarr.Array[Any], ...]:
    """Return the finest array and those that are smaller copies of it, in falling size."""
    kept = [arrays[0]]
    others = [index for index, axis in enumerate(axes) if axis not in "yx"]
    for array in arrays[1:]:
        smaller = same_picture(_side(array, axes), _side(kept[-1], axes))
        if smaller and array.dtype == kept[0].dtype and all(array.shape[i] == kept[0].shape[i] for i in others):
            kept.append(array)
    return tuple(kept)


def _ome_pixel(scale: dict[str, Any], axes: str, units: list[str | None]) -> PixelSize:
    """Return the size of a pixel by the scales of the first dataset and the whole."""
    factors = np.ones(len(axes))
    both = (scale["datasets"][0].get("coordinateTransformations"), scale.get("coordinateTransformations"))
    for transformation in (entry for entries in both for entry in entries or ()):
        if transformation.get("type") == "scale" and "scale" in transformation:
            factors = factors * np.asarray(transformation["scale"], float)
    return pixel_of_scale(axes, list(factors), units)


def _ome_rgb(ome: dict[str, Any], array: zarr.Array[Any], axes: str) -> bool:
    """Tell whether three 8-bit channels are red, green and blue: by their named colours, or because nothing says otherwise."""
    channels = array.shape[axes.index("c")] if "c" in axes else 1
    if channels != 3 or array.dtype != np.uint8:
        return False
    omero = ome.get("omero")
    listed = omero.get("channels", []) if isinstance(omero, dict) else []
    colours = tuple(str(channel.get("color", "")).upper() for channel in listed)
    return not any(colours) or colours == OME_RGB
