"""Label images of other programs become polygons that fill exactly their pixels."""

import numpy as np
import pytest
import shapely
import tifffile
import zarr
from PIL import Image
from skimage.measure import label

import slideseg
from slideseg.errors import ConfigError, ResultError, SlideError
from slideseg.exports import label_image
from slideseg.exports.run import export
from slideseg.exports.trace import trace
from tests.made_results import blobs
from tests.qupath_reader import read_objects

SHAPE = (300, 420)


@pytest.fixture(scope="module")
def class_map():
    return blobs(SHAPE)


@pytest.fixture(scope="module")
def ids(class_map):
    """Instances, many of them, numbered with gaps."""
    return (3 * label(class_map, connectivity=1)).astype(np.uint32)


def write(path, pixels):
    if path.suffix == ".png":
        Image.fromarray(pixels).save(path)
    elif path.suffix == ".npy":
        np.save(path, pixels)
    elif path.suffix == ".zarr":
        zarr.save_array(str(path), pixels)
    else:
        tifffile.imwrite(path, pixels, compression="zlib", photometric="minisblack" if pixels.ndim == 2 else "rgb")
    return path


def filled(objects, value_of):
    """Return the image that polygons fill: nobody covers a pixel twice."""
    again = np.zeros(SHAPE, np.uint32)
    y, x = np.indices(SHAPE) + 0.5
    for one in objects:
        x0, y0, x1, y1 = map(int, one.shape.bounds)
        box = np.s_[y0:y1, x0:x1]
        inside = shapely.contains_xy(one.shape, x[box], y[box])
        assert one.shape.is_valid
        assert not again[box][inside].any()
        again[box][inside] = value_of(one)
    return again


@pytest.mark.parametrize("name", ["x.tif", "x.png", "x.npy", "x.zarr"])
def test_instances_of_any_file(tmp_path, monkeypatch, ids, name):
    monkeypatch.setattr(label_image, "SIDE", 128)
    monkeypatch.chdir(tmp_path)
    seen = []
    values = ids.astype(np.uint16) if name.endswith("png") else ids
    report = export(write(tmp_path / name, values), "geojson", on_progress=seen.append)
    assert (report.output, report.labels, report.features) == ("x.geojson", "objects", len(np.unique(ids)) - 1)
    objects = read_objects(tmp_path / "x.geojson")
    assert np.array_equal(filled(objects, lambda one: one.measurements["Object ID"]), ids)
    assert {(one.type, one.name) for one in objects} == {("detection", None)}
    assert len({one.id for one in objects}) == len(objects)
    assert seen[-1].done == seen[-1].total == np.prod(SHAPE)


@pytest.mark.parametrize("values", [(0, 1, 2), (0, 255), (0, 70, 71)])
def test_few_values_are_classes_whose_regions_are_annotations(tmp_path, class_map, values):
    pixels = np.array([*values, values[-1]], np.uint8)[class_map]
    report = export(write(tmp_path / "x.tif", pixels), "geojson", tmp_path / "x.geojson")
    objects = read_objects(tmp_path / "x.geojson")
    assert report.labels == "segmentation"
    said = f"its {len(values) - 1} values above 0 are taken for classes: --labels objects if each is an object"
    assert report.notes == (said,)
    assert np.array_equal(filled(objects, lambda one: int(one.name)), pixels)
    assert {one.type for one in objects} == {"annotation"}
    assert len({one.color for one in objects}) == len(values) - 1


