"""Where the pixels of an array lie: OME-Zarr's transformations as one scale and one translation an axis.

Those of 0.4 and 0.5 are lists of scales and translations, one after the other; 0.6 has one with an input and an output, which
may be a sequence or a matrix. What turns, skews, mirrors or bends has no such form: then nobody knows the size of a pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from slideseg.errors import SlideError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from slideseg.slide.zarr.form import Form

_DEEPEST = 8
"""Sequences in sequences."""


class CrookedError(ValueError):
    """A transformation that is no scale and translation of each axis; says why."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Where index i of each axis lies: at ``scale * i + translation``."""

    scale: tuple[float, ...]
    """Units of the axis a pixel; above 0."""
    translation: tuple[float, ...]
    """Units of the axis."""

    @classmethod
    def identity(cls, axes: int) -> Placement:
        """Return the one that moves nothing."""
        return cls((1.0,) * axes, (0.0,) * axes)

    def then(self, other: Placement) -> Placement:
        """Return the placement by this one and then ``other``."""
        scale = tuple(a * b for a, b in zip(self.scale, other.scale, strict=True))
        moved = zip(self.translation, other.scale, other.translation, strict=True)
        return Placement(scale, tuple(own * by + more for own, by, more in moved))


def placement(transformations: Iterable[Form], axes: int, depth: int = 0) -> Placement:
    """Return where ``transformations``, applied one after the other, put an array of so many axes.

    Raises:
        CrookedError: if one of them is no scale and translation of each axis, or is of a wrong form.
    """
    if depth > _DEEPEST:
        msg = "its transformations are too deep"
        raise CrookedError(msg)
    whole = Placement.identity(axes)
    for transformation in transformations:
        try:
            whole = whole.then(_one(transformation, axes, depth))
        except SlideError as error:
            raise CrookedError(str(error)) from error
    return whole


def _one(transformation: Form, axes: int, depth: int) -> Placement:
    kind = transformation.at("type").text()
    match kind:
        case "identity":
            return Placement.identity(axes)
        case "scale":
            return _checked(Placement(transformation.at("scale").numbers(), (0.0,) * axes), kind, axes)
        case "translation":
            return _checked(Placement((1.0,) * axes, transformation.at("translation").numbers()), kind, axes)
        case "sequence":
            return placement(transformation.at("transformations").items(), axes, depth + 1)
        case "affine" | "rotation":
            return _matrix([row.numbers() for row in transformation.at(kind).items()], kind, axes)
    msg = f"its transformation is of the kind {kind!r}"
    raise CrookedError(msg)


def _matrix(rows: list[tuple[float, ...]], kind: str, axes: int) -> Placement:
    """Return the placement by a matrix, one row an axis, with a column for the translation where it is affine."""
    if len(rows) < axes or any(len(row) < axes for row in rows):
        msg = f"its {kind} has {len(rows)} rows for {axes} axes"
        raise CrookedError(msg)
    if any(rows[i][j] for i in range(axes) for j in range(axes) if i != j):
        msg = f"its {kind} turns or skews it"
        raise CrookedError(msg)
    translation = tuple(row[axes] if len(row) > axes else 0.0 for row in rows[:axes])
    return _checked(Placement(tuple(rows[i][i] for i in range(axes)), translation), kind, axes)


def _checked(found: Placement, kind: str, axes: int) -> Placement:
    if len(found.scale) != axes or len(found.translation) != axes:
        numbers = len(found.scale) if kind == "scale" else len(found.translation)
        msg = f"its {kind} has {numbers} numbers for {axes} axes"
        raise CrookedError(msg)
    if min(found.scale) <= 0:
        msg = f"its {kind} has a side of {min(found.scale):g}"
        raise CrookedError(msg)
    return found
