"""One result as the page sees it: its layers, its facts, and what lies at a point."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from slideseg.arrays.boxes import levels_of
from slideseg.result.found.warnings import warnings_of
from slideseg.result.layout import OBJECTS
from slideseg.slide.pixel_size.claims import in_words
from slideseg.storage.place import is_in_bucket
from slideseg.viewer.cards import name_of
from slideseg.viewer.edit_list import EditList
from slideseg.viewer.layers import ClassLayer, ObjectLayer
from slideseg.viewer.picture import picture_of
from slideseg.viewer.shard_cache import CachePart, Caches
from slideseg.viewer.table.objects import ObjectTable
from slideseg.viewer.tile_grid import TILE

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from slideseg.result.result import Result
    from slideseg.viewer.layers import Layer


class Shown:
    """A finished result, open for viewing. Serves several threads at once."""

    def __init__(self, result: Result, shared: Caches | None = None, *, editable: bool = False) -> None:
        """Open the result's layers; what is read of them is kept in ``shared``, or in a cache of their own.

        Objects may be changed, in a list beside the result, if it is ``editable``.

        Raises:
            ResultError: if it is damaged.
        """
        shared = shared or Caches()
        cache = CachePart(shared.shards)
        self.result = result
        """What is shown."""
        self.classes = ClassLayer(result, cache)
        """The class map."""
        record = result.objects_record
        self.edits = EditList(result, editable=editable and record is not None)
        """What was corrected."""
        self.table = None if record is None else ObjectTable(result, record, CachePart(shared.tables), self.edits)
        """The table of the objects, where there are any."""
        there = levels_of(result.url, OBJECTS, optional=True)
        self.objects = ObjectLayer(result, cache, None if self.table is None else self.table.looks) if there else None
        """The objects, where there are any."""
        self.number = 0 if self.table is None else self.table.number
        """How many objects there are."""
        self._picture = picture_of(result, cache)
        self._sums: list[dict[str, Any]] | None = None
        self._warnings: list[str] | None = None

    @property
    def is_local(self) -> bool:
        """Whether other viewers get the result's files from here: those in a bucket have an address of their own."""
        return not is_in_bucket(self.result.url)

    @property
    def layers(self) -> dict[str, Layer]:
        """What is drawn, the lowest first."""
        all_layers: dict[str, Layer | None] = {
            "image": self._picture.layer, "classes": self.classes, "objects": self.objects
        }  # fmt: skip
        return {name: layer for name, layer in all_layers.items() if layer is not None}

    def tile(self, name: str, level: int, place: tuple[int, int], plane: int, wishes: Mapping[str, str]) -> bytes | None:
        """Return the picture of a tile at ``place`` = (row, column); None where there is no such tile.

        Raises:
            SlidesegError: if its pixels can't be read.
        """
        layer = self.layers.get(name)
        box = None if layer is None else layer.grid.box(level, *place)
        if layer is None or box is None or not 0 <= plane < self.classes.planes:
            return None
        return layer.tile(level, box, plane, wishes)

    def facts(self) -> dict[str, Any]:
        """Return what the page needs to build itself."""
        result, picture = self.result, self._picture.layer
        return {
            "title": _name(result.record.slide.path),
            "name": name_of(result.url),
            "number": self.number,
            "rows": self.classes.grid.shape_yx[0],
            "columns": self.classes.grid.shape_yx[1],
            "planes": self.classes.planes,
            "plane_axis": result.layout.plane_axis,
            "mpp": _yx(result.mpp_yx),
            "scale": _yx(result.level_0_scale),
            "tile": TILE,
            "layers": {
                name: {"rows": layer.grid.shape_yx[0], "columns": layer.grid.shape_yx[1], "levels": layer.grid.levels}
                for name, layer in self.layers.items()
            },
            "image_coarsest": None if picture is None else picture.coarsest,
            "notice": self._picture.notice,
            "classes": [asdict(known) for known in result.classes],
            "facts": list(self._run_facts()),
            "is_local": self.is_local,
        }

    def _run_facts(self) -> list[tuple[str, str]]:
        record, planes = self.result.record, self.classes.planes
        slide, number = record.slide, None if self.objects is None else self.number
        facts = [
            ("result", self.result.url),
            ("slide", slide.path),
            ("slide size", _size(slide.shape)),
            ("class map", _size([*([planes] if planes > 1 else []), *self.classes.grid.shape_yx, 1])),
            ("pixel", None if self.result.mpp_yx is None else in_words(self.result.mpp_yx)),
            ("model", record.model.name),
            ("computed in", None if record.seconds is None else f"{record.seconds:,.1f} s"),
            ("slideseg", record.version),
            ("objects", None if number is None else f"{number:,}"),
        ]
        return [(name, str(value)) for name, value in facts if value]

    def sums(self) -> list[dict[str, Any]]:
        """Return `Result.object_counts`, each with its class's id; read once.

        Raises:
            ResultError: if the table is missing or damaged.
        """
        if self._sums is None:
            ids = {known.name: known.id for known in self.result.classes}
            self._sums = [{"id": ids[counted["class"]], **counted} for counted in self.result.object_counts() or []]
        return self._sums

    def warnings(self) -> list[str]:
        """Return what whoever uses the result should know of it; read once.

        Raises:
            ResultError: if the table is missing or damaged.
        """
        if self._warnings is None:
            self._warnings = list(warnings_of(self.result))
        return self._warnings

    def at(self, y: int, x: int, plane: int) -> dict[str, Any] | None:
        """Return class, object and the object's row at a pixel of the class map; None outside.

        Raises:
            ResultError: if class map, objects or table are damaged there, or the table is missing.
        """
        rows, columns = self.classes.grid.shape_yx
        if not (0 <= y < rows and 0 <= x < columns and 0 <= plane < self.classes.planes):
            return None
        number = 0 if self.objects is None else self.objects.at(y, x, plane)
        return {"class": self.classes.at(y, x, plane), "object": number, "row": self.row(number)}

    def row(self, number: int) -> dict[str, Any] | None:
        """Return the row of an object, by its number; None where there is no such object. An edit of it is told as ``edited``.

        Raises:
            ResultError: if the table is missing or damaged.
        """
        row, edit = self.original_row(number), self.edits.of(number)
        if row is None or not edit:
            return row
        ids = {known.name: known.id for known in self.result.classes}
        now = {"class": ids[edit["class"]], "class_name": edit["class"]} if "class" in edit else {}
        return {**row, **now, "edited": {**edit, "was": row["class_name"]}}

    def original_row(self, number: int) -> dict[str, Any] | None:
        """Return the row of an object as the table has it; None where there is no such object.

        Raises:
            ResultError: if the table is missing or damaged.
        """
        return None if self.table is None or number < 1 else self.table.row(number)

    def close(self) -> None:
        """Release the slide's file."""
        self._picture.close()


def _yx(sides: tuple[float, float] | None) -> dict[str, float] | None:
    return None if sides is None else {"y": sides[0], "x": sides[1]}


def _name(path: str) -> str:
    return path.rstrip("/").rpartition("/")[2]


def _size(shape: Sequence[int]) -> str:
    return " x ".join(f"{side:,}" for side in shape[:-1]) + " px"
