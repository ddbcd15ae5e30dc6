"""``slideseg predict --objects``: resumed, added later, refused before any work, the same for all tiles and workers."""

import json
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

import slideseg
from slideseg.instances.labelling.paint import label_image
from slideseg.model.config import UNetConfig
from slideseg.model.file import save_model
from slideseg.model.info import ModelClass
from slideseg.model.network.unet import UNet
from slideseg.model.objects import ObjectRules
from slideseg.result.manifest import MAP_PART
from slideseg.space.box import Box
from slideseg.testing.models import random_model
from tests.integration.conftest import class_map, run_slideseg
from tests.reliability import long_only


def objects_of(store):
    return zarr.open(str(store), mode="r")["labels/objects/0"][:]


def contents(store):
    """Return every file of a store but the root group and its copy, which tell how long the run took."""
    found = {str(p.relative_to(store)): p.read_bytes() for p in store.rglob("*") if p.is_file()}
    return {key: data for key, data in found.items() if key not in (MAP_PART.document, MAP_PART.copy)}


@pytest.fixture(scope="module")
def stack(tmp_path_factory):
    """Five planes, and so five shards."""
    path = tmp_path_factory.mktemp("stack") / "x.tif"
    pixels = np.random.default_rng(1).integers(0, 255, (5, 130, 200), np.uint8)
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata={"axes": "ZYX"})
    return path


def arguments(stack, model, out, *more):
    return ["predict", stack, "-o", out, "-m", model[0], "-w", 1, "--json", *more]


@pytest.fixture(scope="module")
def undisturbed(stack, grey_model, tmp_path_factory):
    out = tmp_path_factory.mktemp("undisturbed") / "x.zarr"
    done = run_slideseg(*arguments(stack, grey_model, out, "--objects"))
    assert done.status == 0, done.err
    assert done.slide["objects"] == objects_of(out).max() > 100
    assert "finding objects" in done.err
    assert json.loads((out / "zarr.json").read_text())["attributes"]["slideseg"]["settings"]["objects"]["classes"] == [1]
    return contents(out)


DIES = """
import os, signal
from slideseg.instances import run as instances
from slideseg.cli import main

def dies(self, *arguments):
    calls.append(arguments)
    if len(calls) == {at}:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(self, *arguments)

calls, original = [], instances.{place}
instances.{place} = dies
main()
"""


@pytest.mark.parametrize(
    ("place", "at"),
    [
        pytest.param("PartsWorker.__call__", 3, marks=long_only),
        pytest.param("LabelsWorker.__call__", 3, marks=long_only),
        ("MeasureWorker.__call__", 5),
        ("commit_objects", 1),
    ],
)
def test_a_command_killed_at_its_objects_goes_on_with_the_same_bytes(place, at, stack, grey_model, undisturbed, tmp_path):
    out = tmp_path / "x.zarr"
    words = [str(word) for word in arguments(stack, grey_model, out, "--objects")]
    killed = subprocess.run([sys.executable, "-c", DIES.format(place=place, at=at), *words], capture_output=True, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert "ome" not in json.loads((out / "zarr.json").read_text())["attributes"]

    again = run_slideseg(*words)

    assert again.status == 0, again.err
    assert again.slide["shards"]["kept"] == 5
    assert contents(out) == undisturbed


def test_objects_are_added_to_a_finished_result_and_nothing_is_done_twice(stack, grey_model, undisturbed, tmp_path):
    out = tmp_path / "x.zarr"
    plain = run_slideseg(*arguments(stack, grey_model, out))
    assert plain.slide["objects"] is None
    root = (out / "zarr.json").read_bytes()

    added = run_slideseg(*arguments(stack, grey_model, out, "--objects"))

    assert added.slide["shards"]["computed"] == 0
    assert contents(out) == undisturbed
    assert (out / "zarr.json").read_bytes() == root
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()}
    assert run_slideseg(*arguments(stack, grey_model, out, "--objects")).slide["objects"] == added.slide["objects"]
    assert run_slideseg(*arguments(stack, grey_model, out)).slide["objects"] is None
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*") if p.is_file()} == before


