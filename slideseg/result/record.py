"""What a result says about itself in its metadata: of the run that made it, of its objects, and of the image it carries.

They are values with a form in JSON (``attributes.slideseg``). Reading one back checks every name and type: what another
version wrote, or what is damaged, is refused in one line.
"""

from __future__ import annotations

import functools
import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from slideseg.arrays.shards import array_attributes
from slideseg.errors import ResultError, explain
from slideseg.model.info import ModelClass
from slideseg.model.learnt import Learnt
from slideseg.model.made_for import MadeFor
from slideseg.model.objects import ObjectRules
from slideseg.model.values import Range
from slideseg.result.coordinates import Coordinates
from slideseg.result.layout import OBJECTS
from slideseg.slide.facts import Channel, PixelSize
from slideseg.slide.selection import Selection
from slideseg.space.box import Box

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from slideseg.slide.base import Slide
    from slideseg.storage.store import Store

FORMAT = "slideseg-result/3"
"""Version of these records and of the arrays' form."""
Record = TypeVar("Record")


@dataclass(frozen=True, slots=True)
class SlideRecord:
    """The slide that was segmented."""

    path: str
    """Where it was."""
    fingerprint: str
    """What tells whether it is still the same file."""
    shape: tuple[int, ...]
    """Size along its axes."""
    mpp_yx: tuple[float, float] | None
    """Microns per pixel of its level 0, along y and x; None if nobody says."""
    mpp_source: str
    """Who says so, or why it is not known."""
    level: int
    """Pyramid level that was read."""
    scale: tuple[float, float]
    """Pixels of level 0 a pixel of that level, along y and x."""
    z_step: float | None
    """Microns from plane to plane of a stack along z; None if nobody says."""
    z_first: float
    """Where its first plane lies, in microns."""
    origin: tuple[float, float]
    """Where the centre of its first pixel lies, along y and x, in microns (in pixels where their size is not known)."""
    bounds: Box | None
    """The part of its level 0 that was scanned, where the file says so."""
    channels: tuple[Channel, ...]
    """Names and colours of its channels, where the file says them."""

    def __post_init__(self) -> None:
        if len(self.shape) < len("yxc"):
            msg = f"shape {self.shape} of a slide"
            raise ValueError(msg)

    @classmethod
    def of(cls, slide: Slide, fingerprint: str, level: int) -> SlideRecord:
        """Return what is kept of a slide whose ``level`` is read."""
        return cls(
            path=slide.path,
            fingerprint=fingerprint,
            shape=slide.shape,
            mpp_yx=slide.mpp_yx,
            mpp_source=slide.pixel.source,
            level=level,
            scale=slide.levels[level].scale,
            z_step=slide.pixel.z,
            z_first=slide.pixel.z_first,
            origin=slide.origin,
            bounds=slide.bounds,
            channels=slide.channels,
        )

    @property
    def mpp(self) -> float | None:
        """Microns per pixel of its level 0 as one number: the side of a square pixel of the same area."""
        return PixelSize(self.mpp_yx).mean

    def to_json(self) -> dict[str, Any]:
        """Return the record as JSON has it, `mpp` with it."""
        plain: dict[str, Any] = json.loads(json.dumps({**asdict(self), "mpp": self.mpp}))
        return plain

    def scale_at(self, factors: tuple[float, float]) -> tuple[float, float]:
        """Return the sides (y, x) of pixels that are ``factors`` times those of the level that was read, in level-0 pixels."""
        return self.scale[0] * factors[0], self.scale[1] * factors[1]

    def coordinates_at(self, factors: tuple[float, float]) -> Coordinates:
        """Return where such pixels lie."""
        pixel = PixelSize(self.mpp_yx, z=self.z_step, z_first=self.z_first)
        return Coordinates.of_slide(pixel, self.origin, self.scale_at(factors))


@dataclass(frozen=True, slots=True)
class ModelRecord:
    """The model that segmented it."""

    name: str
    """Its short name."""
    sha256: str
    """Hash of its file."""
    mpp: float | None
    """Microns per pixel it was trained at; None if unknown."""
    classes: tuple[ModelClass, ...]
    """All classes, background first."""
    objects: ObjectRules
    """How objects are best made of its class maps, in its pixels."""
    made_for: MadeFor | None = None
    """What it is made for; None where its file does not say."""
    learnt: Learnt | None = None
    """What objects it learnt from; None where its file does not say."""

    def rules_at(self, mpp: float | None) -> ObjectRules:
        """Return its rules of objects in pixels of ``mpp`` microns, or in its own where either is not known."""
        return self.objects.at(mpp, self.mpp)


