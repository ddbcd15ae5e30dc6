"""Whether a smaller image is a level of a slide, and at which scale: one rule for every reader.

1. What the file declares of the level's scale counts where the level's size bears it out: rounded, or padded to whole tiles.
2. Else one whole factor for both sides, a power of two before any other.
3. Else a level of whole tiles is padded: its factor is the power of two that leaves less than a tile of padding.
4. Else the same aspect: its scale is the ratio of the sizes.
5. Where none of it holds, where both 3 and 4 do, or where nothing but the size speaks for it, pixels are compared.
6. Where all says that it is a level, it is none if it clearly shows another picture (where a look is cheap: files whose
   levels are pages or files of their own), or lacks what the finer one shows.

A padded level is cut to what shows the slide, and its scale is the factor, not the ratio of the sizes.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from slideseg.slide.facts import Level
from slideseg.space.box import Box

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Read = Callable[[Box], np.ndarray]
    """Pixels (y, x, c) of a box of one level."""

_ROUNDING = 2
"""Pixels by which a side may be off: it may have been rounded up or down at each halving."""
_ROUGHLY = 0.01
"""Share by which a declared scale, or a side, may be off."""
SAMPLES = 5
"""Patches along each side that are compared."""
_PATCH = 24
"""Side of a patch in pixels of the coarser level."""
_ALIKE = 0.6
"""Patches at the same place differ by at most this share of what patches at different places do."""
_FLAT = 0.04
"""Share of the largest value by which flat pictures may differ."""
PROBES = 3
"""Patches along each side that are looked at where all says that they show the same."""
_DETAIL, _GRAIN = 0.02, 3
"""Deviations in a patch, as a share of the largest value, that are more than noise, and over how many pixels a side."""
_CLEARLY = 0.2
"""Correlation of detail that different pictures don't reach. Of the same one it is 0.8 and more, of noise alone where a level
is every fourth pixel of it 0.25."""
LARGEST_LOOK = 1 << 24
"""Pixels of such a place, of the finer level, that are read to see whether there is something in it."""
_LOOKS = 32
"""Places where a level has a gap and the finer one may have none that are looked at, if there is nothing in them."""


def level_of(
    stored: tuple[int, int],
    full: tuple[int, int],
    *,
    declared: tuple[float, float] | None = None,
    tile: tuple[int, int] | None = None,
) -> Level | None:
    """Return the level that an image is of a slide, by their sizes; None where they don't show that it is one.

    Args:
        stored: rows and columns of the image.
        full: rows and columns of the slide's level 0.
        declared: level-0 pixels a pixel along y and x, as the file says (by the spacing of pixels, for one).
        tile: rows and columns of a tile, where sides may be padded to whole tiles.

    >>> level_of((768, 1024), (1100, 1800), declared=(2.0, 2.0), tile=(256, 256))
    Level(shape=(550, 900), scale=(2.0, 2.0))
    >>> level_of((431, 1280), (480, 640)) is None
    True
    """
    sure, unsure = _scales(stored, full, declared, tile)
    scale = sure or (unsure[0] if len(unsure) == 1 else _aspect(stored, full))
    return None if scale is None else _cut(stored, full, scale)


def possible_levels(
    stored: tuple[int, int],
    full: tuple[int, int],
    *,
    declared: tuple[float, float] | None = None,
    tile: tuple[int, int] | None = None,
) -> list[Level]:
    """Return all that an image can be by its size, the likeliest first, as `level_of` takes it: more than one need a look.

    Where nothing fits and it is smaller, it can only be the whole slide, stretched.
    """
    sure, unsure = _scales(stored, full, declared, tile)
    if sure:
        return [_cut(stored, full, sure)]
    same = _aspect(stored, full)
    smaller = stored != full and 0 not in stored and stored[0] <= full[0] and stored[1] <= full[1]
    stretched = [(full[0] / stored[0], full[1] / stored[1])] if smaller else []
    return [_cut(stored, full, scale) for scale in [*unsure, *([same] if same else [])] or stretched]


def box_at_level_0(box: Box, level: Level, shape: tuple[int, int]) -> Box:
    """Return a box of ``level`` in the pixels of level 0, which has ``shape``; what leaves the slide is cut off.

    >>> box_at_level_0(Box(0, 3, 5, 9), Level((5, 5), (2.0, 4.0)), (9, 100))
    Box(y0=0, x0=12, y1=9, x1=36)
    """
    y0, y1 = (min(shape[0], round(side * level.scale[0])) for side in (box.y0, box.y1))
    x0, x1 = (min(shape[1], round(side * level.scale[1])) for side in (box.x0, box.x1))
    return Box(y0, x0, y1, x1)


def same_pixels(coarse: Read, shape: tuple[int, int], fine: Read, fine_shape: tuple[int, int]) -> bool:
    """Tell whether an image of ``shape``, read by ``coarse``, shows the same picture as a finer one.

    Patches spread over both are compared, the finer ones reduced by means. They are the same picture where patches at the same
    place differ clearly less than patches at different places.
    """
    small, large = _patches(coarse, shape, fine, fine_shape, SAMPLES)
    at_place = float(np.abs(small - large).mean())
    elsewhere = float(np.mean([np.abs(small - np.roll(large, by, axis=0)).mean() for by in range(1, len(small))]))
    flat = _FLAT * float(max(np.abs(small).max(), np.abs(large).max()))
    return at_place <= max(_ALIKE * elsewhere, flat if elsewhere <= 2 * flat else 0)


def shows_another(coarse: Read, shape: tuple[int, int], fine: Read, fine_shape: tuple[int, int]) -> bool:
    """Tell whether an image of ``shape``, which by all that is said of it is a level, clearly shows another picture.

    What varies inside of a few patches has nothing in common with the finer image's. It has, whichever way the level was made:
    by means or by leaving pixels out, a pixel or two off, of a grainy picture too.
    """
    if min(shape) < 2 * _GRAIN:
        return False
    small, large = _patches(coarse, shape, fine, fine_shape, PROBES)
    most = float(max(np.abs(small).max(), np.abs(large).max()))
    a, b = _detail(small), _detail(large)
    visible = max(a.std(), b.std()) > _DETAIL * most
    return bool(visible and (a * b).mean() <= _CLEARLY * a.std() * b.std())


def lacks(gaps: Iterable[Box], level: Level, finer: Level, shows: Callable[[Box], bool | None]) -> bool:
    """Tell whether a finer level shows something where a level has ``gaps``: then it is no reduced copy of it.

    ``shows`` tells it of a box of the finer level; None where that is known without a look.
    """
    looked = 0
    for gap in gaps:
        seen = shows(_under(gap, level, finer))
        if seen:
            return True
        looked += seen is not None
        if looked == _LOOKS:
            break
    return False


def _under(box: Box, level: Level, finer: Level) -> Box:
    """Return the pixels of the finer level that lie whole under a box of a level, without what is padding."""
    by = [coarse / fine for coarse, fine in zip(level.scale, finer.scale, strict=True)]
    starts = [math.ceil(start * side) for start, side in zip((box.y0, box.x0), by, strict=True)]
    ends = [min(most, math.floor(end * side)) for end, side, most in zip((box.y1, box.x1), by, finer.shape, strict=True)]
    return Box(*starts, *(max(pair) for pair in zip(starts, ends, strict=True)))


def _scales(
    stored: tuple[int, int], full: tuple[int, int], declared: tuple[float, float] | None, tile: tuple[int, int] | None
) -> tuple[tuple[float, float] | None, list[tuple[float, float]]]:
    """Return the scale that is sure, or those that padding makes possible."""
    if 0 in stored or stored == full:
        return None, []
    sure = (None if declared is None else _declared(stored, full, declared, tile)) or _whole(stored, full)
    if sure is not None:
        return (sure, []) if min(sure) >= 1 and max(sure) > 1 else (None, [])
    return None, [] if tile is None else _padded(stored, full, tile)


def _cut(stored: tuple[int, int], full: tuple[int, int], scale: tuple[float, float]) -> Level:
    """Return the level without its padding."""
    shape = tuple(min(side, math.ceil(whole / by)) for side, whole, by in zip(stored, full, scale, strict=True))
    return Level((shape[0], shape[1]), scale)


def _declared(
    stored: tuple[int, int], full: tuple[int, int], declared: tuple[float, float], tile: tuple[int, int] | None
) -> tuple[float, float] | None:
    """Return the declared scale, whole where it is nearly so, if the sizes bear it out."""
    if not all(0 < by < math.inf for by in declared):
        return None
    snapped = tuple(float(round(by)) if abs(by - round(by)) <= _ROUGHLY * by and by > 0.5 else by for by in declared)
    sides = zip(stored, full, snapped, tile or (0, 0), strict=True)
    return (snapped[0], snapped[1]) if all(_holds(*side) for side in sides) else None


def _holds(stored: int, full: int, scale: float, tile: int) -> bool:
    """Tell whether a side is a slide's side reduced by ``scale``, rounded or padded to whole tiles."""
    wanted = full / scale
    padded = bool(tile) and stored % tile == 0 and math.ceil(wanted) <= stored < math.ceil(wanted) + tile
    return abs(stored - wanted) <= _ROUNDING + _ROUGHLY * wanted or padded


