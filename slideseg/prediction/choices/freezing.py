"""What a network's statistics are frozen with: those of a sample of the slide, and how near it then is to what it was."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from slideseg.errors import ConfigError, explain
from slideseg.model.file import ready
from slideseg.model.network.probabilities import change_of, probabilities_of
from slideseg.model.others.described import OtherNetwork
from slideseg.model.reach.frozen import Statistics, measure
from slideseg.prediction.choices.sample import places, read
from slideseg.prediction.job import ModelsTogether
from slideseg.words import number

if TYPE_CHECKING:
    import numpy as np

    from slideseg.model.file import LoadedModel
    from slideseg.prediction.job import Tiling, WholeModel
    from slideseg.slide.resampled import Source
    from slideseg.slide.tissue.blocks import TissueMap
    from slideseg.space.grid import ShardGrid

TILES, SIDE = 8, 256
"""Tiles that are measured, spread over the tissue, and their sides."""
COMPARED = 512
"""Side of the picture that is segmented by the network as it is, and frozen."""


def fit_statistics(
    source: Source, grid: ShardGrid, tissue: TissueMap | None, model: WholeModel, tiling: Tiling
) -> tuple[Statistics, tuple[str, ...]]:
    """Return the statistics of a slide's tissue, and in words how much they change.

    They depend on the slide, its tissue and the model alone.

    Raises:
        ConfigError: if the network has none, or is not tiled exactly with them either.
        SlideError: if the slide's pixels can't be read.
    """
    if isinstance(model, ModelsTogether):
        if len(model.parts) > 1:
            raise ConfigError(explain("each of several models has statistics of its own", got=model.name, try_="one --model"))
        (model,) = model.parts
    loaded = model.load()
    network = loaded.info.config
    if not isinstance(network, OtherNetwork) or network.exact:
        raise ConfigError(explain(f"model {model.name} has no statistics to freeze", try_="no --freeze-statistics"))
    if not network.curable:
        what = f"model {model.name} can't be tiled exactly with frozen statistics either"
        raise ConfigError(explain(what, got=network.incurable[0], try_="--inexact"))
    sample = read(source, places(grid, tissue, network.stride, side=SIDE, count=TILES))
    images = [loaded.preprocess(pixels, tiling.range) for _, pixels in sample]
    statistics = measure(loaded.as_trained, network.places, torch.cat(images * (2 if len(images) == 1 else 1)))
    wanted = places(grid, tissue, network.stride, side=COMPARED, count=TILES)
    (_, picture), *_ = read(source, wanted[len(wanted) // 2 :] or wanted)
    return statistics, (_compared(loaded, ready(loaded.as_trained, loaded.info, "", statistics), picture, tiling),)


def _compared(as_it_is: LoadedModel, frozen: LoadedModel, picture: np.ndarray, tiling: Tiling) -> str:
    """Return in words how much freezing changes what is found in a small picture."""
    x_1CHW = as_it_is.preprocess(picture, tiling.range)
    with torch.inference_mode():
        before, after = (probabilities_of(loaded.net(x_1CHW)) for loaded in (as_it_is, frozen))
    most, others = change_of(before, after)
    side = picture.shape[0]
    changed = f"{number(100 * others)} % of the pixels of a picture of {side} x {side} get another class than by its own"
    return f"statistics are those of the slide's tissue: {changed}, and probabilities change by up to {number(most)}"
