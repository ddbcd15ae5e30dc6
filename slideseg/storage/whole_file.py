"""A local file that is made of a result: whole, or not at all, and never inside a result."""

from __future__ import annotations

import gzip
import os
import stat
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from slideseg.errors import ResultError, RunError, explain
from slideseg.storage.place import check_parent, local_path
from slideseg.storage.store import reason

if TYPE_CHECKING:
    from collections.abc import Iterator

LEVEL = 6
"""Of gzip; that of ZIP files is the same."""
UNIX = 3
"""The system that a ZIP file names, on every one."""
THEN = (1980, 1, 1, 0, 0, 0)
"""The time of a member of a ZIP file, so that the same content is the same file; the first that there is."""


def check_target(output: str | os.PathLike[str], *, overwrite: bool) -> Path:
    """Return the local file that may be written.

    Raises:
        ResultError: if it is there already and may not be replaced, or is no file, it lies in a Zarr store, or its folder can't
            be written.
    """
    if "://" in os.fspath(output):
        raise ResultError(explain("exports are written to local files", got=output, try_="a path"))
    path = Path(local_path(output))
    check_parent(str(path))
    stores = [folder for folder in Path(os.path.realpath(path)).parents if (folder / "zarr.json").exists()]
    if stores:  # what is made of a result must not replace a part of it, nor of another one
        raise ResultError(explain("the target lies inside a Zarr store", got=path, want=f"a file outside {stores[-1]}"))
    if _is_there(path) and not overwrite:
        raise ResultError(explain("the target exists", got=path, try_="--overwrite, or another name"))
    return path


def _is_there(path: Path) -> bool:
    """Tell whether there is a file that could be replaced.

    Raises:
        ResultError: if there is something else: a folder, or a device, which would no longer be there for anybody.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ResultError(explain("the target can't be written", got=f"{path}: {error.strerror}")) from error
    if stat.S_ISDIR(mode):
        raise ResultError(explain("the target is a folder", got=path, want="a file's name"))
    if not stat.S_ISREG(mode):
        raise ResultError(explain("the target is no file", got=f"{path}, a pipe, a socket or a device", want="a file's name"))
    return True


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a file beside ``path`` to write; it gets that name when the block ends well, and is removed when it does not.

    A link stays one: what it leads to is replaced.

    Raises:
        RunError: if it can't be written.
        ResultError: if something that is no file has the name.
    """
    _is_there(path)
    path = Path(os.path.realpath(path))
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        partial.replace(path)
    except OSError as error:
        said = reason(error).replace(str(partial), str(path)) if error.errno is None else os.strerror(error.errno)
        raise RunError(explain(f"{path} can't be written", got=said)) from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def opened(path: Path, name: str = "", endings: tuple[str, ...] = ()) -> Iterator[IO[bytes] | gzip.GzipFile]:
    """Open a new file that will be called ``name``: what is written is packed as the name ends, the same bytes each time.

    In a name that ends in ``.gz`` it is compressed with gzip; in ``.zip`` it is the only member, of the name without that.
    Others know a member by its own name: one that ends in none of ``endings`` gets the first of them.
    """
    packing = Path(name.lower()).suffix
    with path.open("wb") as file:
        if packing == ".gz":
            with gzip.GzipFile(filename="", mode="wb", compresslevel=LEVEL, fileobj=file, mtime=0) as packed:
                yield packed
        elif packing == ".zip":
            inner = name[: -len(packing)]
            member = _member(inner if inner.lower().endswith(endings or "") else inner + endings[0])
            with ZipFile(file, "w") as archive, archive.open(member, "w", force_zip64=True) as packed:
                yield packed
        else:
            yield file


def _member(name: str) -> ZipInfo:
    """Return what a ZIP file says of its only member."""
    member = ZipInfo(name, THEN)
    member.compress_type, member.create_system, member.external_attr = ZIP_DEFLATED, UNIX, 0o644 << 16
    return member