@pytest.mark.parametrize(("values", "labels"), [(8, "segmentation"), (9, "objects")])
def test_more_than_8_values_are_instances(tmp_path, values, labels):
    """As `slideseg evaluate` takes them."""
    path = write(tmp_path / "x.png", (np.arange(SHAPE[0] * SHAPE[1]) // 2000 % values).astype(np.uint8).reshape(SHAPE))
    assert export(path, "geojson", tmp_path / "x.geojson").labels == labels


def test_what_it_holds_can_be_said(tmp_path, class_map, ids):
    few = write(tmp_path / "few.tif", class_map)
    said = export(few, "geojson", tmp_path / "a.geojson", labels="objects")
    assert (said.labels, said.notes) == ("objects", ())
    assert {one.type for one in read_objects(tmp_path / "a.geojson")} == {"detection"}
    many = write(tmp_path / "many.tif", ids)
    assert export(many, "geojson", tmp_path / "b.geojson", labels="segmentation").labels == "segmentation"
    assert len({one.name for one in read_objects(tmp_path / "b.geojson")}) == len(np.unique(ids)) - 1


def test_one_class_of_several(tmp_path, class_map):
    path = write(tmp_path / "x.tif", class_map)
    export(path, "geojson", tmp_path / "x.geojson", classes=("2",))
    again = filled(read_objects(tmp_path / "x.geojson"), lambda one: int(one.name))
    assert np.array_equal(again, np.where(class_map == 2, 2, 0))
    with pytest.raises(ConfigError, match=r"no such class of regions \(got nucleus, want 1, 2\)"):
        export(path, "geojson", tmp_path / "y.geojson", classes=("nucleus",))


@pytest.mark.parametrize("name", ["x.npy", "x.zarr"])
def test_truth_values_are_one_class(tmp_path, class_map, name):
    report = export(write(tmp_path / name, class_map > 0), "geojson", tmp_path / "x.geojson")
    assert report.labels == "segmentation"
    again = filled(read_objects(tmp_path / "x.geojson"), lambda one: int(one.name))
    assert np.array_equal(again, class_map > 0)


def test_an_object_in_pieces_is_a_feature_a_piece_each_with_an_id_of_its_own(tmp_path):
    pixels = np.zeros((50, 60), np.uint16)
    pixels[2:5, 2:5] = pixels[20:30, 20:30] = 7
    export(write(tmp_path / "x.tif", pixels), "geojson", tmp_path / "x.geojson", labels="objects")
    objects = read_objects(tmp_path / "x.geojson")
    assert [one.measurements["Object ID"] for one in objects] == [7, 7]
    assert len({one.id for one in objects}) == 2


def test_planes_of_a_stack(tmp_path, ids):
    tifffile.imwrite(tmp_path / "x.tif", np.stack([ids, ids[::-1]]), metadata={"axes": "ZYX"}, ome=True)
    export(tmp_path / "x.tif", "geojson", tmp_path / "x.geojson")
    objects = read_objects(tmp_path / "x.geojson")
    assert {one.plane for one in objects} == {(-1, 0, 0), (-1, 1, 0)}
    assert len({one.id for one in objects}) == len(objects) == 2 * (len(np.unique(ids)) - 1)


def test_what_is_exported_teaches_and_judges_as_it_is(tmp_path, ids):
    path = write(tmp_path / "x.tif", ids)
    export(path, "geojson", tmp_path / "x.geojson.zip")
    assert slideseg.evaluate(path, tmp_path / "x.geojson.zip", "instances").instances.ap == 1


def test_it_is_read_block_by_block(tmp_path, monkeypatch, ids):
    monkeypatch.setattr(label_image, "SIDE", 64)
    seen = []

    def traced(grid, read):
        return trace(grid, lambda box: seen.append(box) or read(box))

    monkeypatch.setattr(label_image, "trace", traced)
    export(write(tmp_path / "x.tif", ids), "geojson", tmp_path / "x.geojson")
    assert len(seen) == -(-SHAPE[0] // 64) * -(-SHAPE[1] // 64)
    assert max(box.area for box in seen) == 64 * 64


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda p: write(p, np.zeros((*SHAPE, 3), np.uint8)), ConfigError, r"is no label image \(got 3 channels, want 1"),
        (
            lambda p: Image.new("RGB", (40, 30)).save(p, "JPEG"),
            ConfigError,
            "got 3 channels, want 1; try the result",
        ),
        (lambda p: write(p, np.zeros((*SHAPE, 3), np.uint32)), ConfigError, "got 3 channels"),
        (lambda p: write(p, np.zeros(SHAPE, np.float32)), SlideError, "unsupported type .got float32"),
        (lambda p: write(p, np.full(SHAPE, -1, np.int16)), ConfigError, r"holds values below 0 \(got -1"),
        (lambda p: Image.fromarray(np.zeros(SHAPE, np.uint8)).save(p, "JPEG"), SlideError, "is a JPEG"),
        (lambda p: p.write_bytes(b"no image"), SlideError, "x.tif"),
        (lambda p: p.with_name("elsewhere.tif").write_bytes(b""), ResultError, "no such result"),
    ],
)
def test_what_is_no_label_image_is_one_line(tmp_path, make, error, message):
    make(tmp_path / "x.tif")
    with pytest.raises(error, match=message) as caught:
        export(tmp_path / "x.tif", "geojson", tmp_path / "x.geojson")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "x.geojson").exists()


@pytest.mark.parametrize(("to", "options"), [("png", {}), ("csv", {}), ("ome-tiff", {})])
def test_other_formats_are_of_results(tmp_path, ids, to, options):
    with pytest.raises(ResultError, match="this is no slideseg result"):
        export(write(tmp_path / "x.tif", ids), to, tmp_path / "y", **options)


@pytest.mark.parametrize("options", [{"frame": "bounds"}, {"measurements": True}])
def test_what_only_results_have_is_refused(tmp_path, ids, options):
    with pytest.raises(ConfigError, match="a label image has neither bounds nor a table"):
        export(write(tmp_path / "x.tif", ids), "geojson", tmp_path / "x.geojson", **options)


def test_the_label_image_itself_is_never_replaced(tmp_path, ids):
    path = write(tmp_path / "x.tif", ids)
    with pytest.raises(ConfigError, match="would replace what it is made from"):
        export(path, "geojson", path, overwrite=True)
