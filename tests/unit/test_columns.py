"""Small tables as people bring them: columns by their names, one line where they can't be used."""

import os
from pathlib import Path

import pytest

from slideseg.columns import read_rows
from slideseg.errors import DataError


def write(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize(
    "text",
    [
        "name,size\na b,1\n\nc,\n",
        "\ufeffSize, NAME\r\n1, a b \r\n,c\r\n",
        'other,size,name\n"x,\ny",1,a b\nz,"",c\n',
        "name,size\na b,1,, \nc\n",
        "name,size,name;more\na b,1\nc\n",
    ],
)
def test_columns_come_in_any_order_and_case(tmp_path: Path, text: str) -> None:
    names, rows = read_rows(write(tmp_path / "a.csv", text), "the list", {"name"}, "a column name")
    assert {"name", "size"} <= set(names)
    assert [(row.cells["name"], row.cells["size"]) for row in rows] == [("a b", "1"), ("c", "")]


def test_rows_know_their_line(tmp_path: Path) -> None:
    _, rows = read_rows(write(tmp_path / "a.csv", 'name\na\n\n"b\nc"\nd\n'), "the list", {"name"}, "a column name")
    assert [(row.line, row.cells["name"]) for row in rows] == [(2, "a"), (5, "b\nc"), (6, "d")]


def test_a_file_may_have_no_rows(tmp_path: Path) -> None:
    assert read_rows(write(tmp_path / "a.csv", "name"), "the list", {"name"}, "a column name") == (["name"], [])


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"the list can't be used \(got columns none, want a column name"),
        ("size\n1\n", r"can't be used \(got columns size, want a column name"),
        ("name,Name\na,b\n", r"the list has two columns of one name \(got name, want one"),
        ("name\na\n20,5\n", r"line 3 of the list is too long \(got 2 cells, want at most 1, as many as columns; try quotes"),
        ("size;name\n1,5;a\n", r"got semicolons between the columns, want commas; try to save it as CSV with commas"),
        ('\ufeff"Name"\t"size"\r\na\t1\r\n', r"got tabs between the columns, want commas"),
        ("size;sort\n1;a\n", r"got columns size;sort, want a column name"),
        ('name\n"a\n', r"the list can't be read \(got .*, want a CSV with a column name"),
    ],
)
def test_what_is_no_such_table_is_told_in_a_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_rows(write(tmp_path / "a.csv", text), "the list", {"name"}, "a column name")


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.csv")
    with pytest.raises(DataError, match="got something that is no file"):
        read_rows(tmp_path / "a.csv", "the list", {"name"}, "a column name")


def test_missing_files_and_other_encodings_are_told(tmp_path: Path) -> None:
    for path in (tmp_path / "none.csv", write(tmp_path / "a.csv", "name\ngrün\n", "latin-1")):
        with pytest.raises(DataError, match="the list can't be read"):
            read_rows(path, "the list", {"name"}, "a column name")


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "latin-1"])
def test_another_encoding_is_told_with_what_to_do(tmp_path: Path, encoding: str) -> None:
    path = write(tmp_path / "a.csv", "name,size\ngrün,1\n", encoding)
    got = "text in another encoding" if encoding == "latin-1" else "UTF-16, or no text"
    with pytest.raises(DataError, match=rf"the list can't be read \(got {got}, want UTF-8; try to save it as CSV in UTF-8\)"):
        read_rows(path, "the list", {"name"}, "a column name")


def test_lines_end_as_other_systems_end_them(tmp_path: Path) -> None:
    for end in ("\r\n", "\r", "\n"):
        _, rows = read_rows(write(tmp_path / "a.csv", f"name,size{end}a,1{end}b,2{end}"), "the list", {"name"}, "a column name")
        assert [(row.line, row.cells["name"], row.cells["size"]) for row in rows] == [(2, "a", "1"), (3, "b", "2")]
