"""CSV that spreadsheets and pandas read as it was meant."""

import csv
import io

import pandas as pd
import pytest

from slideseg.cohort.table import csv_lines


def written(columns, *rows):
    return b"".join(csv_lines(columns, rows))


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A0", "+1", "-1", "@SUM(1)", "\t=1", "\r=1", "\n=1"])
def test_text_that_is_a_formula_gets_an_apostrophe(name):
    (head, row) = csv.reader(io.StringIO(written(["a", name], {"a": name, name: 1}).decode(), newline=""))
    assert head == ["a", f"'{name}"]
    assert row == [f"'{name}", "1"]


def test_pandas_reads_numbers_truths_and_gaps():
    rows = [{"a": 1, "b": -1.5, "c": True, "d": 'x, "y"\nz'}, {"a": 2, "c": False, "d": "\u00b5"}]
    table = pd.read_csv(io.BytesIO(written(["a", "b", "c", "d"], *rows)))
    assert table.a.tolist() == [1, 2]
    assert (table.b[0], pd.isna(table.b[1])) == (-1.5, True)
    assert table.c.tolist() == [True, False]
    assert table.d.tolist() == [row["d"] for row in rows]


def test_a_name_that_is_no_unicode_is_written_all_the_same():
    assert written(["a"], {"a": "s\udcff.tif"}) == b"a\ns\\udcff.tif\n"
