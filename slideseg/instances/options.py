"""What the user says an object is, in names and microns, and what that is in class ids and pixels."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from slideseg.errors import ConfigError, explain
from slideseg.model.objects import BORDER, MOST_GROWTH, MOST_SPLIT, ObjectRules
from slideseg.words import number

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.model.info import ModelClass

ROUNDING = 1e-9
"""What is a whole number of pixels but for rounding is that number."""

MOST_MICRONS = 1e12
"""Square microns of a square metre: no slide is larger."""


@dataclass(frozen=True, slots=True)
class ObjectOptions:
    """What makes an object; the names and meanings of the commands' options. What is None is as the model's recipe says."""

    classes: tuple[str, ...] = ()
    """Names of the classes that make objects; empty: all but background and border."""
    together: bool | None = None
    """Whether touching pixels of different classes are one object too, of the class that most of its pixels have; nothing
    changes where one class makes objects."""
    border: str | None = None
    """Name of the class that objects grow into; ``auto``, as None: the one called border, if there is one; ``none``: none."""
    grow: int | None = None
    """Pixels that objects grow into the border class at most."""
    split: float | None = None
    """Microns around an object's middle in which it has no other: objects are parted at their necks; 0: they are not."""
    connectivity: int | None = None
    """Neighbours that touch: 4, or 8 with those at the corners."""
    min_area: float | None = None
    """Square microns of the smallest object that stays."""
    fill_holes: float | None = None
    """Square microns of the largest hole that is filled."""

    @property
    def said(self) -> tuple[str, ...]:
        """Which options say anything of what an object is; if none does, objects that are there stay, by whatever rules."""
        names = [field.name for field in fields(ObjectOptions)]
        return tuple(name for name in names if getattr(self, name) not in (None, ()))


def rules_for(
    classes: Sequence[ModelClass], mpp: float | None, options: ObjectOptions, advice: ObjectRules | None = None
) -> ObjectRules:
    """Return what an object is in a class map: names as ids, microns as pixels, nothing left open.

    Args:
        classes: all classes of the class map.
        mpp: microns of its pixels, if they are known.
        options: what the user says.
        advice: the model's rules, in pixels of the class map, for what the user leaves open.

    Raises:
        ConfigError: if the options don't fit each other or the class map.
    """
    check_numbers(options)
    _check_microns(options, mpp)
    advice, pixel = advice or ObjectRules(), mpp or 1.0
    border, chosen = _choose_classes(classes, options, advice)
    grow = advice.grow if options.grow is None else options.grow
    return ObjectRules(
        classes=chosen,
        together=len(chosen) > 1 and (advice.together if options.together is None else options.together),
        border=border if grow else None,
        grow=0 if border is None else grow,
        split=advice.split if options.split is None else math.ceil(options.split / pixel - ROUNDING),
        connectivity=options.connectivity or advice.connectivity,
        min_area=advice.min_area if options.min_area is None else math.ceil(options.min_area / pixel**2 - ROUNDING),
        fill_holes=advice.fill_holes if options.fill_holes is None else math.floor(options.fill_holes / pixel**2 + ROUNDING),
    )


def _choose_classes(
    classes: Sequence[ModelClass], options: ObjectOptions, advice: ObjectRules
) -> tuple[int | None, tuple[int, ...]]:
    """Return the ids of the class that objects grow into, if there is one, and of the classes that make objects."""
    ids = {known.name: known.id for known in classes if known.id > 0}
    border = _border(ids, options, advice)
    if not options.classes:
        chosen = tuple(id_ for id_ in advice.classes or ids.values() if id_ != border)
        if not chosen:
            raise ConfigError(explain("there is no class that could make objects", got=", ".join(ids) or "background only"))
        return border, tuple(sorted(chosen))
    for name in options.classes:
        if name not in ids or ids[name] == border:
            have = ", ".join(known for known, id_ in ids.items() if id_ != border) or "none"
            raise ConfigError(explain("there is no such class for objects", got=name, want=have))
    return border, tuple(sorted(ids[name] for name in options.classes))


def _border(ids: dict[str, int], options: ObjectOptions, advice: ObjectRules) -> int | None:
    if options.border is None or options.border == "auto":
        return ids.get(BORDER) if advice.border is None else advice.border
    if options.border == "none":
        return None
    if options.border not in ids:
        raise ConfigError(explain("there is no such class to grow into", got=options.border, want=", ".join(ids)))
    return ids[options.border]


def check_numbers(options: ObjectOptions) -> None:
    """Refuse numbers that no objects could be found by.

    Raises:
        ConfigError: if there is one.
    """
    if options.connectivity not in (None, 4, 8):
        raise ConfigError(explain("objects can't be connected like that", got=options.connectivity, want="4 or 8"))
    if not 0 <= (options.grow or 0) <= MOST_GROWTH:
        raise ConfigError(explain("objects can't grow so far", got=options.grow, want=f"0 to {MOST_GROWTH} pixels"))
    for name, value in _microns(options).items():
        if not 0 <= value <= MOST_MICRONS:
            raise ConfigError(explain(f"{name} can't be like that", got=value, want=f"0 to {MOST_MICRONS:g}"))


def _microns(options: ObjectOptions) -> dict[str, float]:
    return {name: getattr(options, name) or 0.0 for name in ("split", "min_area", "fill_holes")}


def _check_microns(options: ObjectOptions, mpp: float | None) -> None:
    microns = _microns(options)
    if mpp is None and any(microns.values()):
        what = "lengths and areas in microns need a slide that names its microns per pixel"
        given = ", ".join(option_of(name) for name, value in microns.items() if value)
        try_ = "to predict again with --mpp-of-slide, or none of them: the model's values are used then, in pixels"
        raise ConfigError(explain(what, got=given, try_=try_))
    if microns["split"] / (mpp or 1.0) > MOST_SPLIT:
        want = f"{number(MOST_SPLIT * (mpp or 1.0))} microns, {MOST_SPLIT} pixels, at most"
        raise ConfigError(explain("objects' middles can't be so far apart", got=options.split, want=want))


def option_of(rule: str) -> str:
    """Return the option that decides a rule, as it is typed.

    >>> option_of("fill_holes"), option_of("classes")
    ('--fill-holes', '--class')
    """
    return "--class" if rule == "classes" else f"--{rule.replace('_', '-')}"


def first_difference(there: ObjectRules, wanted: ObjectRules, classes: Sequence[ModelClass]) -> tuple[str, str, str] | None:
    """Return the first option by which rules differ, its value in those that are ``there`` and in those that are wanted.

    All three as the user says them, lengths and areas in pixels; None if nothing differs.
    """
    names = {known.id: known.name for known in classes}
    for rule in ("classes", "together", "grow", "border", "split", "fill_holes", "min_area", "connectivity"):
        got, want = getattr(there, rule), getattr(wanted, rule)
        if got != want:
            return option_of(rule), _in_words(rule, got, names), _in_words(rule, want, names)
    return None


def _in_words(rule: str, value: object, names: dict[int, str]) -> str:
    match value:
        case None:
            return "none"
        case bool():
            return "yes" if value else "no"
        case tuple():
            return " and ".join(names.get(id_, str(id_)) for id_ in value)
        case int() if rule == "border":
            return names.get(value, str(value))
        case _:
            return str(value) if rule == "connectivity" else f"{value} pixels"
