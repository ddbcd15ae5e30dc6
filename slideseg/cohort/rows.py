"""A slide's row on the page: its picture, what was found, how long it took, what was said of it, why it failed."""

from __future__ import annotations

import base64
import shlex
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from slideseg.cohort.markup import last_part, link_between, name, tag, text
from slideseg.cohort.spent import stages_of
from slideseg.cohort.told import MEGA, PER_MM2, PER_MPX, area_told, density_of, density_told, size_told
from slideseg.words import duration, many, number

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from slideseg.cohort.look import Look, ShownClass

NOTHING = "\u2013"
"""Stands where a number is not known."""
HEADS = (
    ("", None), ("Slide", "text"), ("Tissue", "number"), ("", None), ("Found", "number"), ("Density", "number"),
    ("Median size", "number"), ("Of the tissue", "number"), ("Time", "number"),
)  # fmt: skip
"""Columns, and as what they can be sorted."""


@dataclass(frozen=True, slots=True)
class Scale:
    """What the slides of a page are measured by."""

    folder: str
    """Where the page is."""
    in_microns: bool
    """Whether the size of a pixel is known of any: such slides can be compared, others only where it is known of none."""
    densest: float
    """The largest density of a class."""

    @property
    def unit(self) -> str:
        """Of densities."""
        return PER_MM2 if self.in_microns else PER_MPX


def scale_of(folder: str, looks: Sequence[Look]) -> Scale:
    """Return what the slides of a page are measured by."""
    in_microns = any(look.row.get("per_mm2") is not None for look in looks)
    found = [density_of(look.row, f"_{known.name}", in_microns=in_microns) for look in looks for known in look.classes]
    return Scale(folder, in_microns, max((one for one in found if one is not None), default=0.0))


def heads() -> str:
    """Return the table's head."""
    return "".join(tag("th", title, scope="col", data_key=sorted_as) for title, sorted_as in HEADS)


def slide_row(index: int, slide: Mapping[str, Any], look: Look, picture: bytes | None, scale: Scale) -> str:
    """Return the row of a slide: what a run's report tells of it, what was found in its result, and its picture as JPEG."""
    is_failed = slide["status"] != "ok"
    kinds = " ".join(kind for kind, is_so in (("failed", is_failed), ("warned", bool(slide.get("notes")))) if is_so)
    said = _slide(slide, look, scale)
    if look.row:
        cells = [_picture(look, picture, slide), _cell(said, last_part(slide["input"]), "slide"), _tissue(look.row)]
        cells += [*_found(look, scale), _time(slide, look)]
    else:
        cells = [tag("td"), tag("td", said, class_="slide", data_v=last_part(slide["input"]), colspan=len(HEADS) - 1)]
    return tag("tr", "".join(cells), id=f"s{index}", class_=kinds) + "\n"


def _cell(inner: str, key: object = None, kind: str = "") -> str:
    """Return a cell that is sorted by its key; without one it comes last."""
    return tag("td", inner, class_=kind, data_v=key)


def _picture(look: Look, picture: bytes | None, slide: Mapping[str, Any]) -> str:
    if picture is None:
        return tag("td", tag("div", text(look.lacking or ""), class_="none"), class_="look")
    data = base64.b64encode(picture).decode()
    alt = text(f"{last_part(slide['input'])}, with outlines")
    shown = f'<img tabindex="0" decoding="async" alt="{alt}" src="data:image/jpeg;base64,{data}">'
    return tag("td", shown, class_="look")


def _slide(slide: Mapping[str, Any], look: Look, scale: Scale) -> str:
    """Return what there is to say of a slide in words."""
    link = link_between(scale.folder, slide["output"]) if look.row else None
    called = name(last_part(slide["input"]))
    said = [tag("div", called if link is None else tag("a", called, href=link), class_="name")]
    said.append(tag("p", " \u00b7 ".join([text(slide["input"]), *_facts(look.row)]), class_="faint"))
    if slide.get("error"):
        said.append(tag("p", text(slide["error"]), class_="why"))
    if look.row:
        said.append(tag("p", tag("code", f"slideseg view {text(shlex.quote(slide['output']))}"), class_="faint"))
    if notes := slide.get("notes"):
        entries = "".join(tag("li", text(note)) for note in notes)
        said.append(tag("details", tag("summary", many(len(notes), "warning")) + tag("ul", entries)))
    return "".join(said)


