"""Copy a slide that can't be read in part into a zarr array that can: a PNG, a JPEG, a TIFF of wide or large strips.

There is one way through such a slide, from its top to its end, so one worker makes the copy, and all read from there.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import stat
import tempfile
from contextlib import closing, contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from threading import Condition
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.codecs import Crc32cCodec

from slideseg.errors import SlideError, SlidesegError, explain
from slideseg.slide.base import channels_of, planes_of
from slideseg.slide.fingerprint import fingerprint
from slideseg.slide.guard.slide import open_in_run
from slideseg.slide.rows.stream import band_rows
from slideseg.slide.selection import WHOLE, Selection
from slideseg.slide.zarr.picture import CHUNKED
from slideseg.space.box import Box
from slideseg.storage.place import locate
from slideseg.tasks.in_process import IN_PROCESS
from slideseg.tasks.run_shards import run_shards

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.slide.base import Slide
    from slideseg.slide.resampled import Source
    from slideseg.tasks.base import Executor, Failed

_NO_COPY = (OSError, KeyError, ValueError, TypeError)
"""What opening something raises that is no copy of a slide."""
_COLUMNS = 1024
"""Of a chunk; its rows are those that are decoded at once."""
_CODECS = (Crc32cCodec(),)
"""A checksum alone: the copy is a temporary one, and photographs hardly shrink in a codec that keeps up with the decoder."""


@contextmanager
def readable(source: Source, beside: str, executor: Executor) -> Iterator[Source]:
    """Give a slide that can be read box by box: as it is, or from a temporary copy of its level 0.

    The copy lies beside the result, as ``BESIDE.source.zarr``, or among this machine's temporary files if that is in a bucket;
    a worker of ``executor`` makes it. It is removed when the block ends well, and kept for another try when not.

    Raises:
        SlideError: if the slide can't be read, or something else than a copy of a slide is in the way.
    """
    with closing(open_in_run(source.path, source.selection)) as slide:
        as_it_is = is_readable(slide, source.level)
    if as_it_is:
        yield source
        return
    copy = _place_of_copy(beside)
    _make_folder(beside)
    run_shards(partial(CopyWorker, source.path, copy, source.selection), [0], executor, on_failure=_refuse, light=True)
    yield replace(source, path=copy, selection=WHOLE, fingerprint=None)
    _remove(copy, beside)


def is_readable(slide: Slide, level: int) -> bool:
    """Tell whether a level can be read box by box; of a pyramid that holds for all but the largest."""
    return slide.direct or level > 0


def discard_copy(beside: str) -> None:
    """Remove a temporary copy that a run left behind which was killed at its very end; nothing else that has its name."""
    copy = _place_of_copy(beside)
    with contextlib.suppress(*_NO_COPY):
        if locate(beside).bucket is None or _is_private(Path(copy).parent):
            _facts_of(zarr.open_array(copy, mode="r"))
            _remove(copy, beside)


def _place_of_copy(beside: str) -> str:
    """Return where the copy lies, always the same for one result, so that another try finds it."""
    if locate(beside).bucket is None:
        return f"{beside.rstrip('/')}.source.zarr"
    name = f"slideseg-{os.geteuid()}-{hashlib.sha256(beside.encode()).hexdigest()[:16]}"
    return str(Path(tempfile.gettempdir(), name, "source.zarr"))


def _make_folder(beside: str) -> None:
    """Make the folder of a copy among the temporary files, this user's alone: anybody can know the name that it will have.

    Raises:
        SlideError: if somebody else has it.
    """
    if locate(beside).bucket is None:
        return
    folder = Path(_place_of_copy(beside)).parent
    with contextlib.suppress(FileExistsError):
        folder.mkdir(mode=0o700)
    if not _is_private(folder):
        want = "a folder of yours that is open to nobody else"
        raise SlideError(explain(f"a copy can't be kept in {folder}", got="another's", want=want, try_="another TMPDIR"))


def _is_private(folder: Path) -> bool:
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _remove(copy: str, beside: str) -> None:
    """Remove a copy, with the folder that was made for it."""
    shutil.rmtree(copy if locate(beside).bucket is None else Path(copy).parent)


class CopyWorker:
    """Copies a whole slide; its only task is 0."""

    def __init__(self, path: str, copy: str, selection: Selection) -> None:
        self._path, self._copy, self._selection = path, copy, selection

    def __call__(self, _: int) -> None:
        """Copy it.

        Raises:
            SlideError: if its pixels can't be decoded, or something else is in the way.
        """
        with closing(open_in_run(self._path, self._selection)) as slide:
            chunk_slide(slide, self._copy, selection=self._selection)

    def close(self) -> None:
        """Do nothing: what a copy lacks is copied by the next one."""


def chunk_slide(
    slide: Slide,
    store_path: str,
    executor: Executor = IN_PROCESS,
    selection: Selection = WHOLE,  # a value
) -> str:
    """Copy level 0 of ``slide`` into a zarr array at ``store_path`` (a folder) and return that path.

    `open_slide` opens the copy with the slide's axes, dtype, microns per pixel and kind of colours. Memory is a band of rows
    for each running task, besides what the slide's reader keeps. A copy that was interrupted goes on where it stopped; until
    it is finished, `open_slide` refuses it. A finished copy of the same slide is used again, one of another slide replaced.

    Raises:
        SlideError: if the slide's pixels can't be decoded, or something else than a copy of a slide is at ``store_path``.
    """
    facts: dict[str, Any] = {
        "path": slide.path,
        "source": _source(slide),
        "shape": list(slide.shape),
        "axes": slide.axes,
        "selection": json.loads(json.dumps(asdict(selection))),
        "mpp_yx": None if slide.mpp_yx is None else list(slide.mpp_yx),
        "mpp_source": slide.pixel.source,
        "is_rgb": slide.is_rgb,
        "background": None if slide.background is None else list(slide.background),
    }
    array = _existing(store_path, facts)
    if array is None:
        array = _create(slide, store_path, facts)
    elif _facts_of(array)["complete"]:
        return store_path
    worker = _BandWorker(slide, array, store_path)
    run_shards(lambda: worker, range(len(worker.bands)), executor, on_failure=_refuse, light=True)
    array.attrs[CHUNKED] = {**facts, "complete": True}
    return store_path


def _refuse(failed: Failed) -> None:
    raise SlideError(failed.error)


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
    except _NO_COPY as error:
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
    channels = channels_of(slide) + (slide.background is not None)
    return zarr.create_array(
        store_path,
        shape=(*slide.shape[:-1], channels),
        chunks=(*planes, min(_band(slide), rows), min(_COLUMNS, columns), channels),
        dtype=slide.dtype,
        compressors=_CODECS,
        dimension_names=list(axes),
        attributes={CHUNKED: {**facts, "complete": False}},
        config={"write_empty_chunks": True},
    )


def _band(slide: Slide) -> int:
    """Return the rows that are copied at once."""
    return band_rows(slide.levels[0].shape[1] * channels_of(slide) * slide.dtype.itemsize)


class _BandWorker:
    """Copies bands of a slide, by number: they are read in their order, one at a time, and written as they come."""

    def __init__(self, slide: Slide, array: zarr.Array[Any], store_path: str) -> None:
        self._slide, self._array, self._folder = slide, array, Path(store_path)
        whole = Box.of_shape(slide.levels[0].shape)
        self.bands = [(plane, box) for plane in range(planes_of(slide)) for box in whole.split(_band(slide), whole.shape[1])]
        """Plane and box of every band."""
        self._turn = Condition()
        self._next = 0

    def __call__(self, number: int) -> None:
        """Copy one."""
        plane, box = self.bands[number]
        index = (plane,) if self._array.ndim == len("zyxc") else ()
        with self._its_turn(number):
            if all(self._is_there((*index, *corner, 0)) for corner in self._chunks_of(box)):
                return  # written whole by a copy that was interrupted later: a chunk appears by renaming
            pixels = self._pixels(box, plane)
        self._array[(*index, *box.slices)] = pixels

    def _pixels(self, box: Box, plane: int) -> np.ndarray:
        """Return a band, with a channel behind the others that says where something was scanned, if that is not everywhere."""
        pixels = self._slide.read(box, 0, plane)
        if self._slide.background is None:
            return pixels
        scanned = self._slide.scanned(box, 0, plane)
        there = np.ones((*box.shape, 1), pixels.dtype) if scanned is None else scanned[..., None].astype(pixels.dtype)
        return np.concatenate([pixels, there], axis=2)

    @contextmanager
    def _its_turn(self, number: int) -> Iterator[None]:
        """Wait until the bands before were read: the way through the slide goes forward alone. Tasks start in order."""
        with self._turn:
            self._turn.wait_for(lambda: self._next >= number)
        try:
            yield
        finally:
            with self._turn:
                self._next = max(self._next, number + 1)
                self._turn.notify_all()

    def _is_there(self, chunk: tuple[int, ...]) -> bool:
        return (self._folder / self._array.metadata.encode_chunk_key(chunk)).is_file()

    def _chunks_of(self, box: Box) -> Iterator[tuple[int, int]]:
        """Yield row and column of the chunks of a band."""
        height, width = self._array.chunks[-3:-1]
        return ((y // height, x // width) for y in range(box.y0, box.y1, height) for x in range(box.x0, box.x1, width))

    def close(self) -> None:
        """Do nothing: a band takes less than a second."""
