"""A model that can't be tiled exactly, in windows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from slideseg.model.file import LoadedModel
from slideseg.model.windows.blended import InWindows
from slideseg.model.windows.described import NetworkInWindows

if TYPE_CHECKING:
    from slideseg.model.info import ModelInfo


def info_in_windows(info: ModelInfo, side: int) -> ModelInfo:
    """Return what there is to say of a model in windows of at most ``side`` pixels.

    Raises:
        ConfigError: if they would be too small for its network.
    """
    return replace(info, config=NetworkInWindows.of(info.network, side))


def in_windows(loaded: LoadedModel, side: int) -> LoadedModel:
    """Return a model in windows of at most ``side`` pixels.

    Raises:
        ConfigError: as `info_in_windows`.
    """
    network = NetworkInWindows.of(loaded.info.network, side)
    return LoadedModel(InWindows(loaded.net, network), replace(loaded.info, config=network), loaded.sha256)
