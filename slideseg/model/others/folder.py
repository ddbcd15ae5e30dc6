"""Write a model folder: weights, and beside them what the network is. No pickle, no code."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

from slideseg.errors import ResultError, explain
from slideseg.model.bundled import DESCRIPTION
from slideseg.storage.place import check_parent, make_folder
from slideseg.storage.whole_file import whole

if TYPE_CHECKING:
    from pathlib import Path

    from slideseg.model.info import ModelInfo

WEIGHTS, ONNX = "weights.safetensors", "network.onnx"
"""What the file of its weights is called."""


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Refuse a folder that can't become a model's.

    Raises:
        ResultError: if its own folder is missing or can't be written, or it holds something else, or a model that may not be
            replaced.
    """
    check_parent(str(folder))
    there = {path.name for path in folder.iterdir()} if folder.is_dir() else {folder.name} if folder.exists() else set()
    if there - {DESCRIPTION, WEIGHTS, ONNX}:
        raise ResultError(explain("the output is there and is no model folder", got=folder, try_="another --output"))
    if there and not overwrite:
        raise ResultError(explain("the target exists", got=folder, try_="--overwrite, or another name"))


def write_folder(folder: Path, info: ModelInfo, data: bytes, name: str = WEIGHTS) -> None:
    """Write the file of a network's weights and what its model says about itself; the same ones give the same bytes.

    Raises:
        RunError: if they can't be written.
    """
    make_folder(str(folder), "the model")
    with whole(folder / name) as partial:
        partial.write_bytes(data)
    said = {**info.to_dict(), "weights": {"file": name, "sha256": hashlib.sha256(data).hexdigest()}}
    with whole(folder / DESCRIPTION) as partial:
        partial.write_text(json.dumps(said, sort_keys=True, indent=1) + "\n", encoding="utf-8")
