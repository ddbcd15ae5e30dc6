"""One worker's work: from a shard's number to its class map in the store.

A shard is read grown by the network's reach, cut into tiles on the pooling grid, run through the network in valid form and
written whole. Several shards may be under way in one worker: while one is computed (one thread does all computing, so the
cores are not fought over), another is read and a third is written.
"""

from __future__ import annotations

import resource
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch

from slideseg.errors import ModelError, RunError, explain
from slideseg.model.bundled import find_model
from slideseg.model.file import load_model_file
from slideseg.result.shards import ShardStore
from slideseg.slide.mirrored import read_mirrored
from slideseg.slide.resampled import open_working
from slideseg.slide.tissue import BLOCK, TissueMap
from slideseg.space.box import Box
from slideseg.space.grid import ShardGrid, Tile, tiles_of

if TYPE_CHECKING:
    from slideseg.model.file import LoadedModel
    from slideseg.result.layout import ResultLayout
    from slideseg.slide.base import Slide
    from slideseg.space.grid import Shard

Precision = Literal["fp32", "bf16", "fp16"]
DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
RATE_CORE = 256
"""Side of the tile that `measure_rate` times, in pixels."""
COLOURS_KEPT = 64
"""Constant colours whose result is kept; slides have a handful (white, black, padding)."""


@dataclass(frozen=True, slots=True)
class Source:
    """The pixels that are segmented: a slide at a level, resampled or not."""

    path: str
    """What `open_slide` takes."""
    level: int
    """Pyramid level that is read."""
    factor: float
    """Pixels of that level a working pixel; 1.0 reads it as it is."""

    def open(self) -> Slide:
        """Open the slide as one whose level 0 is the working resolution.

        Raises:
            SlideError: if it can't be opened.
        """
        return open_working(self.path, self.level, self.factor)


@dataclass(frozen=True, slots=True)
class Job:
    """Everything a worker needs to know; a value that travels to it once."""

    source: Source
    """What is segmented."""
    model: str
    """A bundled model's name or a model file's path."""
    output: str
    """Where the result store is."""
    grid: ShardGrid
    """The shards."""
    core: int
    """Largest side of a tile's core in pixels, a multiple of the network's stride."""
    batch: int
    """Tiles a forward pass."""
    tissue: TissueMap | None
    """Blocks to segment; None means all."""
    model_sha256: str = ""
    """Hash that the model file must have; empty for any."""
    device: str = "cpu"
    """``cpu`` or ``cuda``."""
    precision: Precision = "fp32"
    """Number format of the network."""
    threads: int = 1
    """CPU threads of one forward pass."""
    probabilities: bool = False
    """Whether class probabilities are written too."""


@dataclass(frozen=True, slots=True)
class ShardDone:
    """What a worker says of a finished shard."""

    index: int
    """Which shard."""
    pixels: int
    """Pixels it owns."""
    skipped: int
    """Pixels of them without tissue: not computed."""
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


@dataclass(frozen=True, slots=True)
class Segmented:
    """The result of one box."""

    class_map: np.ndarray
    """Class ids (y, x), uint8."""
    probabilities: np.ndarray | None
    """round(255 p) of every channel (c, y, x), uint8; None unless wanted."""
    reused: int
    """Pixels taken from an earlier tile of the same constant colour."""


class StoppedError(RunError):
    """The worker was asked to stop before the shard was done."""