@dataclass(frozen=True, slots=True)
class SettingsRecord:
    """All settings of the run, resolved."""

    workers: int
    address: str | None
    level: int
    mpp: float | None
    tissue: str
    tile: int
    batch: int
    device: str
    precision: str
    objects: ObjectRules | None
    save_probabilities: bool
    image: str
    range: Range | None = None
    """Values of black and white; None for those of the pixels' type."""
    tta: str = "none"
    """In which views the model saw the slide."""
    smooth: float = 0.0
    """By how many pixels probabilities were smoothed."""
    freeze_statistics: bool = False
    """Whether statistics of the slide's tissue stand for the whole image's."""


@dataclass(frozen=True, slots=True)
class TilingRecord:
    """How the slide was cut into inputs of the network."""

    stride: int
    """Side of the pooling grid's cell in pixels."""
    halo: int
    """Pixels around an aligned core that can change it, on the grid."""
    tile: int
    """Side of the largest input in pixels."""
    exact: bool
    """Whether tiles equal the whole image."""
    max_error: float | None = None
    """By how much probabilities may differ from the whole image's; None before it is known."""
    other_classes: float | None = None
    """The share of pixels that may have another class than in the whole image; None before it is known."""
    window: int | None = None
    """Side of the windows that a network which can't be tiled exactly is run in; None for others."""


@dataclass(frozen=True, slots=True)
class RunIdentity:
    """Everything that decides the bytes of a result: runs with the same can resume each other."""

    slide: str
    """Fingerprint of the slide."""
    level: int
    """Pyramid level that is read."""
    factors: tuple[float, float]
    """Pixels of that level a working pixel, along y and x."""
    selection: Selection
    """What of the slide's file is read."""
    model: str
    """Hash of the model's file."""
    precision: str
    """Number format of the network."""
    device: str
    """Where it runs."""
    core: int | None
    """Side of a tile's core, where the result depends on it."""
    shard: int
    """Side of a shard."""
    tissue: str | None
    """Digest of the map of tissue."""
    probabilities: bool
    """Whether they are kept."""
    image: str
    """How much of the slide is carried."""
    range: Range | None = None
    """Values of black and white to the network; None for those of the pixels' type."""
    feature_ranges: str | None = None
    """Digest of how large the network's features were taken to become, for int8."""
    window: int | None = None
    """Side of the windows of a network that can't be tiled exactly."""
    statistics: str | None = None
    """Digest of what the network's statistics were frozen with."""
    format: str = FORMAT
    """Version of the result's form."""


@dataclass(frozen=True, slots=True, order=True)
class BadTile:
    """A tile of a slide that could not be decoded."""

    plane: int
    """Of a stack; 0 for a single image."""
    box: Box
    """Its place, in level-0 pixels."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """What a run says about itself, in the root group of its result."""

    version: str
    """Version of slideseg."""
    status: Literal["running", "complete"]
    """Whether it is done."""
    slide: SlideRecord
    """What was segmented."""
    model: ModelRecord
    """By which model."""
    settings: SettingsRecord
    """How."""
    tiling: TilingRecord
    """In which pieces."""
    pixels: int
    """Pixels of the class map."""
    skipped_pixels: int
    """Pixels without tissue, or where nothing was scanned: class 0."""
    run: RunIdentity
    """What decides the bytes."""
    tissue_pixels: int | None = None
    """Pixels of tissue proper in what was computed; None where nothing tells tissue from what is empty."""
    seconds: float | None = None
    """Time the run took that finished it."""
    reused_pixels: int | None = None
    """Pixels in tiles of one colour, taken from an earlier such tile by that run."""
    damaged_tiles: tuple[BadTile, ...] = ()
    """Tiles of the slide that could not be decoded and were taken for places where nothing was scanned."""
    notes: tuple[str, ...] = ()
    """What was said of the slide when the run began that its user should know."""
    manifest: str | None = None
    """Hash of the list of all its files; None of one that is unfinished, or that an older version wrote."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the metadata; what is not known yet is left out."""
        said = {**asdict(self), "slide": self.slide.to_json()}
        said = {name: value for name, value in said.items() if value is not None}
        if self.tiling.max_error is None:
            del said["tiling"]["max_error"]
        if self.tiling.other_classes is None:
            del said["tiling"]["other_classes"]
        plain: dict[str, Any] = json.loads(json.dumps(said))
        return plain

    @classmethod
    def from_json(cls, said: object) -> RunRecord:
        """Return the record that `to_json` gave.

        Raises:
            ResultError: if it is damaged, or another version wrote it.
        """
        _check_format(said)
        return _read(RunRecord, said, "the result's description")

    @property
    def level_0_scale(self) -> tuple[float, float]:
        """Sides (y, x) of a pixel of the class map in pixels of the slide's level 0; the two share their upper left corner."""
        return self.slide.scale_at(self.run.factors)

    @property
    def coordinates(self) -> Coordinates:
        """Where the pixels of the class map lie."""
        return self.slide.coordinates_at(self.run.factors)


