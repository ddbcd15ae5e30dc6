"""What int8 is fitted to: a few tiles of the slide itself, and on others how much it differs from fp32."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from slideseg.errors import ConfigError, explain
from slideseg.model.bundled import find_model
from slideseg.model.file import read_unet, ready
from slideseg.model.network.ranges import find_ranges
from slideseg.prediction.choices.sample import places, read
from slideseg.prediction.job import ModelFile
from slideseg.prediction.segmenter import Segmenter
from slideseg.words import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.model.network.ranges import Ranges
    from slideseg.prediction.job import ModelSource, Tiling
    from slideseg.slide.resampled import Source
    from slideseg.slide.tissue.blocks import TissueMap
    from slideseg.space.box import Box
    from slideseg.space.grid import ShardGrid

CANDIDATES, TILES, SIDE = 36, 12, 128
"""Tiles that are read, spread over the slide, those of them that vary most, and the side of their cores. Every third of the
latter is compared, not fitted to."""
DOUBTFUL = 0.01
"""Share of other classes above which it is said that int8 may not be for this model."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """What int8 needs to know, and how good it is."""

    ranges: Ranges
    """How large the network's features become."""
    notes: tuple[str, ...]
    """How much it differs from fp32, in words."""


def fit_int8(source: Source, grid: ShardGrid, tissue: TissueMap | None, model: ModelSource, tiling: Tiling) -> Fitted:
    """Return the ranges of a network's features on a slide; they depend on the slide, its tissue and the model alone.

    Raises:
        ConfigError: if the network can't be tiled exactly.
        SlideError: if the slide's pixels can't be read.
    """
    if not isinstance(model, ModelFile):
        what = "int8 is for a U-Net of slideseg's own, alone and as it is"
        raise ConfigError(explain(what, got=f"model {model.name}", try_="--precision auto"))
    net, config, info = read_unet(find_model(model.name))
    if not config.exact:
        what = f"model {info.name} can't be tiled exactly, and int8 is for networks that can"
        raise ConfigError(explain(what, got="--precision int8", try_="--precision auto"))
    exact = ready(net, info, model.sha256)
    fp32 = Segmenter(exact, replace(tiling, precision="fp32", probabilities=False))
    tiles = _most_varied(read(source, places(grid, tissue, config.stride, side=SIDE, count=CANDIDATES), fp32.read_box))
    fitted, compared = [tile for at, tile in enumerate(tiles) if at % 3 != 1], tiles[1::3] or tiles
    ranges = find_ranges(net, (exact.preprocess(pixels, tiling.range) for _, pixels in fitted))
    int8 = Segmenter(ready(net, info, model.sha256, ranges), replace(tiling, precision="int8", probabilities=False))
    others, pixels = _others([fp32, int8], compared)
    said = f"int8 gives {number(100 * others / pixels)} % of {pixels:,} pixels that were tried another class than fp32 does"
    doubt = "int8 changes many classes on this slide: try --precision auto"
    return Fitted(ranges, (said, doubt) if others > DOUBTFUL * pixels else (said,))


def _most_varied(tiles: Sequence[tuple[Box, np.ndarray]]) -> list[tuple[Box, np.ndarray]]:
    """Return those of `TILES` tiles in which most is going on: what is even, such as glass or fat, has small features."""
    varied = np.argsort([-pixels.std() for _, pixels in tiles], kind="stable")[:TILES]
    return [tiles[at] for at in sorted(varied)]


def _others(segmenters: Sequence[Segmenter], tiles: Sequence[tuple[Box, np.ndarray]]) -> tuple[int, int]:
    """Return how many pixels two segmenters give another class, and of how many."""
    maps = [np.stack([segmenter(pixels, box).class_map for box, pixels in tiles]) for segmenter in segmenters]
    return int(np.count_nonzero(maps[0] != maps[1])), maps[0].size
