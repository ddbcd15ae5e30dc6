"""Results are valid OME-NGFF 0.5 by three independent judges, and plain zarr and Dask read them."""

import json
from pathlib import Path

import dask.array
import jsonschema
import numpy as np
import ome_zarr_models.v05 as models
import pytest
import referencing
import zarr
from jsonschema import Draft202012Validator
from referencing.jsonschema import DRAFT202012

from slideseg.arrays.pyramid import write_pyramid
from slideseg.conversion import convert
from slideseg.result.commit import commit
from slideseg.result.create import create_result
from slideseg.result.layout import ResultLayout
from slideseg.result.overview import write_overview
from slideseg.result.result import open_result
from slideseg.result.shards import ShardStore
from slideseg.slide.array import ArraySlide
from slideseg.space.box import Box
from slideseg.space.grid import ShardGrid
from slideseg.testing.records import made_classes, made_record, made_slide
from slideseg.testing.slides import Opened

CLASSES = made_classes("background", "nucleus", "stroma")
RECORDS = {mpp: made_record(slide=made_slide(mpp=mpp), classes=CLASSES) for mpp in (None, 0.25, 0.5)}


class Stack(ArraySlide):
    """A stack in memory along t, which plain arrays never are."""

    axes = "tyxc"


def image_of(planes: int, height=700, width=1100) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    plane = np.stack([y % 251, x % 241, (x + y) % 239], axis=-1).astype(np.uint8)
    return plane if planes == 1 else np.stack([plane + n for n in range(planes)])


