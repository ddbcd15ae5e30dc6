"""One picture in the containers of several scanners, made by hand: two levels each, the picture at a place of its own."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
from PIL import Image

from slideseg.space.box import Box
from tests.dicom_files import REDUCED, Made, series
from tests.dicom_files import write as write_dicom_file
from tests.made_mirax import write_mirax

if TYPE_CHECKING:
    from pathlib import Path

TILE = 128
MPP = (0.25, 0.25)


@dataclass(frozen=True)
class Container:
    """A slide, and what is known of it without any reader."""

    path: Path
    mpp_yx: tuple[float, float] = MPP
    corner_yx: tuple[int, int] = (0, 0)
    """Where the picture's first pixel lies in the slide's level 0."""
    bounds_yx: tuple[int, int] = (0, 0)
    """Corner of what QuPath shows of it."""


def discs(shape_yx: tuple[int, int] = (640, 768), seed: int = 0) -> np.ndarray:
    """Return dark discs on light ground, (y, x, 3) uint8, one in every 64 x 64 pixels."""
    image = np.full((*shape_yx, 3), (235, 225, 235), np.uint8)
    random = np.random.default_rng(seed)
    y, x = np.indices(shape_yx) + 0.5
    for cell_y, cell_x in np.ndindex(shape_yx[0] // 64, shape_yx[1] // 64):
        radius = 8 + 10 * random.random()
        centre = 64 * np.array((cell_y, cell_x)) + 24 + 16 * random.random(2)
        image[(y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2] = (60, 40, 120)
    return image


def halved(image: np.ndarray) -> np.ndarray:
    """Return an image of half as many pixels a side, each the mean of four."""
    return np.asarray(Image.fromarray(image).reduce(2))


def svs(folder: Path, image: np.ndarray) -> Container:
    """Write an Aperio slide: level 0, a thumbnail, level 1, and a macro."""
    size = f"{image.shape[1]}x{image.shape[0]}"
    about = f"Aperio Image Library v11.2.1\r\n{size} [0,0 {size}] ({TILE}x{TILE}) JPEG/RGB Q=90|AppMag = 40|MPP = {MPP[0]}"
    small = halved(halved(image))
    with tifffile.TiffWriter(folder / "x.svs") as file:
        _page(file, image, description=about)
        file.write(small, photometric="rgb", rowsperstrip=16, description="Aperio Image Library v11.2.1\r\n", metadata=None)
        _page(file, halved(image), description=about)
        note = "Aperio Image Library v11.2.1\r\nmacro 192x160"
        file.write(small, photometric="rgb", rowsperstrip=16, description=note, metadata=None, subfiletype=9)
    return Container(folder / "x.svs")


def ome_tiff(folder: Path, image: np.ndarray) -> Container:
    """Write an OME-TIFF whose pixels are not square, its second level a SubIFD."""
    mpp = (0.25, 0.5)
    about = {"axes": "YXS", "PhysicalSizeY": mpp[0], "PhysicalSizeX": mpp[1]}
    with tifffile.TiffWriter(folder / "x.ome.tif", ome=True) as file:
        options: dict[str, Any] = {"tile": (TILE, TILE), "photometric": "rgb", "compression": "zlib"}
        file.write(image, subifds=1, metadata=about, **options)
        file.write(halved(image), subfiletype=1, metadata=None, **options)
    return Container(folder / "x.ome.tif", mpp)


def qptiff(folder: Path, image: np.ndarray) -> Container:
    """Write a brightfield slide as PerkinElmer's scanners do: level 0, a thumbnail, level 1."""
    head, kind_of = '<?xml version="1.0" encoding="utf-16"?>\r\n', "<ImageType>{}</ImageType>"
    form = f"{head}<PerkinElmer-QPI-ImageDescription>{kind_of}</PerkinElmer-QPI-ImageDescription>"
    thumbnail = halved(halved(image))
    pages = {"FullResolution": (image, 1), "Thumbnail": (thumbnail, 4), "ReducedResolution": (halved(image), 2)}
    with tifffile.TiffWriter(folder / "x.qptiff") as file:
        for kind, (level, step) in pages.items():
            tiled: dict[str, Any] = {"tile": (TILE, TILE), "compression": "jpeg"}
            file.write(
                level,
                photometric="rgb",
                description=form.format(kind),
                software="PerkinElmer-QPI",
                metadata=None,
                resolution=(1e4 / MPP[1] / step, 1e4 / MPP[0] / step),
                resolutionunit="CENTIMETER",
                subfiletype=int(kind == "ReducedResolution"),
                **({"rowsperstrip": 16} if kind == "Thumbnail" else tiled),
            )
    return Container(folder / "x.qptiff")


