"""The state of a training run between two epochs, and the files that keep it: ``checkpoints/epoch-0007.pt``.

A checkpoint commits its epoch: what a run wrote for later epochs is dropped when it goes on. A file is a plain PyTorch
file, and as such a zip archive, whose comment holds the hash of all bytes before it. So a torn or altered file is found
before anything in it is believed, and any PyTorch reads a good one with ``torch.load(path, weights_only=True)``.
"""

from __future__ import annotations

import hashlib
import io
import logging
import re
import struct
from collections import OrderedDict
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from slideseg.errors import ResultError, explain
from slideseg.model.plain_pickle import NotPlainError, load_plain
from slideseg.storage.store import delete_key, list_keys, open_store, read_key, run_errors, write_key

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from slideseg.storage.lease import Claim

log = logging.getLogger(__name__)

FORMAT = "slideseg-checkpoint/1"
FOLDER = "checkpoints"
NAME = re.compile(rf"{FOLDER}/epoch-(\d{{4,}})\.pt")

COMMENT = re.compile(rb"slideseg-checkpoint sha256=([0-9a-f]{64})")
COMMENT_BYTES = len("slideseg-checkpoint sha256=") + 64
COMMENT_LENGTH = struct.Struct("<H")
"""The last field of a zip archive: how long the comment is that follows."""

PLAIN = (bool, int, float, str, type(None), Tensor)
"""What can be read back without unpickling code; subclasses (NumPy's numbers) can't."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """All that a run needs to go on as if it had never stopped.

    Random states are not in it: every random choice follows from the seed, the epoch and the sample's number.
    """

    epoch: int
    """Epochs done."""
    step: int
    """Optimiser steps done."""
    network: dict[str, Any]
    """State of the network."""
    average: dict[str, Any] | None
    """State of the averaged network; None where weights aren't averaged."""
    optimiser: dict[str, Any]
    """State of the optimiser."""
    schedule: dict[str, Any]
    """State of the learning rate's schedule."""
    best: float
    """Best validation score so far."""
    best_epoch: int
    """Epochs done when it was reached."""
    best_scores: dict[str, float]
    """All scores of that validation, as columns of ``metrics.csv``."""
    mean: tuple[float, ...]
    """What the network's input is normalised by: measured on the images that training began with, or the recipe's."""
    std: tuple[float, ...]
    """Deviation of the same."""


def encode(checkpoint: Checkpoint) -> bytes:
    """Return the bytes of a checkpoint file.

    Raises:
        TypeError: if a value in it could not be read back.
    """
    content = {field.name: getattr(checkpoint, field.name) for field in fields(Checkpoint)}
    for path in _unreadable(content, "checkpoint"):
        msg = f"{path} can't be kept in a checkpoint"
        raise TypeError(msg)
    file = io.BytesIO()
    torch.save({"format": FORMAT, **content}, file)
    file.seek(-COMMENT_LENGTH.size, io.SEEK_END)
    file.write(COMMENT_LENGTH.pack(COMMENT_BYTES))
    digest = hashlib.sha256(file.getbuffer()).hexdigest()
    file.write(f"slideseg-checkpoint sha256={digest}".encode())
    return file.getvalue()


def _unreadable(value: object, path: str) -> Iterator[str]:
    """Yield where there is anything but plain values: found when it is written, not when it is needed."""
    if type(value) in (dict, OrderedDict):
        for key, item in value.items():  # type: ignore[attr-defined]
            yield from _unreadable(key, f"{path}'s key {key}")
            yield from _unreadable(item, f"{path}.{key}")
    elif type(value) in (list, tuple):
        for index, item in enumerate(value):  # type: ignore[arg-type]
            yield from _unreadable(item, f"{path}[{index}]")
    elif type(value) not in PLAIN:
        yield f"{path} ({type(value).__name__})"


def decode(data: bytes, name: str) -> Checkpoint:
    """Read the bytes of a checkpoint file called ``name``; all tensors are on the CPU.

    Raises:
        ResultError: if a bit of it is wrong, or another version wrote it.
    """
    comment = COMMENT.fullmatch(data, max(0, len(data) - COMMENT_BYTES))
    if comment is None:
        raise ResultError(explain(f"checkpoint {name} is torn", got=f"{len(data)} bytes without a hash at their end"))
    if hashlib.sha256(memoryview(data)[:-COMMENT_BYTES]).hexdigest().encode() != comment[1]:
        raise ResultError(explain(f"checkpoint {name} is damaged", got="other bytes than were written"))
    try:
        content = load_plain(io.BytesIO(data))
    except NotPlainError as error:
        raise ResultError(explain(f"checkpoint {name} can't be read", got=error)) from error
    known = {field.name for field in fields(Checkpoint)}
    if not isinstance(content, dict) or content.pop("format", None) != FORMAT or set(content) != known:
        raise ResultError(explain(f"checkpoint {name} was written by another version", want=FORMAT))
    return Checkpoint(**content)


class Checkpoints:
    """The checkpoints of one run."""

    def __init__(self, url: str | os.PathLike[str], claim: Claim | None = None) -> None:
        self._store, self._claim = open_store(url), claim

    def epochs(self) -> list[int]:
        """Return the epochs of all checkpoints, the first one first."""
        with run_errors("the checkpoints can't be listed"):
            names = (NAME.fullmatch(key) for key in list_keys(self._store, FOLDER))
        return sorted(int(name[1]) for name in names if name is not None)

    def save(self, checkpoint: Checkpoint, keep_every: int = 0) -> None:
        """Write a checkpoint, then remove those that nobody needs any more.

        There stay: this one and the one before it, the best, every ``keep_every``-th (0: none of them). Those of later
        epochs are another past's and go.

        Raises:
            ResultInUseError: if another run has taken over; nothing is written then.
            RunError: if the storage fails.
        """
        key, data = _key(checkpoint.epoch), encode(checkpoint)
        if self._claim is not None:
            self._claim.check()
        with run_errors(f"checkpoint {key} can't be written"):
            write_key(self._store, key, data)
        for epoch in self._superfluous(checkpoint, keep_every):
            with run_errors(f"checkpoint {_key(epoch)} can't be removed"):
                delete_key(self._store, _key(epoch))

    def _superfluous(self, newest: Checkpoint, keep_every: int) -> list[int]:
        epochs = self.epochs()
        before = [epoch for epoch in epochs if epoch < newest.epoch]
        wanted = {newest.epoch, newest.best_epoch, *before[-1:]}
        if keep_every:
            wanted.update(epoch for epoch in before if epoch % keep_every == 0)
        return [epoch for epoch in epochs if epoch not in wanted]

    def latest(self) -> Checkpoint | None:
        """Return the newest checkpoint that is whole; None where there is none.

        Damaged ones are named in a warning and passed over.

        Raises:
            RunError: if the storage fails.
        """
        for epoch in reversed(self.epochs()):
            try:
                return self.read(epoch)
            except ResultError as error:
                log.warning("%s; the one before it is taken", error)
        return None

    def read(self, epoch: int) -> Checkpoint:
        """Return the checkpoint of ``epoch``.

        Raises:
            ResultError: if it is missing or damaged.
            RunError: if the storage fails.
        """
        key = _key(epoch)
        with run_errors(f"checkpoint {key} can't be read"):
            data = read_key(self._store, key)
        if data is None:
            raise ResultError(explain(f"checkpoint {key} is missing"))
        return decode(data, key)


def _key(epoch: int) -> str:
    return f"{FOLDER}/epoch-{epoch:04d}.pt"
