"""Pixels in, classes out: a box is cut into tiles on the pooling grid and run through the network."""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from slideseg.errors import RunError, explain
from slideseg.prediction.device.pixels import Pixels, Sender
from slideseg.prediction.device.sheet import Sheet
from slideseg.prediction.device.streams import Clock, Return
from slideseg.space.grid import Tile, tiles_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from slideseg.model.file import LoadedModel
    from slideseg.prediction.job import Tiling
    from slideseg.space.box import Box

log = logging.getLogger(__name__)

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16, "int8": torch.float32}
"""What pixels are to a network of each number format."""
COLOURS_KEPT = 64
"""Constant colours whose result is kept; slides have a handful (white, black, padding)."""


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


@dataclass(frozen=True, slots=True)
class Pending:
    """A box whose classes are on their way; a GPU computes while the host does something else."""

    classes: Return
    """Class ids (1, y, x)."""
    probabilities: Return | None
    """Those of every channel (c, y, x)."""
    reused: int
    """Pixels taken from an earlier tile of the same constant colour."""
    clock: Clock
    """How long it is computed."""

    def result(self) -> Segmented:
        """Return the result when it is there."""
        probabilities = None if self.probabilities is None else self.probabilities.wait().numpy()
        return Segmented(self.classes.wait()[0].numpy(), probabilities, self.reused)


class Region:
    """The pixels that decide the classes of a box: on the host, and where the network runs."""

    def __init__(self, pixels: np.ndarray, box: Box, read_box: Box, there: Pixels) -> None:
        self._pixels, self._read_box, self._there = pixels, read_box, there
        self.box = box
        """The box whose classes they decide."""

    def colour(self, box: Box) -> np.ndarray | None:
        """Return the colour (c) of a box of one colour; decided by the first row for nearly every real tile."""
        pixels = self._pixels[box.relative_to(self._read_box).slices]
        colour: np.ndarray = pixels[0, 0]
        return colour if (pixels[0] == colour).all() and (pixels == colour).all() else None

    def tile(self, box: Box) -> Tensor:
        """Return the network's input (1, C, y, x) of a box, float32."""
        return self._there.tile(box.relative_to(self._read_box))


Result = list["Tensor"]
"""Class ids (1, y, x) of a tile's core, and round(255 p) of every channel (c, y, x) if wanted; uint8."""


