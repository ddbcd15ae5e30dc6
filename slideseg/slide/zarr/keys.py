"""Which keys there are below a zarr, whatever it lies in: a folder, a bucket, a web server, a zip."""

from __future__ import annotations

import os
import zipfile
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from slideseg.storage.look import list_some, which_exist
from slideseg.storage.store import read_tail

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from slideseg.storage.store import Store


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

    def which(self, keys: Sequence[str]) -> list[bool]:
        """Tell of each key whether it is there; one that can't be asked for is taken to be there."""
        ...

    def listed(self, prefix: str) -> list[str] | None:
        """Return the keys below ``prefix`` without it, at most `most`; None where they can't be listed."""
        ...

    def tail(self, key: str, length: int) -> bytes | None:
        """Return the last bytes under a key; None where there is no such key."""
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

    def which(self, keys: Sequence[str]) -> list[bool]:
        """Tell of each key whether there is such a file."""
        return [Path(self._root, key).is_file() for key in keys]

    def listed(self, prefix: str) -> list[str] | None:
        """Return the files below a folder."""
        return list(islice(_files(str(self._root / prefix), ""), self.most))

    def tail(self, key: str, length: int) -> bytes | None:
        """Read the end of a file."""
        return read_tail(self.store, key, length)

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

    def which(self, keys: Sequence[str]) -> list[bool]:
        """Ask for each key's head."""
        return [there is not False for there in which_exist(self.store, keys)]

    def listed(self, prefix: str) -> list[str] | None:
        """Return what one listing names; web servers have none."""
        return list_some(self.store, prefix, self.most)

    def tail(self, key: str, length: int) -> bytes | None:
        """Ask for the end of an object."""
        return read_tail(self.store, key, length)


@dataclass(frozen=True, slots=True)
class ZipKeys:
    """Members of a zip."""

    path: str
    """The zip."""
    names: frozenset[str]
    """All of them."""
    most: int = 1 << 40
    """They are in memory already."""
    probes: int = 1024
    """Any."""

    @classmethod
    def of(cls, path: str) -> ZipKeys:
        """Return those of the zip at ``path``."""
        with zipfile.ZipFile(path) as file:
            return cls(path, frozenset(file.namelist()))

    def which(self, keys: Sequence[str]) -> list[bool]:
        """Look into the directory."""
        return [key in self.names for key in keys]

    def listed(self, prefix: str) -> list[str] | None:
        """Return the members below a folder."""
        folder = f"{prefix}/" if prefix else ""
        return [name[len(folder) :] for name in self.names if name.startswith(folder)]

    def tail(self, key: str, length: int) -> bytes | None:
        """Unpack a member."""
        if key not in self.names:
            return None
        with zipfile.ZipFile(self.path) as file:
            return file.read(key)[-length:]
