"""Open a finished result: `slideseg.open_result`."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slideseg.arrays.described import described_by, level_paths, ome_of
from slideseg.arrays.lazy import lazy_array
from slideseg.arrays.shards import array_attributes, plan_of
from slideseg.colors import color_of
from slideseg.errors import ConfigError, ResultError, explain
from slideseg.model.info import ModelClass
from slideseg.result.create import ROOT, read_attributes
from slideseg.result.layout import OBJECTS, PROBABILITIES, SEGMENTATION, ResultLayout
from slideseg.result.manifest import MAP_PART
from slideseg.result.record import ObjectsRecord, RunRecord, read_objects_record
from slideseg.result.table import check_table, read_sizes, read_table
from slideseg.result.twice import find_twins
from slideseg.slide.pixel_size.claims import in_words
from slideseg.space.box import Box
from slideseg.storage.place import locate, near
from slideseg.storage.store import open_store, read_key, reason, storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import numpy as np
    import pyarrow

    from slideseg.arrays.lazy import Array
    from slideseg.arrays.plan import ArrayPlan
    from slideseg.result.crop import Crop, Cropper
    from slideseg.result.found.sizes import Summed
    from slideseg.storage.store import Store


class Result:
    """A finished result. Arrays are Dask arrays, one chunk a shard; reading a missing or damaged shard raises `ResultError`.

    It may stand wherever the path of a result may.
    """

    def __init__(self, url: str, store: Store, attributes: dict[str, Any]) -> None:
        self.url = url
        """Where it lies."""
        self.info: dict[str, Any] = attributes["slideseg"]
        """What the run wrote about itself, as it stands in the metadata: slide, model, settings, tiling, seconds."""
        self.record = RunRecord.from_json(self.info)
        """The same as a value."""
        self._store = store
        with described_by(""):
            self._ome = dict(attributes["ome"])

    def __fspath__(self) -> str:
        """Return where it lies."""
        return self.url

    @property
    def segmentation(self) -> Array:
        """Class ids, uint8 (y, x), with a leading z or t for a stack; 0 is background."""
        return lazy_array(self._store, f"{SEGMENTATION}/0")

    @property
    def probabilities(self) -> Array | None:
        """Class probabilities times 255, uint8 (c, y, x), (t, c, y, x) or (c, z, y, x); None where they were not kept."""
        return self._optional(f"{PROBABILITIES}/0")

    @property
    def objects(self) -> Array | None:
        """Instance ids (y, x), with a leading z or t for a stack; None where they were not asked for."""
        finished = "ome" in array_attributes(self._store, OBJECTS)
        return lazy_array(self._store, f"{OBJECTS}/0") if finished else None

    @property
    def table(self) -> pyarrow.Table | None:
        """The object table, one row an object, as a pyarrow table (``.to_pandas()``); None where there are no objects.

        Raises:
            ResultError: if it is missing or damaged.
        """
        if "ome" not in array_attributes(self._store, OBJECTS):
            return None
        return read_table(self._store)

    @property
    def objects_record(self) -> ObjectsRecord | None:
        """What was found: by which rules, how many, how many across seams of shards; None without objects.

        Raises:
            ResultError: if it is missing or damaged.
        """
        if "ome" not in array_attributes(self._store, OBJECTS):
            return None
        record = read_objects_record(self._store)
        if record is None:
            raise ResultError(explain(f"{OBJECTS}/0/zarr.json is missing or damaged", try_="slideseg verify --repair"))
        strange = set(record.rules.classes) - {known.id for known in self.classes}
        if strange or not record.rules.classes:
            got = f"objects of classes {list(record.rules.classes)}"
            raise ResultError(explain(f"{OBJECTS}/0/zarr.json is damaged", got=got, try_="slideseg objects --overwrite"))
        return record

    def object_counts(self) -> list[dict[str, Any]] | None:
        """Return for each class how many objects there are, their share of the area and how many a square millimetre.

        Of `tissue_pixels`: the area of tissue proper, or of all that was segmented where tissue was not looked for. With them
        the median size of the objects and the mean of their probabilities, where those are known. None where there are no
        objects. Memory: a few row groups of the table.

        Raises:
            ResultError: if the table is missing or damaged.
        """
        found = self.objects_found()
        return None if found is None else [{"class": name, **counted} for name, counted in list(found.items())[1:]]

    def objects_found(self) -> dict[str | None, dict[str, Any]] | None:
        """Return the same by the names of classes; first, under None, of all classes together.

        Raises:
            ResultError: if the table is missing or damaged.
        """
        if "ome" not in array_attributes(self._store, OBJECTS):
            return None
        check_table(self._store)
        sizes, record = read_sizes(self._store), self.objects_record
        counted = () if record is None else record.rules.classes
        wanted: dict[str | None, tuple[int, ...]] = {None: counted}
        wanted |= {known.name: (known.id,) for known in self.classes if known.id in counted}
        return {name: self._counted(sizes.of(ids)) for name, ids in wanted.items()}

    def _counted(self, objects: Summed) -> dict[str, Any]:
        um2 = None if self.mpp_yx is None else math.prod(self.mpp_yx)
        return {
            "count": objects.count,
            "area_fraction": round(objects.pixels / max(1, self.tissue_pixels), 6),
            "per_mm2": self._per_mm2(objects.count),
            "median_pixels": objects.median,
            "median_um2": None if objects.median is None or um2 is None else round(objects.median * um2, 6),
            "probability": None if objects.probability is None else round(objects.probability, 6),
        }

    @property
    def tissue_pixels(self) -> int:
        """Pixels of the class map that densities are counted in.

        Those of tissue proper, without the glass beside it and the dirt and ink on it, where the run found out what is tissue
        (`tissue_known`); else all that were segmented.
        """
        known = self.record.tissue_pixels
        return self.record.pixels - self.record.skipped_pixels if known is None else known

    @property
    def tissue_known(self) -> bool:
        """Whether `tissue_pixels` are of tissue proper; if not, of all that was segmented."""
        return self.record.tissue_pixels is not None

    @property
    def tissue_mm2(self) -> float | None:
        """The area of `tissue_pixels` in square millimetres; None where the size of a pixel is not known."""
        return None if self.mpp_yx is None else self.tissue_pixels * math.prod(self.mpp_yx) / 1e6

    def _per_mm2(self, count: int) -> float | None:
        area = self.tissue_mm2
        return None if area is None else round(count / area, 3) if area else 0.0

    def crop(self, box: Box | Sequence[int], plane: int = 0) -> Crop:
        """Return what lies in a box (y0, x0, y1, x1) of the class map: image, classes, objects and their rows, in memory.

        Raises:
            ConfigError: if the box leaves the class map or is empty, or there is no such plane.
            ResultError: if the result is damaged there.
        """
        return self._cropper().crop(_box_of(box), plane)

    def objects_at(self, box: Box | Sequence[int], plane: int = 0) -> pyarrow.Table:
        """Return the rows of the objects that have a pixel in a box (y0, x0, y1, x1) of the class map, in the order of the ids.

        Raises:
            ConfigError: if the box leaves the class map or is empty, or there is no such plane.
            ResultError: if there are no objects, or they or their table are damaged.
        """
        return self._cropper().rows(_box_of(box), plane)

    def _cropper(self) -> Cropper:
        from slideseg.result.crop import Cropper  # noqa: PLC0415 - few results are cropped

        return Cropper(self._store, self.record, self.layout)

    @property
    def image(self) -> list[Array]:
        """Levels of the image for viewing, the largest first; empty where the result carries none."""
        return [lazy_array(self._store, path) for path in level_paths(self._ome, "") if "/" not in path]

    @property
    def layout(self) -> ResultLayout:
        """Which arrays it has and how they are cut."""
        plan = plan_of(self._store, f"{SEGMENTATION}/0")
        kept = self._optional_plan(f"{PROBABILITIES}/0")
        return ResultLayout(
            grid=plan.grid,
            plane_axis=None if plan.axes == "yx" else plan.axes[0],  # type: ignore[arg-type]
            classes=self.classes,
            probabilities=0 if kept is None else kept.channels or 0,
            coordinates=self.record.coordinates,
        )

    @property
    def mpp(self) -> float | None:
        """Microns per pixel of the class map as one number: the side of a square pixel of the same area; None if unknown."""
        return self.record.coordinates.mpp

    @property
    def mpp_yx(self) -> tuple[float, float] | None:
        """Microns per pixel of the class map along y and x; None if unknown."""
        return self.record.coordinates.mpp_yx

    @property
    def classes(self) -> tuple[ModelClass, ...]:
        """All classes, background first: each has ``id``, ``name`` and ``color`` (``#rrggbb``)."""
        ome = ome_of(self._store, SEGMENTATION)
        with described_by(SEGMENTATION):
            label = ome["image-label"]
            colors = {entry["label-value"]: color_of(entry["rgba"][:3]) for entry in label["colors"]}
            found = [(int(entry["label-value"]), str(entry["name"])) for entry in label["properties"]]
            return tuple(ModelClass(number, name, colors[number]) for number, name in found)

    @property
    def level_0_scale(self) -> tuple[float, float]:
        """Sides (y, x) of a pixel of the class map in pixels of the slide's level 0."""
        return self.record.level_0_scale

    def _optional_plan(self, path: str) -> ArrayPlan | None:
        return plan_of(self._store, path) if read_key(self._store, f"{path}/zarr.json") is not None else None

    def __repr__(self) -> str:
        """Say in a line what it is, from descriptions alone."""
        failures: tuple[type[Exception], ...] = (ResultError, LookupError, *storage_errors())
        try:
            shape = " x ".join(f"{side:,}" for side in plan_of(self._store, f"{SEGMENTATION}/0").shape)
            objects = self.objects_record
            names = ", ".join(known.name for known in self.classes if known.id > 0)
        except failures:
            return f"<Result {self.url}: can't be read>"
        found = "" if objects is None else f"; objects: {objects.number:,}"
        return f"<Result {self.url}: {shape} px; {names}{found}>"

    def _repr_html_(self) -> str:
        """Show a small picture and the facts in a notebook; damage is told in the picture's place."""
        from slideseg.result.notebook import THUMBNAIL, html_of  # noqa: PLC0415 - few results are looked at
        from slideseg.result.overlay import Overlay  # noqa: PLC0415

        try:
            picture: np.ndarray | str = Overlay(self, THUMBNAIL).picture()
        except ResultError as error:
            picture = str(error)
        return html_of(picture, self._facts())

    def _facts(self) -> Iterator[tuple[str, str | list[ModelClass]]]:
        record, objects = self.record, self.objects_record
        shape = " x ".join(f"{side:,}" for side in self.layout.segmentation().shape)
        yield "result", self.url
        yield "slide", record.slide.path
        yield "model", record.model.name
        yield "class map", f"{shape} px" + ("" if self.mpp_yx is None else f", {in_words(self.mpp_yx)} a pixel")
        yield "classes", [known for known in self.classes if known.id > 0]
        if objects is not None:
            yield "objects", f"{objects.number:,}"
        there = {"probabilities": self.layout.probabilities, "objects": objects, "image": self.image}
        yield "also there", ", ".join(name for name, found in there.items() if found) or "nothing"
        if record.seconds is not None:
            yield "computed in", f"{record.seconds:,.1f} s"

    def _optional(self, path: str) -> Array | None:
        return lazy_array(self._store, path) if read_key(self._store, f"{path}/zarr.json") is not None else None


def _box_of(box: Box | Sequence[int]) -> Box:
    """Return a box that somebody gave.

    Raises:
        ConfigError: if it is none.
    """
    try:
        return Box.of(box)
    except (TypeError, ValueError, OverflowError) as error:
        want = "(y0, x0, y1, x1): first row and column, and those behind the last ones"
        raise ConfigError(explain("this is no box", got=repr(box)[:80], want=want)) from error


def is_result(url: str | os.PathLike[str]) -> bool:
    """Tell whether ``url`` is a result that slideseg wrote, finished or not."""
    try:
        return isinstance(find_twins(open_store(url, read_only=True), MAP_PART).attributes.get("slideseg"), dict)
    except ConfigError:
        return False
    except storage_errors():
        return False


def _exists(url: str | os.PathLike[str]) -> bool:
    """Tell whether a local file or folder is there; what a bucket has none of is not there."""
    location = locate(url)
    return location.bucket is None and Path(location.path).exists()


def open_result(url: str | os.PathLike[str]) -> Result:
    """Open a finished result.

    Raises:
        ResultError: if nothing is there, it is no slideseg result, or it is unfinished.
    """
    store = open_store(url, read_only=True)
    try:
        there = read_key(store, ROOT) is not None
        attributes = read_attributes(store)
    except storage_errors() as error:
        raise ResultError(explain("the result can't be opened", got=reason(error))) from error
    if not there:
        what = "this is no slideseg result" if _exists(url) else "no such result"
        raise ResultError(explain(what, got=locate(url).path, want="a folder that slideseg predict wrote", try_=near(url)))
    if "slideseg" not in attributes:
        raise ResultError(explain(f"{url} is no slideseg result", want="attributes.slideseg", try_="plain zarr"))
    if "ome" not in attributes:
        raise ResultError(explain(f"{url} is unfinished", try_="the command that began it: it goes on where it stopped"))
    return Result(os.fspath(url), store, attributes)
