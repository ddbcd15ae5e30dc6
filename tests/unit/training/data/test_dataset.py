import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from slideseg.errors import ConfigError, DataError, SlideError
from slideseg.slide.open import open_slide
from slideseg.space.box import Box
from slideseg.space.nearest_index import nearest_index
from slideseg.testing.slides import write_pyramid
from slideseg.training.data import dataset
from slideseg.training.data.dataset import check_data, open_data
from slideseg.training.data.items import crop
from slideseg.training.data.labels import instances_of, median_diameter
from slideseg.training.data.sampling import Sampler
from slideseg.training.data.weight_map import NEGLIGIBLE, WeightMap, weight_map
from slideseg.training.recipe.data import DataConfig, SamplingConfig
from slideseg.training.recipe.samples import WeightMapConfig

TWO = ("background", "thing")
THREE = ("background", "one", "two")
RNG = np.random.default_rng(0)


def config(sources, split=None, **more) -> DataConfig:
    listed = sources if isinstance(sources, list) else [sources]
    return DataConfig.model_validate({"sources": listed, "split": split or {"validation": ["b"]}, **more})


def folder(tmp_path: Path, images: dict, labels: dict) -> dict:
    for name, arrays in (("images", images), ("labels", labels)):
        (tmp_path / name).mkdir(exist_ok=True)
        for stem, array in arrays.items():
            tifffile.imwrite(
                tmp_path / name / f"{stem}.tif", array, photometric="rgb" if array.shape[-1] == 3 else "minisblack"
            )
    return {"images": str(tmp_path / "images"), "labels": str(tmp_path / "labels"), "labels_are": "classes"}


def grey(shape=(20, 30)) -> np.ndarray:
    return RNG.integers(0, 256, shape).astype(np.uint8)


def class_map(shape=(20, 30), classes=3) -> np.ndarray:
    return RNG.integers(0, classes, shape).astype(np.uint8)


def pair(tmp_path: Path) -> tuple[dict, dict, dict]:
    images, labels = {name: grey() for name in "ab"}, {name: class_map() for name in "ab"}
    return folder(tmp_path, images, labels), images, labels


@pytest.fixture(params=["held", "read box by box"])
def holding(request, monkeypatch) -> None:
    if request.param != "held":
        monkeypatch.setattr(dataset, "HELD_PIXELS", 0)


@pytest.mark.usefixtures("holding")
@pytest.mark.parametrize("channels", [1, 3])
def test_a_window_is_the_crop_of_the_padded_image(tmp_path, channels) -> None:
    source, images, labels = pair(tmp_path)
    item = open_data(config(source), THREE, channels).train[0]
    window = item.read(Box(-50, -7, 33, 90))
    pad = ((50, 13), (7, 60))
    np.testing.assert_array_equal(window.classes, np.pad(labels["a"], pad, mode="reflect"))
    for channel in range(channels):
        np.testing.assert_array_equal(window.image[..., channel], np.pad(images["a"], pad, mode="reflect") / np.float32(255))
    assert (window.image.dtype, window.classes.dtype, window.instances.dtype) == (np.float32, np.uint8, np.int32)
    assert ((window.instances > 0) == (window.classes > 0)).all()
    assert (window.name, window.kind, window.weights) == ("a", "image", None)


side = st.integers(1, 40)


@given(side, side, st.tuples(st.integers(-60, 60), st.integers(-60, 60)), side, side)
def test_crop_is_the_crop_of_the_padded_array(rows, columns, origin, height, width) -> None:
    array = np.arange(rows * columns).reshape(rows, columns)
    box = Box(0, 0, height, width).shift(*origin)
    margin = 110
    expected = np.pad(array, margin, mode="reflect")[box.shift(margin, margin).slices]
    np.testing.assert_array_equal(crop(array, box), expected)


