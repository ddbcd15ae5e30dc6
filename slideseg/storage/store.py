"""Bytes under keys, in a local folder or a bucket: a zarr store with plain, synchronous helpers.

Writes are whole and atomic on both: a rename on a file system, one PUT on an object store.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from zarr.core.buffer import default_buffer_prototype
from zarr.core.sync import sync
from zarr.storage import LocalStore, ObjectStore

from slideseg.errors import ConfigError, RunError, explain
from slideseg.storage.place import locate

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from zarr.abc.store import Store as Store  # what others annotate with

PARTIAL = ".partial"
"""How the name of a file ends that zarr has not finished writing."""

MOST_CHARACTERS = 300
"""Of an error's own words in ours."""


def open_store(url: str | os.PathLike[str], *, read_only: bool = False) -> Store:
    """Open ``url`` as a zarr store; nothing is created before the first write.

    Raises:
        ConfigError: if it is of an unknown kind, or the package for ``s3://`` is missing.
    """
    location = locate(url)
    if location.bucket is None:
        return LocalStore(location.path, read_only=read_only)
    return _open_bucket(location.bucket, location.path, read_only=read_only)


def _open_bucket(bucket: str, prefix: str, *, read_only: bool) -> Store:
    try:
        from obstore.store import S3Store  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise ConfigError(explain("s3:// needs the package obstore", try_="pip install 'slideseg[s3]'")) from error
    return ObjectStore(S3Store(bucket, prefix=prefix or None), read_only=read_only)


def storage_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that mean "the disk or the object store failed", for an ``except`` clause."""
    exceptions = sys.modules.get("obstore.exceptions")
    return (OSError,) if exceptions is None else (OSError, exceptions.BaseError)


def reason(error: Exception) -> str:
    """Return what went wrong, in short: obstore adds a dump of its state, object stores whole documents.

    >>> reason(OSError(28, "No space left on device"))
    '[Errno 28] No space left on device'
    """
    said = re.split(r"Debug source:|<\?xml", str(error), maxsplit=1)[0]
    return " ".join(said.split())[:MOST_CHARACTERS].rstrip(" :")


@contextlib.contextmanager
def run_errors(what: str) -> Iterator[None]:
    """Turn a failure of the storage into a `RunError` that says ``what`` failed."""
    try:
        yield
    except storage_errors() as error:
        raise RunError(explain(what, got=reason(error), try_="the same command again; what is done stays")) from error


def read_key(store: Store, key: str) -> bytes | None:
    """Return the bytes under ``key``; None where there are none."""
    if isinstance(store, LocalStore) and not store.root.is_dir():
        return None
    buffer = sync(store.get(key, default_buffer_prototype()))
    return None if buffer is None else buffer.to_bytes()


def write_key(store: Store, key: str, data: bytes) -> None:
    """Put ``data`` under ``key``: readers see all of it or what was there before."""
    sync(store.set(key, default_buffer_prototype().buffer.from_bytes(data)))


def write_new_key(store: Store, key: str, data: bytes) -> None:
    """Put ``data`` under ``key`` unless something is there already; read it back to see who won."""
    sync(store.set_if_not_exists(key, default_buffer_prototype().buffer.from_bytes(data)))


@contextlib.contextmanager
def write_file(store: Store, key: str) -> Iterator[str]:
    """Give a local path to write to; when the block ends well, the file is put under ``key``, whole."""
    if isinstance(store, LocalStore):
        target = store.root / key
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = f"{target}.{uuid.uuid4().hex}{PARTIAL}"
        yield partial
        os.replace(partial, target)
        return
    import obstore  # noqa: PLC0415 - an optional extra, there where a bucket is open

    with tempfile.TemporaryDirectory(prefix="slideseg-") as folder:
        path = f"{folder}/file"
        yield path
        obstore.put(store.store, key, Path(path))  # type: ignore[attr-defined]


@contextlib.contextmanager
def local_copy(store: Store, key: str) -> Iterator[str | None]:
    """Give a local path to read ``key`` from, of any length; None where there is none. Of an object store it is a copy."""
    if isinstance(store, LocalStore):
        path = store.root / key
        yield str(path) if path.is_file() else None
        return
    if not sync(store.exists(key)):
        yield None
        return
    import obstore  # noqa: PLC0415 - an optional extra, there where a bucket is open

    with tempfile.TemporaryDirectory(prefix="slideseg-") as folder:
        copy = Path(folder, "file")
        with copy.open("wb") as file:
            for piece in obstore.get(store.store, key):  # type: ignore[attr-defined]
                file.write(piece)
        yield str(copy)


def delete_key(store: Store, key: str) -> None:
    """Remove ``key`` if it is there."""
    sync(store.delete(key))


def delete_folder(store: Store, prefix: str) -> None:
    """Remove all keys below ``prefix``; on a file system the folders too, of which others may remove some meanwhile."""
    with contextlib.suppress(FileNotFoundError):
        sync(store.delete_dir(prefix))


def list_keys(store: Store, prefix: str = "") -> list[str]:
    """Return all keys below ``prefix`` by one listing; unfinished writes are left out."""
    if isinstance(store, LocalStore):
        return list(_local_keys(store.root, prefix))
    return sync(_collect(store.list_prefix(prefix)))


async def _collect(keys: AsyncIterator[str]) -> list[str]:
    return [key async for key in keys]


def _local_keys(root: Path, prefix: str) -> Iterator[str]:
    for folder, _, names in os.walk(root / prefix):
        below = Path(folder).relative_to(root).as_posix()
        for name in names:
            if not name.endswith(PARTIAL):
                yield name if below == "." else f"{below}/{name}"


def sweep_partial(store: Store) -> int:
    """Remove what interrupted writes left behind; return how many files that were."""
    if not isinstance(store, LocalStore):
        return 0
    stale = [Path(folder) / name for folder, _, names in os.walk(store.root) for name in names if name.endswith(PARTIAL)]
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)


def anything_at(url: str) -> bool:
    """Tell whether there is a file or a folder that is not empty, or any object."""
    location = locate(url)
    if location.bucket is not None:
        return bool(list_keys(open_store(url)))
    path = Path(location.path)
    return path.exists() and (not path.is_dir() or any(path.iterdir()))


def delete(url: str, last: str = "zarr.json") -> None:
    """Remove everything under ``url``, if there is anything.

    A local folder gets another name first, so that a killed deletion never leaves half a store under the old one. On an
    object store the key ``last`` goes last, so that half a store can still be told from foreign data.
    """
    location = locate(url)
    if location.bucket is None:
        doomed = Path(f"{location.path}.deleting-{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            Path(location.path).rename(doomed)
            shutil.rmtree(doomed)
        return
    store = open_store(url)
    for key in sorted(list_keys(store), key=lambda key: key == last):
        delete_key(store, key)


def sweep_deleted(url: str) -> None:
    """Remove what a killed `delete` left behind."""
    location = locate(url)
    if location.bucket is None:
        for doomed in Path(location.parent).glob(f"{location.name}.deleting-*"):
            shutil.rmtree(doomed, ignore_errors=True)
