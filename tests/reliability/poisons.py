"""Checkpoints and model files that somebody made to harm whoever opens them. None of it is ever loaded here."""

from __future__ import annotations

import io
import json
import os
import pickle
import struct
import tarfile
import warnings
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors.numpy import load, save

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Maker = Callable[[Path, Path], None]
    """Writes a poisoned file to the first path; the second one is a good model file."""

CANARY = "ran-code"
"""A file that a payload makes in the working directory, if its code ever runs."""
FIRST = "inc.double_conv.0.weight"
"""What `model import` knows the common U-Net by: with it, a file is read as far as it can be."""


class Evil:
    """Runs a shell when it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, (f"touch {CANARY}",)


class Wide:
    """Is as large as memory when it is unpickled, by calls that PyTorch allows."""

    def __reduce__(self) -> tuple[Any, tuple[Any]]:
        return bytearray, (Blank(),)


class Blank:
    def __reduce__(self) -> tuple[Any, tuple[int]]:
        return bytearray, (3_000_000_000,)


def saved(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def repacked(data: bytes, compression: int = zipfile.ZIP_STORED, **changed: bytes) -> bytes:
    """Return an archive of PyTorch's with other entries: by the ends of their names, or in addition."""
    file = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(file, "w", compression) as new:
        for entry in old.infolist():
            end = entry.filename.rpartition("/")[2]
            new.writestr(entry.filename, changed.pop(end, old.read(entry)))
        for name, content in changed.items():
            new.writestr(name, content)
    return file.getvalue()


def weights() -> torch.Tensor:
    return torch.ones(4, 3, 3, 3)


def sparse_csr() -> torch.Tensor:
    """Return rows that point far outside of the columns."""
    with torch.sparse.check_sparse_tensor_invariants(enable=False), warnings.catch_warnings(action="ignore"):
        return torch.sparse_csr_tensor(torch.tensor([0, 2, 9]), torch.tensor([0, 10**9]), torch.ones(2), (2, 2))


def sparse_coo() -> torch.Tensor:
    return torch.sparse_coo_tensor(torch.tensor([[10**9], [10**9]]), torch.ones(1), (2 * 10**9, 2 * 10**9))


def tar_slip() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for name in ("storages", "tensors", f"../{CANARY}", CANARY):
            archive.addfile(tarfile.TarInfo(name), io.BytesIO())
    return file.getvalue()


def aliases() -> bytes:
    """Return 800 tensors of 4 MB that lie in the same 4 MB."""
    shared = torch.zeros(1_000_000)
    return saved({FIRST: weights(), **{f"w{i}": shared.view(1_000_000) for i in range(800)}})


def zip_slip() -> bytes:
    slip = {f"archive/../../{CANARY}": b"", f"../{CANARY}": b"", os.path.abspath(CANARY): b""}
    return repacked(saved({FIRST: weights()}), **slip)


def changed(change: Callable[[dict[str, Any]], None]) -> bytes:
    state = {FIRST: weights()}
    change(state)
    return saved(state)


CHECKPOINTS: dict[str, Callable[[], bytes]] = {
    "reduce-pickle in an archive": lambda: changed(lambda state: state.update(extra=Evil())),
    "raw pickle": lambda: pickle.dumps(Evil()),
    "raw pickle, protocol 2": lambda: pickle.dumps({FIRST: Evil()}, 2),
    "zip-slip": zip_slip,
    "tar-slip": tar_slip,
    "stride-0 bomb": lambda: changed(lambda state: state.update({FIRST: torch.zeros(1).expand(100_000, 200_000)})),
    "invalid sparse CSR": lambda: changed(lambda state: state.update({FIRST: sparse_csr()})),
    "endless sparse COO": lambda: changed(lambda state: state.update({FIRST: sparse_coo()})),
    "NaN": lambda: changed(lambda state: state.update({FIRST: weights() * np.nan})),
    "infinity": lambda: changed(lambda state: state.update({FIRST: weights() * np.inf})),
    "wrong shapes": lambda: changed(lambda state: state.update({FIRST: torch.ones(4)})),
    "memory that PyTorch lets it take": lambda: pickle.dumps(Wide(), 2),
    "many tensors in the same bytes": aliases,
    "compressed": lambda: repacked(saved({FIRST: torch.zeros(4, 3, 3000, 300)}), zipfile.ZIP_DEFLATED),
    "truncated": lambda: saved({FIRST: weights()})[:-200],
    "two archives in one": lambda: saved({FIRST: weights()})[:-30] + saved({FIRST: Evil()})[30:],
}
"""What `model import` must refuse."""


