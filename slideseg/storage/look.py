"""Look which keys there are, without reading them: by a listing that ends early, or by asking for each."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import obstore
from obstore.exceptions import BaseError
from obstore.store import HTTPStore

from slideseg.storage.place import is_lost
from slideseg.storage.trouble import is_forbidden
from slideseg.storage.waiting import interruptible, persistent

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from slideseg.storage.store import Store

Asked = TypeVar("Asked")
Answer = TypeVar("Answer")

_AT_ONCE = 16
"""Questions that are on their way."""


def which_exist(store: Store, keys: Sequence[str]) -> list[bool | None]:
    """Tell of each key whether it is there; None where the storage does not say, as where it forbids the question."""
    objects = store.to_read()

    def exists(key: str) -> bool | None:
        try:
            persistent(lambda: objects.head(key), store.patience)
        except FileNotFoundError:
            return False
        except (BaseError, OSError):
            return None
        return True

    return at_once(exists, keys)


def at_once(ask: Callable[[Asked], Answer], of: Sequence[Asked]) -> list[Answer]:
    """Return what ``ask`` says of each, some of which are asked at the same time."""
    with ThreadPoolExecutor(min(_AT_ONCE, max(1, len(of)))) as pool:
        return list(pool.map(ask, of))


def list_some(store: Store, prefix: str, most: int) -> list[str] | None:
    """Return at most ``most`` keys below ``prefix``, without it; None where they can't be listed, as on the web."""
    if isinstance(store.root, HTTPStore):
        return None
    folder = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
    found: list[str] = []
    try:
        for page in store.to_read().list(prefix or None):
            found.extend(entry["path"].removeprefix(folder) for entry in page)
            if len(found) >= most:
                return found[:most]
    except (BaseError, OSError):
        return None
    return found


def read_if_allowed(store: Store, key: str) -> bytes | None:
    """Return the bytes under a key; None where there is none, or the storage forbids the question, as some do then.

    Raises:
        OSError: if the storage fails; see `storage_errors`.
    """
    return _if_allowed(store, lambda: bytes(store.to_read(key).get(key).bytes()))


def list_versions(store: Store, most: int) -> list[tuple[str, int, str]]:
    """Return name, size and ETag of at most so many keys, by name; none where they can't be listed, as on the web.

    Raises:
        OSError: if the storage fails; see `storage_errors`.
    """

    def ask() -> list[tuple[str, int, str]]:
        found: list[tuple[str, int, str]] = []
        for page in store.to_read().list():
            found.extend((entry["path"], entry["size"], entry["e_tag"] or "") for entry in page)
            if len(found) >= most:
                break
        return sorted(found)[:most]

    return [] if isinstance(store.root, HTTPStore) else _if_allowed(store, ask) or []


def _if_allowed(store: Store, ask: Callable[[], Answer]) -> Answer | None:
    try:
        return interruptible(lambda: persistent(ask, store.patience), store.name)
    except FileNotFoundError:
        return None
    except BaseError as error:
        if is_forbidden(error):
            return None
        raise


def list_folders(store: Store) -> list[str]:
    """Return the names of the folders that are in a store, by one listing, in order; none where there is no such folder.

    Links on a disk that lead nowhere count: a folder may have been there.

    Raises:
        OSError: if the storage fails; see `storage_errors`.
    """
    if store.folder is not None:
        entries = store.folder.iterdir() if store.folder.is_dir() else ()
        return sorted(entry.name for entry in entries if entry.is_dir() or is_lost(entry))
    return list_bucket_folder(store)[0]


def list_bucket_folder(store: Store) -> tuple[list[str], list[str]]:
    """Return the names of the folders and of the keys right below a bucket's prefix, in order.

    Raises:
        OSError: if the storage fails; see `storage_errors`.
    """

    def ask() -> tuple[list[str], list[str]]:
        found = obstore.list_with_delimiter(store.to_read())
        folders = (folder.rstrip("/").rpartition("/")[2] for folder in found["common_prefixes"])
        return sorted(folders), sorted(entry["path"].rpartition("/")[2] for entry in found["objects"])

    return interruptible(lambda: persistent(ask, store.patience), store.name)
