"""Where the network runs, in which number format, and on how many workers: what the user says, or what this machine has."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from slideseg.errors import ConfigError, explain
from slideseg.machine import usable_cores
from slideseg.model.network.number_format import check_format
from slideseg.prediction.choices.budget import Gpu

if TYPE_CHECKING:
    from slideseg.prediction.job import Precision
    from slideseg.prediction.options import PredictOptions


def choose_device(options: PredictOptions) -> str:
    """Return ``cpu`` or ``cuda``.

    Raises:
        ConfigError: if a GPU is wanted and this machine, which is to work, has none.
    """
    available = torch.cuda.is_available()
    if options.device == "auto":
        return "cuda" if available else "cpu"
    if options.device == "cuda" and not available and options.address is None:
        raise ConfigError(explain("no GPU is usable here", got="--device cuda", try_="--device cpu"))
    return options.device


def choose_precision(options: PredictOptions, device: str) -> Precision:
    """Return the number format: bf16 on a GPU that has it, else fp32, unless another is named.

    Raises:
        ConfigError: if it is not available, or this machine, which is to work, would emulate it.
    """
    if options.precision == "int8" and device != "cpu":
        raise ConfigError(explain("int8 is for CPUs", got=f"--device {device}", try_="--device cpu, or --precision auto"))
    if options.precision != "auto":
        if options.address is None or options.precision == "int8":  # which is compared with fp32 here, wherever it runs
            check_format(options.precision, device)
        return options.precision
    return "bf16" if device == "cuda" and torch.cuda.is_available() and torch.cuda.is_bf16_supported() else "fp32"


RAY_SECONDS = 5.0
"""About how long it takes until workers are there: what all cores compute in less is done sooner in this process."""
CORE_RATE = 50e9
"""About the operations a second of a core."""


def choose_workers(options: PredictOptions, device: str, shards: int, operations: float = math.inf) -> int:
    """Return the number of worker processes: one a GPU or a core, and not more than there are shards, unless it is named.

    One, which is this process with all its threads, where a CPU has done all ``operations`` before others had started.

    Raises:
        ConfigError: if it is less than 1.
    """
    if options.workers != "auto":
        if options.workers < 1:
            raise ConfigError(explain("there must be a worker", got=f"--workers {options.workers}", want="1 or more"))
        return options.workers
    if device == "cpu" and operations < RAY_SECONDS * CORE_RATE * usable_cores():
        return 1
    return max(1, min(units_of(device), shards))


def units_of(device: str) -> int:
    """Return how many workers this machine can have at work at a time: one a GPU, or a core."""
    return torch.cuda.device_count() if device == "cuda" else usable_cores()


def gpu_of(device: str, precision: Precision) -> Gpu | None:
    """Return what is known of the GPU that computes; None if a processor does."""
    if device != "cuda":
        return None
    free = torch.cuda.mem_get_info()[0] if torch.cuda.is_available() else None
    return Gpu(free, 4 if precision == "fp32" else 2)


def gpus_of(device: str) -> int:
    """Return how many GPUs a worker takes for itself."""
    return 1 if device == "cuda" else 0


def threads_of(options: PredictOptions, workers: int) -> int:
    """Return the threads of a forward pass: one a process with several workers, else what PyTorch takes.

    Several workers would fight for the cores.
    """
    return torch.get_num_threads() if workers == 1 and options.address is None else 1
