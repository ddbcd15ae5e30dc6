"""What a slide that slideseg converted says of its source beyond OME's words: the part that was scanned, and what was not.

It stands in the attributes of level 0. Beside the levels lie maps of what was scanned, 255 where it was and 0 where not; in
reduced ones their mean.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import zarr

from slideseg.errors import SlideError, explain
from slideseg.slide.zarr.form import Form
from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.slide.base import Slide
    from slideseg.slide.zarr.tier import Tier

SCANNED = "scanned"
"""Group of the maps of what was scanned, which have the names of their levels."""
HALF = 128
"""Of a reduced map: at least half was scanned."""
_SOURCE = "source"


@dataclass(frozen=True, slots=True)
class Converted:
    """What is known of the source."""

    bounds: Box | None = None
    """The part of level 0 that was scanned, where the source says so."""
    background: tuple[int, ...] | None = None
    """The pixel that stands where nothing was scanned; None where everything was, and there are no maps."""

    @classmethod
    def of(cls, slide: Slide) -> Converted:
        """Return what is written of a slide."""
        return cls(slide.bounds, slide.background)

    def to_json(self) -> dict[str, Any]:
        """Return it as an entry of the attributes."""
        return {_SOURCE: json.loads(json.dumps(asdict(self)))}


NOTHING_SAID = Converted()
"""Of a slide that was not converted, or all of which was scanned."""


def converted_of(path: str, first: Tier, letters: Sequence[str]) -> Converted:
    """Return what the attributes of level 0 say; nothing is known where they say nothing.

    Raises:
        SlideError: if they have another form.
    """
    attributes = dict(first.array.attrs).get("slideseg")
    said = Form(path, f"{first.name}.slideseg", attributes).get(_SOURCE) if isinstance(attributes, dict) else None
    if said is None:
        return NOTHING_SAID
    background = said.get("background")
    values = None if background is None else tuple(round(number) for number in background.numbers())
    channels = first.array.shape[letters.index("c")] if "c" in letters else 1
    if background is not None and (values is None or len(values) != channels):
        raise background.wrong(f"{channels} numbers")
    return Converted(_bounds(said.get("bounds"), first.side(letters)), values)


def _bounds(said: Form | None, shape: tuple[int, int]) -> Box | None:
    if said is None:
        return None
    y0, x0, y1, x1 = (round(said.at(side).number()) for side in ("y0", "x0", "y1", "x1"))
    if not (0 <= y0 < y1 <= shape[0] and 0 <= x0 < x1 <= shape[1]):
        raise said.wrong(f"a box inside {shape[0]} x {shape[1]}")
    return Box(y0, x0, y1, x1)


def map_of(path: str, group: zarr.Group, tier: Tier, letters: Sequence[str]) -> zarr.Array[Any]:
    """Return the map of what was scanned of a level.

    Raises:
        SlideError: if it is missing, or of another shape than the level.
    """
    name = f"{SCANNED}/{tier.name}"
    found = group.get(name)
    shape = tuple(size for size, letter in zip(tier.array.shape, letters, strict=True) if letter != "c")
    if not isinstance(found, zarr.Array) or found.shape != shape:
        got = f"{name} of {found.shape}" if isinstance(found, zarr.Array) else f"no {name}"
        raise SlideError(explain(f"{path}: damaged zarr", got=got, want=f"a map of {shape}", try_="slideseg convert it anew"))
    return found
