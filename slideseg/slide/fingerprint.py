"""Tell whether a slide is still the one a run was started with, without reading it whole.

What counts is content, not times: a slide that was copied or touched is the same slide.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from slideseg.errors import SlideError, explain
from slideseg.slide.listing.sets import files_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDS = 1 << 20
"""Bytes of each end of a file that count."""
_SAMPLES, _SAMPLE = 16, 1 << 14
"""How many pieces between the ends count too, evenly spread, and their bytes."""
_MOST_FILES = 64
"""Of a slide of more files, the contents of so many count, evenly spread; of the others their sizes."""
_FEW = 8
"""Files of a slide of which the ends count as those of a single one."""
_SMALL_ENDS = 1 << 16
"""Bytes of each end of a file that count where a slide has many."""
_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")


def fingerprint(path: str | os.PathLike[str]) -> str:
    """Return a hex SHA-256 of a slide's identity: of its content, so that a copy has the same; memory does not grow with it.

    A file: its size, first and last MiB, and 16 pieces between them. A slide of several files: these of each, whichever is
    named. A folder: the metadata files' content, name and size of every file in it, and pieces of 64 of them. An address
    (``s3://...``): the address alone.

    Raises:
        SlideError: if it can't be read.
    """
    name = os.fspath(path)
    digest = hashlib.sha256()
    try:
        if "://" in name:
            digest.update(name.encode())
            return digest.hexdigest()
        files = files_of(name)
        if Path(name).is_dir() and files == [name]:
            for line in _folder(name):
                digest.update(line)
        elif len(files) == 1:
            digest.update(_file(files[0], _ENDS))
        else:
            sizes = sorted((Path(file).stat().st_size, file) for file in files)
            some = sizes[:: -(-len(sizes) // _MOST_FILES)]
            digest.update(" ".join(str(size) for size, _ in sizes).encode())
            digest.update(b"".join(sorted(_file(file, _ENDS if len(files) <= _FEW else _SMALL_ENDS) for _, file in some)))
    except OSError as error:
        raise SlideError(explain(f"{name} can't be read", got=error.strerror)) from error
    return digest.hexdigest()


def check_same(path: str | os.PathLike[str], known: str) -> None:
    """See whether a slide is still the one that had the fingerprint ``known``.

    Raises:
        SlideError: if it is another one, or can't be read any more.
    """
    if fingerprint(path) != known:
        what = f"{os.fspath(path)} has changed while it was read"
        raise SlideError(explain(what, try_="the same command again, once nobody writes to it"))


def last_written(path: str | os.PathLike[str]) -> int | None:
    """Return when any of a slide's files was last written to, in nanoseconds; None for an address, and for a zarr's thousands.

    Raises:
        SlideError: if it can't be read.
    """
    name = os.fspath(path)
    if "://" in name:
        return None
    try:
        files = files_of(name)
        return None if Path(name).is_dir() and files == [name] else max(os.stat(file).st_mtime_ns for file in files)
    except OSError as error:
        raise SlideError(explain(f"{name} can't be read", got=error.strerror)) from error


def content_hash(path: str | os.PathLike[str]) -> str:
    """Return a hex SHA-256 of all bytes of a file.

    Raises:
        SlideError: if it can't be read.
    """
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise SlideError(explain(f"{os.fspath(path)} can't be read", got=error.strerror)) from error


def _file(path: str, ends: int) -> bytes:
    """Return a digest of a file's size, its ``ends`` and pieces between them."""
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        digest = hashlib.sha256(f"{size} ".encode())
        digest.update(file.read(ends))
        between = size - 2 * ends
        for k in range(_SAMPLES if between > 0 else 0):
            file.seek(ends + max(0, between - _SAMPLE) * k // (_SAMPLES - 1))
            digest.update(file.read(_SAMPLE))
        if size > ends:
            file.seek(max(ends, size - ends))
            digest.update(file.read(ends))
    return digest.digest()


def _folder(root: str) -> Iterator[bytes]:
    """Yield what counts of each file below a folder, in the order of names, one folder's names in memory at a time."""
    total = sum(1 for _ in _below(root, ""))
    every = -(-total // _MOST_FILES)
    for number, relative in enumerate(_below(root, "")):
        place = Path(root) / relative
        yield f"{relative} {place.stat().st_size}\n".encode()
        if place.name in _METADATA:
            yield hashlib.sha256(place.read_bytes()).digest()
        elif number % every == 0:
            yield _file(str(place), _SMALL_ENDS)


def _below(root: str, inside: str) -> Iterator[str]:
    with os.scandir(Path(root) / inside) as found:
        entries = sorted((entry.name, entry.is_dir()) for entry in found)
    for name, is_folder in entries:
        relative = f"{inside}/{name}" if inside else name
        if is_folder:
            yield from _below(root, relative)
        else:
            yield relative
