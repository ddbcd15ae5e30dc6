"""What the user asked for, before anything is known of the slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from slideseg.instances.options import ObjectOptions
from slideseg.slide.selection import selection_of
from slideseg.tasks.base import WAIT_FOR_WORKERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.slide.selection import Selection


@dataclass(frozen=True, slots=True)
class PredictOptions(ObjectOptions):
    """The names and meanings of ``slideseg predict``'s options; with ``objects`` also what makes an object."""

    model: str = "nuclei"
    """A bundled model's name, a model file, or a training run's folder."""
    workers: int | Literal["auto"] = "auto"
    """Worker processes; 1 runs in this process, without Ray. ``auto``: one a GPU, else one a core."""
    address: str | None = None
    """A running Ray cluster; None for this machine."""
    wait_for_workers: float = WAIT_FOR_WORKERS
    """Seconds that a cluster without room for a worker is waited for."""
    level: int | None = None
    """Pyramid level to work at."""
    mpp: float | None = None
    """Microns per pixel to work at; None for the model's."""
    mpp_of_slide: float | str | Sequence[float] | None = None
    """Microns of a pixel of the slide, whatever its file says, (y, x) or ``"X,Y"`` where they differ; None to believe it."""
    series: int | None = None
    """Which image of the file; None for the slide's main one."""
    channel: str | int | Sequence[str | int] = ()
    """Names or numbers (from 0) of the channels that the model gets; none for all."""
    z: int | None = None
    """Plane along z; None for all."""
    t: int | None = None
    """Time point; None for all."""
    range: str | Sequence[float] | None = None
    """Values of black and white, ``"LOW,HIGH"`` or both numbers; ``auto``: percentiles of the slide; None: the pixel type's."""
    on_bad_tile: Literal["fail", "background"] = "fail"
    """Whether a damaged tile fails the slide, or counts as a place without tissue."""
    tissue: str = ""
    """``auto``, ``none`` or a mask's path; empty: auto where a good share of the picture is empty, else none."""
    tile: int | Literal["auto"] = "auto"
    """Pixels a side of the network's input."""
    batch: int | Literal["auto"] = "auto"
    """Tiles a forward pass."""
    memory: str = "auto"
    """RAM budget a worker, such as ``2GiB``."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto``, ``cpu`` or ``cuda``."""
    precision: Literal["auto", "fp32", "bf16", "fp16", "int8"] = "auto"
    """``auto``, ``fp32``, ``bf16`` or ``fp16``."""
    objects: bool = False
    """Whether objects and their table are written too."""
    save_probabilities: bool = False
    """Whether class probabilities are written too."""
    image: Literal["none", "overview", "full"] = "overview"
    """How much of the slide the result carries: ``none``, ``overview`` or ``full``."""
    overwrite: bool = False
    """Replace a result that is there; else the same run is resumed, and another one refused."""

    @property
    def selection(self) -> Selection:
        """What of a slide's file is segmented."""
        return selection_of(self.series, self.channel, self.z, self.t, self.mpp_of_slide, self.on_bad_tile)
