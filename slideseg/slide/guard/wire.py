"""What the command and its decoder say to each other, through a socket for each thread that reads."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from slideseg.slide.reader import nothing
from slideseg.space.box import Box

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

    from slideseg.slide.selection import Selection

NOWHERE = Box(0, 0, 0, 0)
Deed = Literal["open", "read", "scanned", "damaged", "close"]


@dataclass(frozen=True, slots=True)
class Request:
    """What is wanted of one slide. It says all that is needed to open it: a decoder may be a new one."""

    deed: Deed
    """``open`` answers its facts, ``close`` forgets it; the others are what a slide is asked of a box."""
    key: int
    """Tells the slides of a command apart."""
    path: str
    """As it was typed."""
    selection: Selection
    """Which part of the file it is."""
    all_axes: bool
    """Whether more axes of planes may be left than a run can take."""
    folder: str
    """Where relative paths begin."""
    environment: dict[str, str]
    """The environment: of buckets, with the keys to them."""
    box: Box = NOWHERE
    """What is read."""
    level: int = 0
    plane: int = 0


@dataclass(frozen=True, slots=True)
class Form:
    """An array's form; its bytes follow."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True, slots=True)
class Nothing:
    """A mask that is false everywhere, without its bytes."""

    shape: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Refusal:
    """An error of slideseg's own."""

    kind: str
    """Its class in `slideseg.errors`."""
    message: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Any other error: a mistake in slideseg."""

    trace: str


def send_array(wire: Connection, array: np.ndarray) -> None:
    """Send an array: its form, then its bytes as they are."""
    if array.dtype == np.bool_ and not array.any():
        wire.send(Nothing((array.shape[0], array.shape[1])))
        return
    whole = np.ascontiguousarray(array)
    wire.send(Form(whole.shape, whole.dtype.str))
    view, done = whole.reshape(-1).view(np.uint8).data, 0
    while done < len(view):
        done += os.write(wire.fileno(), view[done:])


def receive(wire: Connection) -> Any:
    """Return what comes next; of an array, the array.

    Raises:
        EOFError: if the other side is gone.
    """
    answer = wire.recv()
    if isinstance(answer, Nothing):
        return nothing(answer.shape)
    if not isinstance(answer, Form):
        return answer
    array = np.empty(answer.shape, np.dtype(answer.dtype))
    view, done = array.reshape(-1).view(np.uint8).data, 0
    while done < len(view):
        got = os.readv(wire.fileno(), [view[done:]])
        if not got:
            raise EOFError
        done += got
    return array
