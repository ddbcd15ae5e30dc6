"""Which keys there are below a zarr, whatever it lies in: a folder, a bucket, a web server, a zip."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from slideseg.storage.look import list_some, which_exist
from slideseg.storage.store import read_ranges, read_tail

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slideseg.storage.store import Store

_PACKED = 16
"""Members of a zip that are unpacked to read a part of each."""
_MEMBER_HEAD = 30
"""Bytes in front of a member's names and itself, of which the last four are the lengths of its names."""


class Keys(Protocol):
    """The keys below a zarr's root."""

    @property
    def most(self) -> int:
        """Keys that are worth listing."""
        ...

    @property
    def probes(self) -> int:
        """Keys that are worth asking for one by one."""
        ...

    @property
    def looks(self) -> int:
        """Keys of which the beginning or end is worth reading."""
        ...

    def which(self, keys: Sequence[str]) -> list[bool]:
        """Tell of each key whether it is there; one that can't be asked for is taken to be there."""
        ...

    def listed(self, prefix: str) -> list[str] | None:
        """Return the keys below ``prefix`` without it, at most `most`; None where they can't be listed."""
        ...

    def tail(self, key: str, length: int) -> bytes | None:
        """Return the last bytes under a key; None where there is no such key."""
        ...

    def head(self, key: str, length: int) -> bytes | None:
        """Return the first bytes under a key; None where there is no such key, or it has fewer."""
        ...


@dataclass(frozen=True, slots=True)
class FolderKeys:
    """Files in a folder."""

    store: Store
    """The zarr."""
    most: int = 100_000
    """A tenth of a second."""
    probes: int = 1024
    """A hundredth."""
    looks: int = 1024
    """A tenth."""

    def which(self, keys: Sequence[str]) -> list[bool]:
        """Tell of each key whether there is such a file."""
        return [Path(self._root, key).is_file() for key in keys]

    def listed(self, prefix: str) -> list[str] | None:
        """Return the files below a folder."""
        return list(islice(_files(str(self._root / prefix), ""), self.most))

    def tail(self, key: str, length: int) -> bytes | None:
        """Read the end of a file."""
        return read_tail(self.store, key, length)

    def head(self, key: str, length: int) -> bytes | None:
        """Read the beginning of a file."""
        return _head(self.store, key, length)

    @property
    def _root(self) -> Path:
        return self.store.folder or Path()


def _files(folder: str, below: str) -> Iterator[str]:
    try:
        with os.scandir(folder) as found:
            for entry in found:
                if entry.is_dir():
                    yield from _files(entry.path, f"{below}{entry.name}/")
                else:
                    yield below + entry.name
    except OSError:
        return  # what can't be listed has nothing that could be read


@dataclass(frozen=True, slots=True)
class BucketKeys:
    """Objects in a bucket, or what a web server has."""

    store: Store
    """Where they are."""
    most: int = 10_000
    """Ten questions."""
    probes: int = 64
    """A few round trips."""
    looks: int = 64
    """The same."""

    def which(self, keys: Sequence[str]) -> list[bool]:
        """Ask for each key's head."""
        return [there is not False for there in which_exist(self.store, keys)]

    def listed(self, prefix: str) -> list[str] | None:
        """Return what one listing names; web servers have none."""
        return list_some(self.store, prefix, self.most)

    def tail(self, key: str, length: int) -> bytes | None:
        """Ask for the end of an object."""
        return read_tail(self.store, key, length)

    def head(self, key: str, length: int) -> bytes | None:
        """Ask for the beginning of an object."""
        return _head(self.store, key, length)


def _head(store: Store, key: str, length: int) -> bytes | None:
    try:
        return read_ranges(store, key, [(0, length)])[0]
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class ZipKeys:
    """Members of a zip."""

    path: str
    """The zip."""
    members: dict[str, zipfile.ZipInfo]
    """All of them."""
    most: int = 1 << 20
    """They are in memory already."""
    probes: int = 1024
    """Any."""
    looks: int = 1024
    """Of members that are stored as they are; few others, which are unpacked for it."""

    @classmethod
    def of(cls, path: str) -> ZipKeys:
        """Return those of the zip at ``path``."""
        with zipfile.ZipFile(path) as file:
            members = {member.filename: member for member in file.infolist()}
        packed = any(member.compress_type != zipfile.ZIP_STORED for member in members.values())
        return cls(path, members, **({"looks": _PACKED} if packed else {}))

    def which(self, keys: Sequence[str]) -> list[bool]:
        """Look into the directory."""
        return [key in self.members for key in keys]

    def listed(self, prefix: str) -> list[str] | None:
        """Return the members below a folder."""
        folder = f"{prefix}/" if prefix else ""
        return [name[len(folder) :] for name in self.members if name.startswith(folder)]

    def tail(self, key: str, length: int) -> bytes | None:
        """Read the end of a member."""
        member = self.members.get(key)
        return None if member is None else self._part(member, max(0, member.file_size - length), length)

    def head(self, key: str, length: int) -> bytes | None:
        """Read the beginning of a member."""
        member = self.members.get(key)
        return None if member is None else self._part(member, 0, length)

    def _part(self, member: zipfile.ZipInfo, start: int, length: int) -> bytes:
        if member.compress_type == zipfile.ZIP_STORED:
            with Path(self.path).open("rb") as file:
                file.seek(member.header_offset)
                head = file.read(_MEMBER_HEAD)
                names = sum(int.from_bytes(head[at : at + 2], "little") for at in (26, 28))
                file.seek(member.header_offset + _MEMBER_HEAD + names + start)
                return file.read(min(length, member.file_size - start))
        with zipfile.ZipFile(self.path) as file:
            return file.read(member)[start : start + length]
