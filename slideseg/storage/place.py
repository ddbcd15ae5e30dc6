"""Where something lies: a local path, or a bucket and what is in front of its keys, as ``s3://bucket/prefix``."""

from __future__ import annotations

import os
import stat
import tempfile
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from slideseg.errors import ConfigError, ResultError, explain

if TYPE_CHECKING:
    from collections.abc import Iterable


BUCKETS = {"s3": "AWS", "gs": "GOOGLE", "az": "AZURE"}
"""Kinds of buckets by how their addresses begin, and how the variables begin that say where they are and who asks."""


NEAR = 0.75
"""How alike two names are of which one may be meant by the other."""


@dataclass(frozen=True, slots=True)
class Location:
    """A url taken apart."""

    bucket: str | None
    """Bucket of an object store; None for a local path."""
    path: str
    """Absolute local path, or the prefix in the bucket."""
    scheme: str = "s3"
    """Of `BUCKETS`: what kind of bucket it is."""

    @property
    def name(self) -> str:
        """Last part of the path."""
        return self.path.rstrip("/").rpartition("/")[2]

    @property
    def parent(self) -> str:
        """Url of the folder that holds it."""
        folder = self.path.rstrip("/").rpartition("/")[0]
        return (folder or "/") if self.bucket is None else f"{self.scheme}://{self.bucket}/{folder}".rstrip("/")


def locate(url: str | os.PathLike[str]) -> Location:
    """Take a url apart; relative paths become absolute, links are followed.

    Raises:
        ConfigError: if it is neither a local path nor in a bucket.
    """
    url = local_path(url)
    scheme, separator, rest = url.partition("://")
    if not separator:
        return Location(None, os.path.realpath(url))
    bucket, _, prefix = rest.partition("/")
    if scheme not in BUCKETS or not bucket:
        want = f"a local path or {', '.join(f'{kind}://bucket/prefix' for kind in BUCKETS)}"
        raise ConfigError(explain("this place is not supported", got=url, want=want))
    return Location(bucket, prefix.strip("/"), scheme)


def is_in_bucket(url: str | os.PathLike[str]) -> bool:
    """Tell whether an address is that of a bucket.

    >>> is_in_bucket("gs://bucket/x.zarr"), is_in_bucket("https://host/x.zarr"), is_in_bucket("x.zarr")
    (True, False, False)
    """
    return os.fspath(url).startswith(tuple(f"{kind}://" for kind in BUCKETS))


def is_url(path: str) -> bool:
    """Tell whether ``path`` is an address in a bucket or on the web rather than a local path.

    >>> is_url("s3://bucket/x.svs"), is_url("https://host/x.svs"), is_url("x.svs")
    (True, True, False)
    """
    return is_in_bucket(path) or path.startswith(("http://", "https://"))


def absolute(path: str) -> str:
    """Return a path from the root, so that a worker elsewhere on a cluster means the same; addresses stay as they are.

    >>> absolute("s3://bucket/x.zarr")
    's3://bucket/x.zarr'
    """
    path = local_path(path)
    return path if "://" in path else str(Path(path).absolute())


def local_path(url: str | os.PathLike[str]) -> str:
    """Return the path that a ``file://`` address or a ``~`` in front means; everything else stays as it is.

    >>> local_path("file:///data/my%20slide.zarr"), local_path("a/b"), local_path("https://host/x")
    ('/data/my slide.zarr', 'a/b', 'https://host/x')

    Raises:
        ConfigError: if nothing can have such a name, or it is not UTF-8, which our stores want.
    """
    path = os.fspath(url)
    path = unquote(urlsplit(path).path) if path.startswith("file://") else os.path.expanduser(path)
    try:
        has_zero = b"\0" in path.encode()
    except UnicodeEncodeError:
        raise ConfigError(explain("a path is not UTF-8", got=path, try_="to rename it")) from None
    if has_zero:
        raise ConfigError(explain("this is no path", got=path.replace("\0", "\\0"), want="no zeros in it"))
    return path


