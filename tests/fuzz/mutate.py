"""Mutations: bytes of a file changed as damage and malice change them, each by a seeded generator."""

from __future__ import annotations

import copy
import json
import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

_ODD = (0, 1, 2, 3, 7, 8, 0x7F, 0x80, 0xFE, 0xFF)
_ODD_WORDS = (0, 1, 2, 8, 16, 255, 256, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_ODD_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 1.5, 1e308, 2**31, 2**63, 10**30, "", "x", "0", "../..", "/", "yx", "\u00b5m"),
    *([], {}, [0, 0], [[]], [None], ["y", "x"], {"name": "y"}, "a" * 300),
)


@dataclass(frozen=True, slots=True)
class Mutant:
    """Changed bytes."""

    data: bytes
    how: str
    """What was done, in words."""
    spans: tuple[tuple[int, int], ...] | None
    """Which bytes were changed, if all others stayed in their place; None if not."""


def mutate(data: bytes, rng: Random, fixed: tuple[tuple[int, int], ...] = ()) -> Mutant:
    """Return a mutant of a binary file; every second one has its change outside of ``fixed``, where most bytes are."""
    return rng.choice(_WAYS)(data, rng, _place(data, rng, fixed))


def _place(data: bytes, rng: Random, fixed: tuple[tuple[int, int], ...]) -> int:
    outside, last = [], 0
    for start, stop in sorted(fixed):
        if start > last:
            outside.append((last, start))
        last = max(last, stop)
    if last < len(data):
        outside.append((last, len(data)))
    if not fixed or not outside or rng.random() < 0.4:
        return rng.randrange(len(data))
    pick = rng.randrange(sum(stop - start for start, stop in outside))
    for start, stop in outside:
        if pick < stop - start:
            return start + pick
        pick -= stop - start
    raise AssertionError


def _flip(data: bytes, rng: Random, at: int) -> Mutant:
    bit = 1 << rng.randrange(8)
    return Mutant(data[:at] + bytes([data[at] ^ bit]) + data[at + 1 :], f"bit {bit:#x} at {at}", ((at, at + 1),))


def _byte(data: bytes, rng: Random, at: int) -> Mutant:
    value = rng.choice(_ODD)
    return Mutant(data[:at] + bytes([value]) + data[at + 1 :], f"byte {value:#x} at {at}", ((at, at + 1),))


def _word(data: bytes, rng: Random, at: int) -> Mutant:
    form = rng.choice(("<H", ">H", "<I", ">I", "<Q"))
    at = at // 2 * 2
    new = struct.pack(form, rng.choice(_ODD_WORDS) % (1 << 8 * struct.calcsize(form)))[: len(data) - at]
    return Mutant(data[:at] + new + data[at + len(new) :], f"{new.hex()} at {at}", ((at, at + len(new)),))


