"""The size of a pixel by the scales and units of OME-Zarr."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.slide.pixel_size.claims import claim, settle

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.slide.facts import PixelSize


def pixel_of_scale(axes: str, scale: Sequence[float], units: Sequence[object], source: str = "OME-Zarr scale") -> PixelSize:
    """Return the size of a pixel whose side along each of ``axes`` (a letter each) is ``scale``, in ``units``.

    A unit that is None is none; where y or x has none the size is not known.
    """
    lengths = {axis: (float(side), unit) for axis, side, unit in zip(axes, scale, units, strict=True)}
    return settle([claim(source, lengths.get("y"), lengths.get("x"), lengths.get("z"))])[0]
