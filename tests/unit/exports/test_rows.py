"""The object table as a file of its own holds the table's rows, row group by row group, and AnnData opens it."""

import csv
import gzip
import json
import os
import subprocess
import sys

import numpy as np
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from zarr.storage import ObjectStore

import slideseg
from slideseg.cli import main
from slideseg.errors import ConfigError, ResultError
from slideseg.exports import rows as tables
from slideseg.exports.h5ad import write_h5ad
from slideseg.exports.rows import ObjectTable, write_csv, write_parquet
from slideseg.exports.run import export
from slideseg.result.layout import TABLE
from slideseg.storage.place import local_copy
from tests.made_results import blobs, make_result

SHAPE = (700, 1100)


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """A result with objects and their table."""
    path = tmp_path_factory.mktemp("tables") / "biopsy.zarr"
    image = np.random.default_rng(1).integers(0, 256, (*SHAPE, 3)).astype(np.uint8)
    make_result(path, blobs(SHAPE), image=image)
    slideseg.objects(path)
    return path


@pytest.fixture(scope="module")
def rows(result):
    return slideseg.open_result(result).table


def test_parquet_holds_the_rows_and_tells_where_they_are_from(result, rows, tmp_path):
    report = export(result, "parquet", tmp_path / "x.parquet")
    written = pq.read_table(tmp_path / "x.parquet")
    assert written.equals(rows)
    assert report.rows == len(rows) > 100
    assert (report.labels, report.features, report.bytes) == ("objects", None, (tmp_path / "x.parquet").stat().st_size)
    facts = json.loads(written.schema.metadata[b"slideseg"])
    assert facts == {"slide": "a slide.tif", "model": "made", "mpp": 0.5}


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
def test_csv_holds_the_rows(result, rows, tmp_path, name):
    report = export(result, "csv", tmp_path / name)
    with (gzip.open if name.endswith(".gz") else open)(tmp_path / name, "rt", encoding="utf-8", newline="") as file:
        head, *lines = csv.reader(file)
    assert head == rows.column_names
    assert len(lines) == report.rows == len(rows)
    for name_, said in zip(head, zip(*lines, strict=True), strict=True):
        want = rows[name_].to_pylist()
        read = [None if one == "" else type(first)(one) for one, first in zip(said, want, strict=True)]
        assert read == want, name_


def test_what_is_not_known_is_an_empty_field(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((100, 120)), mpp=None)
    slideseg.objects(tmp_path / "x.zarr")
    export(tmp_path / "x.zarr", "csv", tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="") as file:
        assert {row["area_um2"] for row in csv.DictReader(file)} == {""}


@pytest.mark.parametrize("write", [write_parquet, write_csv])
def test_rows_are_written_piece_by_piece(result, tmp_path, monkeypatch, write):
    """So that a table of any length needs the memory of one piece; what is told adds up."""
    monkeypatch.setattr(tables, "ROWS", 100)
    told = []
    with tables.checked_table(slideseg.open_result(result)) as table:
        write(tmp_path / "x", table, told.append)
        assert sum(told) == table.rows
    assert max(told) == 100
    if write is write_parquet:
        file = pq.ParquetFile(tmp_path / "x")
        assert max(file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)) == 100


