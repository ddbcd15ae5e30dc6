"""Arrays without OME metadata: their axes by their names, else by their shape."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slideseg.errors import SlideError, explain
from slideseg.slide.zarr.metadata import letters_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    import zarr

_MAX_CHANNELS = 4
"""An axis without a name and with at most this many entries is taken for channels."""


def named_letters(array: zarr.Array[Any]) -> tuple[str, ...] | None:
    """Return what an array's axes are by the names that it has itself; None where it has none, or they say nothing."""
    names = getattr(array.metadata, "dimension_names", None) or array.attrs.get("_ARRAY_DIMENSIONS")
    return letters_of(names, len(array.shape))


def letters_by_shape(path: str, shape: Sequence[int]) -> tuple[str, ...]:
    """Return the axes of an array that does not name them.

    Two are (y, x). Three are (y, x, c) or (c, y, x) if that axis has at most 4 entries and the others have more, else a
    stack (z, y, x). Four are a stack (z, y, x, c), or (z, c, y, x) if the last has more than 4 entries.

    Raises:
        SlideError: if there are fewer or more.
    """
    if len(shape) == 2:
        return ("y", "x")
    if len(shape) == 3:
        if shape[-1] <= _MAX_CHANNELS and shape[-1] <= min(shape[:2]):
            return ("y", "x", "c")
        return ("c", "y", "x") if shape[0] <= _MAX_CHANNELS else ("z", "y", "x")
    if len(shape) == 4 and min(shape[-1], shape[1]) <= _MAX_CHANNELS:
        return ("z", "y", "x", "c") if shape[-1] <= _MAX_CHANNELS else ("z", "c", "y", "x")
    raise SlideError(explain(f"{path}: unsupported axes", got=f"shape {tuple(shape)}", want="2 to 4 axes", try_="naming them"))
