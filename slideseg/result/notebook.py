"""How a result shows itself in a notebook: a small picture and its facts."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

from PIL import Image

from slideseg.errors import ResultError
from slideseg.result.overlay import Overlay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from slideseg.result.result import Result

THUMBNAIL = 384
"""Longest side of the picture."""


def result_html(result: Result) -> str:
    """Return HTML with a thumbnail (of the first plane) and the facts; damage is told in the picture's place."""
    rows = "".join(
        f'<tr><th style="text-align:left">{html.escape(name)}</th><td style="text-align:left">{value}</td></tr>'
        for name, value in _facts(result)
    )
    return f'<div style="display:flex;gap:1em;align-items:flex-start">{_picture(result)}<table>{rows}</table></div>'


def _picture(result: Result) -> str:
    try:
        picture = Overlay(result, THUMBNAIL).picture()
    except ResultError as error:
        return f"<p>{html.escape(str(error))}</p>"
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png", optimize=True)
    return f'<img alt="overlay" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'


def _facts(result: Result) -> Iterator[tuple[str, str]]:
    """Yield names and values; values are HTML."""
    record, objects = result.record, result.objects_record
    shape = " x ".join(f"{side:,}" for side in result.segmentation.shape)
    yield "result", html.escape(result.url)
    yield "slide", html.escape(record.slide.path)
    yield "model", html.escape(record.model.name)
    yield "class map", f"{shape} px" + ("" if result.mpp is None else f", {result.mpp:g} µm a pixel")
    yield "classes", ", ".join(_class(known.name, known.color) for known in result.classes if known.id > 0)
    if objects is not None:
        yield "objects", f"{objects.number:,}"
    there = [name for name in ("probabilities", "objects") if getattr(result, name) is not None]
    yield "also there", ", ".join([*there, *(["image"] if result.image else [])]) or "nothing"
    if record.seconds is not None:
        yield "computed in", f"{record.seconds:,.1f} s"


def _class(name: str, color: str) -> str:
    return f'<span style="color:{html.escape(color)}">&#9632;</span> {html.escape(name)}'
