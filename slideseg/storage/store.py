"""Bytes under keys, in a local folder or in a bucket: the only module that knows which of both it is.

obstore reads and writes them. A write is whole and atomic: one PUT, or on a disk a file beside it that is renamed. What only
a disk has (folders, files that others open by their path, what killed writes leave behind) is done here.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import re
import shutil
import tempfile
import threading
import uuid
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore, S3Store, from_url

from slideseg.errors import RunError, SlidesegError, explain
from slideseg.storage.in_bucket import InBucket
from slideseg.storage.place import locate
from slideseg.storage.ranges import cut, joined

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from obstore.store import ClientConfig, ObjectStore
    from zarr.storage import ObjectStore as ZarrStore

T = TypeVar("T")

PARTIAL = ".partial"
"""How the name of a file ends that `write_file` has not finished."""
UNFINISHED = re.compile(rf".*({re.escape(PARTIAL)}|#\d+)", re.DOTALL)
"""Names of files that are being written: by `write_file`, and by obstore, which takes no such key."""
SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")
"""How obstore repeats what the system said."""
NO_BUCKET = "NoSuchBucket"
"""How S3 says that not only the key is missing."""
MOST_CHARACTERS = 300
"""Of an error's own words in ours."""


@dataclass(frozen=True, slots=True)
class Store:
    """A folder or a bucket. To open one creates nothing, and asks nobody whether it is there."""

    root: Path | ObjectStore
    """The folder, or obstore's bucket or memory."""
    read_only: bool = False
    """Whether a write is a mistake."""

    @property
    def folder(self) -> Path | None:
        """The folder; None for a bucket."""
        return self.root if isinstance(self.root, Path) else None

    def to_read(self) -> ObjectStore:
        """Return what obstore reads from.

        Raises:
            FileNotFoundError: if the folder is not there.
        """
        _check_process()
        if not isinstance(self.root, Path):
            return self.root
        if not self.root.is_dir():
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.root))
        return LocalStore(self.root)

    def to_write(self) -> ObjectStore:
        """Return what obstore writes to; the folder is created.

        Raises:
            ValueError: if the store was opened to be read.
        """
        self.check_writable()
        _check_process()
        return LocalStore(self.root, mkdir=True) if isinstance(self.root, Path) else self.root

    def check_writable(self) -> None:
        """Raise a ValueError if the store was opened to be read."""
        if self.read_only:
            msg = f"{self.root} was opened to be read"
            raise ValueError(msg)


def open_store(url: str | os.PathLike[str], *, read_only: bool = False) -> Store:
    """Open ``url``, a local path or ``s3://bucket/prefix``; nothing is created before the first write.

    Raises:
        ConfigError: if it is of an unknown kind.
    """
    location = locate(url)
    if location.bucket is None:
        return Store(Path(location.path), read_only)
    return Store(_open_bucket(location.bucket, location.path), read_only)


def _open_bucket(bucket: str, prefix: str) -> ObjectStore:
    return S3Store(bucket, prefix=prefix or None)


def open_url(url: str) -> Store:
    """Open what others keep under an address, to be read: ``s3://``, ``gs://``, ``az://``, ``http://``, ``https://``."""
    plain: ClientConfig | None = {"allow_http": True} if url.startswith("http://") else None  # {} would hide the environment's
    return Store(from_url(url, client_options=plain), read_only=True)


def zarr_store(store: Store) -> ZarrStore[ObjectStore]:
    """Return a store as zarr's functions take it; the folder of one that may be written is created."""
    from zarr.storage import ObjectStore as ZarrStore  # noqa: PLC0415 - a quarter of a second to import

    return ZarrStore(store.to_read() if store.read_only else store.to_write(), read_only=store.read_only)


_processes: set[int] = set()


def _check_process() -> None:
    """Refuse to work in a forked process: obstore's threads are not in it, and what waits for them waits for ever."""
    _processes.add(os.getpid())
    if len(_processes) > 1:
        raise RunError(explain("storage was used before this process was forked", try_="multiprocessing with spawn"))


def storage_errors() -> tuple[type[Exception], ...]:
    """Return the exceptions that mean "the disk or the object store failed", for an ``except`` clause."""
    return (OSError, BaseError)


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


