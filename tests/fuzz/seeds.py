"""Seeds: one small file of every container and codec that is read, made here, and which of its bytes are pixels."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import tifffile
import zarr
from PIL import Image

from tests import containers
from tests.fuzz.look import CELL

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, COLUMNS, TILE = 80, 112, 32


@dataclass(frozen=True, slots=True)
class Seed:
    """A file, or a folder of which one file is changed."""

    name: str
    path: Path
    """What is opened."""
    target: Path
    """The file whose bytes are changed; inside ``path`` where that is a folder."""
    segments: tuple[tuple[int, int], ...] = ()
    """Where the bytes of each tile or strip start and end in ``target``; a change in there may change that tile's pixels."""
    loose: tuple[tuple[int, int], ...] = ()
    """Where a change may change pixels anywhere: palettes and tables that tiles share; all of a picture without checksums."""
    readers: tuple[str, ...] = ()
    """Other readers of this kind of file."""
    cells: int = 4
    """Squares of `look.CELL` that one tile or strip holds at most."""
    words: str = ""
    """Whether ``target`` is written in ``json`` or ``yaml``, or begins with JSON as ``safetensors`` do; empty for bytes."""
    work: str = "slide"
    """What is done with it: a name of `works.WORKS`."""
    beside: Path | None = None
    """A folder that belongs to a file."""


