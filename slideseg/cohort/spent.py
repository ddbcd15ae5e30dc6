"""Where the time of a run went: the stages of its slides, and what each worker did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slideseg.cohort.markup import name, tag, text
from slideseg.words import duration

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

LEAST = 0.05
"""Stages of a smaller share of a slide's time are not shown of the slide."""


def spent(run: Mapping[str, Any]) -> str:
    """Return what is known of a run's time: the stages of all its slides added up, and a row a worker."""
    parts = [*_of_stages(run["slides"]), *_of_workers(run.get("by_worker") or [])]
    return tag("div", "".join(parts), class_="spent") + "\n" if parts else ""


def stages_of(slide: Mapping[str, Any]) -> list[tuple[str, float]]:
    """Return the stages that took a slide's time, and the seconds of each.

    >>> stages_of({"stage_seconds": {"plan": 0.01, "segment": 7.0, "objects": 2.99}})
    [('segment', 7.0), ('objects', 2.99)]
    """
    seconds = slide.get("stage_seconds") or {}
    return [(stage, took) for stage, took in seconds.items() if took >= LEAST * sum(seconds.values()) > 0]


def _of_stages(slides: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    known = [slide["stage_seconds"] for slide in slides if slide.get("stage_seconds")]
    together = {stage: sum(seconds[stage] for seconds in known) for stage in (known[0] if known else ())}
    whole = sum(together.values())
    if whole:
        rows = [(text(stage), duration(took), _percent(took / whole)) for stage, took in together.items()]
        about = "of all slides, added up; slides overlap"
        yield _section("Stages", about, ("Stage", "Time", "Share"), rows)


def _of_workers(workers: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if workers:
        heads = ("Node", "Tasks", "There", "Busy", "Idle")
        rows = [
            (name(one["node"]), f"{one['tasks']:,}", duration(one["seconds"]), duration(one["busy"]), _percent(one["idle"]))
            for one in sorted(workers, key=lambda one: (one["node"], -one["seconds"]))
        ]
        yield _section("Workers", "a task is a shard in one pass over a slide", heads, rows)


def _section(title: str, about: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = tag("thead", tag("tr", "".join(tag("th", said, scope="col") for said in heads)))
    body = tag("tbody", "".join(tag("tr", "".join(tag("td", cell) for cell in row)) for row in rows))
    return tag("section", tag("h2", title) + tag("p", about, class_="faint") + tag("table", head + body))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"
