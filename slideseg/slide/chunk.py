"""Copy a slide that can't be read in part into a zarr array that can: a PNG, a JPEG, a TIFF of one large strip."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr
from zarr.codecs import ZstdCodec

from slideseg.errors import SlideError, SlidesegError, explain
from slideseg.slide.base import channels_of, planes_of
from slideseg.slide.fingerprint import fingerprint
from slideseg.slide.zarr import CHUNKED
from slideseg.space.box import Box

if TYPE_CHECKING:
    from slideseg.slide.base import Slide

_SIDE = 1024
"""Side of a chunk."""
_BAND = 8 * _SIDE
"""Columns that are copied at once: bounds the memory of a thread, whatever the slide's width."""


def chunk_slide(slide: Slide, store_path: str, workers: int = 1) -> str:
    """Copy level 0 of ``slide`` into a zarr array at ``store_path`` (a folder) and return that path.

    `open_slide` opens the copy with the slide's axes, dtype, microns per pixel and kind of colours. Memory is a few chunks
    a thread, besides what one decoding of the slide itself takes: a picture or a strip that is compressed as one piece has
    to be decoded in one piece, here for once. A copy that was interrupted goes on where it stopped; until it is finished,
    `open_slide` refuses it. A finished copy of the same slide is used again, one of another slide replaced.

    Raises:
        SlideError: if the slide's pixels can't be decoded, or something else than a copy of a slide is at ``store_path``.
    """
    facts: dict[str, Any] = {
        "path": slide.path,
        "source": _source(slide),
        "shape": list(slide.shape),
        "axes": slide.axes,
        "mpp": slide.mpp,
        "is_rgb": slide.is_rgb,
    }
    array = _existing(store_path, facts)
    if array is None:
        array = _create(slide, store_path, facts)
    elif _facts_of(array)["complete"]:
        return store_path
    whole = Box.of_shape(slide.levels[0].shape)
    boxes = [(plane, box) for plane in range(planes_of(slide)) for box in whole.split(_SIDE, _BAND)]
    with ThreadPoolExecutor(max(1, workers)) as pool:
        for _ in pool.map(partial(_copy, slide, array, store_path), boxes):
            pass
    array.attrs[CHUNKED] = {**facts, "complete": True}
    return store_path


def _source(slide: Slide) -> str | None:
    try:
        return fingerprint(slide.path)
    except SlidesegError:
        return None  # an image in memory has no file


def _existing(store_path: str, facts: dict[str, Any]) -> zarr.Array[Any] | None:
    """Return the array of an earlier copy of the same slide, finished or not; remove a copy of another one."""
    folder = Path(store_path)
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return None
    try:
        found = zarr.open_array(store_path, mode="r+")
        known = _facts_of(found)
    except (OSError, KeyError, ValueError, TypeError) as error:
        what = f"{store_path} is in the way"
        raise SlideError(explain(what, got="something else than a copy of a slide", try_="another place")) from error
    known.pop("complete", None)
    if known == facts and facts["source"] is not None:
        return found
    shutil.rmtree(store_path)
    return None


def _facts_of(array: zarr.Array[Any]) -> dict[str, Any]:
    facts: Any = array.attrs[CHUNKED]
    return dict(facts)


def _create(slide: Slide, store_path: str, facts: dict[str, Any]) -> zarr.Array[Any]:
    axes = slide.axes
    planes = (1,) * (len(axes) - 3)
    rows, columns = slide.levels[0].shape
    return zarr.create_array(
        store_path,
        shape=slide.shape,
        chunks=(*planes, min(_SIDE, rows), min(_SIDE, columns), channels_of(slide)),
        dtype=slide.dtype,
        compressors=ZstdCodec(level=1, checksum=True),
        dimension_names=list(axes),
        attributes={CHUNKED: {**facts, "complete": False}},
        config={"write_empty_chunks": True},
    )


def _copy(slide: Slide, array: zarr.Array[Any], store_path: str, plane_and_box: tuple[int, Box]) -> None:
    plane, box = plane_and_box
    index = (plane,) if array.ndim == len("zyxc") else ()
    chunks = [(*index, y // _SIDE, x // _SIDE, 0) for y in range(box.y0, box.y1, _SIDE) for x in range(box.x0, box.x1, _SIDE)]
    if all((Path(store_path) / array.metadata.encode_chunk_key(chunk)).is_file() for chunk in chunks):
        return  # written whole by a copy that was interrupted later: a chunk appears by renaming
    array[(*index, *box.slices)] = slide.read(box, 0, plane)
