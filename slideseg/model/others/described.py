"""A network of somebody else's as everybody sees it who plans with one: what was found out by trying it."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, replace
from typing import Any

CHANNELS = "in_channels"
"""What networks of all libraries call the image's channels."""
OUTPUTS = {"smp": "classes", "monai": "out_channels"}
"""What those of each library call the channels of their logits."""


@dataclass(frozen=True, slots=True)
class LibraryNetwork:
    """What a library's network is made of that is still to learn."""

    library: str
    """``smp`` or ``monai``."""
    name: str
    """Its class."""
    arguments: str
    """What the class is made with, channels and classes too, as JSON."""
    channels: int
    """Channels of the image."""

    @classmethod
    def of(cls, library: str, name: str, arguments: dict[str, Any], channels: int, outputs: int) -> LibraryNetwork:
        """Return a network for images of so many channels that gives so many."""
        given = {**arguments, CHANNELS: channels, OUTPUTS[library]: outputs}
        return cls(library, name, json.dumps(given, sort_keys=True), channels)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a network costs, a pixel of what it is given.

    Raises:
        ValueError: if a number is not above 0.
    """

    weights: int
    """Number of its weights."""
    multiplications: float
    """Multiplications of its convolutions and products, each with an addition."""
    values: float
    """Values alive at once, of images and features, at the peak."""
    widest: float
    """Values of its largest tensor."""

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            _check_number(f"cost.{name}", value, least=0)


@dataclass(frozen=True, slots=True)
class OtherNetwork:
    """An `Architecture` that was probed; see `slideseg.model.reach.probe`.

    Raises:
        ValueError: if a field can't be used.
    """

    library: str
    """Whose layers it has: ``smp``, ``monai``, or ``torch`` for a module of the user's own."""
    name: str
    """Its class."""
    arguments: dict[str, Any]
    """What the class is made with."""
    in_channels: int
    """Channels of the image."""
    out_channels: int
    """Channels of the logits."""
    stride: int
    """Pixels by which its input must move for its output to move with it."""
    reach: int
    """Pixels around an aligned core that were found to be able to change it."""
    obstacles: tuple[str, ...]
    """What keeps it from being tiled exactly, in words."""
    incurable: tuple[str, ...]
    """What of it frozen statistics would not change."""
    places: tuple[int, ...]
    """Numbers of the calls whose statistics could be frozen; see `slideseg.model.reach.frozen`."""
    cost: Cost
    """What it costs."""

    def __post_init__(self) -> None:
        numbers = [(field, getattr(self, field)) for field in ("in_channels", "out_channels", "stride")]
        for field, value in [*numbers, *(("places", place) for place in self.places)]:
            _check_number(field, value, least=1, whole=True)
        _check_number("reach", self.reach, least=0, whole=True)
        texts: tuple[object, ...] = (self.library, self.name, *self.obstacles, *self.incurable)  # JSON may have held anything
        if not all(isinstance(text, str) and text.isprintable() for text in texts) or not hasattr(self.arguments, "items"):
            msg = f"a network's library, class, arguments or obstacles can't be like that (got {texts!r})"
            raise ValueError(msg)

    @classmethod
    def from_dict(cls, library: str, fields: dict[str, Any]) -> OtherNetwork:
        """Return what `to_dict` was made of.

        Raises:
            TypeError: if a field is missing or unknown.
            ValueError: if one can't be used.
        """
        several = {name: tuple(fields[name]) for name in ("obstacles", "incurable", "places")}
        return cls(library=library, **{**fields, **several, "cost": Cost(**fields["cost"])})

    @property
    def kind(self) -> str:
        """What a model file calls it: its library."""
        return self.library

    @property
    def libraries(self) -> frozenset[str]:
        """Its library."""
        return frozenset({self.library})

    @property
    def halo(self) -> int:
        """What it sees rounded up to the stride, so that a tile starts on the grid, and a stride more for safety."""
        return (-(-self.reach // self.stride) + 1) * self.stride

    @property
    def margin(self) -> int:
        """Pixels around a core that a tile has."""
        return self.halo

    @property
    def curable(self) -> bool:
        """Whether it can be tiled exactly once its statistics are frozen."""
        return not self.incurable

    def frozen(self) -> OtherNetwork:
        """Return what it is once they are."""
        return replace(self, obstacles=self.incurable, places=())

    @property
    def exact(self) -> bool:
        """Whether tiles equal the whole image."""
        return not self.obstacles

    @property
    def same_bits(self) -> bool:
        """Whether they do to the last bit: that is not known of its layers, which may sum in another order at other sizes."""
        return False

    @property
    def weights(self) -> int:
        """Number of its weights."""
        return self.cost.weights

    @property
    def multiplications(self) -> float:
        """Of one pass over a large image, a pixel."""
        return self.cost.multiplications

    def work(self, core: int) -> float:
        """Return the multiplications of a tile, whose margin is computed like its core."""
        return self.cost.multiplications * self._pixels(core)

    def peak_values(self, core: int, *, strips: bool = True) -> float:  # noqa: ARG002 - it is not ours to cut into strips
        """Return the most values alive at once while a tile is computed."""
        return self.cost.values * self._pixels(core)

    def largest_values(self, core: int) -> float:
        """Return the values of the largest tensor of a tile."""
        return self.cost.widest * self._pixels(core)

    def to_dict(self) -> dict[str, Any]:
        """Return all but its library, as a model file keeps it."""
        fields = asdict(self)
        del fields["library"]
        return {name: list(value) if isinstance(value, tuple) else value for name, value in fields.items()}

    def _pixels(self, core: int) -> int:
        return (core + 2 * self.margin) ** 2


def _check_number(name: str, value: Any, *, least: int, whole: bool = False) -> None:
    fits = isinstance(value, int if whole else (int, float)) and not isinstance(value, bool)
    if not fits or not least <= value < math.inf:
        msg = f"{name} must be a {'whole ' * whole}number from {least} (got {value!r})"
        raise ValueError(msg)
