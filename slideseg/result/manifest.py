"""Every file of a finished result, with its size and hash: one that is gone, changed or elsewhere is seen.

A line a file: the hash, the bytes, where the hash lies in the file (``-``: nowhere), the key.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from slideseg.arrays.codec import DamagedShardError
from slideseg.arrays.shards import Seal, seal_of_shard
from slideseg.errors import ResultError, explain
from slideseg.result.layout import OBJECTS, SEGMENTATION, TABLE
from slideseg.result.table import open_table
from slideseg.storage.store import read_key, write_key
from slideseg.tasks.in_process import InProcessExecutor
from slideseg.tasks.run_shards import run_shards

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from slideseg.arrays.plan import ArrayPlan
    from slideseg.storage.store import Store

READERS = 16
"""Shards whose last bytes are read at once: of a bucket each takes its time to come."""
LINE = re.compile(r"([0-9a-f]{64}) (\d{1,18}) (\d{1,18}|-) (.+)")
"""A line of a manifest."""
OURS = re.compile(
    r"((labels/(segmentation|objects)|probabilities)/)?(\d+/)?zarr\.json"
    r"|((labels/(segmentation|objects)|probabilities)/)?\d+/c(/\d+)+"
    r"|tables/objects\.parquet|labels/(segmentation|objects)/0/manifest\.(txt|json)"
)
"""Keys that a result can have."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a result that is finished by itself: its document names the manifest by its hash."""

    group: str
    """Group of labels whose level 0 the manifest lies beside: nobody lists what lies in an array."""
    document: str
    """Key of the document that is written last."""

    @property
    def manifest(self) -> str:
        """Key of the manifest."""
        return f"{self.group}/0/manifest.txt"

    @property
    def copy(self) -> str:
        """Key of the document's copy."""
        return f"{self.group}/0/manifest.json"

    @property
    def own(self) -> tuple[str, str, str]:
        """Keys that no manifest names."""
        return self.document, self.copy, self.manifest


MAP_PART = Part(SEGMENTATION, "zarr.json")
"""What `predict` writes, but for objects."""
OBJECTS_PART = Part(OBJECTS, f"{OBJECTS}/zarr.json")
"""The objects, which may be replaced later."""
PARTS = (MAP_PART, OBJECTS_PART)


def is_shard(key: str) -> bool:
    """Tell whether a key is that of a shard."""
    return "/c/" in key


def part_of(key: str) -> Part:
    """Return the part that a key of a result belongs to."""
    return OBJECTS_PART if key == TABLE or key.startswith(f"{OBJECTS}/") else MAP_PART


def seals_of(store: Store, plans: Sequence[ArrayPlan], files: Iterable[str]) -> dict[str, Seal]:
    """Return the seals of all of some arrays, and of other ``files``; of shards only the last bytes are read.

    Raises:
        ResultError: if one is missing, or its last bytes are damaged.
    """
    seals = {key: _seal_of_file(store, key) for key in (*files, *(f"{plan.path}/zarr.json" for plan in plans))}
    for plan in plans:
        work = partial(ShardSealer, store, plan)
        run_shards(work, range(len(plan.grid)), InProcessExecutor(READERS), watch=seals.update, light=True)
    return seals


class ShardSealer:
    """Reads the seals of shards, by number."""

    def __init__(self, store: Store, plan: ArrayPlan) -> None:
        self._store, self._plan = store, plan

    def __call__(self, index: int) -> dict[str, Seal]:
        """Return the shard's, by its key.

        Raises:
            ResultError: if it is missing or damaged.
        """
        return {self._plan.key(index): seal_of_shard(self._store, self._plan, index)}

    def close(self) -> None:
        """Do nothing: a seal takes no time."""


def write_manifest(store: Store, part: Part, seals: dict[str, Seal]) -> str:
    """Write what a part consists of, and return the manifest's hash; the same files give the same bytes."""
    lines = (f"{seal.sha256} {seal.size} {'-' if seal.at is None else seal.at} {key}\n" for key, seal in sorted(seals.items()))
    data = "".join(lines).encode()
    write_key(store, part.manifest, data)
    return hashlib.sha256(data).hexdigest()


def read_manifest(store: Store, part: Part, sha256: str) -> dict[str, Seal] | None:
    """Return the seals by their keys; None where the manifest is missing or has another hash."""
    data = read_key(store, part.manifest)
    if data is None or hashlib.sha256(data).hexdigest() != sha256:
        return None
    found = (LINE.fullmatch(line) for line in data.decode().splitlines())
    return {line[4]: Seal(int(line[2]), line[1], None if line[3] == "-" else int(line[3])) for line in found if line}


def is_whole(store: Store, key: str, seal: Seal) -> bool:
    """Tell whether a file is there whose every byte is what was written."""
    if key == TABLE:  # which may be larger than memory
        return _seal_of_table(store) == seal
    data = read_key(store, key)
    try:
        return data is not None and len(data) == seal.size and Seal.of(data, seal.at) == seal
    except DamagedShardError:
        return False


def _seal_of_file(store: Store, key: str) -> Seal:
    data = read_key(store, key) if key != TABLE else None
    found = _seal_of_table(store) if key == TABLE else None if data is None else Seal.of(data)
    if found is None:
        raise ResultError(explain(f"{key} is missing", try_="the same command again"))
    return found


def _seal_of_table(store: Store) -> Seal | None:
    with open_table(store) as file:
        if file is None:
            return None
        digest = hashlib.file_digest(file, "sha256").hexdigest()
        return Seal(file.tell(), digest)
