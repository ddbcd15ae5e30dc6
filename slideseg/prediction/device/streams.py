"""A GPU's streams: what is sent there overlaps with what is computed, and the host waits for nothing but results.

All computing goes to one stream, in the order in which it is begun; sending has another. On a processor all of it is done at
once. See PyTorch's notes on CUDA semantics: asynchronous execution, and pinned memory.
"""

from __future__ import annotations

import time
from functools import cache

import torch
from torch import Tensor


@cache
def _sending() -> torch.cuda.Stream:
    return torch.cuda.Stream()  # type: ignore[no-untyped-call]


class Arrival:
    """A tensor that is on its way to a device."""

    def __init__(self, there: Tensor, sent: torch.cuda.Event | None) -> None:
        self._there, self._sent = there, sent

    def wait(self) -> Tensor:
        """Return it; the device, not the host, waits until it is there."""
        if self._sent is not None:
            computing = torch.cuda.current_stream()
            computing.wait_event(self._sent)
            self._there.record_stream(computing)
        return self._there


def bring(tensor: Tensor, device: str) -> Arrival:
    """Begin to bring a tensor to a device."""
    if device != "cuda":
        return Arrival(tensor.to(device), None)
    with torch.cuda.stream(_sending()):
        there = tensor.pin_memory().to(device, non_blocking=True)
        return Arrival(there, _sending().record_event())


class Return:
    """A tensor that is on its way back to the host."""

    def __init__(self, there: Tensor) -> None:
        """Begin to bring it back, when all that was begun before is done."""
        self._here, self._done = there, None
        if there.device.type == "cuda":
            self._here = torch.empty(there.shape, dtype=there.dtype, pin_memory=True)
            self._here.copy_(there, non_blocking=True)
            self._done = torch.cuda.current_stream().record_event()

    def wait(self) -> Tensor:
        """Return it, as soon as it is there."""
        if self._done is not None:
            self._done.synchronize()
        return self._here


class Clock:
    """How long a device computes, from when it comes to it until it is done."""

    def __init__(self, device: str) -> None:
        self._events = [torch.cuda.Event(enable_timing=True) for _ in range(2)] if device == "cuda" else []  # type: ignore[no-untyped-call]
        self._started, self._seconds = time.perf_counter(), 0.0
        if self._events:
            self._events[0].record()

    def stop(self) -> None:
        """Stop it where the device is then."""
        self._seconds = time.perf_counter() - self._started
        if self._events:
            self._events[1].record()

    def seconds(self) -> float:
        """Return it, as soon as it is known."""
        if not self._events:
            return self._seconds
        self._events[1].synchronize()
        return float(self._events[0].elapsed_time(self._events[1])) / 1000
