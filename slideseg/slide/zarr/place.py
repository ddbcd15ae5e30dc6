"""Where a zarr lies, and how it is opened there: a folder, a zip, a bucket, a web server."""

from __future__ import annotations

import errno
import json
import lzma
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import zarr
import zarr.errors
import zarr.storage

from slideseg.errors import SlideError, UnreachableError, explain
from slideseg.slide.zarr.keys import BucketKeys, FolderKeys, ZipKeys
from slideseg.storage.place import is_no_file, is_url
from slideseg.storage.store import open_store, open_url, reason, storage_errors, zarr_store

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zarr.core.buffer import Buffer

    from slideseg.slide.zarr.keys import Keys

MARKS = ("zarr.json", ".zgroup", ".zarray", ".zattrs")
"""Files by which a zarr is known."""
FAULTS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,
    TypeError,
    ValueError,
    lzma.LZMAError,
    zarr.errors.BaseZarrError,
    zipfile.BadZipFile,
    zlib.error,
    *storage_errors(),
)
"""What zarr, its codecs and storages raise for what is damaged or missing."""
_LONGEST = 1 << 20
"""Bytes of a zarr's metadata that are looked at for what is wrong with it."""
ZIP = (b"PK\x03\x04", b"PK\x05\x06")
"""How a zip begins."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A zarr that was opened."""

    node: zarr.Group | zarr.Array[Any]
    """Its root."""
    keys: Keys
    """What there is below it."""
    store: Any = None
    """What is to be closed afterwards: of a zip."""

    def close(self) -> None:
        """Release the file."""
        if self.store is not None:
            self.store.close()


class Files(zarr.storage.LocalStore):
    """Zarr's store of a local folder, which does not wait for what is no file."""

    async def get(self, key: str, *arguments: Any, **more: Any) -> Buffer | None:
        """Return the bytes under a key, or a part of them; None where there is no such key.

        Raises:
            OSError: if it is a pipe, a socket or a device.
        """
        if is_no_file(self.root / key):
            raise OSError(errno.EINVAL, "it is no file", str(self.root / key))
        return await super().get(key, *arguments, **more)


def is_zarr(path: str) -> bool:
    """Tell whether the local folder ``path`` is a zarr group or array."""
    return any((Path(path) / name).is_file() for name in MARKS)


def open_place(path: str) -> Opened:
    """Open the zarr at ``path``, a folder, a zip or an address.

    Raises:
        SlideError: if it is a zip without a zarr.
        Exception: one of `FAULTS`, if it is missing or damaged.
    """
    if is_url(path):
        store = open_url(path)
        keys: Keys = BucketKeys(store)
        opened: Any = zarr_store(store)
    elif Path(path).is_file():
        return _open_zip(path)
    else:
        keys, opened = FolderKeys(open_store(path, read_only=True)), Files(path, read_only=True)
    try:
        return Opened(zarr.open(opened, mode="r"), keys)
    except FAULTS:
        _check_format(path, keys)
        raise


def _check_format(path: str, keys: Keys, root: str = "") -> None:
    """Refuse a version that is no number, as in WEBKNOSSOS' groups: zarr says that it expects 2 and got 2."""
    for name in MARKS:
        try:
            said = json.loads(keys.tail(root + name, _LONGEST) or b"null")
        except ValueError:
            continue
        version = said.get("zarr_format") if isinstance(said, dict) else None
        if isinstance(version, str):
            inner = zarrs_in(path)[:1] if Path(path).is_dir() else []
            try_ = ", ".join([f'"zarr_format": {version} there', *inner])
            what = f"{path}: {name} says its zarr_format as a text"
            raise SlideError(explain(what, got=f'"{version}"', want="a number", try_=try_))


def zarrs_in(folder: str) -> list[str]:
    """Return the paths of the zarrs in a local folder, by name."""
    return sorted(str(inner) for inner in Path(folder).iterdir() if is_zarr(str(inner)))


def _open_zip(path: str) -> Opened:
    with zipfile.ZipFile(path) as file:
        root = _root_in(path, file.namelist())
    store = zarr.storage.ZipStore(path, mode="r", read_only=True)
    try:
        node = zarr.open(store, path=root.rstrip("/"), mode="r")
    except FAULTS:
        store.close()
        _check_format(path, ZipKeys.of(path), root)
        raise
    # keys are those of the zip: an array's path begins with the folder in it
    return Opened(node, ZipKeys.of(path), store)


def _root_in(path: str, names: Iterable[str]) -> str:
    """Return the folder of the zip that is a zarr: the root, or the first one in it."""
    folders = {name.rpartition("/")[0] for name in names if name.rpartition("/")[2] in MARKS}
    if not folders:
        raise SlideError(explain(f"{path}: a zip without a zarr in it", want="zarr.json or .zgroup"))
    top = min(folders, key=lambda folder: (folder.count("/") + bool(folder), folder))
    return f"{top}/" if top else ""


def damage(path: str, where: object, fault: Exception, try_: str | None = None) -> SlideError:
    """Return what to raise of pixels that could not be read: they are damaged, unless it was the storage that failed."""
    if is_of_storage(fault):
        return UnreachableError(explain(f"{path} can't be read in {where}", got=short(fault)))
    return SlideError(explain(f"{path}: damaged zarr in {where}", got=short(fault), try_=try_))


def is_of_storage(fault: Exception) -> bool:
    """Tell whether a bucket or a server failed; codecs raise what disks do."""
    return isinstance(fault, storage_errors()) and not isinstance(fault, OSError)


def short(fault: Exception) -> str:
    """Return what went wrong, in short."""
    if isinstance(fault, zarr.errors.GroupNotFoundError):
        return f"no {' or '.join(MARKS[:3])}"
    return reason(fault) if is_of_storage(fault) else f"{type(fault).__name__}: {fault}"[:200]
