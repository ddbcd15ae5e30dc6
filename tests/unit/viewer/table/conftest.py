"""A table of made numbers, without a result around it."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from slideseg.model.info import ModelClass
from slideseg.result.layout import TABLE
from slideseg.viewer.shard_cache import ShardCache
from slideseg.viewer.table.columns import Columns

CLASSES = (
    ModelClass(0, "background", "#000000"),
    ModelClass(1, "nucleus", "#ff8000"),
    ModelClass(2, "other", "#0000ff"),
)
NUMBER = 1000


def made_columns(number=NUMBER, seed=0):
    """Return columns by name: centres on a square of 1000 pixels, areas some of which are missing, two classes, two planes."""
    random = np.random.default_rng(seed)
    area = random.lognormal(3, 0.5, number)
    area[::50] = np.nan
    return {
        "id": np.arange(1, number + 1),
        "class": random.integers(1, 3, number).astype(np.uint8),
        "class_name": np.array(["x"] * number),
        "plane": (np.arange(number) % 10 == 0).astype(np.int32),
        "pixels": random.integers(1, 20, number),
        "area_px": 4 * area,
        "area_um2": area,
        "centroid_y_px": random.random(number) * 1000,
        "centroid_x_px": random.random(number) * 1000,
    }


def write_table(folder, columns, rows=300):
    path = folder / TABLE
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = {name: pa.array(values, from_pandas=True) for name, values in columns.items()}
    pq.write_table(pa.table(arrays), path, row_group_size=rows)


@pytest.fixture
def made(tmp_path):
    """The columns as numpy arrays, and the same read from a file."""
    columns = made_columns()
    write_table(tmp_path, columns)
    return columns, Columns(str(tmp_path), NUMBER, ShardCache())