def _add(data: bytes, rng: Random, at: int) -> Mutant:
    at = min(at // 2 * 2, len(data) - 4)
    value = (struct.unpack_from("<I", data, at)[0] + rng.choice((-4096, -256, -2, -1, 1, 2, 16, 256))) % (1 << 32)
    new = struct.pack("<I", value)
    return Mutant(data[:at] + new + data[at + 4 :], f"{new.hex()} at {at}, a bit more or less", ((at, at + 4),))


def _swap(data: bytes, rng: Random, at: int) -> Mutant:
    other = min(at + rng.choice((2, 4, 8, 12, 20)), len(data) - 4)
    a, b = sorted((min(at, len(data) - 4), other))
    if b - a < 4:
        return _flip(data, rng, at)
    new = data[:a] + data[b : b + 4] + data[a + 4 : b] + data[a : a + 4] + data[b + 4 :]
    return Mutant(new, f"4 bytes at {a} and {b} swapped", ((a, a + 4), (b, b + 4)))


def _zeros(data: bytes, rng: Random, at: int) -> Mutant:
    length = min(rng.choice((4, 16, 64, 512)), len(data) - at)
    return Mutant(data[:at] + bytes(length) + data[at + length :], f"{length} zeros at {at}", ((at, at + length),))


def _noise(data: bytes, rng: Random, at: int) -> Mutant:
    length = min(rng.choice((2, 8, 64)), len(data) - at)
    return Mutant(data[:at] + rng.randbytes(length) + data[at + length :], f"{length} of noise at {at}", ((at, at + length),))


def _copy(data: bytes, rng: Random, at: int) -> Mutant:
    length, other = rng.choice((4, 12, 20, 100)), rng.randrange(len(data))
    part = data[other : other + length][: len(data) - at]
    return Mutant(data[:at] + part + data[at + len(part) :], f"{len(part)} from {other} to {at}", ((at, at + len(part)),))


def _cut(data: bytes, rng: Random, at: int) -> Mutant:
    return Mutant(data[:at], f"cut at {at}", None)


def _drop(data: bytes, rng: Random, at: int) -> Mutant:
    length = rng.choice((1, 2, 12, 100))
    return Mutant(data[:at] + data[at + length :], f"{length} left out at {at}", None)


def _insert(data: bytes, rng: Random, at: int) -> Mutant:
    length = rng.choice((1, 2, 12, 100))
    return Mutant(data[:at] + rng.randbytes(length) + data[at:], f"{length} put in at {at}", None)


_WAYS: tuple[Callable[[bytes, Random, int], Mutant], ...] = (
    *(_flip, _flip, _flip, _byte, _byte, _word, _word, _word, _add, _add, _swap, _zeros, _noise, _copy, _cut, _drop, _insert),
)


def mutate_words(data: bytes, rng: Random, language: str) -> Mutant:
    """Return a mutant of JSON or YAML that mostly still parses: values of another type, keys gone, lists doubled."""
    if rng.random() < 0.15:
        return mutate(data, rng)
    read, write = _LANGUAGES[language]
    root: list[Any] = [read(data)]
    how = [_change(root, rng) for _ in range(rng.choice((1, 1, 1, 2)))]
    return Mutant(write(root[0], data), "; ".join(how), None)


def _read_header(data: bytes) -> Any:
    """Return the JSON at the head of safetensors, with what a model says of itself as JSON and not as its text."""
    header = json.loads(data[8 : 8 + struct.unpack("<Q", data[:8])[0]])
    header["__metadata__"]["slideseg"] = json.loads(header["__metadata__"]["slideseg"])
    return header


def _write_header(header: Any, data: bytes) -> bytes:
    kept = data[8 + struct.unpack("<Q", data[:8])[0] :]
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    if isinstance(metadata, dict) and "slideseg" in metadata:
        metadata["slideseg"] = json.dumps(metadata["slideseg"])
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + kept


_LANGUAGES: dict[str, tuple[Callable[[bytes], Any], Callable[[Any, bytes], bytes]]] = {
    "json": (json.loads, lambda value, _: json.dumps(value).encode()),
    "yaml": (yaml.safe_load, lambda value, _: yaml.safe_dump(value).encode()),
    "safetensors": (_read_header, _write_header),
}


def _change(root: list[Any], rng: Random) -> str:
    where = list(_nodes(root))
    parent, key = rng.choice(where)
    old = parent[key]
    way = rng.randrange(5)
    if way == 0 and parent is not root:
        del parent[key]
        return f"{key!r} gone"
    if way == 1 and isinstance(old, list) and old:
        old.append(copy.deepcopy(rng.choice(old)))
        return f"an entry of {key!r} twice"
    if way == 2 and isinstance(old, int | float) and not isinstance(old, bool):
        parent[key] = rng.choice((-old, old + 1, old * 2, 0, float(old), str(old), 10**12, 1e-300))
    elif way == 3:
        other_parent, other = rng.choice(where)
        parent[key] = copy.deepcopy(other_parent[other]) if len(str(other_parent[other])) < 5000 else None
    else:
        parent[key] = copy.deepcopy(rng.choice(_ODD_VALUES))
    return f"{key!r} is {str(parent[key])[:60]}"


def _nodes(value: Any) -> Any:
    entries = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    for key, entry in list(entries):
        yield value, key
        yield from _nodes(entry)
