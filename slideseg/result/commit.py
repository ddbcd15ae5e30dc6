"""Finish a result: its NGFF metadata, the root group's last. Until then readers see an unfinished store."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from slideseg.arrays.shards import array_attributes, plan_of
from slideseg.colors import ome_of
from slideseg.errors import ResultError, explain
from slideseg.result.create import read_attributes, write_group
from slideseg.result.layout import OBJECTS, PROBABILITIES, SEGMENTATION, TABLE
from slideseg.result.manifest import MAP_PART, OBJECTS_PART, is_shard, read_manifest, seals_of, write_manifest
from slideseg.result.ngff import (
    image_metadata,
    label_metadata,
    labels_metadata,
    multiscales,
    omero_metadata,
)
from slideseg.result.record import read_image_record
from slideseg.result.table import SHA256, has_table, table_hash
from slideseg.result.twice import group_text, write_twice
from slideseg.storage.store import delete_key, list_keys, open_store, read_key, run_errors, write_key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from slideseg.result.coordinates import Coordinates
    from slideseg.result.layout import ResultLayout
    from slideseg.result.record import RunRecord
    from slideseg.slide.facts import Channel
    from slideseg.storage.store import Store

LABELS = "labels/zarr.json"
"""Key of the list of labels."""
IMAGE = "image"
"""What viewers call the image; labels and probabilities have the names of their groups."""
IMAGE_SOURCE = "../../"
"""Where a label image finds the image it belongs to."""


def commit(url: str, layout: ResultLayout, record: RunRecord) -> None:
    """Write all metadata, then the root group with ``record`` (status "complete") and ``ome`` in one last write.

    All pyramids have the layout's number of levels; the image and finished instance labels take part where they are there.

    Raises:
        ResultError: if a level of a pyramid is missing.
        RunError: if the storage fails.
    """
    store = open_store(url)
    with run_errors("the result can't be finished"):
        _commit_labels(store, layout)
        if layout.probabilities:
            scales = _levels(store, layout, PROBABILITIES, "mean")
            channels = omero_metadata(layout.probabilities, rgb=False)
            _write_group(store, PROBABILITIES, image_metadata(scales, _named(channels, layout)))
        ome = _root_metadata(store, layout, record.slide.channels)
        finished = replace(record, status="complete", manifest=_seal(store, layout))
        write_twice(store, MAP_PART, {"ome": ome, "slideseg": finished.to_json()})


def _seal(store: Store, layout: ResultLayout) -> str:
    """Write down every file but those of objects; return the manifest's hash.

    Raises:
        ResultError: if a shard is not what it was when the result was finished before: to seal it would hide that.
    """
    levels = range(layout.levels)
    images = [plan_of(store, str(level)) for level in levels if _has(store, "0")]
    kept = [layout.probability(level) for level in levels if layout.probabilities]
    groups = [f"{group}/zarr.json" for group in (SEGMENTATION, *([PROBABILITIES] if kept else []))]
    seals = seals_of(store, [*map(layout.segmentation, levels), *kept, *images], groups)
    said = read_attributes(store).get("slideseg", {}).get("manifest")
    former = (read_manifest(store, MAP_PART, said) if said else None) or {}
    for key, seal in former.items():
        if is_shard(key) and seals.get(key, seal) != seal:
            raise ResultError(
                explain(f"{key} is not what it was when the result was finished", try_="slideseg verify --repair")
            )
    return write_manifest(store, MAP_PART, seals)


def _commit_labels(store: Store, layout: ResultLayout) -> None:
    source = IMAGE_SOURCE if _has(store, "0") else None
    scales = _levels(store, layout, SEGMENTATION, "mode")
    _write_group(store, SEGMENTATION, label_metadata(scales, layout.classes, source))
    name_labels(store, objects="ome" in array_attributes(store, OBJECTS))


def commit_objects(store: Store, layout: ResultLayout) -> None:
    """Describe complete instance labels, then name them among the labels, as finished as the class map is.

    Raises:
        ResultError: if a level of their pyramid is missing.
        RunError: if the storage fails.
    """
    with run_errors("the objects can't be finished"):
        source = IMAGE_SOURCE if _has(store, "0") else None
        table = {SHA256: table_hash(store)} if has_table(store) else {}
        plans = [plan_of(store, f"{OBJECTS}/{level}") for level in range(layout.levels)]
        sealed = write_manifest(store, OBJECTS_PART, seals_of(store, plans, [TABLE] if table else []))
        ome = label_metadata(_levels(store, layout, OBJECTS, "mode"), [], source)
        write_twice(store, OBJECTS_PART, {"ome": ome, "slideseg": {**table, "manifest": sealed}})
        name_labels(store, objects=True)  # the class map's own group is in a manifest, and stays as it is


def unname_objects(store: Store) -> None:
    """Take instance labels that are not whole out of the labels' list; what is there of them stays."""
    name_labels(store, objects=False)
    delete_key(store, OBJECTS_PART.copy)  # first: the document alone is worth a copy, a copy alone a document
    delete_key(store, OBJECTS_PART.document)