class Segmenter:
    """Pixels in, classes out: tiles a box, runs the network on the tiles, and puts the box together.

    Not safe for several threads at once.
    """

    def __init__(self, model: LoadedModel, job: Job) -> None:
        self._model = model
        self._job = job
        self._dtype = DTYPES[job.precision]
        self._net = model.net.to(device=job.device, dtype=self._dtype)
        config = model.info.config
        self._exact = config.exact
        self.margin = config.margin
        self._constant: dict[bytes, tuple[np.ndarray, np.ndarray | None]] = {}
        self.stop = threading.Event()

    def read_box(self, box: Box) -> Box:
        """Return the pixels that decide the classes of ``box``, which starts on the pooling grid."""
        return box.round_out(self._model.stride).grow(self.margin)

    def __call__(self, region: np.ndarray, box: Box) -> Segmented:
        """Segment ``box``, given the pixels (y, x, c) of its `read_box`.

        Raises:
            RunError: if the device's memory does not even hold one tile.
            StoppedError: if `stop` was set meanwhile.
        """
        channels = self._model.info.config.out_channels
        out = np.empty(box.shape, np.uint8)
        probabilities = np.empty((channels, *box.shape), np.uint8) if self._job.probabilities else None
        waiting: list[tuple[Tile, np.ndarray]] = []
        reused = 0
        region_box = self.read_box(box)
        for tile in tiles_of(box, self._job.core, self._model.stride, self.margin):
            pixels = region[tile.read_box.relative_to(region_box).slices]
            if self._exact and _is_constant(pixels):
                _place(tile, box, self._constant_result(pixels[0, 0], tile), out, probabilities)
                reused += tile.write_box.intersect(box).area
                continue
            if waiting and (len(waiting) == self._job.batch or waiting[0][1].shape != pixels.shape):
                self._flush(waiting, box, out, probabilities)
            waiting.append((tile, pixels))
        if waiting:
            self._flush(waiting, box, out, probabilities)
        return Segmented(out, probabilities, reused)

    def _flush(
        self, waiting: list[tuple[Tile, np.ndarray]], box: Box, out: np.ndarray, probabilities: np.ndarray | None
    ) -> None:
        """Run the waiting tiles as one batch and empty the list."""
        for (tile, _), result in zip(waiting, self._forward([pixels for _, pixels in waiting]), strict=True):
            _place(tile, box, result, out, probabilities)
        waiting.clear()

    def _forward(self, tiles: list[np.ndarray]) -> list[tuple[np.ndarray, np.ndarray | None]]:
        """Return the class ids (and probabilities) of the cores of tiles (y, x, c) of one shape."""
        if self.stop.is_set():
            raise StoppedError(explain("the worker was stopped"))
        try:
            with torch.inference_mode():
                return self._decide(self._logits(tiles))
        except torch.OutOfMemoryError as error:
            if len(tiles) == 1:
                raise RunError(explain("the GPU's memory does not hold one tile", try_="a smaller --tile")) from error
        half = len(tiles) // 2
        return self._forward(tiles[:half]) + self._forward(tiles[half:])

    def _logits(self, tiles: list[np.ndarray]) -> torch.Tensor:
        x_NCHW = torch.cat([self._model.preprocess(tile) for tile in tiles])
        x_NCHW = x_NCHW.to(device=self._job.device, dtype=self._dtype, memory_format=torch.channels_last)
        if self._exact:
            return self._net.forward_valid(x_NCHW)
        margin = self.margin
        return self._net(x_NCHW)[..., margin:-margin, margin:-margin]  # type: ignore[no-any-return]

    def _decide(self, logits_NKHW: torch.Tensor) -> list[tuple[np.ndarray, np.ndarray | None]]:
        sigmoid = logits_NKHW.shape[1] == 1
        ids_NHW = logits_NKHW[:, 0] > 0 if sigmoid else logits_NKHW.argmax(1)
        ids = ids_NHW.to(torch.uint8).cpu().numpy()
        if not self._job.probabilities:
            return [(one, None) for one in ids]
        # In double precision the last bit, which depends on a pixel's place in the array, does not reach the rounded byte.
        exact_NKHW = logits_NKHW.double()
        p_NKHW = exact_NKHW.sigmoid() if sigmoid else exact_NKHW.softmax(1)
        bytes_NKHW = (p_NKHW * 255).round().to(torch.uint8).cpu().numpy()
        return list(zip(ids, bytes_NKHW, strict=True))

    def _constant_result(self, colour: np.ndarray, tile: Tile) -> tuple[np.ndarray, np.ndarray | None]:
        """Return the result of a tile of one colour: it repeats with the stride, so one cell of the grid is computed."""
        stride, key = self._model.stride, colour.tobytes()
        if key not in self._constant:
            if len(self._constant) >= COLOURS_KEPT:
                self._constant.clear()
            side = stride + 2 * self.margin
            self._constant[key] = self._forward([np.broadcast_to(colour, (side, side, len(colour)))])[0]
        ids, probabilities = self._constant[key]
        rows, columns = (length // stride for length in tile.write_box.shape)
        tiled = None if probabilities is None else np.tile(probabilities, (1, rows, columns))
        return np.tile(ids, (rows, columns)), tiled


def _is_constant(pixels: np.ndarray) -> bool:
    """Tell whether all pixels (y, x, c) have one colour; decided by the first row for nearly every real tile."""
    colour = pixels[0, 0]
    return bool((pixels[0] == colour).all() and (pixels == colour).all())


def _place(
    tile: Tile,
    box: Box,
    result: tuple[np.ndarray, np.ndarray | None],
    out: np.ndarray,
    probabilities: np.ndarray | None,
) -> None:
    """Copy a tile's result into the arrays of ``box``, without what leaves the box."""
    inside = tile.write_box.intersect(box)
    source, target = inside.relative_to(tile.write_box).slices, inside.relative_to(box).slices
    out[target] = result[0][source]
    if probabilities is not None and result[1] is not None:
        probabilities[:, *target] = result[1][:, *source]


def load_model_of(job: Job) -> LoadedModel:
    """Load a job's model.

    Raises:
        ModelError: if this machine has another model under that name than the one that was planned with.
    """
    model = load_model_file(find_model(job.model))
    if job.model_sha256 not in ("", model.sha256):
        what = f"model {job.model} is another one on the worker's machine"
        raise ModelError(explain(what, got=model.sha256, want=job.model_sha256, try_="the same slideseg everywhere"))
    return model


class Engine:
    """A worker: opens slide, model and store once, then does shards by number. Called from several threads at once."""

    def __init__(self, job: Job, layout: ResultLayout) -> None:
        torch.set_num_threads(job.threads)
        self._job = job
        self._layout = layout
        self._slide = job.source.open()
        self._store = ShardStore(job.output, layout)
        self._segmenter = Segmenter(load_model_of(job), job)
        self._computing = ThreadPoolExecutor(1, "compute")

    def __call__(self, index: int) -> ShardDone:
        """Do one shard: read, compute, write.

        Raises:
            SlideError: if the slide's pixels there can't be read.
            RunError: if the result can't be written or the device's memory does not hold one tile.
        """
        started = time.perf_counter()
        shard = self._job.grid[index]
        busy = self._busy_box(shard)
        region = None if busy is None else read_mirrored(self._slide, self._segmenter.read_box(busy), plane=shard.plane)
        read = time.perf_counter()
        seconds, result = self._computing.submit(self._segment, shard, busy, region).result()
        computed = time.perf_counter()
        self._store.write(shard, result.class_map, result.probabilities)
        return ShardDone(
            index=index,
            pixels=shard.write_box.area,
            skipped=0 if self._job.tissue is None else self._job.tissue.empty_pixels(shard.write_box),
            reused=result.reused,
            seconds_read=read - started,
            seconds_computed=seconds,
            seconds_written=time.perf_counter() - computed,
            peak_memory=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        )

    def close(self) -> None:
        """Stop what is under way at the next tile and release the slide."""
        self._segmenter.stop.set()
        self._computing.shutdown(wait=False, cancel_futures=True)

    def _busy_box(self, shard: Shard) -> Box | None:
        """Return the part of a shard that is computed: the box around its blocks with tissue; None if there are none."""
        return shard.write_box if self._job.tissue is None else self._job.tissue.bounding_box(shard.write_box)

    def _segment(self, shard: Shard, busy: Box | None, region: np.ndarray | None) -> tuple[float, Segmented]:
        started = time.perf_counter()
        if busy is None or region is None:
            return 0.0, self._background(shard)
        result = self._segmenter(region, busy)
        if self._job.tissue is not None:
            result = self._only_tissue(shard, busy, result, self._job.tissue)
        return time.perf_counter() - started, result

    def _background(self, shard: Shard) -> Segmented:
        """Return a shard of background: class 0, with certainty."""
        height, width = shard.write_box.shape
        probabilities = None
        if self._layout.probabilities:
            probabilities = np.zeros((self._layout.probabilities, height, width), np.uint8)
            if self._layout.probabilities > 1:
                probabilities[0] = 255
        return Segmented(np.zeros((height, width), np.uint8), probabilities, 0)

    def _only_tissue(self, shard: Shard, busy: Box, computed: Segmented, tissue: TissueMap) -> Segmented:
        """Keep what was computed in blocks with tissue; blocks without are background whatever tile they fell into."""
        whole = self._background(shard)
        for block in busy.split(BLOCK, BLOCK):
            if tissue.holds(block):
                source, target = block.relative_to(busy).slices, block.relative_to(shard.write_box).slices
                whole.class_map[target] = computed.class_map[source]
                if whole.probabilities is not None and computed.probabilities is not None:
                    whole.probabilities[:, *target] = computed.probabilities[:, *source]
        return Segmented(whole.class_map, whole.probabilities, computed.reused)


def measure_tiling_error(job: Job) -> float:
    """Measure by how much tiling changes the probabilities, for a network that can't be tiled exactly.

    Compares one tile in the middle of the slide with the same pixels computed as tiles of half its side, and returns the
    largest difference of any probability (0 to 1, in steps of 1/255).
    """
    slide = job.source.open()
    try:
        model = load_model_of(job)
        rows, columns = job.grid.shape_yx
        stride = model.stride
        side = min(job.core, max(stride, min(rows, columns) // stride * stride))
        y, x = ((length - side) // 2 // stride * stride if length > side else 0 for length in (rows, columns))
        box = Box(y, x, min(y + side, rows), min(x + side, columns))
        half = max(stride, side // 2 // stride * stride)
        results = []
        for core in (side, half):
            segmenter = Segmenter(model, replace(job, core=core, probabilities=True, tissue=None))
            pixels = read_mirrored(slide, segmenter.read_box(box), plane=job.grid.planes // 2)
            results.append(segmenter(pixels, box).probabilities)
    finally:
        slide.close()
    difference = np.abs(np.subtract(*results, dtype=np.int16)).max()  # type: ignore[arg-type]
    return round(float(difference) / 255, 4)


def measure_rate(job: Job) -> float:
    """Return about how many pixels a second one worker segments on this machine, from one small tile."""
    torch.set_num_threads(job.threads)
    model = load_model_of(job)
    core = max(model.stride, min(job.core, RATE_CORE) // model.stride * model.stride)
    segmenter = Segmenter(model, replace(job, core=core))
    box = Box(0, 0, core, core)
    noise = np.random.default_rng(0).random((*segmenter.read_box(box).shape, model.info.input.channels), np.float32)
    segmenter(noise, box)
    started = time.perf_counter()
    segmenter(noise, box)
    return box.area / (time.perf_counter() - started)