def scn(folder: Path, image: np.ndarray) -> Container:
    """Write a Leica slide of two regions on one glass: the picture at the lower right, a piece of it at the upper left."""
    corner, piece, canvas = (900, 1200), np.ascontiguousarray(image[:256, :384]), (2048, 2560)
    macro = np.full((canvas[0] // 8, canvas[1] // 8, 3), 220, np.uint8)
    pages = [macro, macro, piece, halved(piece), image, halved(image)]
    nm = round(1000 * MPP[0])
    region = """<image name="r{n}"><device model="Leica SCN400;Leica SCN" version="1"/>
      <pixels sizeX="{width}" sizeY="{height}">
        <dimension sizeX="{width}" sizeY="{height}" r="0" ifd="{first}"/>
        <dimension sizeX="{half_width}" sizeY="{half_height}" r="1" ifd="{second}"/>
      </pixels>
      <view sizeX="{nm_x}" sizeY="{nm_y}" offsetX="{at_x}" offsetY="{at_y}" spacingZ="0"/>
      <scanSettings><objectiveSettings><objective>20</objective></objectiveSettings>
      <illuminationSettings><illuminationSource>brightfield</illuminationSource></illuminationSettings></scanSettings></image>"""
    regions = []
    for n, (place, level, nm_a_pixel) in enumerate((((0, 0), macro, 8 * nm), ((128, 256), piece, nm), (corner, image, nm))):
        height, width = level.shape[:2]
        regions.append(
            region.format(
                n=n, width=width, height=height, half_width=width // 2, half_height=height // 2, first=2 * n, second=2 * n + 1,
                nm_x=width * nm_a_pixel, nm_y=height * nm_a_pixel, at_x=place[1] * nm, at_y=place[0] * nm,
            )
        )  # fmt: skip
    head = '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01" uuid="urn:uuid:1">'
    size = f'<collection name="c" uuid="urn:uuid:2" sizeX="{canvas[1] * nm}" sizeY="{canvas[0] * nm}"><barcode>1</barcode>'
    about = f"{head}{size}{''.join(regions)}</collection></scn>"
    with tifffile.TiffWriter(folder / "x.scn", bigtiff=True) as file:
        for number, level in enumerate(pages):
            _page(file, level, description=about if number == 0 else None, mpp=MPP[0] * 2 ** (number % 2))
    return Container(folder / "x.scn", MPP, corner, (128, 256))


def mirax(folder: Path, image: np.ndarray) -> Container:
    """Write a MIRAX slide, of whose canvas only the picture was scanned: in whole tiles, as JPEG."""
    first = (5, 6)
    filled = np.pad(image, [(0, -side % TILE) for side in image.shape[:2]] + [(0, 0)], mode="edge")
    tiles = {
        (first[0] + box.y0 // TILE, first[1] + box.x0 // TILE): filled[box.slices]
        for box in Box.of_shape(filled.shape[:2]).split(TILE, TILE)
    }
    write_mirax(folder / "x.mrxs", tiles, (16, 16), mpp=MPP, first=_jpeg(halved(halved(image))))
    corner = (first[0] * TILE, first[1] * TILE)
    return Container(folder / "x.mrxs", MPP, corner, corner)


def dicom(folder: Path, image: np.ndarray) -> Container:
    """Write two DICOM files, one a level, of pixels that are not square."""
    (folder / "x").mkdir()
    one, mm = series(), (0.00025, 0.0005)
    for number, (level, factor) in enumerate(((image, 1), (halved(image), 2)), start=1):
        spacing = (mm[0] * factor, mm[1] * factor)
        options: dict[str, Any] = {} if factor == 1 else {"kind": REDUCED}
        made = Made(level, "jpeg2000", (TILE, TILE), spacing=spacing, series=one, number=number, **options)
        write_dicom_file(folder / "x" / f"{number}.dcm", made)
    return Container(folder / "x" / "1.dcm", (0.25, 0.5))


def czi(folder: Path, image: np.ndarray) -> Container:
    """Write a Zeiss mosaic of one level, somewhere on the microscope's stage; needs pylibCZIrw."""
    from pylibCZIrw import czi as library  # noqa: PLC0415 - an optional extra

    with library.create_czi(str(folder / "x.czi")) as document:
        for box in Box.of_shape(image.shape[:2]).split(TILE, TILE):
            part = np.ascontiguousarray(image[box.slices][..., ::-1])
            document.write(data=part, location=(box.x0 - 70, box.y0 + 40), scene=0)
        document.write_metadata("made", scale_x=0.5e-6, scale_y=0.25e-6)
    return Container(folder / "x.czi", (0.25, 0.5))


MAKERS = {"svs": svs, "ome-tiff": ome_tiff, "qptiff": qptiff, "scn": scn, "mirax": mirax, "dicom": dicom}


def _page(file: tifffile.TiffWriter, image: np.ndarray, description: str | None, mpp: float | None = None) -> None:
    options: dict[str, Any] = {
        "tile": (TILE, TILE),
        "photometric": "rgb",
        "compression": "jpeg",
        "compressionargs": {"level": 95},
    }
    size: dict[str, Any] = {} if mpp is None else {"resolution": (1e4 / mpp,) * 2, "resolutionunit": "CENTIMETER"}
    file.write(image, description=description, metadata=None, **options, **size)


def _jpeg(image: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "jpeg", quality=95, subsampling=0)
    return stream.getvalue()