def make(path: Path, axis: str | None, mpp: float | None, *, image: bool = True, probabilities: int = 3) -> str:
    planes = 1 if axis is None else 2
    layout = ResultLayout(ShardGrid((700, 1100), planes, 1024), axis, CLASSES, probabilities, RECORDS[mpp].coordinates)
    url = str(path)
    create_result(url, layout, RECORDS[mpp], overwrite=False)
    shards = ShardStore(url, layout)
    for shard in layout.grid:
        values = (np.add.outer(*(np.arange(side) for side in shard.write_box.shape)) // 50 % 3).astype(np.uint8)
        shards.write(shard, values, np.stack([values] * probabilities) if probabilities else None)
    write_pyramid(url, layout.segmentation(), "mode", layout.levels)
    if probabilities:
        write_pyramid(url, layout.probability(), "mean", layout.levels)
    if image:
        slide = (Stack if axis == "t" else ArraySlide)(image_of(planes), mpp)
        write_overview(url, Opened(slide), layout, long_side=600)
    commit(url, layout, RECORDS[mpp])
    return url


@pytest.fixture(params=[(None, 0.5), (None, None), ("z", 0.25), ("z", None), ("t", 0.5), ("t", None)], ids=str, scope="module")
def case(request, tmp_path_factory):
    return make(tmp_path_factory.mktemp("case") / "x.zarr", *request.param), *request.param


def schemas(data: Path) -> dict[str, Draft202012Validator]:
    folder = data / "ngff" / "ngff-spec-0.5" / "schemas"
    if not folder.is_dir():
        pytest.skip(f"no NGFF schemas at {folder}")
    found = {path.stem: json.loads(path.read_text()) for path in folder.glob("*.schema")}
    resources = [(schema["$id"], DRAFT202012.create_resource(schema)) for schema in found.values()]
    registry = referencing.Registry().with_resources(resources)
    return {name: Draft202012Validator(schema, registry=registry) for name, schema in found.items()}


def attributes(url: str, group: str = "") -> dict:
    return json.loads((Path(url) / group / "zarr.json").read_text())["attributes"]


def test_the_schemas_accept_it(case, data):
    url, judges = case[0], schemas(data)
    for group in ("", "probabilities", "labels/segmentation"):
        judges["image"].validate(attributes(url, group))
        judges["strict_image"].validate(attributes(url, group))
    judges["label"].validate(attributes(url, "labels/segmentation"))
    judges["strict_label"].validate(attributes(url, "labels/segmentation"))
    for group in ("", "labels/segmentation", "probabilities"):  # the schemas know nothing of the group "labels"
        judges["ome_zarr"].validate(attributes(url, group))


def test_the_schemas_can_refuse(data, tmp_path):
    broken = attributes(make(tmp_path / "x.zarr", None, 0.5))
    del broken["ome"]["multiscales"][0]["datasets"]
    with pytest.raises(jsonschema.ValidationError):
        schemas(data)["image"].validate(broken)


def test_ome_zarr_models_accepts_it(case):
    group = zarr.open_group(case[0], mode="r")
    image = models.Image.from_zarr(group)
    assert image.labels is not None
    models.Labels.from_zarr(group["labels"])
    models.ImageLabel.from_zarr(group["labels/segmentation"])
    models.Image.from_zarr(group["probabilities"])


def test_every_image_has_its_own_name(case):
    names = {group: attributes(case[0], group)["ome"]["multiscales"][0]["name"] for group in ("", "probabilities")}
    assert names == {"": "image", "probabilities": "probabilities"}


def test_ngff_zarr_accepts_it(case):
    ngff_zarr = pytest.importorskip("ngff_zarr")
    for group in ("", "/labels/segmentation", "/probabilities"):
        read = ngff_zarr.from_ngff_zarr(case[0] + group, version="0.5", validate=True)
        assert read.images[0].data.shape[-2:] == zarr.open_group(case[0] + group, mode="r")["0"].shape[-2:]


def test_plain_zarr_and_dask_read_the_same(case):
    url, axis, _ = case
    array = zarr.open_group(url, mode="r")["labels/segmentation/0"]
    assert array.shape == ((700, 1100) if axis is None else (2, 700, 1100))
    lazy = dask.array.from_zarr(url, component="labels/segmentation/0")
    np.testing.assert_array_equal(lazy.compute(), array[:])
    result = open_result(url)
    np.testing.assert_array_equal(result.segmentation.compute(), array[:])
    np.testing.assert_array_equal(result.probabilities.compute(), zarr.open_array(url, path="probabilities/0", mode="r")[:])
    corner = (..., slice(600, 700), slice(1000, 1100))
    np.testing.assert_array_equal(result.segmentation[corner].compute(), array[corner])


def test_the_result_knows_itself(case):
    url, axis, mpp = case
    result = open_result(url)
    assert result.mpp == mpp
    assert result.classes == CLASSES
    assert result.info["status"] == "complete"
    assert (result.objects, result.table) == (None, None)
    assert [level.shape[-2:] for level in result.image] == [(350, 550), (175, 275), (88, 138)]
    assert result.image[0].ndim == (3 if axis is None else 4)


def place(url: str, group: str, level: int) -> tuple[np.ndarray, np.ndarray]:
    scale, translation = attributes(url, group)["ome"]["multiscales"][0]["datasets"][level]["coordinateTransformations"]
    return np.array(scale["scale"][-2:]), np.array(translation["translation"][-2:])


def test_labels_and_image_lie_on_each_other(case):
    url, _, mpp = case
    unit = mpp or 1.0
    corners = set()
    for group, level in [("", 0), ("", 1), ("labels/segmentation", 0), ("labels/segmentation", 1), ("probabilities", 1)]:
        scale, translation = place(url, group, level)
        corners.add(tuple(np.round(translation - scale / 2, 9)))
    assert corners == {(-unit / 2, -unit / 2)}, "all levels share their outer corner"
    np.testing.assert_allclose(place(url, "", 0)[0], 2 * unit)
    np.testing.assert_allclose(place(url, "labels/segmentation", 1)[0], 2 * unit)
    units = [axis.get("unit") for axis in attributes(url)["ome"]["multiscales"][0]["axes"]]
    assert units[-2:] == (["micrometer"] * 2 if mpp else [None, None])


@pytest.mark.parametrize("axis", [None, "z"])
def test_without_an_image_it_still_is_one(tmp_path, axis, data):
    url = make(tmp_path / "x.zarr", axis, 0.5, image=False, probabilities=0)
    models.Image.from_zarr(zarr.open_group(url, mode="r"))
    schemas(data)["strict_image"].validate(attributes(url))
    assert open_result(url).image == []
    assert open_result(url).probabilities is None


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_a_conversion_is_valid_too(tmp_path, data, dtype):
    image = image_of(1)[..., :2].astype(dtype)
    np.save(tmp_path / "slide.npy", image)
    convert(tmp_path / "slide.npy", tmp_path / "x.zarr")
    url = str(tmp_path / "x.zarr")
    group = zarr.open_group(url, mode="r")
    models.Image.from_zarr(group)
    schemas(data)["strict_image"].validate(attributes(url))
    assert group["0"].dtype == dtype
    np.testing.assert_array_equal(np.moveaxis(group["0"][:], 0, -1), image)
    assert "slideseg" not in attributes(url)
    assert Box.of_shape(group["1"].shape[-2:]).shape == (350, 550)
