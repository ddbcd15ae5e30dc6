"""The page of a run: one file that needs nothing else, not even scripts; it can be mailed.

Whatever stands in it comes from names of files and from results, so all of it is text (`markup`), and the page's own policy
lets a browser run nothing but the one script that sorts.
"""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slideseg.cohort.chart import charts
from slideseg.cohort.failed import BEFORE
from slideseg.cohort.markup import last_part, name, tag, text
from slideseg.cohort.rows import heads, scale_of, slide_row
from slideseg.cohort.spent import spent
from slideseg.storage.place import locate
from slideseg.version import __version__
from slideseg.words import duration, many, number

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from slideseg.cohort.look import Look

ASSETS = Path(__file__).parent / "assets"
MADE_BY = '<meta name="generator" content="slideseg">'
"""What the head of our pages has; others are not replaced."""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src '{}'; base-uri 'none'; form-action 'none'"
SMALL = 240
"""Pictures of fewer pixels a side are shown smaller."""
MEGA = 1e6


def page(
    folder: str,
    run: Mapping[str, Any],
    looks: Sequence[Look],
    picture_of: Callable[[int], bytes | None],
    remark: str | None,
    side: int,
) -> Iterator[str]:
    """Yield the page piece by piece; no more than one picture is in memory at a time.

    Args:
        folder: where the page will be.
        run: the run's report: ``slides`` and what is known of the run.
        looks: what was found in the result of each slide.
        picture_of: returns the JPEG of a slide by its number.
        remark: what is to be said of the pictures.
        side: pixels of the longest side of a picture.
    """
    slides, scale = run["slides"], scale_of(folder, looks)
    called = called_of(folder)
    yield from _head(called)
    yield f"<body{' class=small' if side < SMALL else ''}>\n<header><h1>{name(called)}</h1>{_about(slides, looks)}</header>\n"
    yield _totals(run, looks)
    yield tag("p", text(remark), class_="said") if remark else ""
    yield charts(slides, looks, scale)
    yield _filter(slides)
    yield f'<div class="wide"><table><thead><tr>{heads()}</tr></thead>\n<tbody>\n'
    for index in sorted(range(len(slides)), key=lambda number: slides[number]["status"] == "ok"):
        yield slide_row(index, slides[index], looks[index], picture_of(index), scale)
    yield "</tbody></table></div>\n"
    yield _before(run.get(BEFORE, []))
    yield spent(run)
    yield tag("footer", f"slideseg {text(__version__)} \u00b7 {datetime.now(UTC):%Y-%m-%d %H:%M} UTC")
    yield f"\n<script>{_script()}</script>\n</body></html>\n"


def called_of(folder: str) -> str:
    """Return what a folder is called, wherever one is in it.

    >>> called_of("s3://lab/runs/a/"), called_of("s3://lab"), called_of("/data/x/../y")
    ('a', 'lab', 'y')
    """
    place = locate(folder or ".")
    return place.name or place.bucket or place.path


def _head(called: str) -> Iterator[str]:
    digest = base64.b64encode(hashlib.sha256(_script().encode()).digest()).decode()
    policy = tag("meta", http_equiv="Content-Security-Policy", content=POLICY.format(f"sha256-{digest}"))
    yield '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n' + MADE_BY
    yield policy.removesuffix("</meta>")
    yield '\n<meta name="viewport" content="width=device-width, initial-scale=1">\n'
    style = (ASSETS / "report.css").read_text(encoding="utf-8")
    yield f"{tag('title', text(called))}\n<style>{style}</style>\n</head>\n"


def _script() -> str:
    return (ASSETS / "report.js").read_text(encoding="utf-8")


def _about(slides: Sequence[Mapping[str, Any]], looks: Sequence[Look]) -> str:
    models = sorted({look.row["model"] for look in looks if look.row.get("model")})
    said = [many(len(slides), "slide"), *(["model " + ", ".join(map(text, models))] if models else [])]
    return tag("p", " \u00b7 ".join(said), class_="faint")


def _totals(run: Mapping[str, Any], looks: Sequence[Look]) -> str:
    slides, rows = run["slides"], [look.row for look in looks]
    failed = sum(slide["status"] != "ok" for slide in slides)
    entries = [_total(f"{len(slides) - failed:,} of {len(slides):,}", "slides done")]
    if failed:
        entries.append(_total(f"{failed:,}", "failed", "bad"))
    objects = [row["objects"] for row in rows if row.get("objects") is not None]
    areas = [row["tissue_mm2"] for row in rows if row.get("tissue_mm2") is not None]
    if objects:
        entries.append(_total(f"{sum(objects):,}", "objects"))
    if areas:
        some = "" if len(areas) == sum(bool(row) for row in rows) else f", of {many(len(areas), 'slide')} with a known size"
        entries.append(_total(f"{number(sum(areas))} mm\u00b2", f"of tissue{some}"))
    pixels = sum(slide.get("pixels") or 0 for slide in slides)
    entries.append(_total(f"{number(pixels / MEGA)} Mpx", "segmented"))
    return tag("ul", "".join([*entries, *_times(run, pixels)]), class_="totals") + "\n"


def _times(run: Mapping[str, Any], pixels: int) -> Iterator[str]:
    """Yield what is known of how long it took, and on what."""
    seconds = run.get("seconds")
    computed = pixels - sum(slide.get("kept_pixels") or 0 for slide in run["slides"])
    if seconds:
        rate = f"{number(computed / MEGA / seconds)} Mpx a second" if computed else "nothing to compute"
        yield _total(duration(seconds), rate)
    shards = [slide["shards"] for slide in run["slides"] if slide.get("shards")]
    if total := sum(one["total"] for one in shards):
        kept = sum(one["kept"] for one in shards)
        yield _total(f"{total:,}", f"shards, {kept:,} kept from before" if kept else "shards" if total > 1 else "shard")
    if run.get("workers"):
        what = "worker" if run["workers"] == 1 else "workers"
        idle = run.get("idle") if computed and run.get("by_worker") else None
        yield _total(f"{run['workers']:,}", what if idle is None else f"{what}, {100 * idle:.1f} % idle")


def _total(value: str, what: str, kind: str = "") -> str:
    return tag("li", tag("b", value) + tag("small", what), class_=kind)


def _before(failed: Sequence[Mapping[str, Any]]) -> str:
    """Return what is told of slides that failed in earlier runs and were not tried again."""
    if not failed:
        return ""
    when = tag("p", "in earlier runs into this folder, and not tried again by this one", class_="faint")
    said = [name(last_part(slide["input"])) + tag("p", text(slide["error"]), class_="why") for slide in failed]
    entries = tag("ul", "".join(tag("li", one) for one in said))
    return tag("section", tag("h2", "Failed before") + when + entries, class_="before") + "\n"


def _filter(slides: Sequence[Mapping[str, Any]]) -> str:
    """Return buttons that show some of the slides; they work without scripts."""
    failed = sum(slide["status"] != "ok" for slide in slides)
    warned = sum(bool(slide.get("notes")) for slide in slides)
    shown = [("all", "All", len(slides)), ("only-failed", "Failed", failed), ("only-warned", "With warnings", warned)]
    buttons = "".join(
        f'<input type="radio" name="shown" id="{key}"{" checked" * (key == "all")}>'
        + tag("label", f"{said} {count:,}", for_=key)
        for key, said, count in shown
        if count
    )
    return tag("div", buttons, class_="filter") + "\n" if failed or warned else ""


def is_ours(head: str) -> bool:
    """Tell whether a page begins as ours do."""
    return re.match(r"<!doctype html>\n.*", head) is not None and MADE_BY in head
