"""DICOM whole-slide files of any form, made for tests with pydicom."""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.pixels.encoders.base import RLELosslessEncoder
from pydicom.uid import generate_uid

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UID = "1.2.840.10008.1.2"
SYNTAXES = {
    "native": f"{UID}.1",
    "implicit": UID,
    "big": f"{UID}.2",
    "deflated": f"{UID}.1.99",
    "jpeg": f"{UID}.4.50",
    "jpeg12": f"{UID}.4.51",
    "lossless-jpeg": f"{UID}.4.70",
    "jpeg-ls": f"{UID}.4.80",
    "jpeg2000": f"{UID}.4.90",
    "jpeg-xl": f"{UID}.4.110",
    "htj2k": f"{UID}.4.201",
    "items": f"{UID}.1.98",
    "rle": f"{UID}.5",
}
VOLUME = ("ORIGINAL", "PRIMARY", "VOLUME", "NONE")
REDUCED = ("DERIVED", "PRIMARY", "VOLUME", "RESAMPLED")
STREAMS: dict[str, Callable[[np.ndarray], bytes]] = {
    "jpeg": lambda tile: imagecodecs.jpeg8_encode(tile, 95),
    "jpeg12": lambda tile: imagecodecs.jpeg8_encode(tile, 100, bitspersample=12),
    "lossless-jpeg": lambda tile: imagecodecs.jpeg8_encode(tile, lossless=True, bitspersample=8 * tile.itemsize),
    "jpeg-ls": imagecodecs.jpegls_encode,
    "jpeg2000": lambda tile: imagecodecs.jpeg2k_encode(tile, codecformat="j2k", reversible=True, level=0),
    "jpeg-xl": lambda tile: imagecodecs.jpegxl_encode(tile, lossless=True),
    "htj2k": lambda tile: imagecodecs.htj2k_encode(tile, reversible=True),
}


def series() -> str:
    """Return the UID of a new series."""
    return generate_uid(prefix="1.2.826.0.1.3680043.8.498.")


@dataclass
class Made:
    """A file to be made; pixels are (y, x, samples), or (optical paths, planes, y, x, samples)."""

    pixels: np.ndarray
    syntax: str = "native"
    tile: tuple[int, int] = (64, 64)
    photometric: str = ""
    spacing: tuple[float, float] | None = (0.0005, 0.0005)
    kind: tuple[str, ...] = VOLUME
    series: str = field(default_factory=series)
    number: int = 1
    matrix: tuple[int, int] | None = None
    encode: Callable[[np.ndarray], bytes] | None = None
    offsets: str = "basic"
    """Of encapsulated frames: basic, extended or none."""
    left_out: tuple[int, ...] = ()
    """Frames that are not in the file, which says of each other where it lies."""
    places: list[tuple[int, int]] | None = None
    """First row and column of each tile, from 0; None for a grid."""
    frames: slice = field(default_factory=lambda: slice(None))
    """Which of the frames are in this file: a part of an image."""
    fragment: int = 1 << 30
    """Bytes of a frame that an item holds at most; without a table of offsets unless it is large."""
    preamble: bool = True
    undefined: bool = False
    """Whether sequences end with a delimiter instead of saying their length."""
    tags: dict[str, Any] = field(default_factory=dict)

    @property
    def stack(self) -> np.ndarray:
        """The pixels as (optical paths, planes, y, x, samples)."""
        return self.pixels if self.pixels.ndim == 5 else self.pixels[None, None]

    def spots(self) -> list[tuple[int, int]]:
        """First row and column of each tile of a plane."""
        rows, columns = self.stack.shape[2:4]
        if self.places is not None:
            return self.places
        return [(y, x) for y in range(0, rows, self.tile[0]) for x in range(0, columns, self.tile[1])]

    def tiles(self) -> list[tuple[np.ndarray, int, int, int, int]]:
        """Every frame with its optical path, plane, row and column."""
        height, width = self.tile
        found = []
        for path, planes in enumerate(self.stack):
            for plane, image in enumerate(planes):
                padded = np.pad(image, ((0, height), (0, width), (0, 0)), mode="edge")
                found += [(padded[y : y + height, x : x + width], path, plane, y, x) for y, x in self.spots()]
        return [tile for k, tile in enumerate(found) if k not in self.left_out][self.frames]


def write(path: Path, made: Made) -> str:
    """Write a file and return its path."""
    head = _head(made)
    tiles = made.tiles()
    if made.left_out or made.places is not None:
        head.DimensionOrganizationType = "TILED_SPARSE"
        head.PerFrameFunctionalGroupsSequence = [_place(made, *where) for _, *where in tiles]
    head.NumberOfFrames = len(tiles)
    _put_pixels(head, made, [tile for tile, *_ in tiles])
    for name, value in made.tags.items():
        if value is None:
            delattr(head, name)
        else:
            setattr(head, name, value)
    if made.undefined:
        _undefine(head)
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = head.SOPClassUID, head.SOPInstanceUID
    meta.TransferSyntaxUID = SYNTAXES["htj2k"] if made.syntax == "jpeg-xl" else SYNTAXES.get(made.syntax, made.syntax)
    head.file_meta = meta
    dcmwrite(str(path), head, enforce_file_format=True)
    if made.syntax == "jpeg-xl":  # which pydicom does not write
        path.write_bytes(path.read_bytes().replace(SYNTAXES["htj2k"].encode(), SYNTAXES["jpeg-xl"].encode()))
    if not made.preamble:
        path.write_bytes(path.read_bytes()[132:])
    return str(path)


