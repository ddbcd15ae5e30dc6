"""Where a network is trained, and by how many workers."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from slideseg.errors import ConfigError, explain


@dataclass(frozen=True, slots=True)
class Workplace:
    """Where a network is trained, and by how many workers."""

    workers: int | str
    """Number of worker processes; ``auto`` on a cluster: one a GPU, or without GPUs one a node."""
    device: str
    """``cpu`` or ``cuda`` (one GPU a worker); ``auto`` on a cluster: ``cuda`` where it has GPUs."""
    address: str | None = None
    """A running cluster; None for this machine."""

    @classmethod
    def of(cls, workers: int | str, device: str, address: str | None) -> Workplace:
        """Return the workplace that is asked for; on this machine with numbers in place of ``auto``.

        Raises:
            ConfigError: if a GPU is wanted and there is none, or there is no such number of workers.
        """
        if address is not None:
            return cls(workers, device, address)
        found = device_of(device)
        return cls(workers_of(workers, found), found)

    @property
    def is_this_process(self) -> bool:
        """Whether this process trains by itself, without Ray."""
        return self.workers == 1 and self.address is None


def device_of(wanted: str) -> str:
    """Return where to train: ``auto`` is the GPU where there is one.

    Raises:
        ConfigError: if a GPU is wanted and there is none.
    """
    if wanted == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if wanted not in ("cpu", "cuda"):
        raise ConfigError(explain("no such device", got=wanted, want="auto, cpu or cuda"))
    if wanted == "cuda" and not torch.cuda.is_available():
        raise ConfigError(explain("there is no GPU that PyTorch can use", try_="--device cpu"))
    return wanted


def workers_of(wanted: int | str, device: str) -> int:
    """Return the number of workers: ``auto`` is one a GPU, else one.

    Raises:
        ConfigError: if it is no number from 1.
    """
    if wanted == "auto":
        return max(1, torch.cuda.device_count()) if device == "cuda" else 1
    if not isinstance(wanted, int) or wanted < 1:
        raise ConfigError(explain("no such number of workers", got=wanted, want="auto, or a whole number from 1"))
    return wanted
