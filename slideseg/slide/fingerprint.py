"""Tell whether a slide is still the one a run was started with, without reading it whole.

What counts is content, not times: a slide that was copied or touched is the same slide. In a bucket the store's ETags say
whether content is the same.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from slideseg.errors import SlideError, UnreachableError, explain
from slideseg.slide.listing.identity import identity_of_zarr
from slideseg.slide.listing.sets import files_of
from slideseg.slide.reader import changed, reached
from slideseg.slide.tiff.files import remote_tiff
from slideseg.storage.place import is_url
from slideseg.storage.store import reason, storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

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
    named. A folder: the metadata files' content, name and size of every file in it, and pieces of 64 of them. At an address
    (``s3://...``) a file: its size and ETag, or where it has none the same as on a disk; a zarr: the metadata's content, and
    names, sizes and ETags of its first 10,000 keys.

    Raises:
        SlideError: if it can't be read.
    """
    name = os.fspath(path)
    digest = hashlib.sha256()
    try:
        if is_url(name):
            return _at_address(name) or _zarr_at_address(name)
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
        raise changed(os.fspath(path))


def check_opened(path: str | os.PathLike[str], known: str) -> None:
    """See the same of a slide that was just opened, if it is a file: at a zarr's thousands a run looks at its end alone.

    Raises:
        SlideError: as `check_same`.
    """
    name = os.fspath(path)
    if is_url(name):
        if _at_address(name) not in (None, known):
            raise changed(name)
    elif Path(name).is_file():
        check_same(name, known)


def last_written(path: str | os.PathLike[str]) -> int | None:
    """Return when any of a slide's files was last written to, in nanoseconds; None for an address, and for a zarr's thousands.

    Raises:
        SlideError: if it can't be read.
    """
    name = os.fspath(path)
    if is_url(name):
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


def _at_address(url: str) -> str | None:
    """Return the fingerprint of the file at an address; None where there is none that is a slide.

    Raises:
        UnreachableError: if it can't be read.
    """
    with reached(url):
        file = remote_tiff(url)
        if file is None:
            return None
        of = f"{file.size} {file.version.tag}".encode() if file.version.tag else _samples(file.stream().as_file, _ENDS)
        return hashlib.sha256(of).hexdigest()


def _zarr_at_address(url: str) -> str:
    digest = hashlib.sha256()
    try:
        for line in identity_of_zarr(url):
            digest.update(line)
    except storage_errors() as error:
        raise UnreachableError(explain(f"{url} can't be read", got=reason(error))) from error
    return digest.hexdigest()


def _file(path: str, ends: int) -> bytes:
    """Return a digest of a file's size, its ``ends`` and pieces between them."""
    with open(path, "rb") as file:
        return _samples(file, ends)


def _samples(file: BinaryIO, ends: int) -> bytes:
    size = file.seek(0, os.SEEK_END)
    digest = hashlib.sha256(f"{size} ".encode())
    file.seek(0)
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
