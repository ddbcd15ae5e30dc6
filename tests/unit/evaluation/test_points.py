"""Objects of arrays, files and results against points: places, units, classes, and what is refused."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

import slideseg
from slideseg.cli.evaluate import lines_of
from slideseg.errors import ConfigError, DataError
from slideseg.evaluation import blocks
from slideseg.evaluation.points import Distance
from slideseg.model.info import ModelClass
from tests.made_results import make_result
from tests.unit.evaluation.conftest import squares


def centres(labels: np.ndarray) -> np.ndarray:
    """Return the middles of objects 1, 2 .. (y, x), in pixels."""
    return np.array([np.argwhere(labels == one).mean(0) for one in range(1, labels.max() + 1)])


def write(path: Path, points: np.ndarray, classes: list[str] | None = None) -> Path:
    head = "y,x" if classes is None else "y,x,class"
    rows = [",".join([*map(str, point), *([] if classes is None else [classes[n]])]) for n, point in enumerate(points)]
    path.write_text("\n".join([head, *rows, ""]), encoding="utf-8")
    return path


def test_points_that_were_found_missed_and_made_up_are_counted(truth: np.ndarray, tmp_path: Path) -> None:
    """Squares of 8 px, 12 px apart: one point moved away, one added far off, two in one outline."""
    points = centres(truth)
    points[0] += (0, 6)
    points = np.r_[points, [points[4] + (2, 2)]]
    scores = slideseg.evaluate(truth, write(tmp_path / "array.csv", points), "points", distance="3px").points
    assert scores is not None
    number = int(truth.max())
    assert (scores.points, scores.found, scores.matched) == (number + 1, number, number - 1)
    assert (scores.missed, scores.doubled, scores.several) == (2, 0, 1)
    assert scores.recall == (number - 1) / (number + 1)
    assert scores.precision == (number - 1) / number
    assert scores.confusion is None


def test_an_object_in_two_parts_doubles_its_point(truth: np.ndarray, tmp_path: Path) -> None:
    split = truth.copy()
    split[4:8][truth[4:8] == 1] = truth.max() + 1
    scores = slideseg.evaluate(split, write(tmp_path / "array.csv", centres(truth)), "points", distance="3px").points
    assert scores is not None
    assert (scores.missed, scores.doubled, scores.several) == (0, 1, 0)


def test_blocks_give_what_the_whole_gives(truth: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    points = write(tmp_path / "array.csv", centres(truth)[::2] + 1)
    whole = slideseg.evaluate(truth + np.uint64(2**40) * (truth > 0), points, distance="3px")
    monkeypatch.setattr(blocks, "BLOCK", 16)
    assert slideseg.evaluate(truth, points, distance="3px") == whole


def test_a_file_that_is_points_is_compared_as_such(truth: np.ndarray, tmp_path: Path) -> None:
    report = slideseg.evaluate(truth > 0, write(tmp_path / "array.csv", centres(truth)), distance="3px")
    assert report.notes == (
        "metrics: points, as none were named (of semantic, isbi, instances, points)",
        "points: a find is at most 3 px from its point; finds are connected parts",
    )
    assert report.points is not None
    assert report.points.f1 == 1


@pytest.mark.parametrize(("mpp", "shift", "found"), [(0.5, 5, True), (0.5, 7, False), (0.25, 11, True), (0.25, 13, False)])
def test_three_microns_are_as_many_pixels_as_the_file_says(mpp: float, shift: int, found: bool, tmp_path: Path) -> None:
    labels = squares((300, 300), step=60, side=8)
    metadata = {"axes": "YX", "PhysicalSizeX": mpp, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": mpp, "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(tmp_path / "a.ome.tif", labels, metadata=metadata)
    report = slideseg.evaluate(
        tmp_path / "a.ome.tif", write(tmp_path / "a.csv", centres(labels) + np.array([0, shift])), "points"
    )
    assert report.points is not None
    assert report.points.recall == found


def test_a_size_that_nobody_knows_is_asked_for(truth: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the array does not say how large a pixel is .*try --distance 6px"):
        slideseg.evaluate(truth, write(tmp_path / "array.csv", centres(truth)), "points")


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_places_are_those_of_the_slide_whatever_the_results_resolution(factor: float, tmp_path: Path) -> None:
    """At 0.5 microns a pixel of the slide, 3 microns are 6 of its pixels; a hit of 0.2 px shows that halves are kept apart."""
    labels = squares((120, 120), step=24, side=12)
    url = tmp_path / "a.zarr"
    make_result(
        url,
        (labels > 0).astype(np.uint8),
        factor=factor,
        slide={"shape": (int(120 * factor), int(120 * factor), 3), "mpp": 0.5},
    )
    places = (centres(labels) + 0.5) * factor - 0.5
    points = write(tmp_path / "a.csv", places)
    for distance in (None, "0.2px", "0.1um"):
        scores = slideseg.evaluate(url, points, "points", distance=distance).points
        assert scores is not None
        assert (scores.f1, scores.several) == (1, 0), distance
    shifted = write(tmp_path / "a.csv", places + np.array([0, 1.2]))
    scores = slideseg.evaluate(url, shifted, "points", distance="0.5um").points
    assert scores is not None
    assert scores.matched == 0


def test_sides_of_a_pixel_count_each_along_its_axis(tmp_path: Path) -> None:
    labels = squares((120, 120), step=40, side=8)
    make_result(tmp_path / "a.zarr", (labels > 0).astype(np.uint8), slide={"shape": (120, 120, 3), "mpp": (0.25, 1.0)})
    for shift, found in (((11, 0), 1), ((0, 11), 0), ((0, 2), 1)):
        points = write(tmp_path / "a.csv", np.clip(centres(labels) + shift, 0, 119))
        scores = slideseg.evaluate(tmp_path / "a.zarr", points, "points").points
        assert scores is not None
        assert scores.recall == found, shift


def test_classes_are_compared_by_id_and_by_name(tmp_path: Path) -> None:
    labels = squares((60, 60), step=20, side=8)
    classes = (
        ModelClass(0, "background", "#000000"),
        ModelClass(1, "Round", "#ff0000"),
        ModelClass(2, "long", "#00ff00"),
        ModelClass(3, "border", "#0000ff"),
    )
    found = np.where(labels > 4, 2, labels > 0).astype(np.uint8)
    found[labels == 9] = 0
    found[1:7, 7][found[1:7, 7] > 0] = 3
    make_result(tmp_path / "a.zarr", found, classes=classes)
    number = int(labels.max())
    said = ["1", "ROUND", "2", "1", "Long", *["2"] * (number - 6), "other"]
    confusion = slideseg.evaluate(tmp_path / "a.zarr", write(tmp_path / "a.csv", centres(labels), said)).points.confusion  # type: ignore[union-attr]
    assert confusion is not None
    assert confusion.truth == ("Round", "long", "other")
    assert confusion.unknown == ("other",)
    assert confusion.predicted == ("Round", "long")
    assert confusion.matched == ((3, 0), (1, 4), (0, 0))
    assert confusion.missed == (0, 0, 1)
    assert confusion.extra == (0, 0)


def kinds(folder: Path, name: str = "a") -> np.ndarray:
    """Write a result of nine objects, of the classes round, long and never that is not seen; return the middles."""
    labels = squares((60, 60), step=20, side=8)
    names = ("background", "round", "long", "never")
    classes = tuple(ModelClass(number, named, f"#{number:06x}") for number, named in enumerate(names))
    make_result(folder / f"{name}.zarr", np.where(labels > 4, 2, labels > 0).astype(np.uint8), classes=classes)
    return centres(labels)


def test_right_pairs_are_on_the_diagonal_and_each_class_has_its_scores(tmp_path: Path) -> None:
    """Objects 1 to 4 are round and 5 to 9 long; the model has round before long."""
    points = write(tmp_path / "a.csv", kinds(tmp_path)[1:], ["long", *["round"] * 3, *["long"] * 3, "longg"])
    report = slideseg.evaluate(tmp_path / "a.zarr", points)
    scores = report.points
    assert scores is not None
    assert scores.confusion is not None
    assert scores.confusion.truth == ("round", "long", "never", "longg")
    assert scores.confusion.predicted == ("round", "long", "never")
    assert scores.confusion.matched == ((2, 1, 0), (1, 3, 0), (0, 0, 0), (0, 1, 0))
    told = report.to_dict()["metrics"]["points"]["classes"]
    assert list(told) == ["round", "long", "never"]
    assert told["round"] == {"recall": 2 / 3, "precision": 2 / 4, "f1": 4 / 7, "points": 3, "found": 4, "matched": 2}
    assert told["long"] == {"recall": 3 / 4, "precision": 3 / 5, "f1": 6 / 9, "points": 4, "found": 5, "matched": 3}
    assert told["never"] == {"recall": 1, "precision": 1, "f1": 1, "points": 0, "found": 0, "matched": 0}
    assert "classes: the model has no class longg (1 point); its classes of objects are round, long, never" in report.notes
    assert "class long: recall 0.7500, precision 0.6000, F1 0.6667 (4 points, 5 finds, 3 both)" in list(lines_of(report))


def test_classes_of_several_images_are_in_one_order(tmp_path: Path) -> None:
    """What the model does not have comes behind, whichever image has it."""
    (tmp_path / "found").mkdir()
    (tmp_path / "points").mkdir()
    for name, said in (("a", "zebra"), ("b", "apple"), ("c", "LONG"), ("d", "")):
        write(tmp_path / "points" / f"{name}.csv", kinds(tmp_path / "found", name)[8:], [said])
    report = slideseg.evaluate(tmp_path / "found", tmp_path / "points")
    assert report.points is not None
    assert report.points.confusion is not None
    assert report.points.confusion.truth == ("round", "long", "never", "", "apple", "zebra")
    assert report.points.confusion.matched == ((0, 0, 0), (0, 1, 0), (0, 0, 0), *[(0, 1, 0)] * 3)
    assert any(
        note.startswith("classes: the model has no class apple (1 point), zebra (1 point); its") for note in report.notes
    )


def test_the_points_of_one_class_of_objects_keep_their_names(tmp_path: Path) -> None:
    """A 1 of the points need not be the model's 1: that the model has one class says nothing of it."""
    labels = squares((60, 60), step=20, side=8)
    classes = (ModelClass(0, "background", "#000000"), ModelClass(1, "nucleus", "#ff0000"))
    make_result(tmp_path / "a.zarr", (labels > 0).astype(np.uint8), classes=classes)
    said = ["1", "2", "3"] * 3
    confusion = slideseg.evaluate(tmp_path / "a.zarr", write(tmp_path / "a.csv", centres(labels), said)).points.confusion  # type: ignore[union-attr]
    assert confusion is not None
    assert (confusion.truth, confusion.predicted, confusion.matched) == (("1", "2", "3"), ("nucleus",), ((3,), (3,), (3,)))
    assert confusion.scores() == {}


