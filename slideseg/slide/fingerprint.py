"""Tell whether a slide is still the one a run was started with, without reading it whole."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from slideseg.errors import SlideError, explain

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDS = 1 << 20
"""Bytes of each end of a file that count."""
_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")


def fingerprint(path: str | os.PathLike[str], *, times: bool = True) -> str:
    """Return a hex SHA-256 of a slide's identity; memory does not grow with it.

    A file: size, modification time, first and last MiB. A folder: the metadata files' content, and name, size and
    modification time of every file in it. An address (``s3://...``): the address alone. Without ``times`` a copy is the same.

    Raises:
        SlideError: if it can't be read.
    """
    name = os.fspath(path)
    digest = hashlib.sha256()
    try:
        if "://" in name:
            digest.update(name.encode())
        elif Path(name).is_dir():
            for line in _folder(name, "", times=times):
                digest.update(line)
        else:
            digest.update(_file(name, times=times))
    except OSError as error:
        raise SlideError(explain(f"{name} can't be read", got=error.strerror)) from error
    return digest.hexdigest()


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


def _size_and_time(facts: os.stat_result, *, times: bool) -> str:
    return f"{facts.st_size} {facts.st_mtime_ns}" if times else f"{facts.st_size}"


def _file(path: str, *, times: bool) -> bytes:
    with open(path, "rb") as file:
        facts = os.fstat(file.fileno())
        digest = hashlib.sha256(f"{_size_and_time(facts, times=times)} ".encode())
        digest.update(file.read(_ENDS))
        if facts.st_size > _ENDS:
            file.seek(max(_ENDS, facts.st_size - _ENDS))
            digest.update(file.read(_ENDS))
    return digest.digest()


def _folder(root: str, inside: str, *, times: bool) -> Iterator[bytes]:
    """Yield a line for each file under ``root``/``inside``, in the order of names, one folder's names in memory at a time."""
    with os.scandir(Path(root) / inside) as found:
        entries = sorted((entry.name, entry.is_dir()) for entry in found)
    for name, is_folder in entries:
        relative = f"{inside}/{name}" if inside else name
        if is_folder:
            yield from _folder(root, relative, times=times)
            continue
        facts = (Path(root) / relative).stat()
        yield f"{relative} {_size_and_time(facts, times=times)}\n".encode()
        if name in _METADATA:
            yield hashlib.sha256((Path(root) / relative).read_bytes()).digest()
