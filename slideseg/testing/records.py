"""Records of runs that never were, for results that tests make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from slideseg.model.info import ModelClass
from slideseg.model.objects import ObjectRules
from slideseg.result.coordinates import Coordinates
from slideseg.result.record import ModelRecord, RunIdentity, RunRecord, SettingsRecord, SlideRecord, TilingRecord
from slideseg.slide.facts import PixelSize
from slideseg.slide.selection import WHOLE
from slideseg.version import __version__

if TYPE_CHECKING:
    from collections.abc import Sequence

COLOR = "#336699"


def made_classes(*names: str) -> tuple[ModelClass, ...]:
    """Return classes of these names, background first."""
    return tuple(ModelClass(number, name, COLOR) for number, name in enumerate(names))


def made_slide(
    path: str = "made.tif",
    fingerprint: str = "",
    shape: Sequence[int] = (1, 1, 3),
    mpp: float | tuple[float, float] | None = None,
    **facts: Any,
) -> SlideRecord:
    """Return what a run says of a slide; ``facts`` are other fields of its record."""
    level: dict[str, Any] = {"level": 0, "scale": (1.0, 1.0)}
    place: dict[str, Any] = {"z_step": None, "z_first": 0.0, "origin": (0.0, 0.0), "bounds": None, "channels": ()}
    return SlideRecord(path, fingerprint, tuple(shape), sides_of(mpp), "made so", **{**level, **place, **facts})


def sides_of(mpp: float | tuple[float, float] | None) -> tuple[float, float] | None:
    """Return the sides (y, x) of a pixel that may be square."""
    return (mpp, mpp) if isinstance(mpp, float | int) else mpp


def made_coordinates(mpp: float | tuple[float, float] | None = 0.5) -> Coordinates:
    """Return where the pixels of a result lie that was made at its slide's level 0."""
    return Coordinates.of_slide(PixelSize(sides_of(mpp)))


def made_record(
    *,
    slide: SlideRecord | None = None,
    classes: tuple[ModelClass, ...] = (),
    mpp: float | None = None,
    objects: ObjectRules | None = None,
    factors: tuple[float, float] = (1.0, 1.0),
    pixels: int = 1,
) -> RunRecord:
    """Return what an unfinished run says of itself; ``mpp`` and ``objects`` are the model's."""
    source = slide or made_slide()
    return RunRecord(
        version=__version__,
        status="running",
        slide=source,
        model=ModelRecord("made", "", mpp, classes or made_classes("background", "object"), objects or ObjectRules()),
        settings=SettingsRecord(1, None, source.level, None, "none", 512, 1, "cpu", "fp32", None, False, "none"),
        tiling=TilingRecord(16, 96, 512, exact=True),
        pixels=pixels,
        skipped_pixels=0,
        run=RunIdentity(
            slide=source.fingerprint,
            level=source.level,
            factors=factors,
            selection=WHOLE,
            model="",
            precision="fp32",
            device="cpu",
            core=None,
            shard=1024,
            tissue=None,
            probabilities=False,
            image="none",
        ),
    )
