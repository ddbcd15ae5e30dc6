"""The object table as a file of its own holds the table's rows, row group by row group."""

import csv
import gzip
import json
import os
import subprocess
import sys
import zipfile

import numpy as np
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import slideseg
from slideseg.cli import main
from slideseg.errors import ConfigError, ResultError
from slideseg.exports import rows as tables
from slideseg.exports.frame import frame_of
from slideseg.exports.rows import ObjectTable, write_csv, write_parquet
from slideseg.exports.run import export
from slideseg.result.layout import TABLE
from slideseg.storage.store import Store, local_copy
from tests.made_results import blobs, make_result


def whole(path):
    """Return a result, and the frame that its table has."""
    result = slideseg.open_result(path)
    return result, frame_of(result, "slide")


def test_parquet_holds_the_rows_and_tells_where_they_are_from(measured, rows, tmp_path):
    report = export(measured, "parquet", tmp_path / "x.parquet")
    written = pq.read_table(tmp_path / "x.parquet")
    assert written.equals(rows)
    assert report.rows == len(rows) > 100
    assert (report.labels, report.features, report.bytes) == ("objects", None, (tmp_path / "x.parquet").stat().st_size)
    facts = json.loads(written.schema.metadata[b"slideseg"])
    assert facts == {
        "slide": "a slide.tif",
        "slide_mpp": 0.5,
        "slide_mpp_yx": [0.5, 0.5],
        "model": "made",
        "model_sha256": "",
        "mpp": 0.5,
        "mpp_yx": [0.5, 0.5],
        "version": slideseg.__version__,
        "frame": "slide",
        "frame_corner_xy": [0, 0],
    }


@pytest.mark.parametrize("name", ["x.csv", "x.csv.gz"])
def test_csv_holds_the_rows(measured, rows, tmp_path, name):
    report = export(measured, "csv", tmp_path / name)
    with (gzip.open if name.endswith(".gz") else open)(tmp_path / name, "rt", encoding="utf-8", newline="") as file:
        head, *lines = csv.reader(file)
    assert head == [*rows.column_names, "frame"]
    rows = rows.append_column("frame", pa.array(["slide"] * len(rows)))
    assert len(lines) == report.rows == len(rows)
    for name_, said in zip(head, zip(*lines, strict=True), strict=True):
        want = rows[name_].to_pylist()
        read = [None if one == "" else type(first)(one) for one, first in zip(said, want, strict=True)]
        assert read == want, name_


def test_csv_in_a_zip_file(measured, tmp_path):
    """Which pandas and R read as it is."""
    export(measured, "csv", tmp_path / "x.zip")
    export(measured, "csv", tmp_path / "x.csv")
    with zipfile.ZipFile(tmp_path / "x.zip") as packed:
        assert packed.namelist() == ["x.csv"]
        assert packed.read("x.csv") == (tmp_path / "x.csv").read_bytes()


def test_what_is_not_known_is_an_empty_field(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((100, 120)), mpp=None)
    slideseg.objects(tmp_path / "x.zarr")
    export(tmp_path / "x.zarr", "csv", tmp_path / "x.csv")
    with (tmp_path / "x.csv").open(newline="") as file:
        assert {row["area_um2"] for row in csv.DictReader(file)} == {""}


@pytest.mark.parametrize("write", [write_parquet, write_csv])
def test_rows_are_written_piece_by_piece(measured, tmp_path, monkeypatch, write):
    """So that a table of any length needs the memory of one piece; what is told adds up."""
    monkeypatch.setattr(tables, "ROWS", 100)
    told = []
    with tables.checked_table(*whole(measured)) as table:
        write(tmp_path / "x", table, told.append)
        assert sum(told) == table.rows
    assert max(told) == 100
    if write is write_parquet:
        file = pq.ParquetFile(tmp_path / "x")
        assert max(file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)) == 100


def test_a_stack_and_new_columns_pass(measured, rows, tmp_path):
    """No column is known by name to the two: what the table will have some day is exported too."""
    more = rows.append_column("mean_red", pa.array(np.arange(len(rows)) / 7)).append_column(
        "note", pa.array(['a, "b"\nc'] * len(rows))
    )
    pq.write_table(more, tmp_path / "source.parquet")
    table = ObjectTable(pq.ParquetFile(tmp_path / "source.parquet"), *whole(measured))
    write_parquet(tmp_path / "x.parquet", table, lambda _: None)
    assert pq.read_table(tmp_path / "x.parquet").equals(more)
    write_csv(tmp_path / "x.csv", table, lambda _: None)
    with (tmp_path / "x.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {line["note"] for line in lines} == {'a, "b"\nc'}
    assert [float(line["mean_red"]) for line in lines] == more["mean_red"].to_pylist()


def test_an_object_store_is_copied_from_piece_by_piece():
    bucket = obstore.store.MemoryStore()
    store = Store(bucket)
    data = os.urandom(20_000_000)
    obstore.put(bucket, TABLE, data)
    with local_copy(store, TABLE) as path, open(path, "rb") as file:
        assert file.read() == data
    assert not os.path.exists(path)
    with local_copy(store, "no/such") as nothing:
        assert nothing is None


def test_no_object_at_all(tmp_path):
    pytest.importorskip("anndata", reason="the extra slideseg[anndata] is not installed")
    make_result(tmp_path / "x.zarr", np.zeros((60, 70), np.uint8))
    slideseg.objects(tmp_path / "x.zarr")
    assert [export(tmp_path / "x.zarr", to, tmp_path / to).rows for to in ("parquet", "csv", "anndata")] == [0, 0, 0]


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


def test_the_command_names_the_file_and_refuses_one_that_is_there(measured, tmp_path, monkeypatch, capsys, process_as_it_is):
    monkeypatch.chdir(tmp_path)

    def run(*more):
        with pytest.raises(SystemExit) as left:
            main(["export", str(measured), "--to", "csv", *more])
        return left.value.code, *capsys.readouterr()

    code, out, _ = run()
    assert code == 0
    assert out.startswith("biopsy.csv: objects, ")
    assert " rows, " in out
    code, _, err = run()
    assert (code, err.startswith("error: the target exists")) == (2, True)
    assert json.loads(run("--overwrite", "--json")[1])["rows"] > 100


def test_memory_does_not_grow_with_the_rows(measured, tmp_path):
    """Ten times the rows take about the same peak, in a process of its own."""
    script = """
import resource, sys
from pathlib import Path
import pyarrow as pa, pyarrow.parquet as pq
import slideseg
from slideseg.exports.frame import frame_of
from slideseg.exports.rows import ObjectTable, write_csv, write_parquet
source, measured, out = sys.argv[1:]
result = slideseg.open_result(measured)
table = ObjectTable(pq.ParquetFile(source), result, frame_of(result, "slide"))
out = Path(out)
write_parquet(out, table, lambda _: None)
write_csv(out, table, lambda _: None)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
    rows = slideseg.open_result(measured).table
    rows = pa.concat_tables([rows] * (30_000 // len(rows)))
    peaks = []
    for times in (2, 20):
        with pq.ParquetWriter(tmp_path / "source", rows.schema) as writer:
            for _ in range(times):
                writer.write_table(rows)
        arguments = [str(tmp_path / "source"), str(measured), str(tmp_path / "out")]
        done = subprocess.run([sys.executable, "-c", script, *arguments], check=True, stdout=subprocess.PIPE, text=True)
        peaks.append(int(done.stdout))
    assert peaks[1] < 1.25 * peaks[0], peaks