def is_no_file(path: Path) -> bool:
    """Tell whether something is there that is neither file nor folder: who reads a pipe may wait for ever."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def is_lost(path: Path) -> bool:
    """Tell whether a path is a link that leads nowhere, as to a disk that is gone."""
    return path.is_symlink() and not path.exists()


Mark = tuple[int | str, ...]
"""What tells a place from others, whatever it is called."""


def marks(place: str | os.PathLike[str]) -> list[Mark]:
    """Return the mark of a place, and those of all folders that it lies in, upwards; none for one that is not supported.

    Links and ``..`` are followed, and a folder that has two names, by mounts or where letters' size does not count, has one
    mark. What is not there yet has that of the folder that is, and its own name.
    """
    try:
        here = locate(place)
    except ConfigError:
        return []
    if here.bucket is not None:
        parts = (here.scheme, here.bucket, *filter(None, here.path.split("/")))
        return [parts[:length] for length in range(len(parts), 1, -1)]
    path = PurePosixPath(here.path)
    found: list[Mark] = []
    for way in (*reversed(path.parents), path):
        found.append(_identity(str(way)) or (*(found[-1] if found else ()), way.name))
    return found[::-1]


def _identity(path: str) -> tuple[int, int] | None:
    """Return what the system knows a file or folder by; None where it is not there, or the file system gives no numbers."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return (found.st_dev, found.st_ino) if found.st_ino else None


def is_within(place: str | os.PathLike[str], outer: str | os.PathLike[str]) -> bool:
    """Tell whether ``place`` is ``outer`` or lies in it, whatever they are called."""
    return any(mark in marks(place) for mark in marks(outer)[:1])


def check_kept(read: Iterable[str | os.PathLike[str]], output: str | os.PathLike[str], what: str) -> None:
    """Refuse an output that would replace what is read for it.

    Args:
        read: the places of all that is read.
        output: what may be removed, with all that lies in it.
        what: names in the error what is read.

    Raises:
        ConfigError: if one of them is ``output`` or lies in it.
    """
    for place in read:
        if is_within(place, output):
            got = os.fspath(place) if is_within(output, place) else f"{place} in {output}"
            raise ConfigError(explain(f"the output would replace {what}", got=got, try_="another --output"))


def check_parent(url: str) -> None:
    """Refuse a place where nothing can be created.

    Raises:
        ResultError: if the folder that would hold ``url`` is missing or can't be written.
    """
    location = locate(url)
    if not location.name or not str(url):
        raise ResultError(explain("the output needs a name", got=url, try_=f"{url.rstrip('/')}/result.zarr"))
    if location.bucket is not None:
        return
    if not Path(location.parent).is_dir():
        raise ResultError(explain("the folder for the output does not exist", got=location.parent, try_="mkdir -p"))
    try:  # what may be is not asked: file systems such as /proc would say yes
        tempfile.TemporaryFile(dir=location.parent).close()
    except OSError as error:
        what, got = "the folder for the output can't be written", f"{location.parent}: {error.strerror}"
        raise ResultError(explain(what, got=got, try_="another --output")) from error


def near(path: str | os.PathLike[str]) -> str | None:
    """Return what is there and has nearly the name of a path that is not; None where nothing has, or an address was given.

    Of a link that leads nowhere it is said where it leads.
    """
    place, path = Path(path), os.fspath(path)
    if "://" in path or not path or os.path.exists(path):
        return None
    missing = next(part for part in (place, *place.parents) if os.path.exists(part.parent))
    if missing.is_symlink():
        return f"to mend it: {missing} is a link to {os.readlink(missing)}, which is not there"
    try:
        names = {name.lower(): name for name in os.listdir(missing.parent)}
    except OSError:
        return None
    alike = get_close_matches(missing.name.lower(), names, 1, NEAR)
    if not alike:
        return None
    found = missing.parent / names[alike[0]]
    whole = found / place.relative_to(missing)
    return str(whole if os.path.exists(whole) else found)


def make_folder(folder: str, what: str) -> None:
    """Make a local folder that may be there already; ``what`` says in errors what it is.

    Raises:
        ResultError: if it can't be made.
    """
    path = Path(folder)
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ResultError(
            explain(f"{what} can't be made: {folder}", got=_in_the_way(error, path), try_="another --output")
        ) from error


def _in_the_way(error: OSError, folder: Path) -> str:
    """Return why a folder can't be made: most often for a file that has the name."""
    there = next((place for place in (folder, *folder.parents) if os.path.lexists(place)), None)
    if there is None or there.is_dir():
        return error.strerror or str(error)
    return f"{there}, which is {'no folder' if there.exists() else 'a link to nothing'}"