def rgb() -> np.ndarray:
    """Return a picture of flat parts and of noise, so that codecs have something to do."""
    y, x = np.mgrid[:ROWS, :COLUMNS]
    wave = (np.sin(y / 9) * np.cos(x / 7) * 60 + 128).astype(np.uint8)
    noise = np.random.default_rng(5).integers(0, 40, (ROWS, COLUMNS), np.uint8)
    return np.stack([wave, (x * 2).astype(np.uint8), wave // 2 + noise], axis=-1)


def grey(dtype: str) -> np.ndarray:
    wide = rgb()[..., 2].astype(dtype)
    return wide if dtype.endswith("u1") or wide.dtype.kind == "f" else wide * 200


def _tiff(name: str, pixels: np.ndarray | None = None, *, append: tuple[dict[str, Any], ...] = (), **options: Any) -> Any:
    settings: dict[str, Any] = {"metadata": None, **options}
    container = {key: settings.pop(key) for key in ("bigtiff", "byteorder", "ome", "imagej") if key in settings}
    image = rgb() if pixels is None else pixels
    if image.ndim == 3 and image.shape[-1] == 3:
        settings.setdefault("photometric", "rgb")

    def make(folder: Path) -> Path:
        path = folder / f"{name}.tif"
        with tifffile.TiffWriter(path, **container) as writer:
            writer.write(image, **settings)
            for more in append:
                step = more.get("step", 2)
                writer.write(image[::step, ::step], **{**settings, **{k: v for k, v in more.items() if k != "step"}})
        return path

    return name, make


_TILED: dict[str, Any] = {"tile": (TILE, TILE)}
_STRIPS: dict[str, Any] = {"rowsperstrip": 16}
_SVS = "Aperio Image Library v11.2.1 \r\n112x80 [0,0 112x80] (32x32) JPEG/RGB Q=70|AppMag = 20|MPP = 0.4990"
_CODECS = ("deflate", "lzw", "zstd", "lzma", "packbits", "jpeg", "jpeg2000", "webp", "png", "jpegxl", "jpegxr", "lerc")

TIFFS = (
    *(_tiff(f"tiled_{codec}", **_TILED, compression=codec) for codec in _CODECS),
    *(_tiff(f"strips_{codec}", **_STRIPS, compression=codec) for codec in ("deflate", "lzw", "packbits", "jpeg")),
    _tiff("tiled_raw", **_TILED),
    _tiff("strips_raw", **_STRIPS),
    _tiff("one_strip"),
    _tiff("one_strip_deflate", rowsperstrip=ROWS, compression="deflate"),
    _tiff("big", **_TILED, compression="deflate", bigtiff=True),
    _tiff("motorola", **_TILED, compression="deflate", byteorder=">"),
    _tiff("big_motorola_16", grey("u2"), **_STRIPS, bigtiff=True, byteorder=">"),
    _tiff("predictor", **_TILED, compression="deflate", predictor=True),
    _tiff("float_predictor", grey("f4"), **_TILED, compression="deflate", predictor=True),
    _tiff("float", grey("f4"), **_STRIPS),
    _tiff("planes", np.moveaxis(rgb(), -1, 0).copy(), **_TILED, compression="lzw", planarconfig="separate", photometric="rgb"),
    _tiff("alpha", np.dstack([rgb(), grey("u1")]), **_TILED, compression="lzw", photometric="rgb", extrasamples=["unassalpha"]),
    _tiff(
        "palette",
        grey("u1"),
        **_TILED,
        compression="deflate",
        photometric="palette",
        colormap=np.random.default_rng(3).integers(0, 65535, (3, 256)).astype(np.uint16),
    ),
    _tiff("white_is_zero", grey("u1"), **_STRIPS, compression="deflate", photometric="miniswhite"),
    _tiff("turned", **_TILED, compression="deflate", extratags=[(274, 3, 1, 6, True)]),
    _tiff("pyramid", **_TILED, compression="jpeg", append=({"subfiletype": 1}, {"step": 4, "subfiletype": 1})),
    _tiff("svs", **_TILED, compression="jpeg", description=_SVS, append=({"tile": None, **_STRIPS, "description": ""},)),
    _tiff("ome", np.stack([grey("u2")] * 3), ome=True, **_TILED, compression="deflate", metadata={"axes": "ZYX"}),
    _tiff("ome_subifds", **_TILED, compression="deflate", ome=True, metadata={"axes": "YXS"}, subifds=1, append=(
        {"subfiletype": 1, "subifds": 0, "metadata": None},
    )),
    _tiff("imagej", np.stack([grey("u2")] * 3), imagej=True, metadata={"axes": "ZYX"}),
    _tiff("stack", np.stack([grey("u1")] * 3), photometric="minisblack", metadata={"axes": "ZYX"}, compression="deflate"),
)  # fmt: skip


def tiff_segments(path: Path) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Return where a TIFF's tiles lie in the file, and where its palettes and JPEG tables do."""
    tiles, loose = [], []
    with tifffile.TiffFile(path) as tif:
        pages = [page for top in tif.pages for page in (top, *(top.pages or ()))]
        for page in pages:
            tiles += [(o, o + n) for o, n in zip(page.dataoffsets, page.databytecounts, strict=True) if n]
            loose += [
                (tag.valueoffset, tag.valueoffset + tag.valuebytecount)
                for code in (320, 347)
                if (tag := page.aspage().tags.get(code)) is not None
            ]
    return sorted(set(tiles)), sorted(set(loose))


def _cells(path: Path) -> int:
    with tifffile.TiffFile(path) as tif:
        page = tif.pages.first
        rows, columns = (page.tilelength, page.tilewidth) if page.is_tiled else (page.rowsperstrip, page.imagewidth)
        if page.tags.get(274) is not None and not page.is_tiled:
            rows, columns = page.imagelength, page.imagewidth
    return -(-min(rows, ROWS) // CELL) * -(-columns // CELL)


def _npy(folder: Path) -> Seed:
    path = folder / "array.npy"
    np.save(path, rgb())
    start = path.stat().st_size - rgb().nbytes
    return Seed("npy", path, path, ((start, path.stat().st_size),), readers=("numpy",))


def _picture(name: str, **options: Any) -> Callable[[Path], Seed]:
    def make(folder: Path) -> Seed:
        path = folder / name
        Image.fromarray(rgb()).save(path, **options)
        loose = ((0, path.stat().st_size),) if name.endswith("jpg") else ()
        return Seed(name.replace(".", "_"), path, path, (), loose, readers=("pillow",))

    return make


def _zarr(name: str, target: str, **options: Any) -> Callable[[Path], Seed]:
    def make(folder: Path) -> Seed:
        path = folder / f"{name}.zarr"
        if not path.exists():
            _write_zarr(path, **options)
        if not target.rpartition("/")[2][0].isdigit():
            return Seed(f"{name}:{target}", path, path / target, words="json")
        return Seed(f"{name}:{target}", path, path / target, (), ((0, (path / target).stat().st_size),))

    return make


def _write_zarr(path: Path, zarr_format: Any, *, ome: bool, compressor: bool = True) -> None:
    scales = [{"type": "scale", "scale": [1, 0.5 * 2**k, 0.5 * 2**k]} for k in range(2)]
    image = {
        "axes": [{"name": "c", "type": "channel"}] + [{"name": n, "type": "space", "unit": "micrometer"} for n in "yx"],
        "datasets": [{"path": str(k), "coordinateTransformations": [scales[k]]} for k in range(2)],
        "name": "image",
    }
    colours = {"red": "FF0000", "green": "00FF00", "blue": "0000FF"}
    channels = [{"label": name, "color": colour, "window": {"start": 0, "end": 255}} for name, colour in colours.items()]
    inner = {"multiscales": [image | ({"version": "0.4"} if zarr_format == 2 else {})], "omero": {"channels": channels}}
    attributes: dict[str, Any] = inner if zarr_format == 2 else {"ome": {"version": "0.5", **inner}}
    pixels = rgb().transpose(2, 0, 1)
    settings: dict[str, Any] = {"chunks": (3, 32, 32)} if compressor else {"chunks": (3, 32, 32), "compressors": None}
    if not ome:
        zarr.create_array(str(path), data=pixels, zarr_format=zarr_format, dimension_names=None, **settings)
        return
    group = zarr.open_group(str(path), mode="w", zarr_format=zarr_format, attributes=attributes)
    for level in range(2):
        small = pixels[:, :: 2**level, :: 2**level]
        extra: dict[str, Any] = {"shards": (3, 64, 64)} if zarr_format == 3 else {}
        group.create_array(str(level), data=small, **settings, **extra)
    labels = {"labels": ["cells"]} if zarr_format == 2 else {"ome": {"version": "0.5", "labels": ["cells"]}}
    group.create_group("labels", attributes=labels)


ZARRS = (
    _zarr("v2", ".zarray", zarr_format=2, ome=False),
    _zarr("v2", "0.0.0", zarr_format=2, ome=False),
    _zarr("v3", "zarr.json", zarr_format=3, ome=False),
    _zarr("v3", "c/0/0/0", zarr_format=3, ome=False),
    _zarr("v3_raw", "c/0/0/0", zarr_format=3, ome=False, compressor=False),
    _zarr("ome04", ".zattrs", zarr_format=2, ome=True),
    _zarr("ome04", "0/.zarray", zarr_format=2, ome=True),
    _zarr("ome05", "zarr.json", zarr_format=3, ome=True),
    _zarr("ome05", "0/zarr.json", zarr_format=3, ome=True),
    _zarr("ome05", "0/c/0/0/0", zarr_format=3, ome=True),
)


def slide_seeds(folder: Path) -> list[Seed]:
    """Make all seeds of images in ``folder``."""
    seeds = []
    for _, make in TIFFS:
        path = make(folder)
        tiles, loose = tiff_segments(path)
        readers = ("tifffile", "pillow", "openslide")
        seeds.append(Seed(path.stem, path, path, tuple(tiles), tuple(loose), readers, cells=_cells(path)))
    pictures = (_picture("rgb.png"), _picture("rgb.jpg", quality=90), _picture("progressive.jpg", progressive=True))
    seeds += [make(folder) for make in (_npy, *pictures, *ZARRS)]
    return seeds + _scanners(folder / "scanners")


def _scanners(folder: Path) -> list[Seed]:
    """Return the slides of scanners and microscopes, each in a folder of its own."""
    seeds = []
    for make in (containers.scn, containers.qptiff, containers.dicom, containers.mirax, containers.czi):
        place = folder / make.__name__
        place.mkdir(parents=True)
        path = make(place, containers.discs((128, 192))).path
        if path.suffix in (".scn", ".qptiff"):
            tiles, loose = tiff_segments(path)
            seeds.append(Seed(path.suffix[1:], path, path, tuple(tiles), tuple(loose), ("tifffile", "openslide"), cells=64))
        elif path.suffix == ".mrxs":
            data = path.with_suffix("")
            for target in sorted(data.iterdir()):
                loose = [(0, target.stat().st_size)] if target.name.startswith("Data") else []
                seeds.append(Seed(f"mirax:{target.name}", path, target, (), tuple(loose), ("openslide",), beside=data))
        else:
            pixels = path.read_bytes().find(b"\xe0\x7f\x10\x00") if path.suffix == ".dcm" else 0
            beside = path.parent if path.suffix == ".dcm" else None
            readers = ("openslide",) if beside else ()
            seeds.append(Seed(path.suffix[1:], path, path, (), ((pixels, path.stat().st_size),), readers, beside=beside))
    return seeds


def other_seeds(folder: Path) -> list[Seed]:
    """Make the seeds of what is no slide: a model, a recipe, outlines, a result. They load PyTorch and obstore: for a child."""
    from slideseg.instances.run import objects  # noqa: PLC0415
    from slideseg.model.config import UNetConfig  # noqa: PLC0415
    from slideseg.testing.models import random_model  # noqa: PLC0415
    from tests.made_results import blobs, make_result  # noqa: PLC0415

    model, recipe, outlines = (folder / name for name in ("model.safetensors", "recipe.yaml", "outlines.geojson"))
    random_model(model, UNetConfig(1, 1, 2, 1))
    recipe.write_text((Path(__file__).parents[2] / "configs" / "tiny.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    outlines.write_text(json.dumps(_outlines()), encoding="utf-8")
    result = folder / "result.zarr"
    make_result(result, blobs((64, 64)), image=np.full((64, 64, 3), 200, np.uint8))
    objects(result, workers=1)
    documents = sorted(path for path in result.rglob("zarr.json") if path.parent.name not in ("1", "2"))
    return [
        Seed("model", model, model, words="safetensors", work="model"),
        Seed("recipe", recipe, recipe, words="yaml", work="recipe"),
        Seed("outlines", outlines, outlines, words="json", work="outlines"),
        *(Seed(f"result:{path.relative_to(result)}", result, path, words="json", work="result") for path in documents),
        Seed("result:table", result, result / "tables" / "objects.parquet", work="result"),
    ]


def _outlines() -> dict[str, Any]:
    """Return outlines as QuPath exports them: a polygon with a hole, several polygons, one that crosses itself."""
    square = [[0, 0], [20, 0], [20, 20], [0, 20], [0, 0]]
    hole = [[5, 5], [5, 9], [9, 9], [9, 5], [5, 5]]
    bow = [[30, 30], [50, 50], [50, 30], [30, 50], [30, 30]]
    shapes = [("Polygon", [square, hole]), ("MultiPolygon", [[bow], [square]]), ("Polygon", [bow])]
    features = [
        {
            "type": "Feature",
            "id": str(number),
            "geometry": {"type": kind, "coordinates": rings},
            "properties": {"objectType": "annotation", "classification": {"name": name, "color": [200, 0, 0]}},
        }
        for number, ((kind, rings), name) in enumerate(zip(shapes, ("cell", "stroma", "Ignore*"), strict=True))
    ]
    return {"type": "FeatureCollection", "features": features}
