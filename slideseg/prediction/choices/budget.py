"""What a run may take: the largest tile that the memory holds, and room on the disk. Projections are pure functions."""

from __future__ import annotations

import math
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slideseg.errors import ConfigError, explain
from slideseg.machine import available_memory, parse_size
from slideseg.model.windows.described import NetworkInWindows
from slideseg.result.overview import LONG_SIDE
from slideseg.slide.base import channels_of
from slideseg.storage.place import is_url
from slideseg.tasks.base import in_flight

if TYPE_CHECKING:
    from slideseg.model.architecture import Architecture
    from slideseg.model.info import ModelInfo
    from slideseg.prediction.options import PredictOptions
    from slideseg.slide.base import Slide
    from slideseg.space.grid import ShardGrid

MIB = 2**20
BASE_MEMORY = 520 * MIB
"""RAM of a worker before its first tile: Python, PyTorch, zarr, the readers and the 32 MiB that they keep of TIFFs. Measured,
rounded up (docs/benchmarks.md)."""
LIBRARY_MEMORY = {"monai": 230 * MIB, "smp": 130 * MIB, "onnx": 40 * MIB}
"""RAM that a library of networks takes once it is imported, besides that. Measured, rounded up."""
REMOTE_MEMORY = 64 * MIB
"""RAM that a worker takes besides for a slide in a bucket: what is kept of it, is on its way and was just there. Measured."""
MEMORY_SLACK = 1.2
"""Factor on the arithmetic for what it does not see: the allocator's rounding and the kernels' scratch space."""
KEPT_SLACK = 1.8
"""The same where freed memory is kept for the next tensors, which don't fit its gaps: 1.25 to 1.72 was measured."""
RETURNING = 1.25
"""How much longer a tile takes where freed memory is returned and has to be got anew: 1.12 to 1.36 times, measured."""
MEMORY_SHARE = 0.7
"""Share of the free RAM that all workers together may plan to use."""
GPU_SHARE = 0.8
"""Share of a GPU's free memory that features may take: the rest is for kernels' scratch space and results."""
GPU_LIBRARY = 3 * 2**30
"""RAM that CUDA and its libraries take of a process, as others report; it was not measured."""
MOST_VALUES = 2**31
"""Tensors of so many values are left to slow kernels (PyTorch's pull request 31383)."""
STEADY_FEATURES = 2 * 2**30
"""Bytes of features, of 4 bytes each, that tiles have at most where the last bit of the result depends on their size; their
cores are as large as the halo at least."""
LABEL_BYTES_PER_PIXEL = 0.25
"""Disk a class map takes, pyramid included, at worst in practice; most take a twentieth."""
OBJECT_BYTES_PER_PIXEL = 0.25
"""Disk that objects take, with their pyramid, their table and what is needed only until they are done, at worst in practice."""


@dataclass(frozen=True, slots=True)
class Gpu:
    """A GPU that computes."""

    free: int | None
    """Bytes of its memory that are free; None if it is elsewhere: then what it can't hold is computed in smaller tiles."""
    bytes_of_a_value: int
    """2 or 4, by the number format."""

    def holds(self, network: Architecture, core: int, batch: int) -> bool:
        """Tell whether its memory holds tiles with cores of so many pixels a side, and its library their tensors."""
        if network.largest_values(core) * batch >= MOST_VALUES:
            return False
        features = self.bytes_of_a_value * network.peak_values(core, strips=False) * batch
        return self.free is None or MEMORY_SLACK * features <= GPU_SHARE * self.free


@dataclass(frozen=True, slots=True)
class Fit:
    """What fits into the memory."""

    core: int
    """Side of a tile's core in pixels."""
    batch: int
    """Tiles a forward pass."""
    memory: int
    """Bytes of RAM that a worker is projected to need at its peak."""
    keeps_freed: bool
    """Whether there is room to keep what tensors free for the next ones, which saves time."""