def _whole(stored: tuple[int, int], full: tuple[int, int]) -> tuple[float, float] | None:
    """Return the whole factor by which ``full`` was reduced, if it was."""
    ratios = (full[0] / stored[0], full[1] / stored[1])
    middle = math.sqrt(ratios[0] * ratios[1])
    powers = [2**power for power in range(1, 24)]
    near = range(max(2, math.floor(min(ratios))), math.ceil(max(ratios)) + 1) if max(ratios) < min(ratios) + _ROUNDING else ()
    for candidates in (powers, near):
        whole = [by for by in candidates if _is_rounded(stored, full, by)]
        if whole:
            best = float(min(whole, key=lambda by: abs(by - middle)))
            return best, best
    return None


def _aspect(stored: tuple[int, int], full: tuple[int, int]) -> tuple[float, float] | None:
    """Return the ratios of the sizes if the aspect is the same."""
    if stored == full or 0 in stored or stored[0] > full[0] or stored[1] > full[1]:
        return None
    ratios = (full[0] / stored[0], full[1] / stored[1])
    middle = math.sqrt(ratios[0] * ratios[1])
    sides = zip(full, stored, strict=True)
    same = all(abs(side / middle - reduced) <= _ROUNDING + _ROUGHLY * reduced for side, reduced in sides)
    return ratios if same else None