def test_held_images_and_images_read_box_by_box_are_the_same(tmp_path, monkeypatch) -> None:
    image, ids = grey((90, 70, 3)), RNG.integers(0, 70000, (90, 70)).astype(np.uint32)
    source = {**folder(tmp_path, {"a": image, "b": image}, {"a": ids, "b": ids}), "labels_are": "instances", "mpp": 0.3}
    held = open_data(config(source, mpp=0.5), TWO, 3).train[0]
    monkeypatch.setattr(dataset, "HELD_BYTES", 0)
    lazy = open_data(config(source, mpp=0.5), TWO, 3).train[0]
    assert held.shape == lazy.shape == (54, 42)
    for box in (Box(-9, -9, 60, 60), Box(3, 5, 20, 30), Box(50, 40, 80, 81)):
        one, two = held.read(box), lazy.read(box)
        for field in ("image", "classes", "instances"):
            np.testing.assert_array_equal(getattr(one, field), getattr(two, field))
    assert lazy.read(Box(0, 0, 54, 42)).instances[10, 20] == ids[int(10.5 / 0.6), int(20.5 / 0.6)]


def discs(shape=(150, 130), number=40) -> np.ndarray:
    """Instances close to each other, everywhere."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    ids = np.zeros(shape, np.int32)
    for n in range(1, number + 1):
        cy, cx = RNG.uniform(0, shape[0]), RNG.uniform(0, shape[1])
        ids[((y - cy) ** 2 + (x - cx) ** 2 < RNG.uniform(3, 9) ** 2) & (ids == 0)] = n
    return ids


@pytest.mark.parametrize("balance", [None, np.array([0.7, 1.9])])
def test_weights_of_a_window_are_those_of_the_whole_image(tmp_path, monkeypatch, balance) -> None:
    """Also of an image that is read box by box, where nuclei outside of the window have an influence."""
    ids = discs()
    images, labels = {name: grey(ids.shape) for name in "ab"}, dict.fromkeys("ab", ids)
    source = {**folder(tmp_path, images, labels), "labels_are": "instances"}
    weigh = WeightMap(WeightMapConfig(balance=balance is not None), balance)
    whole = weight_map(ids, weigh.config, balance)
    held = open_data(config(source), TWO, 1, weigh).train[0]
    monkeypatch.setattr(dataset, "HELD_PIXELS", 0)
    lazy = open_data(config(source), TWO, 1, weigh).train[0]
    assert (held.is_held, lazy.is_held) == (True, False)
    for box in (Box(60, 60, 80, 80), Box(-25, -7, 40, 33), Box(100, 90, 190, 140), Box(-200, 0, 300, 9)):
        one, two = held.read(box), lazy.read(box)
        np.testing.assert_array_equal(one.weights, crop(whole, box))
        np.testing.assert_allclose(two.weights, one.weights, atol=2 * NEGLIGIBLE, rtol=1e-6)
        assert two.weights.dtype == np.float32
        np.testing.assert_array_equal(two.instances, one.instances)
        np.testing.assert_array_equal(two.classes, one.classes)


def test_the_weights_of_a_held_image_are_computed_once(tmp_path, monkeypatch) -> None:
    seen = []
    monkeypatch.setattr(WeightMap, "__call__", lambda _, instances: seen.append(instances.shape) or instances + np.float32(1))
    item = open_data(config(pair(tmp_path)[0]), THREE, 1, WeightMap(WeightMapConfig())).train[0]
    for box in (Box(-5, -5, 10, 10), Box(0, 0, 8, 8)):
        window = item.read(box)
        np.testing.assert_array_equal(window.weights, window.instances + 1)
    assert seen == [(20, 30)]


def test_classes_get_an_instance_for_every_connected_region() -> None:
    ids = np.array([[1, 1, 0, 1], [2, 1, 0, 0], [2, 0, 1, 1]])
    np.testing.assert_array_equal(instances_of(ids), [[1, 1, 0, 2], [3, 1, 0, 0], [3, 0, 4, 4]])
    assert median_diameter(np.zeros((3, 3))) is None
    assert median_diameter(ids) == pytest.approx(2 * np.sqrt(4 / np.pi))


def test_values_and_masks_become_classes(tmp_path) -> None:
    raw = RNG.choice([0, 7, 255], (20, 30)).astype(np.uint8)
    source = folder(tmp_path, {"a": grey(), "b": grey()}, {"a": raw, "b": raw})
    whole = Box(0, 0, 20, 30)
    mapped = open_data(config({**source, "values": {0: 0, 7: 2, 255: 1}}), THREE, 1).train[0].read(whole)
    np.testing.assert_array_equal(mapped.classes, np.select([raw == 7, raw == 255], [2, 1]))
    mask = open_data(config({**source, "labels_are": "mask"}), TWO, 1).train[0].read(whole)
    np.testing.assert_array_equal(mask.classes, raw > 0)
    np.testing.assert_array_equal(mask.instances, instances_of(raw > 0))


def test_an_index_gives_kind_and_split(tmp_path) -> None:
    source, _, _ = pair(tmp_path)
    (tmp_path / "index.csv").write_text("id,part,look\nb,val,dark\na,train,light\n")
    more = {"index": str(tmp_path / "index.csv"), "kind": {"column": "look"}}
    data = open_data(config({**source, **more}, {"column": "part", "train": "train", "validation": "val"}), THREE, 1)
    assert [(item.name, item.kind) for item in (*data.train, *data.validation)] == [("a", "light"), ("b", "dark")]


def test_objects_are_brought_to_one_size(tmp_path) -> None:
    labels = {"a": np.zeros((40, 40), np.uint8), "b": np.zeros((40, 40), np.uint8), "c": np.zeros((40, 40), np.uint8)}
    labels["a"][4:12, 4:12] = 1
    labels["b"][4:20, 4:20] = 1
    source = folder(tmp_path, {name: grey((40, 40)) for name in "abc"}, labels)
    wanted = 2 * np.sqrt(64 / np.pi)
    data = open_data(config({**source, "object_diameter": wanted}, {"validation": ["c"]}, mpp=0.5), TWO, 1)
    shapes = {item.name: item.shape for item in (*data.train, *data.validation)}
    assert shapes == {"a": (40, 40), "b": (20, 20), "c": (27, 27)}  # c has no object: the median of a and b
    assert data.train[1].read(Box(0, 0, 20, 20)).classes.sum() == 64


def test_nearest_index_is_exact_where_nothing_is_resampled() -> None:
    np.testing.assert_array_equal(nearest_index(3, 9, 1.0, 9), np.arange(3, 9))


def ome_zarr(path: Path, image: np.ndarray, labels: dict[str, np.ndarray]) -> str:
    def multiscale(group, array, axes) -> None:
        group.create_array("0", data=array, chunks=tuple(min(side, 16) for side in array.shape))
        units = [
            {"name": a, "type": "channel"} if a == "c" else {"name": a, "type": "space", "unit": "micrometer"} for a in axes
        ]
        scale = [1.0 if axis == "c" else 0.25 for axis in axes]
        transformations = [{"type": "scale", "scale": scale}]
        datasets = [{"path": "0", "coordinateTransformations": transformations}]
        group.attrs["ome"] = {"version": "0.5", "multiscales": [{"axes": units, "datasets": datasets}]}

    root = zarr.create_group(str(path))
    multiscale(root, image, "cyx")
    if labels:
        inner = root.create_group("labels")
        inner.attrs["ome"] = {"version": "0.5", "labels": list(labels)}
        for name, array in labels.items():
            multiscale(inner.create_group(name), array, "yx")
    return str(path)


def test_labels_inside_an_ome_zarr_are_found(tmp_path) -> None:
    image, ids = grey((3, 40, 60)), RNG.integers(0, 2**31 - 1, (40, 60)).astype(np.uint32)
    a, b = (ome_zarr(tmp_path / f"{name}.zarr", image, {"cells": ids}) for name in "ab")
    sources = [{"images": path, "labels_are": "instances"} for path in (a, b)]
    window = open_data(config(sources), TWO, 3).train[0].read(Box(0, 0, 40, 60))
    np.testing.assert_array_equal(window.image, image.transpose(1, 2, 0) / np.float32(255))
    np.testing.assert_array_equal(window.instances, ids)
    half = open_data(config(sources, mpp=0.5), TWO, 3).train[0]
    np.testing.assert_array_equal(half.read(Box(0, 0, 20, 30)).instances, ids[1::2, 1::2])


def test_which_labels_of_an_ome_zarr_must_be_clear(tmp_path) -> None:
    a = ome_zarr(tmp_path / "a.zarr", grey((3, 40, 60)), {"cells": class_map((40, 60)), "nuclei": class_map((40, 60))})
    with pytest.raises(DataError, match=r"which labels\? \(got cells, nuclei, want one; try labels: .*a.zarr/labels/NAME\)"):
        open_data(config({"images": a, "labels_are": "classes"}), THREE, 3)
    b = ome_zarr(tmp_path / "b.zarr", grey((3, 40, 60)), {})
    with pytest.raises(DataError, match=r"which labels\? \(got none"):
        open_data(config({"images": b, "labels_are": "classes"}), THREE, 3)


def test_a_folder_of_results_with_objects_is_learnt_from_by_what_is_meant(tmp_path) -> None:
    classes, ids = class_map((40, 60), 2), RNG.integers(0, 900, (40, 60)).astype(np.uint32)
    for name in "ab":
        ome_zarr(tmp_path / f"{name}.zarr", grey((3, 40, 60)), {"segmentation": classes, "objects": ids})
    whole = Box(0, 0, 40, 60)
    for meaning, expected in (("instances", ids), ("classes", instances_of(classes)), ("mask", instances_of(classes))):
        item = open_data(config({"images": str(tmp_path), "labels_are": meaning}), TWO, 3).train[0]
        np.testing.assert_array_equal(item.read(whole).instances, expected)
    with pytest.raises(DataError, match=r"got segmentation, objects, want one; try labels_are: instances for objects, classes"):
        open_data(config({"images": str(tmp_path)}), TWO, 3)
    ome_zarr(tmp_path / "c.zarr", grey((3, 40, 60)), {"cells": classes, "nuclei": classes})
    with pytest.raises(DataError, match=r"c.zarr: which labels\? \(got cells, nuclei, want one; try a source for each zarr"):
        open_data(config({"images": str(tmp_path), "labels_are": "classes"}), TWO, 3)


@pytest.mark.usefixtures("holding")
def test_an_image_without_polygons_is_an_example_of_background(tmp_path) -> None:
    source = folder(tmp_path, {name: grey((60, 60, 3)) for name in "abc"}, {})
    source = {"images": source["images"], "labels": source["labels"]}
    ring = [[4, 4], [20, 4], [20, 20], [4, 20], [4, 4]]
    feature = {"geometry": {"type": "Polygon", "coordinates": [ring]}}
    for name, features in (("a", [feature]), ("b", [feature]), ("c", [])):
        (tmp_path / "labels" / f"{name}.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": features}))
    weigh = WeightMap(WeightMapConfig(balance=False))
    data = open_data(config(source), TWO, 3, weigh)
    windows = [Sampler(data.train, SamplingConfig(foreground=0.5), 32, 32, seed=0).window(0, index) for index in range(40)]
    assert {one.name for one in windows} == {"a", "c"}
    for window in windows:
        if window.name == "c":
            assert not window.classes.any()
            assert not window.instances.any()
            assert (window.weights == 1).all()
    with pytest.raises(DataError, match=r"c.geojson holds no annotation \(want .*; try unannotated: background"):
        open_data(config({**source, "unannotated": "ignore"}), TWO, 3)


def refusals() -> dict:
    """Name to (what is done to the good folder, what the message says)."""

    def write(name, array):
        return lambda root: tifffile.imwrite(root / name, array, photometric="rgb" if array.shape[-1] == 3 else "minisblack")

    return {
        "shape": (
            write("labels/a.tif", class_map((20, 31))),
            r"a.tif: .* not have their image's shape \(got 20 x 31, want 20 x 30\)",
        ),
        "class": (
            write("labels/a.tif", np.full((20, 30), 3, np.uint8)),
            r"a.tif: a label is outside the classes \(got 3, want 0, 1, 2",
        ),
        "large": (write("labels/a.tif", np.full((20, 30), 70000, np.uint32)), "outside the classes .got 70000"),
        "negative": (write("labels/a.tif", np.full((20, 30), -1, np.int16)), "a.tif: a negative label .got -1"),
        "float": (
            write("labels/a.tif", np.zeros((20, 30), np.float32)),
            r"a.tif: .*unsupported type \(got float32, want uint8",
        ),
        "rgb labels": (write("labels/a.tif", grey((20, 30, 3))), r"a.tif is no label image \(got 3 channels"),
        "planes": (
            write("labels/a.tif", np.zeros((5, 20, 30), np.uint8)),
            r"a.tif does not have its image's planes \(got 5, want 1\)",
        ),
        "rgb image": (write("images/a.tif", grey((20, 30, 3))), r"a.tif: the wrong number of channels \(got 3, want 1"),
        "unlabelled": (write("images/c.tif", grey()), r"images in .*images without labels in .*labels \(got c \(1\)\)"),
        "labels alone": (write("labels/c.tif", grey()), r"labels in .* without an image in .* \(got c \(1\)\)"),
        "twice": (
            lambda root: Image.fromarray(grey()).save(root / "images/a.png"),
            r"two files of the same stem .*a.png, a.tif",
        ),
        "no image": (lambda root: (root / "images/a.tif").write_bytes(b"hello"), "a.tif is no image"),
        "empty": (lambda root: (root / "labels/a.tif").write_bytes(b""), "a.tif is empty"),
        "cut off": (lambda root: (root / "labels/a.tif").write_bytes((root / "labels/a.tif").read_bytes()[:400]), "a.tif"),
        "nothing": (lambda root: [one.unlink() for one in (root / "images").iterdir()], "images holds no images"),
    }


@pytest.mark.parametrize("name", refusals())
def test_bad_data_is_refused_and_the_file_named(tmp_path, name) -> None:
    source, _, _ = pair(tmp_path)
    damage, message = refusals()[name]
    damage(tmp_path)
    with pytest.raises((DataError, SlideError), match=message) as caught:
        open_data(config(source), THREE, 1)
    assert "\n" not in str(caught.value)


ONLY_PIXELS_TELL = {"class", "large", "negative"}


@pytest.mark.parametrize("name", refusals())
def test_heads_tell_all_but_what_pixels_mean(tmp_path, name) -> None:
    source, _, _ = pair(tmp_path)
    damage, message = refusals()[name]
    damage(tmp_path)
    if name in ONLY_PIXELS_TELL:
        assert len(check_data(config(source), THREE, 1).used) == 2
        return
    with pytest.raises((DataError, SlideError), match=message) as caught:
        check_data(config(source), THREE, 1)
    assert "\n" not in str(caught.value)


def test_heads_tell_that_shares_sizes_and_polygons_do_not_fit(tmp_path, monkeypatch) -> None:
    source, _, _ = pair(tmp_path)
    with pytest.raises(ConfigError, match=r"shares do not fit the training images .* want a share from 0 for each of image"):
        check_data(config(source, sampling={"shares": {"other": 1}}), THREE, 1)
    assert len(check_data(config({**source, "object_diameter": 9}), THREE, 1).used) == 2
    monkeypatch.setattr(dataset, "HELD_PIXELS", 599)
    with pytest.raises(DataError, match=r"is too large for object_diameter .got 20 x 30; try mpp"):
        check_data(config({**source, "object_diameter": 9}), THREE, 1)
    ring = [[4, 4], [20, 4], [20, 40], [4, 4]]
    feature = {"geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {"classification": {"name": "three"}}}
    for name in "ab":
        (tmp_path / "labels" / f"{name}.tif").unlink()
        (tmp_path / "labels" / f"{name}.geojson").write_text(json.dumps([feature]))
    with pytest.raises(DataError, match=r"a.geojson: feature 1 is of an unknown class .got three, want background or"):
        check_data(config(source), THREE, 1)


@pytest.mark.parametrize("read", [open_data, check_data])
def test_missing_places_and_meanings_are_refused(tmp_path, read) -> None:
    source, _, _ = pair(tmp_path)
    for key in ("images", "labels"):
        with pytest.raises(DataError, match=r"no such file or folder \(got /nowhere"):
            read(config({**source, key: "/nowhere"}), THREE, 1)
    with pytest.raises(DataError, match=r"what are the values in .*labels/a.tif\? \(want labels_are"):
        read(config({**source, "labels_are": None}), THREE, 1)
    with pytest.raises(DataError, match=r"no labels for .*a.tif \(want labels in the recipe"):
        read(config({**source, "labels": None}), THREE, 1)
    with pytest.raises(DataError, match=r"two images have the same name \(got a"):
        read(config([source, source]), THREE, 1)
    with pytest.raises(ConfigError, match=r"a.tif does not say its microns per pixel"):
        read(config(source, mpp=0.5), THREE, 1)


def test_an_instance_id_that_is_too_large_is_refused(tmp_path) -> None:
    source, _, _ = pair(tmp_path)
    tifffile.imwrite(tmp_path / "labels/a.tif", np.full((20, 30), 2**31, np.uint32))
    with pytest.raises(DataError, match="an instance id is too large"):
        open_data(config({**source, "labels_are": "instances"}), TWO, 1)


@pytest.mark.parametrize("read", [open_data, check_data])
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,part\na,train\n", r"images in .* without a row in .*index.csv \(got b \(1\)\)"),
        ("id,part\na,train\nb,val\nc,val\n", r"index.csv lists images that are not in .*images \(got c \(1\)\)"),
        ("id,part\na,train\nb,val\na,val\n", r"index.csv lists an image twice \(got a, want a row for each\)"),
        ("id,part,Part\na,train,val\nb,val,val\n", r"two columns of one name \(got part"),
        ("id,part\na,1,train\nb,val\n", r"line 2 of .*index.csv is too long \(got 3 cells, want at most 2"),
        ("name,part\na,train\n", r"index.csv can't be used \(got columns name, part, want a column id\)"),
        ("id,other\na,1\nb,2\n", "no column part for a"),
        (b"\xff\xfe\x00\n", "index.csv can't be read"),
        (None, "index.csv can't be read"),
    ],
)
def test_an_index_that_does_not_fit_is_refused(tmp_path, text, message, read) -> None:
    source, _, _ = pair(tmp_path)
    if text is not None:
        (tmp_path / "index.csv").write_bytes(text if isinstance(text, bytes) else text.encode())
    split = {"column": "part", "train": "train", "validation": "val"}
    with pytest.raises((DataError, ConfigError), match=message):
        read(config({**source, "index": str(tmp_path / "index.csv")}, split), THREE, 1)


def test_the_em_stack(data) -> None:
    stack = data / "isbi2012"
    source = {"images": str(stack / "train-volume.tif"), "labels": str(stack / "train-labels.tif")}
    source |= {"labels_are": "classes", "values": {0: 0, 255: 1}}
    opened = open_data(config(source, {"fraction": 8 / 30}), ("membrane", "cell"), 1)
    assert (len(opened.train), len(opened.validation)) == (22, 8)
    lists = {"train": [*range(11), *range(15, 26)], "validation": [12, 13, 14, 27, 28, 29]}
    opened = open_data(config(source, lists), ("membrane", "cell"), 1)
    assert opened.validation[1].name == "train-volume[13]"
    window = opened.validation[1].read(Box(-92, -92, 480, 480))
    raw, truth = (tifffile.imread(stack / f"train-{name}.tif", key=13) for name in ("volume", "labels"))
    margin = ((92, 0), (92, 0))
    np.testing.assert_array_equal(window.image[..., 0], np.pad(raw[:480, :480], margin, mode="reflect") / np.float32(255))
    np.testing.assert_array_equal(window.classes, np.pad(truth[:480, :480] > 0, margin, mode="reflect"))


def test_the_nuclei_of_many_kinds(data, tmp_path) -> None:
    """Some of the set: one folder of links to it, with the rows of its index."""
    source = data / "nuclei_dsb2018"
    with (source / "index.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))[:40]
    for part, ending in (("images", "png"), ("labels", "tif")):
        (tmp_path / part).mkdir()
        for row in rows:
            (tmp_path / part / f"{row['id']}.{ending}").symlink_to((source / part / f"{row['id']}.{ending}").absolute())
    lines = [",".join(row[key] for key in ("id", "kind", "split")) for row in rows]
    (tmp_path / "index.csv").write_text("\n".join(["id,kind,split", *lines]))
    entry = {"images": str(tmp_path / "images"), "labels": str(tmp_path / "labels"), "labels_are": "instances"}
    entry |= {"index": str(tmp_path / "index.csv"), "kind": {"column": "kind"}, "object_diameter": 13}
    split = {"column": "split", "train": "train", "validation": "val"}
    opened = open_data(config(entry, split, mpp=0.5), ("background", "nucleus"), 3)
    assert len(opened.train) == sum(row["split"] == "train" for row in rows)
    assert len(opened.validation) == sum(row["split"] == "val" for row in rows)
    assert {item.kind for item in opened.train} <= {row["kind"] for row in rows}
    diameters = [median_diameter(item.read(Box.of_shape(item.shape)).instances) for item in opened.train]
    assert 11 < np.median([d for d in diameters if d]) < 15
    with pytest.raises(DataError, match="wrong number of channels"):
        open_data(config(entry, split, mpp=0.5), ("background", "nucleus"), 1)


def test_tissue_at_half_its_resolution(data) -> None:
    source = data / "nuclei_monuseg"
    entry = {"images": str(source / "images"), "labels": str(source / "labels"), "labels_are": "instances", "mpp": 0.25}
    name = "TCGA-21-5784-01Z-00-DX1"
    opened = open_data(config(entry, {"validation": [name]}, mpp=0.5), ("background", "nucleus"), 3)
    assert (len(opened.train), len(opened.validation)) == (12, 1)
    window = opened.validation[0].read(Box(0, 0, 500, 500))
    truth = tifffile.imread(source / "labels" / f"{name}.tif")
    np.testing.assert_array_equal(window.instances, truth[1::2, 1::2])
    pixels = np.asarray(Image.open(source / "images" / f"{name}.png")).astype(float)
    halved = pixels.reshape(500, 2, 500, 2, 3).mean((1, 3)) / 255
    assert np.abs(window.image - halved).mean() < 0.03


def test_a_whole_slide_with_polygons_and_with_a_mask(data, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(dataset, "HELD_PIXELS", 0)
    path = data / "wsi" / "aperio" / "CMU-1-Small-Region.svs"
    ring = [[400, 300], [900, 300], [900, 800], [400, 800], [400, 300]]
    feature = {"geometry": {"type": "Polygon", "coordinates": [ring]}, "properties": {"classification": {"name": "Thing"}}}
    (tmp_path / "a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    mask = np.zeros((2967, 2220), np.uint8)
    mask[300:800, 400:900] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    Image.fromarray(mask[::3, ::3]).save(tmp_path / "third.png")
    write_pyramid(tmp_path / "b.tif", grey((64, 64, 3)), compression=None, mpp=1.0)
    Image.fromarray(class_map((64, 64), 2)).save(tmp_path / "b.png")
    other = {"images": str(tmp_path / "b.tif"), "labels": str(tmp_path / "b.png"), "labels_are": "mask"}
    windows = {}
    for labels in ("a.geojson", "mask.png", "third.png"):
        source = {"images": str(path), "labels": str(tmp_path / labels), "labels_are": "mask"}
        item = open_data(config([source, other], mpp=1.0), TWO, 3).train[0]
        assert item.shape == (round(2967 * 0.499), round(2220 * 0.499))
        windows[labels] = item.read(Box(100, 150, 460, 480))
    np.testing.assert_array_equal(windows["a.geojson"].classes, windows["mask.png"].classes)
    assert (windows["third.png"].classes != windows["mask.png"].classes).mean() < 0.02
    assert windows["mask.png"].classes.sum() == pytest.approx(500 * 500 / 4, rel=0.01)
    with open_slide(path) as slide:
        pixels = slide.read(Box(200, 300, 920, 960)).reshape(360, 2, 330, 2, 3).mean((1, 3)) / 255
    assert np.abs(windows["mask.png"].image - pixels).mean() < 0.03


def test_images_are_held_as_long_as_there_is_room(tmp_path, monkeypatch) -> None:
    source, _, _ = pair(tmp_path)
    needed = 20 * 30 * (1 + 1 + 4)
    for room, held in ((needed - 1, []), (2 * needed - 1, ["a"]), (2 * needed, ["a", "b"])):
        monkeypatch.setattr(dataset, "HELD_BYTES", room)
        data = open_data(config(source), THREE, 1)
        assert [item.name for item in (*data.train, *data.validation) if item.is_held] == held


def test_items_close_their_files(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(dataset, "HELD_PIXELS", 0)
    data = open_data(config(pair(tmp_path)[0]), THREE, 1)
    data.close()
    with pytest.raises(SlideError):
        data.train[0].read(Box(0, 0, 4, 4))


def test_a_source_has_values_of_black_and_white(tmp_path):
    source, images, _ = pair(tmp_path)
    wanted = open_data(config(source), THREE, 1).train[0].read(Box(0, 0, 20, 30)).image
    deep = {name: image.astype(np.uint16) << 4 for name, image in images.items()}
    folder(tmp_path, deep, {})

    for limits in ([0, 4080], [0.0, 4080.0]):
        opened = open_data(config({**source, "range": limits}), THREE, 1)
        np.testing.assert_array_equal(opened.train[0].read(Box(0, 0, 20, 30)).image, wanted)
        assert opened.notes == ()
    measured = open_data(config({**source, "range": "auto"}), THREE, 1).train[0].read(Box(0, 0, 20, 30)).image
    assert (measured.min(), measured.max()) == (0, 1)


def test_images_that_fill_little_of_their_type_are_noted_also_where_only_heads_are_looked_at(tmp_path):
    source, images, _ = pair(tmp_path)
    assert open_data(config(source), THREE, 1).notes == ()
    folder(tmp_path, {name: image.astype(np.uint16) << 4 for name, image in images.items()}, {})

    (note,) = open_data(config(source), THREE, 1).notes
    assert note.startswith(f"2 images of {source['images']}: nearly all values are ")
    assert note.endswith("where black is 0 and white 65535: try range: [0,4095] or range: auto in data.sources")
    assert check_data(config(source), THREE, 1).notes == (note,)


@pytest.mark.parametrize("limits", [[1, 1], [2, 1], [0], [0, ".inf"], "automatic", [0, 1, 2]])
def test_a_source_s_range_is_two_rising_numbers_or_auto(limits):
    with pytest.raises(ValueError, match="range"):
        config({"images": "a", "labels": "b", "labels_are": "mask", "range": limits})