def withdraw_objects(store: Store, keep: str | None = None) -> None:
    """Remove instance labels and their table, but not the folder ``keep``; first the labels' list no longer names them.

    What says which objects they are goes last: killed in between, labels that are left can't be taken for others.
    """
    unname_objects(store)
    last = f"{OBJECTS}/0/zarr.json"
    for key in (*list_keys(store, f"{OBJECTS}/"), *list_keys(store, "tables/")):
        if key != last and not (keep and key.startswith(f"{keep}/")):
            delete_key(store, key)
    delete_key(store, last)


def name_objects(store: Store) -> None:
    """Name complete objects among the labels, unless they are named.

    Raises:
        RunError: if the storage fails.
    """
    with run_errors("the objects can't be named"):
        if read_key(store, LABELS) != labels_text(objects=True).encode():
            name_labels(store, objects=True)


def name_labels(store: Store, *, objects: bool) -> None:
    """Write which labels a result has."""
    write_key(store, LABELS, labels_text(objects=objects).encode())


def labels_text(*, objects: bool) -> str:
    """Return the document that says which labels a result has."""
    return group_text({"ome": labels_metadata(["segmentation", "objects"] if objects else ["segmentation"])})


def describe_image(
    store: Store, name: str, coordinates: Coordinates, levels: int, channels: Sequence[Channel] = ()
) -> dict[str, Any]:
    """Return ``ome`` for the image pyramid ``0``, ``1``, ... of the root group.

    ``coordinates`` are those of the working resolution; ``channels`` are the slide's, where it describes them.

    Raises:
        ResultError: if a level is missing.
    """
    plan = plan_of(store, "0")
    image = read_image_record(store)
    if image is None:
        raise ResultError(explain("the description of array 0 is damaged", try_="slideseg verify --repair"))
    rows, columns = image.pixel_yx
    datasets = []
    for level in range(levels):
        _require(store, str(level))
        datasets.append((str(level), (rows * 2.0**level, columns * 2.0**level)))
    windows = image.window if plan.dtype != "uint8" else None
    omero = omero_metadata(plan.channels or 1, rgb=image.rgb, windows=windows, known=channels)
    return image_metadata(multiscales(name, plan.axes, datasets, coordinates, "mean"), omero)


def _root_metadata(store: Store, layout: ResultLayout, channels: Sequence[Channel]) -> dict[str, Any]:
    """Describe the image; a result without one shows its class map instead, so that it is a valid image too."""
    if _has(store, "0"):
        return describe_image(store, IMAGE, layout.coordinates, layout.levels, channels)
    return image_metadata(_levels(store, layout, SEGMENTATION, "mode", below=f"{SEGMENTATION}/"))


def _levels(store: Store, layout: ResultLayout, group: str, method: str, below: str = "") -> dict[str, Any]:
    datasets = []
    for level in range(layout.levels):
        _require(store, f"{group}/{level}")
        datasets.append((f"{below}{level}", (2.0**level, 2.0**level)))
    return multiscales(group.rpartition("/")[2], plan_of(store, f"{group}/0").axes, datasets, layout.coordinates, method)


def _named(omero: dict[str, Any], layout: ResultLayout) -> dict[str, Any]:
    """Name the channels of the probabilities after the classes: all, or the foreground's where there is one channel."""
    classes = layout.classes
    named = classes if len(classes) == layout.probabilities else classes[-layout.probabilities :]
    for channel, known in zip(omero["channels"], named, strict=True):
        channel.update(label=known.name, color=ome_of(known.color))
    return omero


def _has(store: Store, path: str) -> bool:
    return read_key(store, f"{path}/zarr.json") is not None


def _require(store: Store, path: str) -> None:
    if not _has(store, path):
        raise ResultError(explain(f"the result can't be finished: {path} is missing", try_="the same command again"))


def _write_group(store: Store, path: str, ome: dict[str, Any]) -> None:
    write_group(store, path, {"ome": ome})