@dataclass(frozen=True, slots=True)
class ObjectsRecord:
    """What is known of all objects; it stands with their labels."""

    rules: ObjectRules
    """What an object is."""
    number: int
    """How many there are."""
    across_seams: int
    """How many of them lie in several shards."""
    sample: tuple[tuple[int, int, int], ...]
    """Plane, y and x of the first pixels of some of those, spread evenly, so that `slideseg verify` can look at them."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the metadata."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_json(cls, said: object) -> ObjectsRecord:
        """Return the record that `to_json` gave.

        Raises:
            ResultError: if it is damaged, or another version wrote it.
        """
        return _read(ObjectsRecord, said, "the objects' description", "slideseg objects --overwrite")


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """What a result's own image shows; it stands with its level 0."""

    pixel_yx: tuple[float, float]
    """Sides of a pixel, in pixels of the class map."""
    rgb: bool
    """Whether its channels are red, green and blue."""
    window: tuple[tuple[float, float], ...] | None
    """The slide's values of black and white, for every channel; None where they are the image's own."""

    def to_json(self) -> dict[str, Any]:
        """Return the entry of the metadata."""
        plain: dict[str, Any] = json.loads(json.dumps(asdict(self)))
        return plain

    @classmethod
    def from_json(cls, said: object) -> ImageRecord:
        """Return the record that `to_json` gave.

        Raises:
            ResultError: if it is damaged.
        """
        return _read(ImageRecord, said, "the description of array 0")


def read_objects_record(store: Store) -> ObjectsRecord | None:
    """Return what the objects of a result say of themselves, once their labels have been begun; None before.

    Raises:
        ResultError: if it is damaged, or another version wrote it.
    """
    said = array_attributes(store, f"{OBJECTS}/0").get("slideseg")
    return None if said is None else ObjectsRecord.from_json(said)


def read_image_record(store: Store) -> ImageRecord | None:
    """Return what a result's own image says of itself; None where there is none.

    Raises:
        ResultError: if it is damaged.
    """
    said = array_attributes(store, "0").get("slideseg")
    return None if said is None else ImageRecord.from_json(said)


def _check_format(said: object) -> None:
    run = said.get("run") if isinstance(said, dict) else None
    got = run.get("format") if isinstance(run, dict) else None
    if got != FORMAT:
        what = "the result is of another version of slideseg"
        raise ResultError(explain(what, got=got or "no format", want=FORMAT, try_="slideseg predict --overwrite"))


def _read(kind: type[Record], said: object, what: str, try_: str = "slideseg verify --repair") -> Record:
    from pydantic import ValidationError  # noqa: PLC0415 - only who opens a result waits for it

    reader: TypeAdapter[Record] = _reader(kind)  # type: ignore[arg-type] # a class is hashable
    try:
        return reader.validate_json(json.dumps(said), strict=True)
    except ValidationError as error:
        fault = error.errors(include_url=False)[0]
        got = f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}"
        raise ResultError(explain(f"{what} can't be used", got=got, try_=try_)) from error


@functools.cache
def _reader(kind: Any) -> Any:
    """Return pydantic's reader of a kind of record."""
    from pydantic import TypeAdapter  # noqa: PLC0415 - as above

    return TypeAdapter(kind)
