"""One worker's work: from a shard's number to its class map in the store.

A shard is read grown by the network's reach, cut into pieces that hold its tissue and these into tiles on the pooling grid,
run through the network in valid form and written whole. Several shards, also of several slides, may be under way in one
process: while one is computed (one thread does all computing, so the cores are not fought over), another is read and a third
is written.
"""

from __future__ import annotations

import os
import resource
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING

import numpy as np
import torch

from slideseg.machine import settle_freed_memory
from slideseg.model.network.number_format import check_format
from slideseg.prediction.gaps import gaps_in, scanned_in
from slideseg.prediction.segmenter import Region, Segmented, Segmenter
from slideseg.result.shards import ShardStore
from slideseg.slide.mirrored import read_mirrored
from slideseg.slide.tissue.blocks import BLOCK
from slideseg.space.box import Box

if TYPE_CHECKING:
    from slideseg.model.file import Fitted, LoadedModel
    from slideseg.prediction.gaps import Gaps
    from slideseg.prediction.job import Job, ModelSource
    from slideseg.result.layout import ResultLayout
    from slideseg.space.grid import Shard


@dataclass(frozen=True, slots=True)
class ShardDone:
    """What a worker says of a finished shard."""

    index: int
    """Which shard."""
    pixels: int
    """Pixels it owns."""
    skipped: int
    """Pixels of them without tissue: not computed."""
    gaps: Gaps
    """What of it was not scanned."""
    reused: int
    """Pixels of them in tiles of one constant colour, whose result was computed before."""
    seconds_read: float
    """Time spent reading."""
    seconds_computed: float
    """Time spent in the network."""
    seconds_written: float
    """Time spent writing."""
    peak_memory: int
    """Most bytes of RAM the worker's process has held so far."""


@cache
def _computing() -> ThreadPoolExecutor:
    """Return the one thread that computes in this process, for however many slides."""
    return ThreadPoolExecutor(1, "compute")


os.register_at_fork(after_in_child=_computing.cache_clear)  # a thread does not live on in a forked child


@lru_cache(maxsize=2)
def _model(file: ModelSource, device: str, precision: str, fitted: Fitted) -> LoadedModel:
    """Return a model for one device and number format, to which it is brought where it is first used; slides share it."""
    check_format(precision, device)  # the planning machine may have another processor
    return file.load(fitted)


class SegmentWorker:
    """Segments shards, by number: opens slide, model and store once. Called from several threads at once."""

    def __init__(self, job: Job, layout: ResultLayout) -> None:
        settle_freed_memory(kept=job.keeps_freed)
        _computing().submit(torch.set_num_threads, job.threads)
        self._job = job
        self._layout = layout
        self._slide = job.source.open()
        self._store = ShardStore(job.output, layout)
        tiling = job.tiling
        self._segmenter = Segmenter(_model(job.model, tiling.device, tiling.precision, tiling.fitted), tiling)

    def __call__(self, index: int) -> ShardDone:
        """Do one shard: read, compute, write.

        Raises:
            SlideError: if the slide's pixels there can't be read.
            RunError: if the result can't be written or the device's memory does not hold one tile.
        """
        started = time.perf_counter()
        shard = self._job.grid[index]
        there = scanned_in(self._slide, shard, self._job)
        pieces = [] if there is not None and not there.any() else self._job.pieces(shard, self._segmenter.network)
        region = self._bring(Box.around(pieces), shard.plane) if pieces else None
        read = time.perf_counter()
        begun = None if region is None else _computing().submit(self._segmenter.begin, region, pieces).result()
        result = self._background(shard) if begun is None else self._whole(shard, pieces, begun.result())
        seconds = 0.0 if begun is None else begun.clock.seconds()
        computed = time.perf_counter()
        result = result if there is None else self._only_where(there, shard, result)
        self._store.write(shard, result.class_map, result.probabilities)
        return ShardDone(
            index=index,
            pixels=shard.write_box.area,
            skipped=0 if self._job.tissue is None else self._job.tissue.empty_pixels(shard.write_box),
            gaps=gaps_in(self._slide, shard, there, self._job.tissue),
            reused=result.reused,
            seconds_read=read - started,
            seconds_computed=seconds,
            seconds_written=time.perf_counter() - computed,
            peak_memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        )

    def close(self) -> None:
        """Stop what is under way at the next tile and release the slide: a process that lives on has thousands of them."""
        self._segmenter.stop.set()
        self._slide.close()
        settle_freed_memory(kept=False)

    def _bring(self, busy: Box, plane: int) -> Region:
        pixels = read_mirrored(self._slide, self._segmenter.read_box(busy), plane=plane)
        return self._segmenter.bring(pixels, busy)

    def _background(self, shard: Shard) -> Segmented:
        """Return a shard of background: class 0, with certainty."""
        height, width = shard.write_box.shape
        probabilities = None
        if self._layout.probabilities:
            probabilities = np.zeros((self._layout.probabilities, height, width), np.uint8)
            if self._layout.probabilities > 1:
                probabilities[0] = 255
        return Segmented(np.zeros((height, width), np.uint8), probabilities, 0)

    def _only_where(self, there: np.ndarray, shard: Shard, computed: Segmented) -> Segmented:
        """Keep what was computed where ``there`` is true; where nothing was scanned is background."""
        nothing = self._background(shard)
        probabilities = None
        if computed.probabilities is not None and nothing.probabilities is not None:
            probabilities = np.where(there, computed.probabilities, nothing.probabilities)
        return Segmented(np.where(there, computed.class_map, nothing.class_map), probabilities, computed.reused)

    def _whole(self, shard: Shard, pieces: list[Box], computed: Segmented) -> Segmented:
        """Keep what was computed in blocks with tissue; blocks without are background whatever tile they fell into."""
        busy = Box.around(pieces)
        tissue = self._job.tissue
        if tissue is None:
            return computed
        whole = self._background(shard)
        for block in (block for piece in pieces for block in piece.split(BLOCK, BLOCK)):
            if tissue.holds(block):
                source, target = block.relative_to(busy).slices, block.relative_to(shard.write_box).slices
                whole.class_map[target] = computed.class_map[source]
                if whole.probabilities is not None and computed.probabilities is not None:
                    whole.probabilities[:, *target] = computed.probabilities[:, *source]
        return Segmented(whole.class_map, whole.probabilities, computed.reused)
