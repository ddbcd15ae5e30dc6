"""What a model is made for: a word of it for people, and what decides whether a slide looks like it."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

LIGHTS = {"bright": "bright field", "dark": "dark field"}
COLORS = {True: "in colour", False: "grey"}


@dataclass(frozen=True, slots=True)
class MadeFor:
    """What a model is made for.

    Raises:
        ValueError: if it is not said in a line of text, or there is no such light.
    """

    __pydantic_config__ = {"extra": "forbid", "use_attribute_docstrings": True}  # noqa: RUF012 - as of `ObjectRules`

    images: str
    """What its images show, in a few words: ``nuclei in H&E``."""
    light: Literal["bright", "dark"] | None = None
    """``bright``: light comes through them; ``dark``: they shine on a dark ground, as in fluorescence; either if left out."""
    color: bool | None = None
    """Whether they have colours; either if left out."""

    def __post_init__(self) -> None:
        images, light, color = (getattr(self, name) for name in ("images", "light", "color"))  # JSON may have held anything
        if not isinstance(images, str) or not images.strip() or len(images.splitlines()) > 1:
            msg = f"made_for.images must be a line of text (got {images!r})"
            raise ValueError(msg)
        if light not in (None, *LIGHTS) or not (color is None or isinstance(color, bool)):
            msg = f"made_for: light is bright or dark, color true or false (got {light!r}, {color!r})"
            raise ValueError(msg)

    def __str__(self) -> str:
        """Return it in one line.

        >>> print(MadeFor("nuclei in H&E", "bright", True))
        nuclei in H&E (bright field, in colour)
        """
        looks = ", ".join(in_words(self.light, color=self.color))
        return f"{self.images} ({looks})" if looks else self.images

    def to_json(self) -> dict[str, Any]:
        """Return what is said, as a model file keeps it."""
        return {name: value for name, value in asdict(self).items() if value is not None}


def in_words(light: str | None, *, color: bool | None) -> list[str]:
    """Return how people call a light, and whether there are colours, as far as they are known."""
    return [*([] if light is None else [LIGHTS[light]]), *([] if color is None else [COLORS[color]])]
