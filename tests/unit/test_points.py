"""Points as files have them: columns in any order and case, what is told of bad ones."""

from pathlib import Path

import numpy as np
import pytest

from slideseg.errors import DataError
from slideseg.points import Points, find_points, holds_points, read_points


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    "text",
    [
        "y,x,class\n1,2.5,3\n\n4,5,tumor\n",
        "Class,X,Y\n3,2.5,1\ntumor,5,4\n",
        '\ufeffx , "y",score,CLASS\r\n2.5,1,9,3\r\n5,4,8, tumor\r\n',
    ],
)
def test_columns_come_in_any_order(tmp_path: Path, text: str) -> None:
    points = read_points(write(tmp_path / "a.csv", text))
    assert points.yx.tolist() == [[1, 2.5], [4, 5]]
    assert points.classes == ("3", "tumor")


def test_without_a_column_of_classes_there_are_none(tmp_path: Path) -> None:
    assert read_points(write(tmp_path / "a.csv", "x,y\n1,2\n")).classes is None


def test_a_file_may_hold_no_points(tmp_path: Path) -> None:
    points = read_points(write(tmp_path / "a.csv", "y,x\n"))
    assert points.yx.shape == (0, 2)
    assert points.inside((5, 5), "a").yx.shape == (0, 2)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", r"columns none, want y, x and maybe class"),
        ("row,column\n1,2\n", r"columns row, column, want y, x and maybe class"),
        ("1,2\n3,4\n", "columns 1, 2, want"),
        ("y,x\n1,2\n3,there\n", r"a.csv, line 3 is no point \(got x 'there', want a number"),
        ("y,x\n1\n", r"line 2 is no point \(got x ''"),
        ("y,x\nnan,2\n", r"line 2 is no point \(got y 'nan'"),
        ("y,x\n1_0,2\n", r"line 2 is no point \(got y '1_0'"),
        ("y,x\n1,5,2,5\n", r"line 2 of the points .*a.csv is too long \(got 4 cells, want at most 2"),
        ("y,y,x\n1,2,3\n", r"two columns of one name \(got y"),
    ],
)
def test_what_is_no_point_is_told_in_a_line(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=told):
        read_points(write(tmp_path / "a.csv", text))


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"y,x\n\xff\xfe,2\n")
    with pytest.raises(DataError, match="can't be read"):
        read_points(tmp_path / "a.csv")


def test_points_on_the_edge_are_inside_and_others_are_told() -> None:
    on_it = Points(np.array([[-0.4, 0.0], [10.0, 19.5]]))
    assert on_it.inside((10, 20), "a").yx.tolist() == [[0, 0], [9, 19]]
    with pytest.raises(
        DataError, match=r"1 points of a are outside of their image \(got y 15, x 3, want y up to 9 and x up to 19"
    ):
        Points(np.array([[3.0, 15.0], [15.0, 3.0]])).inside((10, 20), "a")


def test_a_folder_stands_for_its_files(tmp_path: Path) -> None:
    write(tmp_path / "slide_0.98.csv", "y,x\n")
    write(tmp_path / "b.CSV", "y,x\n")
    assert holds_points(tmp_path)
    assert list(find_points(tmp_path)) == ["b", "slide_0.98"]
    write(tmp_path / "b.png", "")
    assert not holds_points(tmp_path)
    assert list(find_points(tmp_path)) == ["b", "slide_0.98"]
    assert list(find_points(tmp_path / "b.CSV")) == ["b"]


def test_two_files_of_one_name_are_an_error(tmp_path: Path) -> None:
    write(tmp_path / "b.csv", "y,x\n")
    write(tmp_path / "b.CSV", "y,x\n")
    with pytest.raises(DataError, match=r"two files of points have one name \(got .*b.CSV and .*b.csv, want one\)"):
        find_points(tmp_path)


def test_no_points_are_an_error(tmp_path: Path) -> None:
    assert not holds_points(tmp_path)
    for place in (tmp_path, tmp_path / "none.csv"):
        with pytest.raises(DataError, match=r"no points \(got .*, want a .csv file"):
            find_points(place)