def test_a_stack_and_new_columns_pass(result, rows, tmp_path):
    """No column is known by name to the two: what the table will have some day is exported too."""
    more = rows.append_column("mean_red", pa.array(np.arange(len(rows)) / 7)).append_column(
        "note", pa.array(['a, "b"\nc'] * len(rows))
    )
    pq.write_table(more, tmp_path / "source.parquet")
    table = ObjectTable(pq.ParquetFile(tmp_path / "source.parquet"), slideseg.open_result(result))
    write_parquet(tmp_path / "x.parquet", table, lambda _: None)
    assert pq.read_table(tmp_path / "x.parquet").equals(more)
    write_csv(tmp_path / "x.csv", table, lambda _: None)
    with (tmp_path / "x.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["note"] for line in lines} == {'a, "b"\nc'}
    assert [float(line["mean_red"]) for line in lines] == more["mean_red"].to_pylist()


def test_an_object_store_is_copied_from_piece_by_piece():
    bucket = obstore.store.MemoryStore()
    store = ObjectStore(bucket)
    data = os.urandom(20_000_000)
    obstore.put(bucket, TABLE, data)
    with local_copy(store, TABLE) as path, open(path, "rb") as file:
        assert file.read() == data
    assert not os.path.exists(path)
    with local_copy(store, "no/such") as nothing:
        assert nothing is None


# --- AnnData ---------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def observed(result, tmp_path_factory):
    anndata = pytest.importorskip("anndata", reason="the extra slideseg[anndata] is not installed")
    path = tmp_path_factory.mktemp("anndata") / "x.h5ad"
    report = export(result, "anndata", path)
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


def test_what_was_measured_of_values_is_x(result, rows, tmp_path):
    anndata = pytest.importorskip("anndata", reason="the extra slideseg[anndata] is not installed")
    known = np.linspace(0, 1, len(rows))
    place = rows.column_names.index("probability")
    pq.write_table(rows.set_column(place, "probability", pa.array(known)), tmp_path / "source.parquet")
    table = ObjectTable(pq.ParquetFile(tmp_path / "source.parquet"), slideseg.open_result(result))
    write_h5ad(tmp_path / "x.h5ad", table, lambda _: None)
    read = anndata.read_h5ad(tmp_path / "x.h5ad")
    assert list(read.var_names) == ["probability"]
    assert np.array_equal(read.X[:, 0], known.astype(np.float32))


def test_a_missing_package_is_named(result, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "anndata", None)
    with pytest.raises(ConfigError, match=r"slideseg\[anndata\]"):
        export(result, "anndata", tmp_path / "x.h5ad")
    assert list(tmp_path.iterdir()) == []


def test_no_object_at_all(tmp_path):
    pytest.importorskip("anndata", reason="the extra slideseg[anndata] is not installed")
    make_result(tmp_path / "x.zarr", np.zeros((60, 70), np.uint8))
    slideseg.objects(tmp_path / "x.zarr")
    assert [export(tmp_path / "x.zarr", to, tmp_path / to).rows for to in ("parquet", "csv", "anndata")] == [0, 0, 0]


# --- failures --------------------------------------------------------------------------------------------------------------


def test_a_result_without_objects_is_refused(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((60, 70)))
    with pytest.raises(ResultError, match=r"has no objects .*slideseg objects"):
        export(tmp_path / "x.zarr", "csv", tmp_path / "x.csv")
    with pytest.raises(ConfigError, match="only objects have a table"):
        export(tmp_path / "x.zarr", "csv", tmp_path / "x.csv", labels="segmentation")


@pytest.mark.parametrize("harm", ["gone", "short", "no parquet", "flipped"])
@pytest.mark.parametrize("to", ["parquet", "csv"])
def test_a_damaged_table_leaves_nothing(tmp_path, harm, to):
    make_result(tmp_path / "x.zarr", blobs((200, 300)))
    slideseg.objects(tmp_path / "x.zarr")
    table = tmp_path / "x.zarr" / TABLE
    data = bytearray(table.read_bytes())
    if harm == "gone":
        table.unlink()
    elif harm == "flipped":
        data[300] ^= 1  # one bit of a page
        table.write_bytes(data)
    else:
        table.write_bytes(data[:-100] if harm == "short" else b"PAR1 is not enough")
    with pytest.raises(
        ResultError, match=r"tables/objects.parquet is (missing|damaged) .*slideseg objects with the same options\)"
    ):
        export(tmp_path / "x.zarr", to, tmp_path / "out")
    assert [one.name for one in tmp_path.iterdir()] == ["x.zarr"]


def test_the_command_names_the_file_and_refuses_one_that_is_there(result, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)

    def run(*more):
        with pytest.raises(SystemExit) as left:
            main(["export", str(result), "--to", "csv", *more])
        return left.value.code, *capsys.readouterr()

    code, out, _ = run()
    assert code == 0
    assert out.startswith("biopsy.csv: objects, ")
    assert " rows, " in out
    code, _, err = run()
    assert (code, err.startswith("error: the target exists")) == (2, True)
    assert json.loads(run("--overwrite", "--json")[1])["rows"] > 100


def test_memory_does_not_grow_with_the_rows(result, tmp_path):
    """Ten times the rows take about the same peak, in a process of its own."""
    script = """
import resource, sys
from pathlib import Path
import pyarrow as pa, pyarrow.parquet as pq
import slideseg
from slideseg.exports.rows import ObjectTable, write_csv, write_parquet
source, result, out = sys.argv[1:]
table = ObjectTable(pq.ParquetFile(source), slideseg.open_result(result))
out = Path(out)
write_parquet(out, table, lambda _: None)
write_csv(out, table, lambda _: None)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    rows = slideseg.open_result(result).table
    rows = pa.concat_tables([rows] * (30_000 // len(rows)))
    peaks = []
    for times in (2, 20):
        with pq.ParquetWriter(tmp_path / "source", rows.schema) as writer:
            for _ in range(times):
                writer.write_table(rows)
        arguments = [str(tmp_path / "source"), str(result), str(tmp_path / "out")]
        done = subprocess.run([sys.executable, "-c", script, *arguments], check=True, stdout=subprocess.PIPE, text=True)
        peaks.append(int(done.stdout))
    assert peaks[1] < 1.25 * peaks[0], peaks
