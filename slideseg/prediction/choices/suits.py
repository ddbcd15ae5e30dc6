"""Whether a slide looks like what a model is made for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slideseg.model.bundled import bundled_models
from slideseg.model.made_for import in_words
from slideseg.model.stored import read_info

if TYPE_CHECKING:
    from slideseg.model.info import ModelInfo
    from slideseg.model.made_for import MadeFor
    from slideseg.slide.tissue.look import Look


def described(model: ModelInfo) -> str:
    """Return in one line which model it is, and what it is made for where its file says so."""
    return model.name if model.made_for is None else f"{model.name}, made for {model.made_for}"


def unlike(model: ModelInfo, look: Look) -> tuple[str, ...]:
    """Return that a slide looks unlike what the model is made for, and which bundled one may suit it; if that is sure."""
    seen = [] if model.made_for is None else _differs(model.made_for, look)
    if not seen:
        return ()
    better = [name for name, path in bundled_models().items() if _suits(read_info(path).made_for, look)]
    try_ = f": try --model {better[0]}" if better else ""
    return (f"the slide looks like {' and '.join(seen)}, and the model is {described(model)}{try_}",)


def _differs(made: MadeFor, look: Look) -> list[str]:
    """Return what of a slide's look is not what the model is made for, in words."""
    light = look.light if made.light not in (None, look.light) else None
    color = look.color if made.color not in (None, look.color) else None
    return in_words(light, color=color)


def _suits(made: MadeFor | None, look: Look) -> bool:
    return made is not None and look.light is not None and made.light == look.light and not _differs(made, look)