def _do(store: Store, key: str, act: Callable[[], T]) -> T:
    """Do something with a key: a disk fails with Python's own exceptions, and a missing bucket is no missing key."""
    try:
        return act() if store.folder is not None else _interruptible(act)
    except (BaseError, FileNotFoundError) as error:
        if NO_BUCKET in str(error):
            said = f"there is no such bucket: {store.root.config['bucket'] if isinstance(store.root, S3Store) else store.root}"
            raise OSError(said) from error
        number = SYSTEM_ERROR.search(str(error))
        if store.folder is None or number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(store.folder / key)) from error


def _interruptible(act: Callable[[], T]) -> T:
    """Wait in a thread of its own for what may take minutes: obstore doesn't listen to Ctrl-C, which the main thread gets."""
    if threading.current_thread() is not threading.main_thread():
        return act()
    answer: Future[T] = Future()

    def wait() -> None:
        try:
            answer.set_result(act())
        except (OSError, BaseError, SlidesegError, ValueError) as error:
            answer.set_exception(error)
        finally:
            answer.cancel()  # if there is none; it does nothing otherwise

    threading.Thread(target=wait, name="storage", daemon=True).start()
    return answer.result()


def read_key(store: Store, key: str) -> bytes | None:
    """Return the bytes under ``key``; None where there are none."""
    try:
        return _do(store, key, lambda: bytes(store.to_read().get(key).bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_tail(store: Store, key: str, length: int) -> bytes | None:
    """Return the last ``length`` bytes, at least one, under ``key``, or all of fewer; None where there is no such key."""
    try:
        return _do(store, key, lambda: _tail(store.to_read(), key, length))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _tail(objects: ObjectStore, key: str, length: int) -> bytes:
    try:
        return bytes(objects.get(key, options={"range": {"suffix": length}}).bytes())
    except BaseError:
        if objects.head(key)["size"]:
            raise
        return b""  # which has no last byte, as S3 sees it


def read_ranges(store: Store, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """Return the bytes of ranges (start, length) under ``key``, in any order; those that lie close are read at once.

    Raises:
        FileNotFoundError: if there is no such key.
        OSError: if a range goes on where the bytes end, or the storage fails; see `storage_errors`.
    """
    spans = joined(ranges)
    starts, stops = [start for start, _ in spans], [stop for _, stop in spans]
    # Without coalesce=0 obstore joins what lies close, and panics where a part of it is behind the end.
    parts = _do(store, key, lambda: store.to_read().get_ranges(key, starts=starts, ends=stops, coalesce=0))
    if any(len(part) != stop - start for part, start, stop in zip(parts, starts, stops, strict=True)):
        said = f"{key} is shorter than {stops[-1]} bytes"
        raise OSError(said)
    return [cut(starts, parts, start, length) for start, length in ranges]


def write_key(store: Store, key: str, data: bytes) -> None:
    """Put ``data`` under ``key``: readers see all of it or what was there before."""
    _do(store, key, lambda: store.to_write().put(key, data))


def last_modified(store: Store, key: str) -> float | None:
    """Return when ``key`` was last written, in seconds by the storage's own clock; None where there is no such key."""
    try:
        return _do(store, key, lambda: store.to_read().head(key)["last_modified"].timestamp())
    except (FileNotFoundError, NotADirectoryError):
        return None


def write_new_key(store: Store, key: str, data: bytes) -> None:
    """Put ``data`` under ``key`` unless something is there already; read it back to see who won."""
    with contextlib.suppress(AlreadyExistsError, FileExistsError):
        _do(store, key, lambda: store.to_write().put(key, data, mode="create"))


@contextlib.contextmanager
def write_file(store: Store, key: str) -> Iterator[str]:
    """Give a local path to write to; when the block ends well, the file is put under ``key``, whole."""
    target = _file_of(store, key)
    if target is not None:
        target.parent.mkdir(parents=True, exist_ok=True)
        partial = f"{target}.{uuid.uuid4().hex}{PARTIAL}"
        try:
            yield partial
            os.replace(partial, target)
        finally:
            Path(partial).unlink(missing_ok=True)
        return
    with tempfile.TemporaryDirectory(prefix="slideseg-") as folder:
        path = Path(folder, "file")
        yield str(path)
        _do(store, key, lambda: store.to_write().put(key, path))


@contextlib.contextmanager
def local_copy(store: Store, key: str) -> Iterator[str | None]:
    """Give a local path to read ``key`` from, of any length; None where there is none. Of an object store it is a copy."""
    path = _file_of(store, key)
    if path is not None:
        yield str(path) if path.is_file() else None
        return
    with tempfile.TemporaryDirectory(prefix="slideseg-") as folder:
        copy = Path(folder, "file")
        yield str(copy) if _copied(store, key, copy) else None


def _copied(store: Store, key: str, target: Path) -> bool:
    """Copy a key, piece by piece; return whether there is such a key."""

    def copy() -> None:
        pieces = store.to_read().get(key)
        with target.open("wb") as file:
            file.writelines(pieces)

    try:
        _do(store, key, copy)
    except FileNotFoundError:
        return False
    return True


def path_or_file(store: Store, key: str) -> str | InBucket | None:
    """Return what others open to read ``key`` piece by piece: a local path, or a file in a bucket; None where there is none."""
    path = _file_of(store, key)
    if path is not None:
        return str(path) if path.is_file() else None
    try:
        return InBucket(_do(store, key, lambda: obstore.open_reader(store.to_read(), key)))
    except FileNotFoundError:
        return None


def _file_of(store: Store, key: str) -> Path | None:
    """Return the file of a key; None in a bucket."""
    return None if store.folder is None else store.folder / key


def delete_key(store: Store, key: str) -> None:
    """Remove ``key`` if it is there."""
    store.check_writable()
    with contextlib.suppress(FileNotFoundError):
        _do(store, key, lambda: store.to_read().delete(key))


def delete_folder(store: Store, prefix: str) -> None:
    """Remove all keys below ``prefix``; on a file system the folders too, of which others may remove some meanwhile."""
    store.check_writable()
    folder = _file_of(store, prefix)
    if folder is None:
        _delete_all(store, list_keys(store, prefix))
        return
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(folder)


def list_keys(store: Store, prefix: str = "") -> list[str]:
    """Return all keys below ``prefix`` by one listing; unfinished writes are left out."""
    if store.folder is None:
        return [found["path"] for found in _do(store, prefix, lambda: store.to_read().list(prefix).collect())]
    # By ourselves: obstore asks for each file's size, which takes six times as long, and gives up at names that are no keys.
    return list(_local_keys(store.folder, prefix))


def _local_keys(root: Path, prefix: str) -> Iterator[str]:
    for folder, _, names in os.walk(root / prefix):
        below = Path(folder).relative_to(root).as_posix()
        for name in names:
            if not UNFINISHED.fullmatch(name):
                yield name if below == "." else f"{below}/{name}"


def sweep_partial(store: Store) -> int:
    """Remove what interrupted writes left behind; return how many files that were."""
    if store.folder is None:
        return 0
    stale = [Path(folder) / name for folder, _, names in os.walk(store.folder) for name in names if UNFINISHED.fullmatch(name)]
    for path in stale:
        path.unlink(missing_ok=True)
    return len(stale)


def anything_at(url: str) -> bool:
    """Tell whether there is a file or a folder that is not empty, or any object."""
    store = open_store(url)
    if store.folder is not None:
        return store.folder.exists() and (not store.folder.is_dir() or any(store.folder.iterdir()))
    return _do(store, "", lambda: any(store.to_read().list(chunk_size=1)))


def delete(url: str, last: str = "zarr.json") -> None:
    """Remove everything under ``url``, if there is anything.

    A local folder gets another name first, so that a killed deletion never leaves half a store under the old one. On an
    object store the key ``last`` goes last, so that half a store can still be told from foreign data.
    """
    store = open_store(url)
    if store.folder is None:
        _delete_all(store, [key for key in list_keys(store) if key != last])
        delete_key(store, last)
        return
    doomed = Path(f"{store.folder}.deleting-{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        store.folder.rename(doomed)
        shutil.rmtree(doomed)


def _delete_all(store: Store, keys: list[str]) -> None:
    _do(store, "", lambda: store.to_write().delete(keys))


def sweep_deleted(url: str) -> None:
    """Remove what a killed `delete` left behind."""
    folder = open_store(url).folder
    if folder is not None:
        for doomed in folder.parent.glob(f"{glob.escape(folder.name)}.deleting-*"):
            shutil.rmtree(doomed, ignore_errors=True)
