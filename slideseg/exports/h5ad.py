"""The objects as AnnData, one observation an object, in the form that squidpy, scanpy and SpatialData look for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from slideseg.errors import ConfigError, explain
from slideseg.exports.frame import facts_of
from slideseg.exports.rows import Counted, checked_table
from slideseg.installed import pip_install
from slideseg.result.overlay import Overlay

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from slideseg.exports.frame import Frame
    from slideseg.exports.job import Job
    from slideseg.exports.rows import ObjectTable
    from slideseg.model.info import ModelClass
    from slideseg.result.result import Result

SPATIAL = "spatial"
"""Name of the coordinates and of the picture."""
REGION = "objects"
"""Name of the label image that the rows are about: ``labels/objects``."""
PICTURE = 2048
"""Pixels of the picture's longer side."""


def export(job: Job, partial: Path, _name: str) -> dict[str, int]:
    """Write the table; return how many rows."""
    with checked_table(job.result, job.frame("slide"), job.classes) as table:
        counted = Counted(job.watch(table.rows))
        write_h5ad(partial, table, counted)
        return {"rows": counted.rows}


def write_h5ad(path: Path, table: ObjectTable, watch: Callable[[int], None]) -> None:
    """Write one observation an object: ``obs`` is the table, ``X`` what was measured of pixels' values, ``obsm`` the centres.

    ``watch`` is told the rows that are done. Memory: the whole table; AnnData is made and written in one piece.

    Raises:
        ConfigError: if the package is missing.
        ResultError: if the table is damaged.
    """
    try:
        import anndata  # noqa: PLC0415 - an optional extra
    except ImportError as error:
        raise ConfigError(explain("--to anndata needs the package anndata", try_=pip_install("anndata"))) from error
    batches = []
    for batch in table.batches():
        batches.append(batch)
        watch(batch.num_rows)
    rows = pa.Table.from_batches(batches, table.file.schema_arrow)
    values = _measured(rows)
    made = anndata.AnnData(
        X=_columns(rows, values, np.float32),
        obs=_observations(rows, table.result),
        obsm={SPATIAL: _columns(rows, ["centroid_x_px", "centroid_y_px"], np.float64)},
        uns=_facts(rows, table.result, table.frame),
    )
    made.var_names = values
    made.write_h5ad(path, compression="gzip")


def _measured(rows: pa.Table) -> list[str]:
    """Return the columns that tell of pixels' values, not of form or place, and are known."""
    names = [name for name in rows.column_names if name.startswith(("probability", "intensity", "mean_"))]
    return [name for name in names if rows[name].null_count < len(rows)]


def _columns(rows: pa.Table, names: list[str], dtype: type) -> np.ndarray:
    values: np.ndarray = np.empty((len(rows), len(names)), dtype)
    for number, name in enumerate(names):
        values[:, number] = rows[name].to_numpy()
    return values


def _observations(rows: pa.Table, result: Result) -> Any:
    """Return the rows as a data frame named by id; texts are categories, classes in their own order."""
    frame = rows.to_pandas(strings_to_categorical=True)
    frame.index = frame["id"].astype(str).to_numpy()
    frame["class_name"] = frame["class_name"].cat.set_categories([known.name for known in _classes(rows, result)])
    frame["region"] = REGION
    frame["region"] = frame["region"].astype("category")
    return frame


def _classes(rows: pa.Table, result: Result) -> list[ModelClass]:
    there = set(rows["class_name"].unique().to_pylist())
    return [known for known in result.classes if known.name in there]


def _facts(rows: pa.Table, result: Result, frame: Frame) -> dict[str, Any]:
    facts = {
        "slideseg": facts_of(result, frame),
        "spatialdata_attrs": {"region": REGION, "region_key": "region", "instance_key": "id"},
        "class_name_colors": np.array([known.color for known in _classes(rows, result)], object),
    }
    if result.image and result.segmentation.ndim == 2:
        facts[SPATIAL] = {"slide": _picture(rows, result, frame)}
    return facts


def _picture(rows: pa.Table, result: Result, frame: Frame) -> dict[str, Any]:
    """Return the image without colours of classes, how much smaller than level 0 it is, and how large an object is.

    Its pixels are as many of level 0 along both axes, and its first one is the frame's.
    """
    shape = [rows * side for rows, side in zip(result.segmentation.shape, result.level_0_scale, strict=True)]
    size = min(PICTURE, max(result.segmentation.shape))
    overlay = Overlay(result, size, opacity=0.0, pixel_yx=result.level_0_scale)
    area = float(np.median(rows["area_px"].to_numpy())) if len(rows) else 1.0
    scale = size / max(shape)
    y, x = (round(corner * scale) for corner in frame.corner_yx)
    height, width = (max(1, round(side * scale)) for side in frame.shape_yx)
    return {
        "images": {"hires": overlay.picture()[y : y + height, x : x + width]},
        "scalefactors": {"tissue_hires_scalef": scale, "spot_diameter_fullres": 2 * float(np.sqrt(area / np.pi))},
    }
