"""What lies in a bucket or on the web, opened to be read in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.storage.place import is_in_bucket, locate
from slideseg.storage.remote import remote_file
from slideseg.storage.store import open_store, open_url

if TYPE_CHECKING:
    from slideseg.storage.remote import RemoteFile, Stream
    from slideseg.storage.store import Store


def open_remote(url: str) -> RemoteFile | None:
    """Open the file at an address as it is now; None where there is none, as where there is a folder.

    Raises:
        RemoteError: if the store fails, or gives no parts of files.
        ConfigError: if it is of an unknown kind.
    """
    return remote_file(*_placed(url), url)


def path_or_file(store: Store, key: str) -> str | Stream | None:
    """Return what others open to read ``key`` piece by piece: a local path, or a file in a bucket; None where there is none.

    Raises:
        RemoteError: if a bucket fails.
    """
    if store.folder is not None:
        path = store.folder / key
        return str(path) if path.is_file() else None
    file = remote_file(store, key, f"{store.name}/{key}")
    return None if file is None else file.stream()


def _placed(url: str) -> tuple[Store, str]:
    """Return the store that holds a file, and its key there; a web server's files are stores of their own."""
    if not is_in_bucket(url):
        return open_url(url), ""
    place = locate(url)
    return open_store(place.parent, read_only=True), place.name