@pytest.fixture(scope="module")
def image(tmp_path_factory):
    path = tmp_path_factory.mktemp("image") / "x.ome.tif"
    pixels = np.random.default_rng(0).integers(0, 255, (90, 120), np.uint8)
    metadata = {"axes": "YX", "PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(path, pixels, photometric="minisblack", metadata=metadata)
    return path


def test_objects_by_other_rules_are_refused_before_any_work(image, grey_model, tmp_path):
    out = tmp_path / "x.zarr"
    assert run_slideseg(*arguments(image, grey_model, out, "--objects", "--min-area", 2)).slide["objects"] > 0
    before = contents(out)

    other = run_slideseg(*arguments(image, grey_model, out, "--objects", "--min-area", 0))

    assert other.status == 2
    complaint = "error: the result has other objects: --min-area differs (got 8 pixels, want 0 pixels; try slideseg objects"
    assert other.err.splitlines()[-1].startswith(complaint)
    kept = run_slideseg(*arguments(image, grey_model, out, "--objects"))
    assert (kept.status, kept.slide["across_seams"]) == (0, 0)
    assert kept.slide["notes"][0].startswith("the objects that are there stay as they are, with --min-area of 8 pixels")
    assert (
        "warning: " in run_slideseg(*(word for word in arguments(image, grey_model, out, "--objects") if word != "--json")).err
    )
    assert contents(out) == before
    replaced = run_slideseg(*arguments(image, grey_model, out, "--objects", "--overwrite"))
    assert replaced.slide["objects"] == label_image(class_map(out), ObjectRules((1,))).max()


def test_what_can_not_be_done_is_refused_before_anything_is_written(image, grey_model, tmp_path):
    out = tmp_path / "x.zarr"
    border = tmp_path / "border.safetensors"
    classes = (ModelClass(0, "background", "#000000"), ModelClass(1, "border", "#ff0000"))
    model = random_model(border, UNetConfig(1, 2, 4, 2))
    save_model(border, UNet(model.info.config), replace(model.info, classes=classes))
    for words, complaint in (
        (arguments(image, (border,), out, "--objects"), "there is no class that could make objects (got border"),
        (arguments(image, grey_model, out, "--min-area", 5), "--min-area is of objects, which are not asked for"),
        (arguments(image, grey_model, out, "--fill-holes", 5), "--fill-holes is of objects, which are not asked for"),
        (arguments(image, grey_model, out, "--split", 0), "--split is of objects, which are not asked for"),
    ):
        done = run_slideseg(*words)
        assert (done.status, done.err.count("\n")) == (2, 1)
        assert done.err.startswith(f"error: {complaint}")
        assert not out.exists()


def test_the_plan_tells_of_objects(image, grey_model, tmp_path):
    words = arguments(image, grey_model, tmp_path / "x.zarr", "--objects", "--fill-holes", 1, "--dry-run")
    (plan,) = run_slideseg(*words).report["plans"]
    assert plan["objects"].items() >= {"classes": [1], "border": None, "fill_holes": 4, "min_area": 0}.items()
    text = run_slideseg(*(word for word in words if word != "--json")).out
    assert "\nobjects   class 1, holes up to 4 px filled\n" in text
    (plan,) = run_slideseg(*arguments(image, grey_model, tmp_path / "x.zarr", "--dry-run")).report["plans"]
    assert plan["objects"] is None


def test_python_does_the_same(image, grey_model, tmp_path):
    report = slideseg.predict(image, tmp_path / "x.zarr", model=grey_model[0], workers=1, objects=True)
    assert report.slides[0].objects == slideseg.open_result(tmp_path / "x.zarr").table.num_rows > 0


def test_the_table_tells_the_colours_of_any_slide_and_image(rgb_model, tmp_path):
    """A PNG is copied so that parts can be read, and the copy removed; a full image in the result serves as well."""
    pixels = np.random.default_rng(2).integers(0, 255, (140, 210, 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    tables = []
    for name, more in (("a", ["--objects"]), ("b", ["--image", "full"])):
        out = tmp_path / f"{name}.zarr"
        done = run_slideseg("predict", tmp_path / "x.png", "-o", out, "-m", rgb_model[0], "-w", 1, *more)
        assert done.status == 0, done.err
        if name == "b":
            (tmp_path / "x.png").rename(tmp_path / "y.png")
            assert run_slideseg("objects", out).status == 0
        assert not (tmp_path / f"{name}.zarr.source.zarr").exists()
        tables.append((out / "tables/objects.parquet").read_bytes())
    assert tables[0] == tables[1]
    (tmp_path / "y.png").rename(tmp_path / "x.png")
    assert run_slideseg("objects", tmp_path / "a.zarr", "--overwrite").status == 0
    assert (tmp_path / "a.zarr/tables/objects.parquet").read_bytes() == tables[0]
    assert not (tmp_path / "a.zarr.source.zarr").exists()
    labels, table = objects_of(tmp_path / "a.zarr"), slideseg.open_result(tmp_path / "a.zarr").table
    assert table["mean_green"][4].as_py() == pytest.approx(pixels[labels == 5, 1].mean())


@pytest.fixture(scope="module")
def tissue(data, tmp_path_factory):
    """A piece of a real slide, as large as the model wants it, that takes two shards, with nuclei on the seam between them."""
    path = tmp_path_factory.mktemp("tissue") / "piece.tif"
    with slideseg.open_slide(data / "wsi" / "aperio" / "CMU-1-Small-Region.svs") as slide:
        pixels = Image.fromarray(slide.read(Box(1900, 877, 2030, 1477)))
    tifffile.imwrite(path, np.asarray(pixels.resize((1200, 260))), photometric="rgb", tile=(256, 256))
    return path


@pytest.mark.ray
def test_tiles_and_workers_change_no_nucleus(tissue, tmp_path):
    first, second = tmp_path / "a.zarr", tmp_path / "b.zarr"
    one = run_slideseg("predict", tissue, "-o", first, "--objects", "--json", "-w", 1, "--tile", 700)
    two = run_slideseg("predict", tissue, "-o", second, "--objects", "--json", "-w", 2, "--tile", 400)
    assert (one.status, two.status) == (0, 0), one.err + two.err
    labels = objects_of(first)
    assert set(np.unique(labels[:, 1023])) & set(np.unique(labels[:, 1024])) - {0}, "no nucleus lies across the seam"
    assert one.slide["objects"] == two.slide["objects"] == labels.max() > 30
    np.testing.assert_array_equal(objects_of(second), labels)
    assert contents(first) == contents(second)
    # The piece says no resolution, so the pixels are those of the model's own advice.
    advised = ObjectRules((1,), split=0, border=2, grow=20, fill_holes=100, min_area=140)
    np.testing.assert_array_equal(label_image(class_map(first), advised), labels)
