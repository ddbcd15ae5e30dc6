"""Bytes under keys, in a local folder or in a bucket: the only module that knows which of both it is.

obstore reads and writes them. A write is whole and atomic: one PUT, or on a disk a file beside it that is renamed. What only
a disk has (folders, files that others open by their path, what killed writes leave behind) is done here.
"""

from __future__ import annotations

import contextlib
import errno
import glob
import os
import platform
import re
import shutil
import tempfile
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import LocalStore

from slideseg.errors import RunError, explain
from slideseg.storage.bucket import PATIENCE, open_bucket, open_web
from slideseg.storage.place import Location, is_in_bucket, is_no_file, locate
from slideseg.storage.ranges import cut, end_of, joined
from slideseg.storage.trouble import in_words, says_no_bucket
from slideseg.storage.waiting import hear_from, interruptible, no_bucket, persistent

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from obstore.store import ObjectStore
    from zarr.storage import ObjectStore as ZarrStore

T = TypeVar("T")

PARTIAL = ".partial"
"""How the name of a file ends that `write_file` has not finished."""
UNFINISHED = re.compile(rf".*({re.escape(PARTIAL)}|#\d+)", re.DOTALL)
"""Names of files that are being written: by `write_file`, and by obstore, which takes no such key."""
SYSTEM_ERROR = re.compile(r"\(os error (\d+)\)")
"""How obstore repeats what the system said."""


@dataclass(frozen=True, slots=True)
class Store:
    """A folder or a bucket. To open one creates nothing, and asks nobody whether it is there."""

    root: Path | ObjectStore
    """The folder, or obstore's bucket or memory."""
    read_only: bool = False
    """Whether a write is a mistake."""
    name: str = ""
    """The bucket or the server, in messages."""
    patience: float = PATIENCE
    """Seconds in which what a bucket failed at is tried again."""

    @property
    def folder(self) -> Path | None:
        """The folder; None for a bucket."""
        return self.root if isinstance(self.root, Path) else None

    def to_read(self, key: str = "") -> ObjectStore:
        """Return what obstore reads from, maybe the bytes under a key.

        Raises:
            FileNotFoundError: if the folder is not there, or no file has the key's name: a pipe would be waited for.
        """
        _check_process()
        if not isinstance(self.root, Path):
            return self._reached(self.root)
        if not self.root.is_dir() or is_no_file(self.root / key):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.root / key))
        return LocalStore(self.root)

    def to_write(self) -> ObjectStore:
        """Return what obstore writes to; the folder is created.

        Raises:
            ValueError: if the store was opened to be read.
        """
        self.check_writable()
        _check_process()
        return LocalStore(self.root, mkdir=True) if isinstance(self.root, Path) else self._reached(self.root)

    def _reached(self, root: ObjectStore) -> ObjectStore:
        interruptible(lambda: hear_from(root, self.name), self.name)
        return root

    def check_writable(self) -> None:
        """Raise a ValueError if the store was opened to be read."""
        if self.read_only:
            msg = f"{self.root} was opened to be read"
            raise ValueError(msg)


def open_store(url: str | os.PathLike[str], *, read_only: bool = False, patience: float = PATIENCE) -> Store:
    """Open ``url``, a local path or ``s3://bucket/prefix``; nothing is created before the first write.

    ``patience`` is the number of seconds in which what a bucket failed at is tried again.

    Raises:
        ConfigError: if it is of an unknown kind, or the environment says something of buckets that can't be used.
    """
    location = locate(url)
    if location.bucket is None:
        return Store(Path(location.path), read_only)
    name = f"{location.scheme}://{location.bucket}"
    return Store(_open_bucket(location, patience), read_only, name, patience)


def open_made(url: str) -> Store:
    """Open for writing what another process has made, perhaps on another machine.

    Raises:
        RunError: if the folder is not there, or may not be written to: this machine does not share it, and would make its own.
    """
    store = open_store(url)
    if store.folder is not None and not os.access(store.folder, os.W_OK | os.X_OK):
        is_there, want = store.folder.is_dir(), "a folder that all machines share"
        what = f"{store.folder} {'may not be written to' if is_there else 'is not there'} on {platform.node()}"
        raise RunError(explain(what, want=want, try_=None if is_there else "the same command again, if somebody removed it"))
    return store


