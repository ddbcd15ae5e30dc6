"""Models put together: one that says what their mean does, in as many views as wanted, smoothed if wanted."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from typing import TYPE_CHECKING

from slideseg.errors import ModelError, explain
from slideseg.model.file import LoadedModel
from slideseg.model.info import ModelInfo
from slideseg.model.together.combined import Change, Together
from slideseg.model.together.described import NetworksTogether
from slideseg.model.together.use import Use
from slideseg.words import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.model.info import ModelInput
    from slideseg.model.together.use import Tta

SAME_MPP = 0.01
"""Models that learnt from pixels that differ by no more than this share see the same image."""


def together(models: Sequence[LoadedModel], use: Use) -> LoadedModel:
    """Return models put together as one; a single one that is used as it is stays what it is.

    Raises:
        ModelError: if they have other classes or see other images.
    """
    infos = [model.info for model in models]
    info = info_together(infos, use)
    if info is infos[0]:
        return models[0]
    changes = [_change(models[0].info.input, model.info.input) for model in models]
    net = Together([model.net for model in models], changes, _network_of(infos, use))
    return LoadedModel(net, info, sha256_together([model.sha256 for model in models], use))


def use_of(infos: Sequence[ModelInfo], tta: Tta | None = None, smooth: float | None = None) -> Use:
    """Return how models are used: as is said, else a single one as it says itself.

    Raises:
        ConfigError: if there is no such augmentation or smoothing.
    """
    own = infos[0].use if len(infos) == 1 else Use()
    return Use(own.tta if tta is None else tta, own.smooth if smooth is None else smooth)


def info_together(infos: Sequence[ModelInfo], use: Use) -> ModelInfo:
    """Return what there is to say of models put together; of a single one that is used as it is what it says.

    Raises:
        ModelError: if they have other classes or see other images.
    """
    first, *more = infos
    if not more and use.is_plain:
        return first
    for info in more:
        _check_alike(first, info)
    return ModelInfo(
        name=_name(infos, use),
        config=_network_of(infos, use),
        classes=first.classes,
        input=replace(first.input, names=next((info.input.names for info in infos if info.input.names), ())),
        training=first.training,
        objects=first.objects,
        made_for=first.made_for,
        learnt=first.learnt,
    )


def sha256_together(hashes: Sequence[str], use: Use) -> str:
    """Return a hash of what decides the results of models put together; of a single one that is used as it is its own."""
    if len(hashes) == 1 and use.is_plain:
        return hashes[0]
    return hashlib.sha256(f"{' '.join(hashes)} {use.tta} {use.smooth!r}".encode()).hexdigest()


def check_ranges(infos: Sequence[ModelInfo]) -> None:
    """Refuse models that take other values of a slide for black and white, where its user does not say which they are.

    Raises:
        ModelError: if there are some.
    """
    for other in infos[1:]:
        if other.input.range != infos[0].input.range:
            what = f"models {infos[0].name} and {other.name} take other values for black and white"
            got, want = (info.input.range or "their type's" for info in (other, infos[0]))
            raise ModelError(explain(what, got=got, want=want, try_="--range"))


def _network_of(infos: Sequence[ModelInfo], use: Use) -> NetworksTogether:
    return NetworksTogether(tuple(info.network for info in infos), use)


def _check_alike(one: ModelInfo, other: ModelInfo) -> None:
    names = [[known.name for known in info.classes] for info in (one, other)]
    if names[0] != names[1] or one.network.out_channels != other.network.out_channels:
        what = f"models {one.name} and {other.name} can't be put together: their classes differ"
        raise ModelError(explain(what, got=", ".join(names[1]), want=", ".join(names[0])))
    if one.input.channels != other.input.channels:
        what = f"models {one.name} and {other.name} can't be put together: they see other channels"
        raise ModelError(explain(what, got=other.input.channels, want=one.input.channels))
    if one.input.names and other.input.names and one.input.names != other.input.names:
        what = f"models {one.name} and {other.name} can't be put together: they see other channels"
        raise ModelError(explain(what, got=", ".join(other.input.names), want=", ".join(one.input.names)))
    sides = one.input.mpp, other.input.mpp
    if None not in sides and not math.isclose(*sides, rel_tol=SAME_MPP):  # type: ignore[arg-type]
        what = f"models {one.name} and {other.name} can't be put together: they see pixels of other sizes"
        raise ModelError(explain(what, got=f"{number(sides[1] or 0)} microns", want=number(sides[0] or 0)))


def _change(first: ModelInput, own: ModelInput) -> Change | None:
    """Return how what the first model wants to see becomes what another one does; None where it is the same."""
    if (first.mean, first.std) == (own.mean, own.std):
        return None
    factor = tuple(a / b for a, b in zip(first.std, own.std, strict=True))
    return Change(factor, tuple((a - b) / s for a, b, s in zip(first.mean, own.mean, own.std, strict=True)))


def _name(infos: Sequence[ModelInfo], use: Use) -> str:
    ways: list[str] = [use.tta] if use.tta != "none" else []
    ways += [f"smoothed by {number(use.smooth)} px"] if use.smooth else []
    names = " + ".join(info.name for info in infos)
    return f"{names} ({', '.join(ways)})" if ways else names
