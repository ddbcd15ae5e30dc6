"""Three independent readers agree on a result's pixels: zarr-python, tensorstore in C++, and zarrita in JavaScript.

tensorstore is what neuroglancer's authors read zarr with in Python; zarrita is what Viv and vizarr read it with in a browser.
Viv's own loader reads a result where `slideseg view` serves it.
"""

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import zarr

import slideseg
from slideseg.arrays.pyramid import write_pyramid
from slideseg.result.commit import commit
from slideseg.result.create import create_result
from slideseg.result.layout import ResultLayout
from slideseg.result.overview import write_overview
from slideseg.result.shards import ShardStore
from slideseg.slide.array import ArraySlide
from slideseg.space.grid import ShardGrid
from slideseg.testing.records import made_coordinates, made_record, made_slide
from slideseg.testing.slides import Opened
from tests.made_results import CLASSES, blobs

SHAPE = (700, 1100)
JS = Path(__file__).parents[1] / "js"


@pytest.fixture(scope="module", params=["image", "stack"])
def result(request, tmp_path_factory):
    """A result with everything that there can be, two shards by three; what its class map shall be."""
    url = str(tmp_path_factory.mktemp("readers") / "x.zarr")
    planes, axis = (1, None) if request.param == "image" else (2, "z")
    layout = ResultLayout(ShardGrid(SHAPE, planes, 512), axis, CLASSES, 3, made_coordinates())
    record = made_record(slide=made_slide("a slide.tif", shape=(*SHAPE, 3), mpp=0.5), classes=CLASSES)
    create_result(url, layout, record, overwrite=False)
    shards, class_map = ShardStore(url, layout), np.stack([blobs(SHAPE, seed) for seed in range(planes)])
    random = np.random.default_rng(0)
    for shard in layout.grid:
        box = shard.write_box
        shards.write(shard, class_map[shard.plane][box.slices], random.integers(0, 256, (3, *box.shape)).astype(np.uint8))
    write_pyramid(url, layout.segmentation(), "mode", layout.levels)
    write_pyramid(url, layout.probability(), "mean", layout.levels)
    if axis is None:
        write_overview(url, Opened(ArraySlide(random.integers(0, 256, (*SHAPE, 3)).astype(np.uint8))), layout)
    commit(url, layout, record)
    slideseg.objects(url)
    return url, class_map if axis else class_map[0]


def arrays_of(url: str) -> dict[str, np.ndarray]:
    """Return all arrays of a store as zarr-python reads them."""
    found = {}
    for file in sorted(Path(url).rglob("zarr.json")):
        if json.loads(file.read_text())["node_type"] == "array":
            path = file.parent.relative_to(url).as_posix()
            found[path] = zarr.open_array(url, path=path, mode="r")[...]
    return found


def differences(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> list[str]:
    """Return the arrays that two readers don't agree on: their types, shapes or pixels."""

    def agree(path: str) -> bool:
        if path not in one or path not in other:
            return False
        return one[path].dtype == other[path].dtype and np.array_equal(one[path], other[path])

    return [path for path in sorted({*one, *other}) if not agree(path)]


def by_tensorstore(url: str, paths: list[str]) -> dict[str, np.ndarray]:
    tensorstore = pytest.importorskip("tensorstore", reason="tensorstore is not installed")

    def read(path: str) -> np.ndarray:
        spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": f"{url}/{path}/"}}
        return tensorstore.open(spec, read=True).result().read().result()

    return {path: read(path) for path in paths}


def run_node(package: str, script: str, *arguments: str | Path) -> list[dict]:
    """Return what a script with a package of npm prints as JSON."""
    node = shutil.which("node")
    if node is None:
        pytest.skip("node is not installed")
    if not (JS / "node_modules" / package).is_dir():
        pytest.skip(f"{package} is not installed: npm install --prefix tests/js")
    done = subprocess.run([node, JS / script, *arguments], check=True, stdout=subprocess.PIPE, timeout=120)
    return json.loads(done.stdout)


def by_zarrita(url: str, paths: list[str], folder: Path) -> dict[str, np.ndarray]:
    told = run_node("zarrita", "read.mjs", url, folder, *paths)
    return {
        one["path"]: np.fromfile(folder / str(number), one["dtype"]).reshape(one["shape"]) for number, one in enumerate(told)
    }


def test_zarr_python_reads_what_was_written(result):
    url, class_map = result
    arrays = arrays_of(url)
    assert np.array_equal(arrays["labels/segmentation/0"], class_map)
    kinds = {path.rpartition("/")[0] for path in arrays}
    assert kinds >= {"labels/segmentation", "labels/objects", "probabilities"}
    assert "" in kinds or class_map.ndim == 3
    assert len(arrays) >= 6


def test_tensorstore_agrees(result):
    arrays = arrays_of(result[0])
    assert differences(arrays, by_tensorstore(result[0], list(arrays))) == []


def test_zarrita_agrees(result, tmp_path):
    arrays = arrays_of(result[0])
    assert differences(arrays, by_zarrita(result[0], list(arrays), tmp_path)) == []


def test_viv_finds_names_colours_and_pixels_through_the_viewer(result):
    url, class_map = result
    groups = ["labels/segmentation", "labels/objects", *([] if class_map.ndim == 3 else [""])]
    with slideseg.view(url, browser=False) as view:
        told = run_node("@vivjs/loaders", "viv.mjs", *(f"{view.address}data/{group}" for group in groups))
    for group, image in zip(groups, told, strict=True):
        (multiscale,) = image["metadata"]["multiscales"]
        assert multiscale["name"] == group.removeprefix("labels/") or (group, multiscale["name"]) == ("", "image")
        assert image["labels"] == [axis["name"] for axis in multiscale["axes"]]
        assert {axis.get("unit") for axis in multiscale["axes"] if axis["name"] in "yx"} == {"micrometer"}
        array = zarr.open_group(url, path=group, mode="r")["0"][...]
        assert image["dtype"].lower() == array.dtype.name
        assert image["shapes"][0] == list(array.shape)
        first = array if group == "" else (array if array.ndim == 2 else array[0])[None]
        assert np.array_equal([np.reshape(one["pixels"], (one["height"], one["width"])) for one in image["rasters"]], first)
    if class_map.ndim == 2:
        channels = told[-1]["metadata"]["omero"]["channels"]
        shown = [(one["label"], one["color"], one["active"], one["window"]["start"], one["window"]["end"]) for one in channels]
        colors = {"red": "FF0000", "green": "00FF00", "blue": "0000FF"}
        assert shown == [(name, color, True, 0, 255) for name, color in colors.items()]


def test_a_difference_is_found():
    pixels = np.arange(6, dtype=np.uint8).reshape(2, 3)
    for other in (pixels + np.uint8(pixels == 5), pixels.astype(np.uint16), pixels.T):
        assert differences({"a": pixels}, {"a": other}) == ["a"]
    assert differences({"a": pixels}, {}) == ["a"]
    assert differences({"a": pixels}, {"a": pixels.copy()}) == []