def _open_bucket(place: Location, patience: float) -> ObjectStore:
    return open_bucket(place, patience)


def open_url(url: str) -> Store:
    """Open what others keep under an address, to be read: in a bucket, or on the web by ``http://`` or ``https://``."""
    if is_in_bucket(url):
        return open_store(url, read_only=True)
    return Store(open_web(url), read_only=True, name=url)


def zarr_store(store: Store) -> ZarrStore[ObjectStore]:
    """Return a store as zarr's functions take it; the folder of one that may be written is created."""
    from zarr.storage import ObjectStore as ZarrStore  # noqa: PLC0415 - a quarter of a second to import

    from slideseg.storage.zarrs_store import BucketStore  # noqa: PLC0415 - it imports zarr

    kind = ZarrStore if store.folder is not None else BucketStore
    return kind(store.to_read() if store.read_only else store.to_write(), read_only=store.read_only)


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
    """Return what went wrong, in short, and of a bucket what to set."""
    return in_words(error)


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
        if store.folder is not None:
            return act()
        return interruptible(lambda: persistent(act, store.patience), store.name)
    except (BaseError, FileNotFoundError) as error:
        if says_no_bucket(error):
            raise OSError(no_bucket(store.name)) from error
        number = SYSTEM_ERROR.search(str(error))
        if store.folder is None or number is None:
            raise
        raise OSError(int(number[1]), os.strerror(int(number[1])), str(store.folder / key)) from error


def read_key(store: Store, key: str) -> bytes | None:
    """Return the bytes under ``key``; None where there are none."""
    try:
        return _do(store, key, lambda: bytes(store.to_read(key).get(key).bytes()))
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_tail(store: Store, key: str, length: int) -> bytes | None:
    """Return the last ``length`` bytes, at least one, under ``key``, or all of fewer; None where there is no such key."""
    found = read_end(store, key, length)
    return None if found is None else found[0]


def read_end(store: Store, key: str, length: int) -> tuple[bytes, int] | None:
    """Return the same, and how many bytes there are in all."""
    try:
        return _do(store, key, lambda: end_of(store.to_read(key), key, length))
    except (FileNotFoundError, NotADirectoryError):
        return None


def read_ranges(store: Store, key: str, ranges: Sequence[tuple[int, int]]) -> list[bytes]:
    """Return the bytes of ranges (start, length) under ``key``, in any order; those that lie close are read at once.

    Raises:
        FileNotFoundError: if there is no such key.
        OSError: if a range goes on where the bytes end, or the storage fails; see `storage_errors`.
    """
    spans = joined(ranges)
    starts, stops = [start for start, _ in spans], [stop for _, stop in spans]
    # Without coalesce=0 obstore joins what lies close, and panics where a part of it is behind the end.
    parts = _do(store, key, lambda: store.to_read(key).get_ranges(key, starts=starts, ends=stops, coalesce=0))
    if any(len(part) != stop - start for part, start, stop in zip(parts, starts, stops, strict=True)):
        said = f"{key} is shorter than {stops[-1]} bytes"
        raise OSError(said)
    return [cut(starts, parts, start, length) for start, length in ranges]


def write_key(store: Store, key: str, data: bytes) -> None:
    """Put ``data`` under ``key``: readers see all of it or what was there before."""
    _put(store, key, data)


def _put(store: Store, key: str, source: bytes | Path) -> None:
    """Put bytes or a file under a key. What is large goes to a bucket in parts, and can't be finished twice: begin anew."""

    def put() -> None:
        try:
            store.to_write().put(key, source)
        except FileNotFoundError as error:  # only the answer to the last part was lost
            if store.folder is not None or says_no_bucket(error):
                raise
            store.to_write().put(key, source)

    _do(store, key, put)


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
        _put(store, key, path)


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
