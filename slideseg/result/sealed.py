"""What the manifests of a result say should be there, and whether they, and the documents that name them, are whole."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from slideseg.result.commit import LABELS, labels_text
from slideseg.result.layout import OBJECTS
from slideseg.result.manifest import MAP_PART, OBJECTS_PART, OURS, PARTS, part_of, read_manifest
from slideseg.result.twice import find_twins, write_copy
from slideseg.storage.store import read_key, write_key

if TYPE_CHECKING:
    from slideseg.arrays.shards import Seal
    from slideseg.result.manifest import Part
    from slideseg.storage.store import Store


@dataclass
class Sealed:
    """What is known of a result's files."""

    seals: dict[str, Seal] = field(default_factory=dict)
    """Those that manifests name."""
    parts: list[Part] = field(default_factory=list)
    """Parts whose manifests are there and whole."""
    missing: list[str] = field(default_factory=list)
    """Other files of the result that are missing,"""
    damaged: list[str] = field(default_factory=list)
    """or not what was written."""
    extra: list[str] = field(default_factory=list)
    """Keys that a result can have, but not this one."""
    foreign: list[str] = field(default_factory=list)
    """Keys that no result has."""

    def note(self, key: str, keys: set[str]) -> None:
        """Note a file that is not what was written."""
        (self.damaged if key in keys else self.missing).append(key)


def find_sealed(store: Store, keys: set[str]) -> Sealed:
    """Read the documents and manifests of a result that has these keys; the files that they name are not read."""
    found = Sealed()
    said = {part: _read_part(store, part, keys, found) for part in PARTS}
    if MAP_PART in found.parts:
        _check_labels(store, said, keys, found)
        _sort_rest(keys, found)
    return found


def restore_documents(store: Store) -> set[str]:
    """Write documents anew from their copies, and copies from their documents; return the keys of those that were damaged."""
    restored = set()
    for part in PARTS:
        twins = find_twins(store, part)
        if twins.text is not None and twins.damaged:
            write_key(store, part.document, twins.text.encode())
            restored.add(part.document)
        elif twins.text is not None and twins.copy_damaged:
            write_copy(store, part, twins.text)
            restored.add(part.copy)
    return restored


def _read_part(store: Store, part: Part, keys: set[str], found: Sealed) -> dict[str, Any]:
    """Return what the document of a part says, or its copy where it is damaged; add what the manifest names."""
    twins = find_twins(store, part)
    if twins.damaged:
        found.note(part.document, keys)
    if twins.copy_damaged:
        found.note(part.copy, keys)
    said = twins.attributes
    sha256 = said["slideseg"].get("manifest") if isinstance(said.get("slideseg"), dict) else None
    if not isinstance(sha256, str):
        return said  # unfinished, or by an older version
    seals = read_manifest(store, part, sha256)
    if seals is None:
        found.note(part.manifest, keys)
    else:
        found.parts.append(part)
        found.seals |= seals
    return said


def _check_labels(store: Store, said: dict[Part, dict[str, Any]], keys: set[str], found: Sealed) -> None:
    """See whether the list of labels names what is there, and what shall be there is."""
    objects = "ome" in said[OBJECTS_PART]
    there = read_key(store, LABELS)
    lost = not objects and there == labels_text(objects=True).encode()
    if not lost and there != labels_text(objects=objects).encode():
        found.note(LABELS, keys)
    if lost or (not objects and said[MAP_PART]["slideseg"]["settings"]["objects"] is not None):
        found.missing.append(OBJECTS_PART.document)


def _sort_rest(keys: set[str], found: Sealed) -> None:
    """Tell keys that no manifest names apart."""
    own = {LABELS, *(key for part in PARTS for key in part.own)}
    for key in sorted(keys - found.seals.keys() - own):
        if OURS.fullmatch(key) is None:
            if not key.startswith(f"{OBJECTS}/"):  # where an unfinished search for objects keeps what it needs
                found.foreign.append(key)
        elif part_of(key) in found.parts:
            found.extra.append(key)
