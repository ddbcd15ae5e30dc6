"""What an object is: one value for the recipe that learns a model, the model file, the result, and all that makes objects."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

BORDER = "border"
"""Name of the class that objects grow into, unless another is named."""
MOST_GROWTH = 256
"""Pixels that objects grow at most: a chunk's side, since what lies around a shard is read with it."""
MOST_SPLIT = 64
"""Pixels of the largest split: its reach is 13 times as much, so shards read half as much again around them."""


@dataclass(frozen=True, slots=True)
class ObjectRules:
    """What an object is, in pixels: of a model's resolution in a recipe and a model file, else of the class map's.

    It is made in this order:

    1. pixels of the same class in `classes` that touch are one object, with `together` pixels of any of them; with `split` it
       is parted at its necks;
    2. pixels of the class `border` go to the nearest object, at most `grow` steps away;
    3. holes of at most `fill_holes` pixels that lie in one object are filled;
    4. objects of less than `min_area` pixels are removed.

    Raises:
        ValueError: if a number can't be used.
    """

    __pydantic_config__ = {"extra": "forbid", "use_attribute_docstrings": True}  # noqa: RUF012 - where recipes and records are read, an unknown rule is an error

    classes: tuple[int, ...] = ()
    """Ids of the classes whose pixels make objects; empty leaves open which: all but background and border."""
    together: bool = False
    """Whether touching pixels of different classes are one object too: it is of the class that most of its pixels have."""
    border: int | None = None
    """Id of the class that objects grow into; None leaves it open where they grow: the one called border, if there is one."""
    grow: int = 4
    """Pixels that objects grow into the border class at most."""
    split: int = 0
    """Pixels around an object's middle in which it has no other; 0 parts nothing."""
    connectivity: int = 4
    """Neighbours that touch: 4, or 8 with those at the corners."""
    min_area: int = 0
    """Pixels of the smallest object."""
    fill_holes: int = 0
    """Pixels of the largest hole that is filled."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            numbers = value if name == "classes" else () if value is None else (value,)
            kind, want = (bool, "true or false") if name == "together" else (int, "a whole number from 0")
            if not all(type(number) is kind and number >= 0 for number in numbers):
                msg = f"{name} must be {'ids from 0' if name == 'classes' else want} (got {value!r})"
                raise ValueError(msg)
        if self.connectivity not in (4, 8):
            msg = f"objects are connected by 4 or 8 neighbours (got {self.connectivity})"
            raise ValueError(msg)

    def unknown_classes(self, count: int) -> list[int]:
        """Return the ids that are not those of ``count`` classes, background with them; background makes no objects."""
        named = {*self.classes, *(() if self.border is None else (self.border,))}
        return sorted(named - set(range(1, count)))

    def scaled(self, factor: float) -> ObjectRules:
        """Return the rules in pixels that are smaller by ``factor``, to the nearest whole ones that can be used."""
        return replace(
            self,
            grow=min(round(self.grow * factor), MOST_GROWTH),
            split=min(round(self.split * factor), MOST_SPLIT),
            min_area=round(self.min_area * factor**2),
            fill_holes=round(self.fill_holes * factor**2),
        )

    def at(self, mpp: float | None, own: float | None) -> ObjectRules:
        """Return the rules, in pixels of ``own`` microns, in those of ``mpp``; as they are where either is unknown."""
        return self.scaled(own / mpp) if mpp and own else self

    def in_words(self, names: Mapping[int, str]) -> str:
        """Return the rules in words; ``names`` are those of the classes by their ids.

        >>> ObjectRules(classes=(1,), border=2, grow=20, min_area=140).in_words({1: "nucleus", 2: "border"})
        'nucleus, grown by up to 20 px into border, at least 140 px large'
        >>> ObjectRules(classes=(1, 2), grow=0, split=9, fill_holes=5, connectivity=8).in_words({1: "a"})
        'a and 2, touching by corners too, parted at necks 9 px around a middle, holes up to 5 px filled'
        """
        named = {id_: names.get(id_, str(id_)) for id_ in (*self.classes, self.border) if id_ is not None}
        together = "of any class together" if self.together else ""
        grown = "" if self.border is None or not self.grow else f"grown by up to {self.grow} px into {named[self.border]}"
        said = (
            " and ".join(named[id_] for id_ in self.classes) or "all classes",
            together,
            "touching by corners too" if self.connectivity == 8 else "",
            f"parted at necks {self.split} px around a middle" if self.split else "",
            *(grown, f"holes up to {self.fill_holes} px filled" if self.fill_holes else ""),
            f"at least {self.min_area} px large" if self.min_area else "",
        )
        return ", ".join(part for part in said if part)

    def to_json(self) -> dict[str, Any]:
        """Return the rules as JSON has them."""
        return {**asdict(self), "classes": list(self.classes)}

    @classmethod
    def from_json(cls, said: Mapping[str, Any]) -> ObjectRules:
        """Return the rules that `to_json` gave.

        Raises:
            TypeError: if there is a rule that is not known.
            ValueError: if one can't be used.
        """
        rules: dict[str, Any] = {name: tuple(value) if name == "classes" else value for name, value in said.items()}
        return cls(**rules)
