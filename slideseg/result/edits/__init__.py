"""What somebody corrected in a result: classes of objects, and objects that are none. A list beside the result, never in it.

``biopsy.edits.json`` beside ``biopsy.zarr``; `docs/formats.md` has its form.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slideseg.errors import ResultError, explain
from slideseg.result.layout import OBJECTS
from slideseg.result.table import table_identity
from slideseg.storage.place import locate
from slideseg.storage.store import open_store
from slideseg.storage.whole_file import check_target, whole

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from slideseg.result.result import Result

    Edits = Mapping[int, str | None]
    """By the object's id the name of its class now; None where it was removed."""

FORMAT = "edits/1"
"""What the file says that it is."""
SUFFIX = ".edits.json"
MOST_BYTES = 2**28
"""A list of some million edits; a longer file is none."""


def edits_path(result: Result) -> Path:
    """Return where the list of a local result is, or would be.

    Raises:
        ResultError: if the result lies in a bucket.
    """
    place = locate(result.url)
    if place.bucket is not None:
        raise ResultError(explain("edits lie beside a local result", got=result.url, try_="to copy it here"))
    return Path(place.path).parent / (place.name.removesuffix(".zarr") + SUFFIX)


def read_edits(result: Result) -> dict[int, str | None]:
    """Return what was corrected: by the object's id the name of its class now, None where it was removed.

    Raises:
        ResultError: if the list can't be read, or belongs to other objects; if the result lies in a bucket.
    """
    return edits_of(result, read_bytes(edits_path(result)))


def read_bytes(path: Path) -> bytes | None:
    """Return what a list's file holds; None where there is none.

    Raises:
        ResultError: if it can't be read.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise _unreadable(path, f"{path.stat().st_size:,} bytes")
        return path.read_bytes() if path.is_file() else None
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unreadable(path, error.strerror) from error


def edits_of(result: Result, data: bytes | None) -> dict[int, str | None]:
    """Return the edits in a list's file.

    Raises:
        ResultError: if it is none, or belongs to other objects.
    """
    if data is None:
        return {}
    path = edits_path(result)
    try:
        said = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise _unreadable(path, "no JSON") from error
    if not isinstance(said, dict) or said.get("slideseg") != FORMAT or not isinstance(said.get("edits"), list):
        raise _unreadable(path, f"no list of the form {FORMAT}")
    for name, value in _identity(result).items():
        if said.get(name) != value:
            got = f"another {name}"
            raise ResultError(explain(f"{path} belongs to other objects", got=got, try_="to move it away"))
    names, number = _names(result), _number(result)
    edits: dict[int, str | None] = {}
    for entry in said["edits"]:
        object_id, change = _entry(path, entry)
        check_edit(object_id, change, names, number)
        if object_id in edits:
            raise _unreadable(path, f"two edits of object {object_id}")
        edits[object_id] = change
    return edits


def check_edit(object_id: int, change: str | None, names: tuple[str, ...], number: int) -> None:
    """Refuse an edit of an object that is not there, or to a class that makes no objects.

    Raises:
        ResultError: if it is one.
    """
    if not 1 <= object_id <= number:
        raise ResultError(explain("no such object to edit", got=object_id, want=f"1 to {number}"))
    if change is not None and change not in names:
        raise ResultError(explain("no class of objects has this name", got=change, want=", ".join(names)))


def write_edits(result: Result, edits: Edits) -> bytes:
    """Write the list of a result, whole or not at all; return what was written.

    Raises:
        ResultError: if an edit makes no sense, or the result lies in a bucket or in another store.
        RunError: if the file can't be written.
    """
    names, number = _names(result), _number(result)
    for object_id, change in edits.items():
        check_edit(object_id, change, names, number)
    path = check_target(edits_path(result), overwrite=True)
    data = _encoded(result, edits)
    with whole(path) as partial:
        partial.write_bytes(data)
    return data


@contextmanager
def one_writer(path: Path) -> Iterator[None]:
    """Keep other programs that take the same care from changing the lists in a folder meanwhile."""
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        with suppress(OSError):  # a file system that knows no locks
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def edited_classes(result: Result) -> tuple[str, ...]:
    """Return the names of the classes that an object may be given: those that make objects."""
    return _names(result)


def _encoded(result: Result, edits: Edits) -> bytes:
    """Return the file's bytes: a line an edit, in the order of the ids."""
    head = json.dumps({"slideseg": FORMAT, "result": locate(result.url).name, **_identity(result)}, ensure_ascii=False)
    lines = [
        json.dumps({"id": object_id, **({"removed": True} if change is None else {"class": change})}, ensure_ascii=False)
        for object_id, change in sorted(edits.items())
    ]
    return (head[:-1] + ', "edits": [' + ",".join(f"\n{line}" for line in lines) + "\n]}\n").encode()


def _identity(result: Result) -> dict[str, Any]:
    """Return what says whose objects are meant: those of this model, in this table."""
    table = table_identity(open_store(result.url, read_only=True))
    return {"model_sha256": result.record.model.sha256, "table_sha256": table}


def _names(result: Result) -> tuple[str, ...]:
    record = result.objects_record
    of_objects = () if record is None else record.rules.classes
    return tuple(known.name for known in result.classes if known.id in of_objects)


def _number(result: Result) -> int:
    record = result.objects_record
    if record is None:
        raise ResultError(explain("the result has no objects to edit", got=f"no {OBJECTS}", try_="slideseg objects"))
    return record.number


def _entry(path: Path, entry: Any) -> tuple[int, str | None]:
    match entry:
        case {"id": bool()}:
            pass
        case {"id": int(object_id), "class": str(name), **rest} if not rest:
            return object_id, name
        case {"id": int(object_id), "removed": True, **rest} if not rest:
            return object_id, None
    raise _unreadable(path, f"the edit {json.dumps(entry)[:80]}")


def _unreadable(path: Path, got: object) -> ResultError:
    return ResultError(explain(f"{path} can't be read", got=got, want="a list of edits", try_="to move it away"))
