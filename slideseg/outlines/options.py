"""What the user asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from slideseg.slide.selection import selection_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.slide.selection import Selection


@dataclass(frozen=True, slots=True)
class OutlineOptions:
    """The names and meanings of ``slideseg outline``'s options."""

    model: str = "nuclei"
    """A bundled model's name, a model file, or a training run's folder."""
    mpp: float | None = None
    """Microns per pixel to work at; None for the model's."""
    mpp_of_slide: float | str | Sequence[float] | None = None
    """Microns of the images' pixels, whatever their files say, (y, x) or ``"X,Y"`` where they differ; None to believe them."""
    series: int | None = None
    """Which image of a file; None for the slide's main one."""
    channel: str | int | Sequence[str | int] = ()
    """Names or numbers (from 0) of the channels that the model gets; none for all."""
    z: int | None = None
    """Plane along z; None for all."""
    t: int | None = None
    """Time point; None for all."""
    range: str | Sequence[float] | None = None
    """Values of black and white, ``"LOW,HIGH"`` or both numbers; ``auto``: each image's percentiles; None: its type's."""
    on_bad_tile: Literal["fail", "background"] = "fail"
    """Whether a damaged tile is an error, or counts as background."""
    overwrite: bool = False
    """Replace outlines that are there; else they are refused."""

    @property
    def selection(self) -> Selection:
        """What of each image's file is meant."""
        return selection_of(self.series, self.channel, self.z, self.t, self.mpp_of_slide, self.on_bad_tile)
