"""One file of a DICOM slide: what its head says, and where its frames are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

import numpy as np

from slideseg.errors import SlideError, explain
from slideseg.slide.cache import new_owner, tile_cache
from slideseg.slide.dicom.codec import Codec
from slideseg.slide.dicom.elements import COLUMN, PATH, ROW, SPACING, Z, read_tail
from slideseg.slide.dicom.frames import find_frames
from slideseg.slide.dicom.parsing import DEFLATED, PIXEL_DATA, first_item, open_plain, refusing
from slideseg.slide.dicom.syntaxes import SYNTAXES, Syntax

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom.dataset import Dataset

    from slideseg.slide.dicom.elements import Tail
    from slideseg.slide.dicom.frames import Frames

_MICROSCOPY = "1.2.840.10008.5.1.4.1.1.77.1."
STORAGE = (f"{_MICROSCOPY}6", f"{_MICROSCOPY}2", f"{_MICROSCOPY}3")
"""What is read: whole slides, and single pictures of a microscope, without and with slide coordinates."""
_ROLES = {"LABEL": "label", "OVERVIEW": "overview", "LOCALIZER": "overview", "THUMBNAIL": "thumbnail", "VOLUME": "volume"}
_LIGHTS = {"111743": "fluorescence", "111744": "brightfield"}
_PLACED = (COLUMN, ROW)
_OFFSET = "{}OffsetInSlideCoordinateSystem"
_HALF_BRIGHT = 1 << 15
"""Lightness in 16 bits; hue is not asked for, as converters write it in several ways."""


@dataclass(frozen=True, slots=True)
class OpticalPath:
    """What light a frame was taken with."""

    name: str
    """Its identifier."""
    about: str
    """Its description; the identifier where there is none."""
    light: str
    """``brightfield``, ``fluorescence``, or nothing."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where each frame of a file says it lies."""

    ys: np.ndarray
    """First row in the total matrix, from 0."""
    xs: np.ndarray
    """First column."""
    zs: tuple[float, ...]
    """Microns above the slide."""
    paths: tuple[str, ...]
    """Optical path; empty where the frame does not say it."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One file."""

    path: str
    uid: str
    number: int
    """Its place among those of its series."""
    role: str
    """``volume``, ``label``, ``overview`` or ``thumbnail``."""
    original: bool
    """Whether it is as scanned, not a reduced copy."""
    group: tuple[str, str]
    """What files of one picture share: the pyramid, and whether foci were merged."""
    corner: tuple[float, float]
    """Where the picture lies on the glass, in millimetres."""
    z: float
    """Microns of the first focal plane above the slide."""
    whole: str
    """The image that it is a part of; its own UID where it is one."""
    part: int
    """Which part, from 1."""
    parts: int
    """How many there are; 0 where the file does not say it."""
    matrix: tuple[int, int]
    """Rows and columns of the whole image."""
    spacing: tuple[float, float] | None
    """Microns of a pixel (y, x), as PixelSpacing says."""
    extent: tuple[float, float] | None
    """Microns of the whole image (y, x), as ImagedVolumeHeight and ImagedVolumeWidth say."""
    planes: int
    """Focal planes."""
    z_step: float | None
    """Microns from one to the next."""
    lights: tuple[OpticalPath, ...]
    codec: Codec
    places: Places | None
    """None where frames are in order and fill the matrix."""
    bright: bool | None
    """Whether what was not scanned is bright, as RecommendedAbsentPixelCIELabValue says; None where it does not."""
    source: BinaryIO
    """The open file; closed of what is no volume."""
    frames: Frames | None
    """None of what is no volume."""
    owner: int = field(default_factory=new_owner)
    """Its number in the cache of decoded frames."""

    def close(self) -> None:
        """Release the file."""
        self.source.close()
        tile_cache().forget(self.owner)


def open_instance(path: str, *, volumes_only: bool = True) -> Instance | None:
    """Open the file at ``path``; None if it is DICOM, but no picture of a microscope.

    Frames of labels, overviews and thumbnails are looked for if not ``volumes_only``: what is wrong with them hurts no slide.

    Raises:
        SlideError: if it is damaged, or a volume that is cut off or coded in a way that is not read.
    """
    file, uid, head = open_plain(path)
    try:
        with refusing(path):
            if str(head.get("SOPClassUID", "")) not in STORAGE:
                file.close()
                return None
            return _instance(path, file, uid, head, with_frames=not volumes_only or _role(head) == "volume")
    except SlideError:
        file.close()
        raise


