"""What the user says an object is, in names and microns, and what that is in class ids and pixels."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from typing import Any

from slideseg.errors import ConfigError, ModelError, explain
from slideseg.instances.labelling.rules import Rules
from slideseg.model.info import ModelObjects

BORDER = "border"
"""Name of the class that objects grow into, unless another is named."""


@dataclass(frozen=True, slots=True)
class ObjectOptions:
    """What makes an object; the names and meanings of ``slideseg objects``' options."""

    classes: tuple[str, ...] = ()
    """Names of the classes that make objects; empty: all but background and border."""
    border: str | None = None
    """Name of the class that objects grow into; ``auto``, as None: the one called border, if there is one; ``none``: none."""
    grow: int | None = None
    """Pixels that objects grow into the border class at most; None: as the model's recipe says, as in all that follow."""
    split: float | None = None
    """Microns around an object's middle in which it has no other: objects are parted at their necks; 0: they are not."""
    connectivity: int | None = None
    """Neighbours that touch: 4, as None, or 8 with those at the corners."""
    min_area: float | None = None
    """Square microns of the smallest object that stays."""
    fill_holes: float | None = None
    """Square microns of the largest hole that is filled."""
    workers: int = 1
    """Worker processes; 1 runs in this process, without Ray."""
    address: str | None = None
    """A running Ray cluster; None for this machine."""
    overwrite: bool = False
    """Replace objects that were made by other rules."""

    @property
    def asks(self) -> bool:
        """Whether anything is said of what an object is; else objects that are there stay, by whatever rules."""
        return bool(self.classes) or any(getattr(self, name) is not None for name in ASKED)


ASKED = ("border", "grow", "split", "connectivity", "min_area", "fill_holes")
"""Options that say what an object is, besides the classes."""


def model_objects(model: dict[str, Any], mpp: float | None) -> ModelObjects:
    """Return how a model's objects are best made, in pixels of so many microns. ``model`` is a result's record of it.

    Raises:
        ModelError: if the record can't be used.
    """
    advice = _advice_in(model)
    scale = model["mpp"] / mpp if mpp and model.get("mpp") else 1.0
    return ModelObjects(
        grow=min(round(advice.grow * scale), MOST_GROWTH),
        split=min(round(advice.split * scale), MOST_SPLIT),
        min_area=round(advice.min_area * scale**2),
        fill_holes=round(advice.fill_holes * scale**2),
    )


def _advice_in(model: dict[str, Any]) -> ModelObjects:
    said = model.get("objects", {})
    if not isinstance(said, dict):
        raise ModelError(explain("what the model says of objects can't be used", got=said, want="names and pixels"))
    known = [one.name for one in fields(ModelObjects)]
    bad = [f"{name} {value!r}" for name, value in said.items() if name not in known or type(value) is not int or value < 0]
    if bad:
        want = f"whole pixels for {', '.join(known)}"
        raise ModelError(explain("what the model says of objects can't be used", got=", ".join(bad), want=want))
    mpp = model.get("mpp")
    if mpp is not None and (isinstance(mpp, bool) or not isinstance(mpp, int | float) or not 0 < mpp < math.inf):
        raise ModelError(explain("the model's microns per pixel can't be used", got=repr(mpp), want="a number above 0"))
    return ModelObjects(**said)


def difference(there: dict[str, Any], wanted: Rules, classes: list[dict[str, Any]]) -> tuple[str, str, str] | None:
    """Return the first option by which rules differ, its value in those that are ``there`` and in those that are wanted.

    All three as the user says them, lengths and areas in pixels; None if nothing differs.
    """
    here, names = {**asdict(wanted), "classes": list(wanted.classes)}, {one["id"]: one["name"] for one in classes}
    usual = asdict(Rules(()))
    for name in (*OPTION_OF, *sorted(set(there) - set(here))):
        got, want = there.get(name, usual.get(name)), here.get(name)
        if got != want:
            return OPTION_OF.get(name, name), _said(name, got, names), _said(name, want, names)
    return None


OPTION_OF = {
    "classes": "--class",
    "reach": "--grow",
    "border": "--border",
    "split": "--split",
    "max_hole": "--fill-holes",
    "min_area": "--min-area",
    "connectivity": "--connectivity",
}
"""Which option decides what of the rules."""


def _said(name: str, value: object, names: dict[int, str]) -> str:
    if value is None:
        return "none"
    if name == "classes" and isinstance(value, list):
        return " and ".join(names.get(one, str(one)) for one in value)
    if name == "border" and isinstance(value, int):
        return names.get(value, str(value))
    return f"{value} pixels" if name in ("reach", "split", "max_hole", "min_area") else str(value)


def rules_of(
    classes: list[dict[str, Any]], mpp: float | None, options: ObjectOptions, advice: ModelObjects | None = None
) -> Rules:
    """Turn names into ids and microns into pixels; what is left open is as in ``advice``, which is in pixels.

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
    advice, pixel = advice or ModelObjects(), mpp or 1.0
    grow = advice.grow if options.grow is None else options.grow
    return Rules(
        classes=tuple(sorted(ids[name] for name in chosen)),
        split=advice.split if options.split is None else math.ceil(options.split / pixel - ROUNDING),
        border=None if border is None or grow == 0 else ids[border],
        reach=0 if border is None else grow,
        connectivity=options.connectivity or 4,
        max_hole=advice.fill_holes if options.fill_holes is None else math.floor(options.fill_holes / pixel**2 + ROUNDING),
        min_area=advice.min_area if options.min_area is None else math.ceil(options.min_area / pixel**2 - ROUNDING),
    )


ROUNDING = 1e-9
"""What is a whole number of pixels but for rounding is that number."""


def _border(ids: dict[str, int], options: ObjectOptions) -> str | None:
    if options.border is None or options.border == "auto":
        return BORDER if BORDER in ids else None
    if options.border == "none":
        return None
    if options.border not in ids:
        raise ConfigError(explain("there is no such class to grow into", got=options.border, want=", ".join(ids)))
    return options.border


def _check_numbers(options: ObjectOptions, mpp: float | None) -> None:
    if options.connectivity not in (None, 4, 8):
        raise ConfigError(explain("objects can't be connected like that", got=options.connectivity, want="4 or 8"))
    if not 0 <= (options.grow or 0) <= MOST_GROWTH:
        raise ConfigError(explain("objects can't grow so far", got=options.grow, want=f"0 to {MOST_GROWTH} pixels"))
    microns = {name: getattr(options, name) or 0.0 for name in ("split", "min_area", "fill_holes")}
    for name, value in microns.items():
        if not 0 <= value < math.inf:
            raise ConfigError(explain(f"{name} can't be like that", got=value, want="0 or more"))
    if mpp is None and any(microns.values()):
        what = "lengths and areas in microns need a slide that names its microns per pixel"
        given = ", ".join(OPTION_OF.get(name, "--fill-holes") for name, value in microns.items() if value)
        raise ConfigError(explain(what, got=given, try_="none of them: the model's values are used then, in pixels"))
    if microns["split"] / (mpp or 1.0) > MOST_SPLIT:
        want = f"{MOST_SPLIT * (mpp or 1.0):g} microns, {MOST_SPLIT} pixels, at most"
        raise ConfigError(explain("objects' middles can't be so far apart", got=options.split, want=want))


MOST_GROWTH = 256
"""A chunk's side: what lies around a shard is read with it."""
MOST_SPLIT = 64
"""The reach of a split is 13 times as much: shards read half as much again around them."""
