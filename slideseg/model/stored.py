"""A model as it lies on the disk. Knows no PyTorch.

A U-Net of ours is a ``.safetensors`` file with what it says about itself in its metadata. Any other network is a folder:
``model.json``, which names the file of its weights beside it and that file's hash.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from slideseg.errors import ModelError, explain
from slideseg.model.bundled import DESCRIPTION
from slideseg.model.info import ModelInfo
from slideseg.storage.place import near

if TYPE_CHECKING:
    from pathlib import Path

LONGEST_HEAD = 1 << 20
"""Bytes of a model file's head, of which a few thousand are used: larger ones are made to unfold in memory."""


@dataclass(frozen=True, slots=True)
class StoredModel:
    """A model as it lies on the disk, read once: who writes there afterwards changes nothing."""

    info: ModelInfo
    """What it says about itself."""
    weights: bytes
    """The file of its weights."""
    sha256: str
    """Hash of all of it."""


def read_info(path: Path) -> ModelInfo:
    """Read what a model says about itself, without its weights, of its file or of a folder's ``model.json``.

    Raises:
        ModelError: if it is missing or is no model.
    """
    if path.name == DESCRIPTION:
        return _described(path)[1]
    with _opened(path) as file:
        return _info_of(path, file.metadata() or {})


def read_model(path: Path) -> StoredModel:
    """Read a model whole, of its file or of a folder's ``model.json``.

    Raises:
        ModelError: if it is missing, is no model, or a folder's weights are others than its description says.
    """
    if path.name == DESCRIPTION:
        return _read_folder(path)
    with _opened(path):
        data = path.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    try:
        metadata = json.loads(data[8:end]).get("__metadata__", {})
    except ValueError as error:  # it was another one a moment ago
        raise ModelError(explain(f"{path} is not a model file", got=error, want=".safetensors")) from error
    return StoredModel(_info_of(path, metadata), data, hashlib.sha256(data).hexdigest())


def _read_folder(path: Path) -> StoredModel:
    data, info = _described(path)
    said = json.loads(data).get("weights")
    name, sha256 = (said.get(entry) if isinstance(said, dict) else None for entry in ("file", "sha256"))
    if not isinstance(name, str) or name in ("", ".", "..") or "/" in name or "\\" in name or not isinstance(sha256, str):
        raise ModelError(explain(f"{path} does not say where its weights are", got=said, want="a file beside it, and its hash"))
    weights = path.with_name(name)
    if not weights.is_file():
        raise ModelError(explain("no such file of weights", got=weights, want=f"what {DESCRIPTION} names"))
    found = weights.read_bytes()
    if hashlib.sha256(found).hexdigest() != sha256:
        raise ModelError(explain(f"{weights} is another file than {DESCRIPTION} says", try_="slideseg model import once more"))
    return StoredModel(info, found, hashlib.sha256(data).hexdigest())


def _described(path: Path) -> tuple[bytes, ModelInfo]:
    """Return the bytes of a folder's ``model.json``, and what it says."""
    if not path.is_file():
        raise ModelError(explain("no such model", got=path, try_=near(path) or "slideseg model list"))
    try:
        if path.stat().st_size > LONGEST_HEAD:
            got, want = f"{path.stat().st_size} bytes", f"at most {LONGEST_HEAD}"
            raise ModelError(explain(f"{path} is no description of a model", got=got, want=want))
        data = path.read_bytes()
        return data, ModelInfo.from_json(data.decode())
    except (OSError, UnicodeDecodeError) as error:
        raise ModelError(explain(f"{path} can't be read", got=error, want=f"a {DESCRIPTION}")) from error


def _info_of(path: Path, metadata: dict[str, str]) -> ModelInfo:
    if "slideseg" not in metadata:
        raise ModelError(explain(f"{path} is not a slideseg model", want="a 'slideseg' entry", try_="slideseg model import"))
    return ModelInfo.from_json(metadata["slideseg"])


def _opened(path: Path) -> Any:
    if not path.is_file():
        raise ModelError(explain("no such model file", got=path, try_=near(path) or "slideseg model list"))
    try:
        with path.open("rb") as file:
            head = int.from_bytes(file.read(8), "little")
        if head > LONGEST_HEAD:
            got, want = f"a head of {head} bytes", f".safetensors with at most {LONGEST_HEAD}"
            raise ModelError(explain(f"{path} is not a model file", got=got, want=want, try_=f"slideseg model import {path}"))
        return safe_open(path, framework="numpy")
    except (SafetensorError, OSError, MemoryError) as error:
        raise ModelError(explain(f"{path} is not a model file", got=error, want=".safetensors")) from error