def test_folders_are_matched_by_name_and_counts_are_added(tmp_path: Path) -> None:
    (tmp_path / "found").mkdir()
    (tmp_path / "points").mkdir()
    small, large = squares((30, 30), step=12), squares((60, 60), step=12)
    for name, labels in (("small_0.98", small), ("large", large), ("other", small)):
        tifffile.imwrite(tmp_path / "found" / f"{name}.tif", labels)
    write(tmp_path / "points" / "small_0.98.csv", centres(small)[:1])
    write(tmp_path / "points" / "large.csv", centres(large))
    report = slideseg.evaluate(tmp_path / "found", tmp_path / "points", distance="6px")
    assert [image.name for image in report.images] == ["large", "small_0.98"]
    assert report.unmatched == ("other",)
    assert report.points is not None
    assert report.points.recall == 1
    assert report.points.precision == (large.max() + 1) / (large.max() + small.max())


def test_one_prediction_and_the_only_file_of_points_are_a_pair(truth: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "points").mkdir()
    tifffile.imwrite(tmp_path / "found.tif", truth)
    write(tmp_path / "points" / "other.csv", centres(truth))
    report = slideseg.evaluate(tmp_path / "found.tif", tmp_path / "points", distance="6px")
    assert [(image.name, image.points.f1) for image in report.images if image.points] == [("found", 1.0)]