def _is_rounded(stored: tuple[int, int], full: tuple[int, int], by: int) -> bool:
    """Tell whether both sides are those of ``full`` divided by a whole number, rounded up or down."""
    return all(side // by <= reduced <= -(-side // by) for side, reduced in zip(full, stored, strict=True))


def _padded(stored: tuple[int, int], full: tuple[int, int], tile: tuple[int, int]) -> list[tuple[float, float]]:
    """Return the powers of two by which ``full`` may have been reduced before it was padded to whole tiles."""
    return [
        (float(2**power), float(2**power))
        for power in range(1, 24)
        if all(
            side % piece == 0 and math.ceil(whole / 2**power) <= side < math.ceil(whole / 2**power) + piece
            for side, whole, piece in zip(stored, full, tile, strict=True)
        )
    ]


def compared(shape: tuple[int, int], fine_shape: tuple[int, int], many: int) -> list[tuple[Box, Box]]:
    """Return the patches, ``many`` along each side, that are compared: of an image, and what lies under them in a finer one."""
    boxes = [_patch(row, column, shape, many) for row in range(many) for column in range(many)]
    edges = (_edges(box, shape, fine_shape) for box in boxes)
    return [(box, Box(int(ys[0]), int(xs[0]), int(ys[-1]), int(xs[-1]))) for box, (ys, xs) in zip(boxes, edges, strict=True)]


def _patches(
    coarse: Read, shape: tuple[int, int], fine: Read, fine_shape: tuple[int, int], many: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values (patch, y, x) of ``many`` times as many patches of an image, and of a finer one reduced to it."""
    pairs = [
        (_values(coarse(box)), _reduced(fine(under), *_edges(box, shape, fine_shape)))
        for box, under in compared(shape, fine_shape, many)
    ]
    small, large = (np.stack(side) for side in zip(*pairs, strict=True))
    return small, large


def _patch(row: int, column: int, shape: tuple[int, int], many: int) -> Box:
    sides = tuple(min(_PATCH, side) for side in shape)
    y, x = ((n * (side - patch)) // (many - 1) for n, side, patch in zip((row, column), shape, sides, strict=True))
    return Box(y, x, y + sides[0], x + sides[1])


def _detail(patches: np.ndarray) -> np.ndarray:
    """Return how means over some pixels (patch, y, x) deviate from their patch's."""
    number, rows, columns = (len(patches), *(side // _GRAIN for side in patches.shape[1:]))
    cut = patches[:, : rows * _GRAIN, : columns * _GRAIN]
    means = cut.reshape(number, rows, _GRAIN, columns, _GRAIN).mean(axis=(2, 4))
    return np.asarray(means - means.mean(axis=(1, 2), keepdims=True))


def _values(pixels: np.ndarray) -> np.ndarray:
    """Return the mean of the channels (y, x)."""
    return np.asarray(np.nan_to_num(pixels.astype(np.float64)).mean(axis=2))


def _reduced(pixels: np.ndarray, ys: np.ndarray, xs: np.ndarray) -> np.ndarray:
    """Return the means of a finer image's pixels between edges."""
    rows = np.add.reduceat(_values(pixels), ys[:-1] - ys[0], axis=0) / np.diff(ys)[:, None]
    return np.asarray(np.add.reduceat(rows, xs[:-1] - xs[0], axis=1) / np.diff(xs)[None, :])


def _edges(box: Box, shape: tuple[int, int], fine_shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return where the pixels of ``box`` begin and end in a finer image, along y and x."""
    spans = ((box.y0, box.y1), (box.x0, box.x1))
    ys, xs = (
        np.clip(np.rint(np.arange(start, end + 1) * (fine / coarse)).astype(int), 0, fine)
        for (start, end), coarse, fine in zip(spans, shape, fine_shape, strict=True)
    )
    return ys, xs
