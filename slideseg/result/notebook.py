"""How a result shows itself in a notebook: a small picture beside its facts, as HTML."""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterable

    import numpy as np

    from slideseg.model.info import ModelClass

THUMBNAIL = 384
"""Longest side of the picture."""


def html_of(picture: np.ndarray | str, facts: Iterable[tuple[str, str | Iterable[ModelClass]]]) -> str:
    """Return HTML with a picture (y, x, 3), or why there is none, and facts: a name and what there is to say, or classes."""
    rows = "".join(
        f'<tr><th style="text-align:left">{html.escape(name)}</th><td style="text-align:left">{_value(value)}</td></tr>'
        for name, value in facts
    )
    return f'<div style="display:flex;gap:1em;align-items:flex-start">{_picture(picture)}<table>{rows}</table></div>'


def _picture(picture: np.ndarray | str) -> str:
    if isinstance(picture, str):
        return f"<p>{html.escape(picture)}</p>"
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png", optimize=True)
    return f'<img alt="overlay" src="data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}">'


def _value(value: str | Iterable[ModelClass]) -> str:
    return html.escape(value) if isinstance(value, str) else ", ".join(map(_swatch, value))


def _swatch(known: ModelClass) -> str:
    return f'<span style="color:{html.escape(known.color)}">&#9632;</span> {html.escape(known.name)}'