class Segmenter:
    """Pixels in, classes out: tiles a box, runs the network on the tiles, and puts the box together.

    Only `bring` may be called from several threads at once.
    """

    def __init__(self, model: LoadedModel, tiling: Tiling) -> None:
        self._model = model
        self._tiling = tiling
        self._core, self._batch = tiling.core, tiling.batch
        self._dtype = DTYPES[tiling.precision]
        self._net = model.net.to(device=tiling.device, dtype=self._dtype)
        self.network = model.info.network
        self._exact = self.network.exact
        self.margin = self.network.margin
        self._sender = Sender(model, tiling.range, tiling.device)
        self._constant: dict[bytes, Result] = {}
        self.stop = threading.Event()

    def read_box(self, box: Box) -> Box:
        """Return the pixels that decide the classes of ``box``, which starts on the pooling grid."""
        return box.round_out(self._model.stride).grow(self.margin)

    def __call__(self, pixels: np.ndarray, box: Box) -> Segmented:
        """Segment ``box``, given the pixels (y, x, c) of its `read_box`.

        Raises:
            RunError: if the device's memory does not even hold one tile.
            StoppedError: if `stop` was set meanwhile.
        """
        return self.begin(self.bring(pixels, box), [box]).result()

    def bring(self, pixels: np.ndarray, box: Box) -> Region:
        """Begin to bring the pixels (y, x, c) of a box's `read_box` to where the network runs."""
        return Region(pixels, box, self.read_box(box), self._sender.send(pixels))

    def begin(self, region: Region, pieces: Sequence[Box]) -> Pending:
        """Begin to segment ``pieces`` of a region's box, which start on the pooling grid; the rest of it is left undecided.

        On a processor it is done when this returns.

        Raises:
            RunError: if the device's memory does not even hold one tile.
            StoppedError: if `stop` was set meanwhile.
        """
        clock = Clock(self._tiling.device)
        sheets = self._sheets(region.box)
        waiting: list[Tile] = []
        reused = 0
        for tile in (tile for piece in pieces for tile in self._tiles(piece)):
            colour = region.colour(tile.read_box) if self._exact else None
            if colour is not None:
                _lay(sheets, [tile], [self._of_one_colour(colour, tile)])
                reused += tile.write_box.intersect(region.box).area
                continue
            if waiting and (len(waiting) >= self._batch or waiting[0].read_box.shape != tile.read_box.shape):
                self._run(region, waiting, sheets)
                waiting = []
            waiting.append(tile)
        if waiting:
            self._run(region, waiting, sheets)
        classes, *probabilities = (Return(sheet.whole) for sheet in sheets)
        clock.stop()
        return Pending(classes, probabilities[0] if probabilities else None, reused, clock)

    def _sheets(self, box: Box) -> list[Sheet]:
        """Return room for the classes of a box, and for its probabilities if they are wanted."""
        channels = [1, self.network.out_channels] if self._tiling.probabilities else [1]
        return [Sheet(count, box, self._tiling.device) for count in channels]

    def _tiles(self, box: Box) -> list[Tile]:
        return list(tiles_of(box, self._core, self._model.stride, self.margin))

    def _run(self, region: Region, tiles: list[Tile], sheets: list[Sheet]) -> None:
        """Compute tiles of one shape as a batch; with less at once where the memory of a GPU is full, now and from now on.

        Raises:
            RunError: if it does not even hold one small tile.
        """
        if len(tiles) > self._batch or max(tiles[0].write_box.shape) > self._core:
            for part in self._parts(tiles):
                self._run(region, part, sheets)
            return
        try:
            _lay(sheets, tiles, self._forward([region.tile(tile.read_box) for tile in tiles]))
        except torch.OutOfMemoryError as error:
            self._take_less(tiles, error)
        else:
            return
        self._run(region, tiles, sheets)

    def _parts(self, tiles: list[Tile]) -> list[list[Tile]]:
        """Return tiles in batches, or a tile in smaller ones, as the memory holds them."""
        if len(tiles) > self._batch:
            return [tiles[at : at + self._batch] for at in range(0, len(tiles), self._batch)]
        return [[part] for tile in tiles for part in self._tiles(tile.write_box)]

    def _take_less(self, tiles: list[Tile], error: torch.OutOfMemoryError) -> None:
        """Take half the batch from now on, or of single tiles half the side."""
        if self._tiling.device == "cuda":
            torch.cuda.empty_cache()
        side = max(tiles[0].write_box.shape)
        core = side // 2 // self._model.stride * self._model.stride
        if len(tiles) > 1:
            self._batch = len(tiles) // 2
            log.warning("the GPU's memory does not hold %d tiles at once: going on with %d", len(tiles), self._batch)
        elif core and self._exact:
            self._core, margins = core, 2 * self.margin
            what = "the GPU's memory does not hold a tile of %d pixels: going on with %d"
            log.warning(what, side + margins, core + margins)
        else:
            raise RunError(explain("the GPU's memory does not hold one tile", try_="a smaller --tile")) from error

    def _forward(self, tiles_1CHW: list[Tensor]) -> list[Result]:
        """Return the results of the cores of tiles of one shape."""
        if self.stop.is_set():
            raise StoppedError(explain("the worker was stopped"))
        with torch.inference_mode():
            return self._decide(self._logits(tiles_1CHW))

    def _logits(self, tiles_1CHW: list[Tensor]) -> Tensor:
        x_NCHW = torch.cat(tiles_1CHW)
        x_NCHW = x_NCHW.to(device=self._tiling.device, dtype=self._dtype, memory_format=torch.channels_last)
        return self._net.forward_valid(x_NCHW)

    def _decide(self, logits_NKHW: Tensor) -> list[Result]:
        sigmoid = logits_NKHW.shape[1] == 1
        ids_NHW = logits_NKHW[:, 0] > 0 if sigmoid else logits_NKHW.argmax(1)
        ids_N1HW = ids_NHW.to(torch.uint8)[:, None]
        if not self._tiling.probabilities:
            return [[ids_1HW] for ids_1HW in ids_N1HW]
        # In double precision the last bit, which depends on a pixel's place in the array, does not reach the rounded byte.
        exact_NKHW = logits_NKHW.double()
        p_NKHW = exact_NKHW.sigmoid() if sigmoid else exact_NKHW.softmax(1)
        return [[*both] for both in zip(ids_N1HW, (p_NKHW * 255).round().to(torch.uint8), strict=True)]

    def _of_one_colour(self, colour: np.ndarray, tile: Tile) -> Result:
        """Return the result of a tile of one colour: it repeats with the stride, so one cell of the grid is computed."""
        stride, key = self._model.stride, colour.tobytes()
        if key not in self._constant:
            if len(self._constant) >= COLOURS_KEPT:
                self._constant.clear()
            side = stride + 2 * self.margin
            cell = self._model.preprocess(np.broadcast_to(colour, (side, side, len(colour))), self._tiling.range)
            self._constant[key] = self._forward([cell])[0]
        times = (1, *(length // stride for length in tile.write_box.shape))
        return [found.repeat(times) for found in self._constant[key]]


def _lay(sheets: list[Sheet], tiles: list[Tile], results: list[Result]) -> None:
    """Put what was found of tiles where it belongs."""
    for tile, result in zip(tiles, results, strict=True):
        for sheet, found in zip(sheets, result, strict=True):
            sheet.lay(tile, found)