def _head(made: Made) -> Dataset:
    paths, planes, rows, columns, samples = made.stack.shape
    head, bits = Dataset(), 8 * made.pixels.itemsize
    head.SOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.6"
    head.SOPInstanceUID, head.SeriesInstanceUID, head.StudyInstanceUID = series(), made.series, series()
    head.ImageType, head.Modality, head.InstanceNumber = list(made.kind), "SM", made.number
    head.DimensionOrganizationType = "TILED_FULL"
    head.SamplesPerPixel, head.PlanarConfiguration, head.PixelRepresentation = samples, 0, 0
    head.PhotometricInterpretation = made.photometric or ("RGB" if samples == 3 else "MONOCHROME2")
    head.Rows, head.Columns = made.tile
    head.BitsAllocated, head.BitsStored, head.HighBit = bits, bits, bits - 1
    head.TotalPixelMatrixRows, head.TotalPixelMatrixColumns = made.matrix or (rows, columns)
    head.TotalPixelMatrixFocalPlanes, head.NumberOfOpticalPaths = planes, paths
    head.OpticalPathSequence = [light(f"p{k}") for k in range(paths)]
    groups, measures = Dataset(), Dataset()
    if made.spacing is not None:
        measures.PixelSpacing = list(made.spacing)
    measures.SpacingBetweenSlices = 0.002
    groups.PixelMeasuresSequence = [measures]
    head.SharedFunctionalGroupsSequence = [groups]
    return head


def light(name: str, about: str = "", code: str = "") -> Dataset:
    """Return an optical path."""
    item = Dataset()
    item.OpticalPathIdentifier = name
    if about:
        item.OpticalPathDescription = about
    if code:
        item.IlluminationTypeCodeSequence = [Dataset()]
        item.IlluminationTypeCodeSequence[0].CodeValue = code
    return item


def _place(made: Made, path: int, plane: int, y: int, x: int) -> Dataset:
    item, position, way = Dataset(), Dataset(), Dataset()
    position.RowPositionInTotalImagePixelMatrix, position.ColumnPositionInTotalImagePixelMatrix = y + 1, x + 1
    position.XOffsetInSlideCoordinateSystem = position.YOffsetInSlideCoordinateSystem = 0
    position.ZOffsetInSlideCoordinateSystem = 2 * plane
    way.OpticalPathIdentifier = f"p{path}"
    item.PlanePositionSlideSequence, item.OpticalPathIdentificationSequence = [position], [way]
    return item


def _put_pixels(head: Dataset, made: Made, tiles: list[np.ndarray]) -> None:
    if made.encode is None and made.syntax in ("native", "implicit", "deflated", "big"):
        data = b"".join(tile.astype(tile.dtype.newbyteorder(">" if made.syntax == "big" else "<")).tobytes() for tile in tiles)
        head.PixelData = data + b"\0" * (len(data) % 2)
        head["PixelData"].VR = "OB" if made.pixels.itemsize == 1 else "OW"
        return
    encode = made.encode or (_rle if made.syntax == "rle" else STREAMS[made.syntax])
    streams = [encode(np.ascontiguousarray(tile if tile.shape[2] == 3 else tile[..., 0])) for tile in tiles]
    streams = [stream + b"\0" * (len(stream) % 2) for stream in streams]
    lengths = [len(stream) for stream in streams]
    starts = np.cumsum([0, *lengths[:-1]]) + 8 * np.arange(len(streams))
    table = starts.astype("<u4").tobytes() if made.offsets == "basic" else b""
    if made.offsets == "extended":
        head.ExtendedOffsetTable, head.ExtendedOffsetTableLengths = (
            starts.astype("<u8").tobytes(),
            np.array(lengths, "<u8").tobytes(),
        )
    pieces = [stream[at : at + made.fragment] for stream in streams for at in range(0, max(1, len(stream)), made.fragment)]
    head.PixelData = b"".join(b"\xfe\xff\x00\xe0" + struct.pack("<I", len(piece)) + piece for piece in [table, *pieces])
    head["PixelData"].VR = "OB"
    head["PixelData"].is_undefined_length = True


def _rle(tile: np.ndarray) -> bytes:
    samples = 1 if tile.ndim == 2 else 3
    return RLELosslessEncoder.encode(
        tile,
        rows=tile.shape[0],
        columns=tile.shape[1],
        samples_per_pixel=samples,
        bits_allocated=8 * tile.itemsize,
        bits_stored=8 * tile.itemsize,
        number_of_frames=1,
        photometric_interpretation="RGB" if samples == 3 else "MONOCHROME2",
        pixel_representation=0,
        planar_configuration=0,
        encoding_plugin="pydicom",
    )


def _undefine(head: Dataset) -> None:
    for element in head:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                _undefine(item)
