"""What the user says an object is, in names and microns, and what that is in class ids and pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from slideseg.errors import ConfigError, explain
from slideseg.labelling.rules import Rules

BORDER = "border"
"""Name of the class that objects grow into, unless another is named."""


@dataclass(frozen=True, slots=True)
class ObjectOptions:
    """What makes an object; the names and meanings of ``slideseg objects``' options."""

    classes: tuple[str, ...] = ()
    """Names of the classes that make objects; empty: all but background and border."""
    border: str = "auto"
    """Name of the class that objects grow into; ``auto``: the one called border, if there is one; ``none``: none."""
    grow: int = 4
    """Pixels that objects grow into the border class at most."""
    connectivity: int = 4
    """Neighbours that touch: 4, or 8 with those at the corners."""
    min_area: float = 0.0
    """Square microns of the smallest object that stays."""
    fill_holes: float = 0.0
    """Square microns of the largest hole that is filled."""
    workers: int = 1
    """Worker processes; 1 runs in this process, without Ray."""
    address: str | None = None
    """A running Ray cluster; None for this machine."""
    overwrite: bool = False
    """Replace objects that were made by other rules."""


def rules_of(classes: list[dict[str, Any]], mpp: float | None, options: ObjectOptions) -> Rules:
    """Turn names into ids and square microns into pixels.

    Raises:
        ConfigError: if the options don't fit each other or the result.
    """
    ids = {one["name"]: one["id"] for one in classes if one["id"] > 0}
    border = _border(ids, options)
    chosen = options.classes or tuple(name for name in ids if name != border)
    for name in chosen:
        if name not in ids or name == border:
            have = ", ".join(one for one in ids if one != border) or "none"
            raise ConfigError(explain("there is no such class for objects", got=name, want=have))
    if not chosen:
        raise ConfigError(explain("there is no class that could make objects", got=", ".join(ids) or "background only"))
    _check_numbers(options, mpp)
    pixel = (mpp or 1.0) ** 2
    return Rules(
        classes=tuple(sorted(ids[name] for name in chosen)),
        border=None if border is None or options.grow == 0 else ids[border],
        reach=0 if border is None else options.grow,
        connectivity=options.connectivity,
        max_hole=math.floor(options.fill_holes / pixel + ROUNDING),
        min_area=math.ceil(options.min_area / pixel - ROUNDING),
    )


ROUNDING = 1e-9
"""An area that is a whole number of pixels but for rounding is that number."""


def _border(ids: dict[str, int], options: ObjectOptions) -> str | None:
    if options.border == "auto":
        return BORDER if BORDER in ids else None
    if options.border == "none":
        return None
    if options.border not in ids:
        raise ConfigError(explain("there is no such class to grow into", got=options.border, want=", ".join(ids)))
    return options.border


def _check_numbers(options: ObjectOptions, mpp: float | None) -> None:
    if options.connectivity not in (4, 8):
        raise ConfigError(explain("objects can't be connected like that", got=options.connectivity, want="4 or 8"))
    if not 0 <= options.grow <= MOST_GROWTH:
        raise ConfigError(explain("objects can't grow so far", got=options.grow, want=f"0 to {MOST_GROWTH} pixels"))
    if not (0 <= options.min_area < math.inf and 0 <= options.fill_holes < math.inf):
        raise ConfigError(explain("areas can't be negative", got=f"{options.min_area}, {options.fill_holes}"))
    if mpp is None and (options.min_area or options.fill_holes):
        what = "areas in square microns need a slide that names its microns per pixel"
        raise ConfigError(explain(what, try_="no area, or a slide with a resolution"))


MOST_GROWTH = 256
"""A chunk's side: what lies around a shard is read with it."""