def fit_tile(
    slide: Slide, info: ModelInfo, grid: ShardGrid, options: PredictOptions, workers: int, gpu: Gpu | None = None
) -> Fit:
    """Return the tile that takes the least time of those that fit into the RAM, or into the memory of a GPU that computes.

    Raises:
        ConfigError: if not even the smallest fits, or the tile that was asked for is too small for the network.
    """
    network, cell = info.network, info.network.stride
    side = min(grid.side, max(-(-length // cell) * cell for length in grid.shape_yx))
    region = (side + 2 * network.margin + 2 * cell) ** 2 * channels_of(slide) * slide.dtype.itemsize
    out = side**2 * (2 + (network.out_channels if options.save_probabilities else 0))
    budget = _budget(options, workers)
    batch = 1 if options.batch == "auto" else options.batch
    held = REMOTE_MEMORY if is_url(slide.path) else 0
    if options.tile != "auto" and not isinstance(network, NetworkInWindows):  # of these it is the window
        cores = [min(side, (options.tile - 2 * network.margin) // cell * cell)]
        if cores[0] < cell:
            want = f"at least {cell + 2 * network.margin}"
            raise ConfigError(explain("the tile is too small for this network", got=options.tile, want=want))
    else:
        cores = _even_cores(side, _largest_core(network, side), cell)
        if gpu is not None:
            cores = [max(core for core in cores if core == cores[0] or gpu.holds(network, core, batch))]
    kinds = [(core, keeps) for core in cores for keeps in ((True, False) if gpu is None else (False,))]
    shards = 1 + in_flight(gpus=0 if gpu is None else 1)
    fits = []
    for core, keeps in kinds:
        features = GPU_LIBRARY if gpu is not None else features_memory(network, core, batch, keeps_freed=keeps)
        fits.append(Fit(core, batch, worker_memory(info, features, shards * (2 * region + out)) + held, keeps))
    least = min(fits, key=lambda fit: fit.memory)
    if least.memory > budget and (options.memory != "auto" or options.tile == "auto"):
        raise ConfigError(
            explain(
                "the memory does not hold one tile",
                got=f"{budget / MIB:.0f} MiB a worker",
                want=f"{least.memory / MIB:.0f} MiB",
                try_="a larger --memory, fewer --workers or a smaller --tile",
            )
        )
    fitting = [fit for fit in fits if fit.memory <= budget]
    return min(fitting, key=lambda fit: _time_of(network, fit)) if fitting else least


def _largest_core(network: Architecture, side: int) -> int:
    """Return the side of the largest core that is thought of in shards of a side.

    Where the last bit depends on it, it is the same for all machines that have some memory, however much.
    """
    if network.same_bits:
        return side
    most = math.isqrt(int(STEADY_FEATURES / 4 / network.peak_values(0) * (2 * network.margin) ** 2)) - 2 * network.margin
    return min(side, max(most, network.halo))


def _time_of(network: Architecture, fit: Fit) -> float:
    """Return how long a pixel takes, in no unit; of tiles that decide the last bit the largest is best in any case.

    Each pixel of a tile counts as one multiplication more: a network may have none.
    """
    returning = 1 + (RETURNING - 1) * network.same_bits
    seen = (fit.core + 2 * network.margin) ** 2
    return (network.work(fit.core) + seen) / fit.core**2 * (1 if fit.keeps_freed else returning)


def worker_memory(info: ModelInfo, features: float, shards: int) -> int:
    """Return the RAM in bytes that a worker is projected to need at its peak.

    Args:
        info: the model.
        features: bytes that a tile's features take, or the library of a GPU that computes them.
        shards: bytes of the inputs, with their margins, and the results of the shards that are under way.
    """
    libraries = sum(LIBRARY_MEMORY.get(library, 0) for library in info.network.libraries)
    return int(BASE_MEMORY + libraries + 3 * 4 * info.network.weights + features + shards)


def features_memory(network: Architecture, core: int, batch: int, *, keeps_freed: bool) -> float:
    """Return the RAM in bytes that the features of tiles with cores of so many pixels a side take at their peak on a CPU."""
    return (KEPT_SLACK if keeps_freed else MEMORY_SLACK) * 4 * network.peak_values(core) * batch


def _even_cores(side: int, largest: int, cell: int) -> list[int]:
    """Return the cores that split a shard evenly: others would leave a narrow, wasteful rest."""
    cores = {-(-side // part // cell) * cell for part in range(1, side // cell + 1)}
    return sorted(core for core in cores if core <= largest)


def _budget(options: PredictOptions, workers: int) -> int:
    if options.memory != "auto":
        return parse_size(options.memory)
    return int(available_memory() * MEMORY_SHARE / workers)


def disk_needed(slide: Slide, grid: ShardGrid, info: ModelInfo, options: PredictOptions) -> int:
    """Return the bytes that the result, and a chunked copy of the slide where one is made, take on disk at most."""
    rows, columns = grid.shape_yx
    pixels = grid.planes * rows * columns
    bytes_a_pixel = LABEL_BYTES_PER_PIXEL
    if options.objects:
        bytes_a_pixel += OBJECT_BYTES_PER_PIXEL
    if options.save_probabilities:
        bytes_a_pixel += info.network.out_channels
    if options.image == "full":
        bytes_a_pixel += 4 / 3 * channels_of(slide)
    if not slide.direct:
        bytes_a_pixel += channels_of(slide) * slide.dtype.itemsize
    overview = min(rows, LONG_SIDE) * min(columns, LONG_SIDE) * grid.planes if options.image == "overview" else 0
    return int(pixels * bytes_a_pixel + overview * 4 / 3 * channels_of(slide)) + MIB


def check_disk(output: str, needed: int) -> None:
    """See whether a result of ``needed`` bytes can be written; one that is there already has had its room.

    Raises:
        ConfigError: if not.
    """
    if "://" in output:
        return
    folder = Path(output).absolute()
    while not folder.exists():
        folder = folder.parent
    if not os.access(folder, os.W_OK):
        raise ConfigError(explain("the output can't be written", got=folder, want="a writable folder", try_="--output"))
    disk = shutil.disk_usage(folder)
    if disk.free < needed and disk.total and not Path(output).exists():  # /proc and its like have no size
        got = f"{disk.free / MIB:.0f} MiB free"
        raise ConfigError(explain("the disk is too full", got=got, want=f"{needed / MIB:.0f} MiB", try_="--output"))
