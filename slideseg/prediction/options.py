"""What the user asked for, before anything is known of the slide."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from slideseg.errors import ConfigError, explain
from slideseg.instances.options import ObjectOptions, check_numbers, option_of
from slideseg.machine import parse_size
from slideseg.model.given import GivenModel
from slideseg.model.together.use import Use
from slideseg.model.values import stated_range
from slideseg.slide.selection import selection_of
from slideseg.tasks.base import WAIT_FOR_WORKERS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.slide.selection import Selection


@dataclass(frozen=True, slots=True)
class PredictOptions(ObjectOptions):
    """The names and meanings of ``slideseg predict``'s options; with ``objects`` also what makes an object."""

    model: str | GivenModel | Sequence[str | GivenModel] = "nuclei"
    """A bundled model's name, a model file or folder, a training run's folder, or in Python a `slideseg.Model`; of several the
    mean probabilities count."""
    tta: Literal["none", "flips", "d4", "scales"] | None = None
    """Test-time augmentation: the mean over the image as it is and flipped, in all eight ways a square lies, or in three sizes;
    None for what the model says."""
    smooth: float | None = None
    """Probabilities are smoothed by a Gaussian of so many pixels, as the model sees them; None for what the model says."""
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
    """Pixels a side of the network's input; with ``inexact``, of the windows."""
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
    freeze_statistics: bool = False
    """Whether statistics of the slide's tissue stand for those of the whole image, so that tiles equal it."""
    inexact: bool = False
    """Whether a model may be used that can't be tiled exactly; by how much tiles change it is measured."""
    overwrite: bool = False
    """Replace a result that is there; else the same run is resumed, and another one refused."""

    @property
    def models(self) -> tuple[str | GivenModel, ...]:
        """The models, one or more."""
        return (self.model,) if isinstance(self.model, str | GivenModel) else tuple(self.model)

    @property
    def selection(self) -> Selection:
        """What of a slide's file is segmented."""
        return selection_of(self.series, self.channel, self.z, self.t, self.mpp_of_slide, self.on_bad_tile)

    def check(self) -> None:
        """Refuse what no slide, model or machine could do; what only their files can tell is seen when they are opened.

        Raises:
            ConfigError: if an option can't have its value, or options contradict each other.
        """
        self.check_values()
        if self.level is not None and self.mpp is not None:
            raise ConfigError(explain("--level and --mpp exclude each other", try_="one of them"))
        if self.said and not self.objects:
            raise ConfigError(explain(f"{option_of(self.said[0])} is of objects, which are not asked for", try_="--objects"))

    def check_values(self) -> None:
        """Refuse values that an option can't have, each by itself.

        Raises:
            ConfigError: if there is one.
        """
        self.selection.check()
        stated_range(self.range)
        check_numbers(self)
        Use(self.tta or "none", self.smooth or 0.0)
        if not self.models:
            raise ConfigError(explain("there must be a model", try_="--model nuclei"))
        if self.memory != "auto":
            parse_size(self.memory)
        if self.level is not None and self.level < 0:
            raise ConfigError(explain("--level counts from 0", got=self.level))
        if self.mpp is not None and not 0 < self.mpp < math.inf:
            raise ConfigError(explain("mpp can't be like that", got=self.mpp, want="microns above 0"))
        for name in ("tile", "batch"):
            if (number := getattr(self, name)) != "auto" and number < 1:
                raise ConfigError(explain(f"{name} can't be like that", got=number, want="a whole number from 1, or auto"))
