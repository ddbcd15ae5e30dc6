"""Pixels in, classes out: a box is cut into tiles on the pooling grid and run through the network in valid form."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from slideseg.errors import RunError, explain
from slideseg.space.grid import Tile, tiles_of

if TYPE_CHECKING:
    from slideseg.model.file import LoadedModel
    from slideseg.prediction.job import Tiling
    from slideseg.space.box import Box

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


class Segmenter:
    """Pixels in, classes out: tiles a box, runs the network on the tiles, and puts the box together.

    Not safe for several threads at once.
    """

    def __init__(self, model: LoadedModel, tiling: Tiling) -> None:
        self._model = model
        self._tiling = tiling
        self._dtype = DTYPES[tiling.precision]
        self._net = model.net.to(device=tiling.device, dtype=self._dtype)
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
        probabilities = np.empty((channels, *box.shape), np.uint8) if self._tiling.probabilities else None
        waiting: list[tuple[Tile, np.ndarray]] = []
        reused = 0
        region_box = self.read_box(box)
        for tile in tiles_of(box, self._tiling.core, self._model.stride, self.margin):
            pixels = region[tile.read_box.relative_to(region_box).slices]
            if self._exact and _is_constant(pixels):
                _place(tile, box, self._constant_result(pixels[0, 0], tile), out, probabilities)
                reused += tile.write_box.intersect(box).area
                continue
            if waiting and (len(waiting) == self._tiling.batch or waiting[0][1].shape != pixels.shape):
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
        x_NCHW = torch.cat([self._model.preprocess(tile, self._tiling.range) for tile in tiles])
        x_NCHW = x_NCHW.to(device=self._tiling.device, dtype=self._dtype, memory_format=torch.channels_last)
        if self._exact:
            return self._net.forward_valid(x_NCHW)
        margin = self.margin
        return self._net(x_NCHW)[..., margin:-margin, margin:-margin]  # type: ignore[no-any-return]

    def _decide(self, logits_NKHW: torch.Tensor) -> list[tuple[np.ndarray, np.ndarray | None]]:
        sigmoid = logits_NKHW.shape[1] == 1
        ids_NHW = logits_NKHW[:, 0] > 0 if sigmoid else logits_NKHW.argmax(1)
        ids = ids_NHW.to(torch.uint8).cpu().numpy()
        if not self._tiling.probabilities:
            return [(class_ids, None) for class_ids in ids]
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