@pytest.mark.parametrize(
    ("metrics", "distance", "told"),
    [
        ("semantic", None, r"array.csv holds points \(got --metrics semantic, want --metrics points\)"),
        ("points,instances", None, "got --metrics instances,points, want --metrics points"),
        ("points", "0", r"no such --distance \(got 0, want microns above 0 as in 3, or pixels as in 6px\)"),
        ("points", "near", "no such --distance"),
        ("points", "3e", "no such --distance"),
        ("points", -1.0, "no such --distance"),
    ],
)
def test_what_can_not_be_is_refused(
    metrics: str, distance: float | str | None, told: str, truth: np.ndarray, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=told):
        slideseg.evaluate(truth, write(tmp_path / "array.csv", centres(truth)), metrics, distance)


def test_images_are_no_points(truth: np.ndarray, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "array.tif", truth)
    with pytest.raises(ConfigError, match="--distance is between points and objects"):
        slideseg.evaluate(truth, tmp_path / "array.tif", "semantic", "3")
    with pytest.raises(DataError, match=r"array.tif can't be (read|used)"):
        slideseg.evaluate(truth, tmp_path / "array.tif", "points", "3px")
    with pytest.raises(ConfigError, match="an array holds no points"):
        slideseg.evaluate(truth, truth, "points", "3px")
    with pytest.raises(ConfigError, match="is a stack"):
        slideseg.evaluate(np.stack([truth, truth]), write(tmp_path / "array.csv", centres(truth)), "points", "3px")


@pytest.mark.parametrize("said", ["6px", "6 px", " 6.0px"])
def test_pixels_are_said_by_their_unit(said: str) -> None:
    assert Distance.of(said) == Distance(6, in_microns=False)


@pytest.mark.parametrize("said", ["2.5", 2.5, "2.5um", "2.5 µm", "2.5 microns"])
def test_microns_need_none(said: float | str) -> None:
    assert Distance.of(said) == Distance(2.5, in_microns=True)
