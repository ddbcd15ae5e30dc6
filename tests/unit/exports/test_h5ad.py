"""AnnData holds the table's rows, where squidpy and SpatialData look for them."""

import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import slideseg
from slideseg.errors import ConfigError
from slideseg.exports.frame import frame_of
from slideseg.exports.h5ad import write_h5ad
from slideseg.exports.rows import ObjectTable
from slideseg.exports.run import export


@pytest.fixture(scope="module")
def observed(measured, tmp_path_factory):
    anndata = pytest.importorskip("anndata", reason="the extra slideseg[anndata] is not installed")
    path = tmp_path_factory.mktemp("anndata") / "x.h5ad"
    report = export(measured, "anndata", path)
    read = anndata.read_h5ad(path)
    assert report.rows == read.n_obs
    return read


def test_an_observation_is_a_row(observed, rows):
    frame = rows.to_pandas()
    frame.index = observed.obs_names
    assert list(observed.obs_names) == [str(one) for one in frame["id"]]
    for name in frame:
        assert observed.obs[name].astype(frame[name].dtype).equals(frame[name]), name


def test_squidpy_finds_places_and_the_picture(observed, rows):
    """obsm["spatial"] is (x, y) in pixels of level 0, and times the scale factor a place in the picture."""
    places = np.stack([rows["centroid_x_px"], rows["centroid_y_px"]], axis=1)
    assert np.array_equal(observed.obsm["spatial"], places)
    (library,) = observed.uns["spatial"].values()
    picture, factors = library["images"]["hires"], library["scalefactors"]
    assert picture.dtype == np.uint8
    assert picture.shape[2] == 3
    scaled = places.max(axis=0) * factors["tissue_hires_scalef"]
    assert (scaled < picture.shape[1::-1]).all()
    assert (scaled > np.array(picture.shape[1::-1]) * 0.9).all()
    assert 8 < factors["spot_diameter_fullres"] < 20


def test_spatialdata_finds_the_objects_of_the_rows(observed):
    about = observed.uns["spatialdata_attrs"]
    assert dict(about) == {"region": "objects", "region_key": "region", "instance_key": "id"}
    assert set(observed.obs["region"]) == {"objects"}
    assert observed.obs["region"].dtype == "category"
    assert observed.obs["id"].dtype == np.int64


def test_classes_are_categories_with_colours(observed):
    assert list(observed.obs["class_name"].cat.categories) == ["nucleus", "stroma & more"]
    assert list(observed.uns["class_name_colors"]) == ["#ff8000", "#0000ff"]
    assert observed.uns["slideseg"]["mpp"] == 0.5


def test_what_was_measured_of_values_is_x(measured, rows, tmp_path):
    anndata = pytest.importorskip("anndata", reason="the extra slideseg[anndata] is not installed")
    known = np.linspace(0, 1, len(rows))
    place = rows.column_names.index("probability")
    pq.write_table(rows.set_column(place, "probability", pa.array(known)), tmp_path / "source.parquet")
    result = slideseg.open_result(measured)
    table = ObjectTable(pq.ParquetFile(tmp_path / "source.parquet"), result, frame_of(result, "slide"))
    write_h5ad(tmp_path / "x.h5ad", table, lambda _: None)
    read = anndata.read_h5ad(tmp_path / "x.h5ad")
    assert list(read.var_names) == ["probability"]
    assert np.array_equal(read.X[:, 0], known.astype(np.float32))


def test_a_missing_package_is_named(measured, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(ConfigError, match="pip install 'anndata>="):
        export(measured, "anndata", tmp_path / "x.h5ad")
    assert list(tmp_path.iterdir()) == []
