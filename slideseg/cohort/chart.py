"""How dense the objects of each class are on all slides, a dot a slide: what is out of the ordinary catches the eye."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from slideseg.cohort.markup import last_part, name, tag, text
from slideseg.cohort.rows import chip_of
from slideseg.cohort.told import density_of
from slideseg.words import number

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from slideseg.cohort.look import Look
    from slideseg.cohort.rows import Scale

LEAST, MOST = 3, 2000
"""Slides that are shown: fewer say nothing, more can't be told apart."""
WIDTH, HEIGHT, AXIS, RADIUS = 420, 58, 18, 4
MOST_CLASSES = 12


def charts(slides: Sequence[Mapping[str, Any]], looks: Sequence[Look], scale: Scale) -> str:
    """Return a chart for each class of objects; nothing where there are too few slides, or too many."""
    if not LEAST <= sum(bool(look.classes) for look in looks) <= MOST:
        return ""
    colors = {known.name: known.color for look in looks for known in look.classes if known.role == "objects"}
    drawn = []
    for called, color in list(colors.items())[:MOST_CLASSES]:
        found = [density_of(look.row, f"_{called}", in_microns=scale.in_microns) for look in looks]
        dots = [(index, value) for index, value in enumerate(found) if value is not None]
        if len(dots) >= LEAST:
            drawn.append(_chart(called, color, dots, [last_part(slide["input"]) for slide in slides], scale.unit))
    return tag("div", "".join(drawn), class_="charts") if drawn else ""


def _chart(called: str, color: str, dots: Sequence[tuple[int, float]], names: Sequence[str], unit: str) -> str:
    step = round_step(max(value for _, value in dots))
    top = step * math.ceil(max(value for _, value in dots) / step or 1)
    base = HEIGHT - AXIS
    marks = "".join(_mark(step * n, top, base) for n in range(round(top / step) + 1))
    places = swarm([WIDTH * value / top for _, value in dots], base / 2)
    shown = ""
    for (index, value), (x, y) in zip(dots, places, strict=True):
        title = tag("title", text(f"{names[index]}: {number(value)} {unit}"))
        shown += tag("a", tag("circle", title, cx=f"{x:.1f}", cy=f"{y:.1f}", r=RADIUS, fill=color), href=f"#s{index}")
    head = tag("h2", chip_of(color) + name(called) + " " + tag("span", unit, class_="faint"))
    view = f"-14 0 {WIDTH + 28} {HEIGHT}"
    return tag("section", head + f'<svg viewBox="{view}" role="img">{marks}{shown}</svg>')


def _mark(value: float, top: float, base: float) -> str:
    x = f"{WIDTH * value / top:.1f}"
    line = tag("line", x1=x, x2=x, y1="0", y2=base)
    return line + tag("text", number(value), x=x, y=HEIGHT - 4, text_anchor="middle")


def round_step(most: float) -> float:
    """Return a round distance between marks, so that there are three to eight up to a value.

    >>> round_step(2422), round_step(0.7), round_step(0)
    (500.0, 0.1, 1.0)
    """
    if most <= 0:
        return 1.0
    ten = 10.0 ** math.floor(math.log10(most))
    return float(f"{next(ten * part for part in (0.1, 0.2, 0.5, 1, 2, 5) if most / (ten * part) <= 7):.6g}")


def swarm(across: Sequence[float], middle: float) -> list[tuple[float, float]]:
    """Return where dots lie: each in its place across, moved up or down from the middle where it would hide another one."""
    lanes: dict[int, float] = {}
    most, places = int((middle - RADIUS) // RADIUS), [(0.0, 0.0)] * len(across)
    for index in sorted(range(len(across)), key=across.__getitem__):
        free = [lane for lane in range(-most, most + 1) if across[index] - lanes.get(lane, -math.inf) >= 2 * RADIUS]
        lane = min(free or range(-most, most + 1), key=lambda one: (abs(one), one) if free else (lanes[one], one))
        for near in (lane - 1, lane, lane + 1):
            lanes[near] = across[index]
        places[index] = (across[index], middle + lane * RADIUS)
    return places