def with_head(head: bytes, tensors: bytes = b"", length: int | None = None) -> bytes:
    return struct.pack("<Q", len(head) if length is None else length) + head + tensors


def parts(good: bytes) -> tuple[dict[str, Any], bytes]:
    length = struct.unpack("<Q", good[:8])[0]
    return json.loads(good[8 : 8 + length]), good[8 + length :]


def headed(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """Return what makes a model file with another head of a good one."""

    def make(good: bytes) -> bytes:
        head, tensors = parts(good)
        change(head)
        return with_head(json.dumps(head).encode(), tensors)

    return make


def described(change: Callable[[dict[str, Any]], object]) -> Callable[[bytes], bytes]:
    """Return what makes a model file with another description of a good one."""

    def make_head(head: dict[str, Any]) -> None:
        description = json.loads(head["__metadata__"]["slideseg"])
        change(description)
        head["__metadata__"]["slideseg"] = json.dumps(description)

    return headed(make_head)


def text(said: str) -> Callable[[bytes], bytes]:
    return headed(lambda head: head["__metadata__"].update(slideseg=said))


def weighted(change: Callable[[np.ndarray], np.ndarray]) -> Callable[[bytes], bytes]:
    def make(good: bytes) -> bytes:
        tensors = load(good)
        name = next(name for name in sorted(tensors) if tensors[name].ndim == 4)
        tensors[name] = np.ascontiguousarray(change(tensors[name]))
        return save(tensors, parts(good)[0]["__metadata__"])

    return make


def first_of(head: dict[str, Any]) -> dict[str, Any]:
    return next(entry for name, entry in sorted(head.items()) if name != "__metadata__")


def of_size(shape: list[int]) -> Callable[[bytes], bytes]:
    size = 4 * int(np.prod(shape, dtype=object))
    return headed(lambda head: first_of(head).update(shape=shape, data_offsets=[0, size]))


MODELS: dict[str, Callable[[bytes], bytes]] = {
    "raw pickle by another name": lambda _: pickle.dumps(Evil()),
    "archive by another name": lambda _: saved({FIRST: Evil()}),
    "empty": lambda _: b"",
    "truncated": lambda good: good[:-100],
    "cut in its head": lambda good: good[:60],
    "101 MB head": lambda good: with_head(parts_as_text(good).ljust(101_000_000), parts(good)[1]),
    "99 MB head": lambda good: with_head(parts_as_text(good).ljust(99_000_000), parts(good)[1]),
    "head longer than the file": lambda good: with_head(parts_as_text(good), parts(good)[1], 2**63 + 7),
    "head that is no text": lambda good: with_head(b"{\xff\xfe\x00}", parts(good)[1]),
    "offsets beyond the end": headed(lambda head: first_of(head).update(data_offsets=[10**12, 2 * 10**12])),
    "offsets that overlap": headed(lambda head: first_of(head).update(data_offsets=[4, 8])),
    "offsets that go back": headed(lambda head: first_of(head).update(data_offsets=[8, 0])),
    "negative offsets": headed(lambda head: first_of(head).update(data_offsets=[-8, 0])),
    "shape without end": of_size([2**31, 2**31, 9, 9]),
    "deep head": lambda good: with_head(b'{"__metadata__":' + b"[" * 100_000 + b"]" * 100_000 + b"}", parts(good)[1]),
    "deep description": text("[" * 100_000 + "]" * 100_000),
    "description that unfolds": text("[" + "[]," * 3_000_000 + "[]]"),
    "number of 5,000 digits": text('{"format": ' + "9" * 5000 + "}"),
    "description of another kind": text('["slideseg-model/1"]'),
    "network without end": described(lambda said: said["config"].update(base_channels=65536, depth=8)),
    "unknown settings": described(lambda said: said["config"].update(hook="os.system")),
    "commands to the terminal": described(lambda said: said.update(name="\x1b]0;owned\x07\x1b[2J")),
    "commands in a class": described(lambda said: said["classes"][1].update(name="\x1b[31mcell")),
}
"""What every command must refuse that takes a model."""
WEIGHTS: dict[str, Callable[[bytes], bytes]] = {
    "NaN": weighted(lambda w: w * np.float32(np.nan)),
    "infinity": weighted(lambda w: w * np.float32(np.inf)),
    "wrong shape": weighted(lambda w: w[:, :, :2]),
    "wrong type": weighted(lambda w: w.astype(np.int64)),
}
"""What every command must refuse that uses a model's weights."""


def parts_as_text(good: bytes) -> bytes:
    return good[8 : 8 + struct.unpack("<Q", good[:8])[0]]
