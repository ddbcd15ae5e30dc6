"""The class of each instance of a label image: how lists of them are read, and what is learnt then."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile
import torch

from slideseg.errors import DataError
from slideseg.space.box import Box
from slideseg.training.check import check_files
from slideseg.training.data import dataset
from slideseg.training.data.instance_classes import InstanceClasses, read_instance_classes
from slideseg.training.data.labels import LabelValues, median_diameter
from slideseg.training.data.sampling import Sampler
from slideseg.training.data.sources import find_images, fingerprints
from slideseg.training.recipe.data import IGNORED, DataConfig, SamplingConfig
from slideseg.training.recipe.reading import parse_config
from slideseg.training.samples.augment import painted_as_he
from slideseg.training.samples.batches import Batches
from slideseg.training.samples.windows import Windows
from slideseg.training.team import Team

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

CLASSES = ("background", "lymphocyte", "Tumour", "stroma")
SIDE = 96
RNG = np.random.default_rng(4)
LISTED = {1: "lymphocyte", 2: "tumour", 3: "", 4: "background", 5: "stroma", 70000: "tumour"}
IDS = {1: 1, 2: 2, 3: IGNORED, 4: 0, 5: 3, 70000: 2}
"""The class ids of what is listed."""


def read(path: Path, text: str) -> dict[int, int]:
    path.write_text(text, encoding="utf-8")
    found = read_instance_classes(str(path), CLASSES)
    assert found.labels[0] == found.class_ids[0] == 0
    return dict(zip(found.labels[1:].tolist(), found.class_ids[1:].tolist(), strict=True))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("label,class\n1,lymphocyte\n7,stroma\n", {1: 1, 7: 3}),
        ("\ufeffClass,area, Label\nTUMOUR,3.5,9\n\nlymphocyte,2,4\n", {9: 2, 4: 1}),
        ("label,class\n1,1\n2,2.0\n3.0,3\n4,0\n", {1: 1, 2: 2, 3: 3, 4: 0}),
        ("label,class\n1,\n2\n3,ignore\n4,Ignored debris\n5,background\n", {1: 255, 2: 255, 3: 255, 4: 255, 5: 0}),
        ('label,class\n2147483647,"stroma"\n', {2147483647: 3}),
        ("label,class\n", {}),
    ],
)
def test_the_class_of_each_label_is_read(tmp_path: Path, text: str, found: dict[int, int]) -> None:
    assert read(tmp_path / "a.csv", text) == found


def test_names_come_before_ids_and_what_starts_with_ignore(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("label,class\n1,2\n2,ignored\n3,1\n")
    found = read_instance_classes(str(tmp_path / "a.csv"), ("background", "2", "ignored"))
    assert found.class_ids.tolist() == [0, 1, 2, 1]
    assert not found.may_ignore


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "label,kind\n1,stroma\n",
            r"a.csv can't be used \(got columns label, kind, want columns label and",
        ),
        ("", r"got columns none"),
        (
            "label,class\n1,plasma cell\n",
            r"a.csv, line 2 is of an unknown class \(got plasma cell, want background or lymphocyte",
        ),
        ("label,class\n1,4\n", r"unknown class \(got 4, want .* or stroma, their ids, or ignore\)"),
        ("label,class\n1,1.5\n", r"unknown class \(got 1.5"),
        ("label,class\n1,-1\n", r"unknown class \(got -1"),
        ("label,class\n1,stroma\n0,stroma\n", r"a.csv, line 3 names no instance \(got label '0', want 1 or more\)"),
        ("label,class\nx,stroma\n", r"names no instance \(got label 'x'"),
        ("label,class\n1.5,stroma\n", r"names no instance \(got label '1.5'"),
        ("label,class\n4,stroma\n4,tumour\n", r"a.csv, line 3: a label stands twice \(got 4\)"),
        ('label,class\n4,"stroma\n', r"a.csv can't be read"),
        (f"label,class\n{'9' * 23},stroma\n", r"line 2 names no instance \(got label '9999"),
        ("label,class\n1e300,stroma\n", r"line 2 names no instance \(got label '1e300'"),
        ("label,class\n1_0,stroma\n", r"line 2 names no instance \(got label '1_0'"),
        ("label,class,CLASS\n1,stroma,tumour\n", r"a.csv has two columns of one name \(got class"),
    ],
)
def test_what_says_no_class_is_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises(DataError, match=told) as caught:
        read(tmp_path / "a.csv", text)
    assert "\n" not in str(caught.value)


def test_labels_that_fractions_can_t_tell_apart_are_two(tmp_path: Path) -> None:
    found = read(tmp_path / "a.csv", "label,class\n9007199254740992,stroma\n9007199254740993,tumour\n")
    assert sorted(found) == [9007199254740992, 9007199254740993]


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a.csv can't be read .*want a CSV with columns label and class"):
        read_instance_classes(str(tmp_path / "a.csv"), CLASSES)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "uint32", "uint64"])
def test_classes_are_found_by_label_in_any_type(dtype: str) -> None:
    classes = InstanceClasses("a.csv", np.array([0, 3, 200]), np.array([0, 2, 1], np.int32))
    found = classes.of(np.array([[0, 3], [200, 0]], dtype), None, "a.tif")
    assert found.tolist() == [[0, 2], [1, 0]]


# data with them


def squares(labels: Iterable[int] = tuple(LISTED), side: int = SIDE) -> np.ndarray:
    """A label image with a square of 12 px for each label."""
    image = np.zeros((side, side), np.uint32)
    for number, label in enumerate(labels):
        y, x = 4 + 24 * (number // 4), 4 + 24 * (number % 4)
        image[y : y + 12, x : x + 12] = label
    return image


def listed(classes: dict[int, str]) -> str:
    """Return a list whose labels are in no order."""
    return "label,class\n" + "".join(f"{label},{named}\n" for label, named in reversed(classes.items()))


def source(root: Path, labels: np.ndarray, classes: dict[int, str] = LISTED) -> dict[str, Any]:
    """Write two images with such labels; return the source."""
    for folder in ("images", "labels", "classes"):
        (root / folder).mkdir()
    for name in "ab":
        pixels = RNG.integers(0, 256, labels.shape).astype(np.uint8)
        tifffile.imwrite(root / "images" / f"{name}.tif", pixels, photometric="minisblack")
        tifffile.imwrite(root / "labels" / f"{name}.tif", labels, photometric="minisblack")
        (root / "classes" / f"{name}.csv").write_text(listed(classes))
    folders = {name: str(root / name) for name in ("images", "labels")}
    return folders | {"labels_are": "instances", "instance_classes": str(root / "classes")}


def config(source: dict[str, Any], **more: Any) -> DataConfig:
    return DataConfig.model_validate({"sources": [source], "split": {"validation": ["b"]}} | more)


def by_class(labels: np.ndarray, ids: dict[int, int] = IDS) -> np.ndarray:
    """The class ids that a label image stands for."""
    return np.select([labels == label for label in ids], list(ids.values()), 0)


@pytest.mark.parametrize("held", [True, False])
def test_pixels_have_their_instances_class(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: bool) -> None:
    if not held:
        monkeypatch.setattr(dataset, "HELD_PIXELS", 0)
    labels = squares()
    item = dataset.open_data(config(source(tmp_path, labels)), CLASSES, 1).train[0]
    window = item.read(Box(0, 0, SIDE, SIDE))
    np.testing.assert_array_equal(window.classes, by_class(labels))
    np.testing.assert_array_equal(window.instances, np.where(np.isin(labels, [3, 4]), 0, labels))
    assert item.may_ignore


def test_at_another_resolution_too(tmp_path: Path) -> None:
    labels = squares()
    item = dataset.open_data(config(source(tmp_path, labels) | {"mpp": 0.25}, mpp=0.5), CLASSES, 1).train[0]
    np.testing.assert_array_equal(item.read(Box(0, 0, 48, 48)).classes, by_class(labels[1::2, 1::2]))


def test_without_ignored_ones_nothing_is_looked_for(tmp_path: Path) -> None:
    classes = dict.fromkeys(LISTED, "stroma")
    item = dataset.open_data(config(source(tmp_path, squares(), classes)), CLASSES, 1).train[0]
    assert set(np.unique(item.read(Box(0, 0, SIDE, SIDE)).classes)) == {0, 3}
    assert not item.may_ignore


def test_values_that_are_ignored_need_no_class_and_win_over_one(tmp_path: Path) -> None:
    labels = squares((1, 2, 65535, 5))
    said = source(tmp_path, labels) | {"values": {65535: "ignore", 5: "ignore"}}
    window = dataset.open_data(config(said), CLASSES, 1).train[0].read(Box(0, 0, SIDE, SIDE))
    np.testing.assert_array_equal(window.classes, by_class(labels, {1: 1, 2: 2, 65535: IGNORED, 5: IGNORED}))
    np.testing.assert_array_equal(window.instances, np.where(labels > 2, 0, labels))


@pytest.mark.parametrize(
    ("lost", "told"), [((9,), "got no class for label 9,"), ((9, 6, 8), "got no class for label 6 and 2 more,")]
)
def test_an_instance_that_is_not_listed_is_an_error(tmp_path: Path, lost: tuple[int, ...], told: str) -> None:
    said = source(tmp_path, squares((1, 2, *lost)))
    assert dataset.check_data(config(said), CLASSES, 1).used, "only pixels tell"
    with pytest.raises(
        DataError, match=rf"a.csv does not list all instances of .*a.tif \({told} want .*try class ignore"
    ) as caught:
        dataset.open_data(config(said), CLASSES, 1)
    assert "\n" not in str(caught.value)


def test_a_class_that_is_not_known_is_found_before_anything_is_decoded(tmp_path: Path) -> None:
    said = source(tmp_path, squares(), LISTED | {5: "border"})
    with pytest.raises(DataError, match=r"classes.a.csv, line 3 is of an unknown class \(got border, want background or lymph"):
        dataset.check_data(config(said), CLASSES, 1)


# which file goes with which


def test_files_go_together_by_name(tmp_path: Path) -> None:
    images = find_images(config(source(tmp_path, squares())).sources)
    assert [image.classes_path for image in images] == [str(tmp_path / "classes" / f"{name}.csv") for name in "ab"]


def test_a_single_label_image_has_a_single_list_of_any_name(tmp_path: Path) -> None:
    said = source(tmp_path, squares())
    (tmp_path / "types.csv").write_text(listed(LISTED))
    one = {**said, "images": f"{said['images']}/a.tif", "labels": f"{said['labels']}/a.tif"}
    for named in (tmp_path / "types.csv", tmp_path / "classes"):
        (image,) = find_images(config(one | {"instance_classes": str(named)}).sources)
        path = str(named if named.is_file() else named / "a.csv")
        assert image.classes_path == path
        lists = [name for name in fingerprints(config(one | {"instance_classes": str(named)}).sources) if name.endswith(".csv")]
        assert lists == [path]


def test_a_stack_has_one_list_for_all_planes(tmp_path: Path) -> None:
    labels = np.stack([squares((1, 2)), squares((5, 1))])
    tifffile.imwrite(tmp_path / "x.tif", RNG.integers(0, 256, labels.shape).astype(np.uint8), photometric="minisblack")
    tifffile.imwrite(tmp_path / "y.tif", labels, photometric="minisblack")
    (tmp_path / "z.csv").write_text(listed(LISTED))
    said = {"images": str(tmp_path / "x.tif"), "labels": str(tmp_path / "y.tif"), "labels_are": "instances"}
    data = dataset.open_data(
        config(said | {"instance_classes": str(tmp_path / "z.csv")}, split={"validation": [1]}), CLASSES, 1
    )
    for item, plane in ((data.train[0], 0), (data.validation[0], 1)):
        np.testing.assert_array_equal(item.read(Box(0, 0, SIDE, SIDE)).classes, by_class(labels[plane]))


def test_files_without_a_partner_are_refused(tmp_path: Path) -> None:
    said = source(tmp_path, squares())
    (tmp_path / "classes" / "c.csv").write_text(listed(LISTED))
    with pytest.raises(DataError, match=r"instance_classes in .*classes without an image in .*images \(got c \(1\)\)"):
        find_images(config(said).sources)
    (tmp_path / "classes" / "c.csv").rename(tmp_path / "one.csv")
    (tmp_path / "classes" / "a.csv").unlink()
    with pytest.raises(DataError, match=r"images in .*images without instance_classes in .*classes \(got a \(1\)\)"):
        find_images(config(said).sources)
    with pytest.raises(DataError, match=r"images in .*images without instance_classes in .*one.csv \(got a, b \(2\)\)"):
        find_images(config(said | {"instance_classes": str(tmp_path / "one.csv")}).sources)
    with pytest.raises(DataError, match=r"no such file or folder \(got .*nowhere"):
        find_images(config(said | {"instance_classes": str(tmp_path / "nowhere")}).sources)
    (tmp_path / "classes" / "b.csv").unlink()
    with pytest.raises(DataError, match=r"classes holds no classes of instances \(want .csv or .edits.json files\)"):
        find_images(config(said).sources)


def test_polygons_say_their_class_themselves(tmp_path: Path) -> None:
    said = source(tmp_path, squares())
    for name in "ab":
        (tmp_path / "labels" / f"{name}.tif").unlink()
        (tmp_path / "labels" / f"{name}.geojson").write_text("[]")
    with pytest.raises(
        DataError, match=r"polygons say their class themselves \(got .*a.geojson; try instance_classes left out"
    ):
        find_images(config(said).sources)


def test_a_changed_class_is_another_beginning(tmp_path: Path) -> None:
    said = source(tmp_path, squares())
    before = fingerprints(config(said).sources)
    path = str(tmp_path / "classes" / "b.csv")
    assert path in before
    (tmp_path / "classes" / "b.csv").write_text(listed(LISTED | {5: "tumour"}))
    after = fingerprints(config(said).sources)
    assert {name for name in before if before[name] != after[name]} == {path}


def test_labels_that_are_a_reduced_copy_have_classes_too(tmp_path: Path) -> None:
    labels = np.kron(squares(), np.ones((24, 24), np.uint32))
    said = source(tmp_path, labels)
    for name in "ab":
        tifffile.imwrite(tmp_path / "labels" / f"{name}.tif", labels[::2, ::2], photometric="minisblack")
    window = dataset.open_data(config(said), CLASSES, 1).train[0].read(Box(0, 0, 240, 700))
    np.testing.assert_array_equal(window.classes, by_class(labels[:240, :700]))


# what is learnt


def recipe(source: dict[str, Any], **more: Any) -> Any:
    values: dict[str, Any] = {
        "name": "test",
        "data": {"sources": [source], "split": {"validation": ["b"]}, "sampling": {"foreground": 1}},
        "classes": ["lymphocyte", "tumour", "stroma", "border"],
        "target": {"rim": 0.5},
        "input": {"channels": 1, "mean": [0.5], "std": [0.25]},
        "network": {"base_channels": 2, "depth": 1, "form": "same"},
        "loss": {"cross_entropy": 1},
        "training": {"patch": SIDE, "batch": 1, "samples": 1, "validation_tile": SIDE, "precision": "fp32"},
    }
    return parse_config(values | more, "test")


def test_cores_are_of_their_instances_class_and_rims_of_the_border(tmp_path: Path) -> None:
    labels = squares()
    data = Batches(recipe(source(tmp_path, labels)), Team.join("cpu"))
    shown = data.read_tile(data.tiles[0]).shown_NHW[0].numpy()
    for label, class_id in IDS.items():
        inside = shown[labels == label].reshape(12, 12)
        if class_id in (0, IGNORED):
            assert (inside == class_id).all()
            continue
        assert (inside[3:9, 3:9] == class_id).all()
        assert (inside[:3] == 4).all()
        assert set(np.unique(inside)) == {class_id, 4}
    assert not shown[labels == 0].any()


def test_windows_are_drawn_around_each_class_equally_often(tmp_path: Path) -> None:
    labels = squares((1, 2, 70000, 2, 2, 70000, 5))
    data = dataset.open_data(config(source(tmp_path, labels)), CLASSES, 1)
    sampler = Sampler(data.train, SamplingConfig(foreground=1), 8, 1, seed=0)
    middles = [int(sampler.window(0, index).classes[4, 4]) for index in range(300)]
    shares = np.bincount(middles, minlength=4) / 300
    assert shares[0] == 0
    assert (np.abs(shares[1:] - 1 / 3) < 0.08).all()


@pytest.mark.parametrize("said", ["STROMA", "3", "3.0"])
@pytest.mark.parametrize("way", ["rim: 0.5", "border: 1", "touching: 2"])
def test_a_class_that_was_taken_for_the_border_is_told_so(tmp_path: Path, way: str, said: str) -> None:
    """A recipe without a class for the border: its last class is that."""
    listed = source(tmp_path, squares(), LISTED | {5: said})
    key, number = way.split(": ")
    without = recipe(listed, classes=["lymphocyte", "tumour", "stroma"], target={key: float(number)})
    told = rf"a.csv, line 3: target.{key} makes the last class, stroma, the border \(got {said}; try to add a class border to"
    for look in (check_files, lambda config: Batches(config, Team.join("cpu"))):
        with pytest.raises(DataError, match=told):
            look(without)


@pytest.mark.parametrize("kind", ["polygons", "ids", "values"])
def test_so_are_polygons_and_class_ids(tmp_path: Path, kind: str) -> None:
    folders = source(tmp_path, np.minimum(squares(), 3).astype(np.uint8))
    said = {name: folders[name] for name in ("images", "labels")}
    if kind == "polygons":
        for name in "ab":
            (tmp_path / "labels" / f"{name}.tif").unlink()
            text = json.dumps([{"properties": {"classification": {"name": "Stroma"}}}])
            (tmp_path / "labels" / f"{name}.geojson").write_text(text)
    else:
        said |= {"labels_are": "classes", **({"values": {0: 0, 1: 1, 2: 2, 3: 3}} if kind == "values" else {})}
    told = r"target.rim makes the last class, stroma, the border \(got (3|Stroma); try to add a class border to classes"
    with pytest.raises(DataError, match=told):
        Batches(recipe(said, classes=["lymphocyte", "tumour", "stroma"]), Team.join("cpu"))


def test_other_unknown_ids_are_told_as_ever() -> None:
    made = recipe({"images": "x"}, classes=["lymphocyte", "tumour", "stroma"]).made_class
    with pytest.raises(DataError, match=r"outside the classes \(got 4"):
        LabelValues("classes", 3, made=made)(np.array([[0, 1, 4]]), "a.tif")


def test_a_border_that_is_called_so_is_no_class_of_objects(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"line 3 is of an unknown class \(got border, want background or lymph"):
        check_files(recipe(source(tmp_path, squares(), LISTED | {5: "border"})))
    plain = recipe({"images": "x", "labels": "y"}, classes=["lymphocyte", "tumour"], target={"rim": 0})
    assert plain.made_class is None


@pytest.mark.parametrize("named", ["background", "ignore"])
def test_objects_that_are_all_of_no_class_are_background_alone(tmp_path: Path, named: str) -> None:
    said = source(tmp_path, squares(), dict.fromkeys(LISTED, named))
    with pytest.raises(DataError, match="the labels of all training images are background alone"):
        Batches(recipe(said), Team.join("cpu"))


def test_the_size_of_objects_is_that_of_those_with_a_class(tmp_path: Path) -> None:
    labels = squares((1, 3, 4))
    labels[40:90, 4:44] = 3  # large, and not known
    labels[40:90, 50:90] = 4
    said = source(tmp_path, labels) | {"object_diameter": median_diameter(squares((1,)).astype(np.int32)) / 2}
    assert dataset.open_data(config(said), CLASSES, 1).train[0].shape == (SIDE // 2, SIDE // 2)


def test_painted_copies_have_the_class_of_what_they_copy(tmp_path: Path) -> None:
    labels = squares((1, 2, 5, 2, 1, 3))
    window = dataset.open_data(config(source(tmp_path, labels)), CLASSES, 1).train[0].read(Box(0, 0, SIDE, SIDE))
    classes, instances = (torch.from_numpy(array)[None] for array in (window.classes, window.instances))
    copied = 0
    for seed in range(12):
        painted = painted_as_he(Windows(torch.rand(1, 3, SIDE, SIDE), classes, instances), "grey", seed)
        for label in np.setdiff1d(painted.instances_NHW, [0, 1, 2, 5]):
            copied += 1
            found = painted.classes_NHW[painted.instances_NHW == label].unique().tolist()
            assert found == [IDS[int(label) - 5]]
    assert copied