def _instance(path: str, file: BinaryIO, uid: str, head: Dataset, *, with_frames: bool) -> Instance:
    syntax, role = SYNTAXES.get(uid), _role(head)
    implicit, little = (False, True) if uid == DEFLATED else head.original_encoding
    tail = read_tail(file, explicit=not implicit, little=little is not False)
    shared = first_item(head, "SharedFunctionalGroupsSequence")
    measures = first_item(shared, "PixelMeasuresSequence")
    corner = first_item(head, "TotalPixelMatrixOriginSequence") or {}
    absent = head.get("RecommendedAbsentPixelCIELabValue")
    codec = _codec(head, syntax or Syntax(uid, "unknown"))
    count = int(head.get("NumberOfFrames") or 1)
    frames = None
    if with_frames:
        if syntax is None or tail.pixels != PIXEL_DATA:
            got = (
                f"{getattr(head.file_meta.TransferSyntaxUID, 'name', uid)} ({uid})"
                if syntax is None
                else "numbers with a point"
            )
            raise SlideError(explain(f"{path}: pixels that are stored in a way that is not supported", got=got))
        codec.check(path, signed=bool(head.get("PixelRepresentation")))
        frames = find_frames(path, file, tail, count, codec.bytes_of_each(tail.length or 0, count))
    else:
        file.close()
    lights = tuple(_light(item) for item in head.get("OpticalPathSequence") or ())
    return Instance(
        path=path,
        uid=str(head.get("SOPInstanceUID", "")),
        number=int(head.get("InstanceNumber") or 0),
        role=role,
        original="RESAMPLED" not in (head.get("ImageType") or ()),
        group=(str(head.get("PyramidUID") or ""), str(head.get("ExtendedDepthOfField") or "NO")),
        corner=(float(corner.get(_OFFSET.format("Y")) or 0), float(corner.get(_OFFSET.format("X")) or 0)),
        z=float((first_item(shared, "PlanePositionSlideSequence") or corner).get(_OFFSET.format("Z")) or 0),
        whole=str(head.get("ConcatenationUID") or head.get("SOPInstanceUID", "")),
        part=int(head.get("InConcatenationNumber") or 1),
        parts=int(head.get("InConcatenationTotalNumber") or 0),
        matrix=(
            int(head.get("TotalPixelMatrixRows") or codec.rows),
            int(head.get("TotalPixelMatrixColumns") or codec.columns),
        ),
        spacing=_spacing(head, measures, tail),
        extent=_positive((head.get("ImagedVolumeHeight"), head.get("ImagedVolumeWidth"))),
        planes=int(head.get("TotalPixelMatrixFocalPlanes") or 1),
        z_step=_z_step(measures),
        lights=lights,
        codec=codec,
        places=_places(head, tail, count, "big" if little is False else "little"),
        bright=None if absent is None else int(absent[0]) >= _HALF_BRIGHT,
        source=file,
        frames=frames,
    )


def is_volume(head: Dataset) -> bool:
    """Tell whether the head of a file is that of a level of a slide."""
    return str(head.get("SOPClassUID", "")) in STORAGE and _role(head) == "volume"


def _role(head: Dataset) -> str:
    kinds = head.get("ImageType") or ()
    return next((_ROLES[kind] for kind in kinds if kind in _ROLES), "volume")


def _codec(head: Dataset, syntax: Syntax) -> Codec:
    allocated = int(head.get("BitsAllocated") or 0)
    return Codec(
        syntax=syntax,
        rows=int(head.get("Rows") or 0),
        columns=int(head.get("Columns") or 0),
        samples=int(head.get("SamplesPerPixel") or 1),
        allocated=allocated,
        stored=int(head.get("BitsStored") or allocated),
        photometric=str(head.get("PhotometricInterpretation") or ""),
        planar=bool(head.get("PlanarConfiguration")),
    )


def _light(item: Dataset) -> OpticalPath:
    name = str(item.get("OpticalPathIdentifier") or "")
    codes = (str(code.get("CodeValue", "")) for code in item.get("IlluminationTypeCodeSequence") or ())
    light = next((_LIGHTS[code] for code in codes if code in _LIGHTS), "")
    return OpticalPath(name, str(item.get("OpticalPathDescription") or name), light)


def _spacing(head: Dataset, measures: Any | None, tail: Tail) -> tuple[float, float] | None:
    """Return microns of a pixel (y, x): of all frames, of the first frame, or of the image."""
    said = (measures and measures.get("PixelSpacing")) or head.get("PixelSpacing")
    if said is None and tail.frames and SPACING in tail.frames[0]:
        said = tail.frames[0][SPACING].decode("ascii").strip("\0 ").split("\\")
    return None if said is None else _positive(said)


def _positive(millimetres: Sequence[Any]) -> tuple[float, float] | None:
    """Return two lengths in microns; None where one is missing or no length."""
    if len(millimetres) != 2 or None in millimetres:  # y and x
        return None
    y, x = (1000 * float(value) for value in millimetres)
    return (y, x) if 0 < y < np.inf and 0 < x < np.inf else None


def _z_step(measures: Any | None) -> float | None:
    step = measures and measures.get("SpacingBetweenSlices")
    return 1000 * float(step) if step else None


def _places(head: Dataset, tail: Tail, count: int, order: Literal["little", "big"]) -> Places | None:
    """Return where the frames say they lie; None where they are in order, or say nothing."""
    full = str(head.get("DimensionOrganizationType") or "") == "TILED_FULL"
    if full or len(tail.frames) != count or not all(tag in frame for frame in tail.frames for tag in _PLACED):
        return None
    ys, xs = (np.array([int.from_bytes(frame[tag], order, signed=True) - 1 for frame in tail.frames]) for tag in (ROW, COLUMN))
    zs = tuple(float(frame.get(Z, b"0").strip(b"\0 ") or 0) for frame in tail.frames)
    paths = tuple(frame.get(PATH, b"").decode("ascii", "replace").strip("\0 ") for frame in tail.frames)
    return Places(ys, xs, zs, paths)
