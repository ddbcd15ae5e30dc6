"""Boxes: rectangles of whole pixels, half-open, in (y, x) order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence


@dataclass(frozen=True, slots=True, order=True)
class Box:
    """A rectangle of pixels: rows ``y0 <= y < y1``, columns ``x0 <= x < x1``.

    Coordinates may be negative: a box may leave the slide.
    """

    y0: int
    """First row."""
    x0: int
    """First column."""
    y1: int
    """Row behind the last one."""
    x1: int
    """Column behind the last one."""

    def __post_init__(self) -> None:
        if self.y1 < self.y0 or self.x1 < self.x0:
            msg = f"a box ends before it starts: {self}"
            raise ValueError(msg)

    @classmethod
    def of(cls, box: Box | Sequence[int]) -> Box:
        """Return ``box`` itself, or the box of a plain (y0, x0, y1, x1).

        >>> Box.of((0, 1, 2, 3))
        Box(y0=0, x0=1, y1=2, x1=3)
        """
        return box if isinstance(box, Box) else cls(*(int(side) for side in box))

    @classmethod
    def of_shape(cls, shape_yx: tuple[int, int]) -> Box:
        """Return the box of a whole image of ``shape_yx`` = (rows, columns)."""
        return cls(0, 0, *shape_yx)

    @classmethod
    def around(cls, boxes: Iterable[Box]) -> Box:
        """Return the smallest box that contains all of ``boxes``, at least one.

        >>> Box.around([Box(0, 5, 1, 6), Box(2, 2, 3, 3)])
        Box(y0=0, x0=2, y1=3, x1=6)
        """
        y0s, x0s, y1s, x1s = zip(*((box.y0, box.x0, box.y1, box.x1) for box in boxes), strict=True)
        return cls(min(y0s), min(x0s), max(y1s), max(x1s))

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return self.y1 - self.y0, self.x1 - self.x0

    @property
    def area(self) -> int:
        """Number of pixels."""
        return (self.y1 - self.y0) * (self.x1 - self.x0)

    @property
    def slices(self) -> tuple[slice, slice]:
        """The index of the box's pixels in an array (y, x, ...); only for boxes that don't leave it."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    def grow(self, margin: int) -> Box:
        """Return the box with ``margin`` more pixels on every side.

        >>> Box(0, 0, 10, 10).grow(2)
        Box(y0=-2, x0=-2, y1=12, x1=12)
        """
        return Box(self.y0 - margin, self.x0 - margin, self.y1 + margin, self.x1 + margin)

    def shift(self, dy: int, dx: int) -> Box:
        """Return the box moved by (dy, dx)."""
        return Box(self.y0 + dy, self.x0 + dx, self.y1 + dy, self.x1 + dx)

    def intersect(self, other: Box) -> Box:
        """Return the pixels in both boxes; an empty box at the nearest corner if there are none."""
        y0, x0 = max(self.y0, other.y0), max(self.x0, other.x0)
        return Box(y0, x0, max(y0, min(self.y1, other.y1)), max(x0, min(self.x1, other.x1)))

    def contains(self, other: Box) -> bool:
        """Tell whether every pixel of ``other`` is in this box."""
        return self.intersect(other).area == other.area

    def relative_to(self, outer: Box) -> Box:
        """Return the box in coordinates whose origin is ``outer``'s first pixel."""
        return self.shift(-outer.y0, -outer.x0)

    def round_out(self, grid: int) -> Box:
        """Return the smallest box that holds this one and whose sides lie on multiples of ``grid``.

        >>> Box(3, 16, 17, 32).round_out(16)
        Box(y0=0, x0=16, y1=32, x1=32)
        """
        return Box(
            self.y0 // grid * grid,
            self.x0 // grid * grid,
            -(-self.y1 // grid) * grid,
            -(-self.x1 // grid) * grid,
        )

    def split(self, height: int, width: int) -> Iterator[Box]:
        """Yield boxes of at most ``height`` x ``width``, row by row, that hold every pixel exactly once."""
        for y in range(self.y0, self.y1, height):
            for x in range(self.x0, self.x1, width):
                yield Box(y, x, min(y + height, self.y1), min(x + width, self.x1))