def _facts(row: Mapping[str, Any]) -> Iterator[str]:
    if row.get("model") is not None:
        yield text(row["model"])
    if row.get("mpp") is not None:
        yield f"{number(row['mpp'])} \u00b5m a pixel"


def _tissue(row: Mapping[str, Any]) -> str:
    pixels = row.get("tissue_pixels")
    if pixels is None:
        return _cell("")
    area = row["tissue_mm2"]
    said = area_told(pixels, area)
    of = f"of {number(row['pixels'] / MEGA)} Mpx" if row["tissue_known"] else "all segmented"
    return _cell(_div(said, "all") + _div(of, "faint"), pixels if area is None else area)


def _found(look: Look, scale: Scale) -> Iterator[str]:
    """Yield the cells of what was found, a line a class in each: its name, how many, how dense, how large, how much of all."""
    row, shown = look.row, [known for known in look.classes if known.role != "outer"]
    lines = [_line(row, known, scale) for known in shown]
    of_objects = [known for known in shown if known.role == "objects"]
    if len(of_objects) > 1:
        lines.insert(0, _of_objects(row, "", "all", scale))
    for number_of_column, key in enumerate((None, "objects", "per_mm2", "median_um2", "covered")):
        kind = "" if number_of_column else "class"
        yield _cell("".join(line[number_of_column] for line in lines), key and _key(row, key, shown, scale), kind)


def _key(row: Mapping[str, Any], column: str, shown: Sequence[ShownClass], scale: Scale) -> float | None:
    """Return by what a slide is sorted: what is true of all objects, or of the first class where there are none."""
    if row.get("objects") is None and shown:
        return {"objects": row.get(f"area_pixels_{shown[0].name}"), "covered": row.get(f"share_{shown[0].name}")}.get(column)
    if column == "per_mm2":
        return density_of(row, "", in_microns=scale.in_microns)
    if column == "median_um2" and not scale.in_microns:
        column = "median_pixels"
    return row.get(column)


def _line(row: Mapping[str, Any], known: ShownClass, scale: Scale) -> list[str]:
    """Return what is told of a class, a piece for each column."""
    chip = chip_of(known.color) + name(known.name)
    if known.role == "objects":
        return _of_objects(row, f"_{known.name}", chip, scale)
    area, pixels = row.get(f"area_mm2_{known.name}"), row.get(f"area_pixels_{known.name}")
    share = _percent(row.get(f"share_{known.name}"))
    return [_div(chip), _div(area_told(pixels, area) or NOTHING), _div(NOTHING), _div(NOTHING), _div(share)]


def _of_objects(row: Mapping[str, Any], of: str, called: str, scale: Scale) -> list[str]:
    kind = "" if of else "all"
    count, density = row.get(f"objects{of}"), density_of(row, of, in_microns=scale.in_microns)
    size = size_told(row.get(f"median_pixels{of}"), row.get(f"median_um2{of}"))
    part = density / scale.densest if density is not None and of and scale.densest else None
    return [
        _div(called, kind),
        _div(NOTHING if count is None else f"{count:,}", kind),
        _div(density_told(row, of) or NOTHING, kind, part),
        _div(size or NOTHING, kind),
        _div(_percent(row.get(f"covered{of}")), kind),
    ]


def _div(inner: str, kind: str = "", part: float | None = None) -> str:
    """Return a line; ``part`` is the length of the bar behind it."""
    if part is None:
        return tag("div", inner, class_=kind)
    return tag("div", inner, class_=f"{kind} bar".strip(), style=f"--part:{100 * part:.1f}%")


def chip_of(color: str) -> str:
    """Return a small square of a class's colour."""
    return tag("i", class_="chip", style=f"background:{color}")


def _percent(share: float | None) -> str:
    return NOTHING if share is None else f"{100 * share:.1f} %"


def _time(slide: Mapping[str, Any], look: Look) -> str:
    """Return how long the run took; of a slide whose shards were all there, how long its making did."""
    seconds, shards = slide.get("seconds") or 0.0, slide.get("shards") or {}
    kept = f", {shards['kept']:,} kept" if shards.get("kept") else ""
    if kept and not shards["computed"] and look.seconds is not None:
        kept += f" by this run of {duration(seconds)}" * (seconds > 0)
        seconds = look.seconds
    below = _div(f"{many(shards['total'], 'shard')}{kept}", "faint") if shards.get("total") else ""
    below += "".join(_div(f"{text(stage)} {duration(took)}", "faint stage") for stage, took in stages_of(slide))
    return _cell(_div(duration(seconds), "all") + below if seconds else "", seconds or None)
