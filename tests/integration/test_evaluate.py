"""``slideseg evaluate`` on results of ``slideseg predict``: resolutions, objects, shards, exit status, and the real images."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

import slideseg
from slideseg.arrays.plan import ArrayPlan
from slideseg.arrays.shards import create_array, write_shard
from slideseg.evaluation import blocks
from slideseg.evaluation.metrics.instances import instance_scores
from slideseg.evaluation.metrics.overlap import OverlapTable
from slideseg.model.config import UNetConfig
from slideseg.model.objects import ObjectRules
from slideseg.result.commit import commit_objects
from slideseg.result.layout import OBJECTS
from slideseg.result.record import ObjectsRecord
from slideseg.storage.store import open_store
from slideseg.testing.models import random_model
from tests.integration.conftest import class_map, run_slideseg
from tests.made_results import blobs, make_result

RNG = np.random.default_rng(5)
SHAPE = (301, 400)
NO_SEAMS = "seams: 0 of the predicted objects lie in several shards; slideseg verify looks at such"


def write_slide(path, image, mpp=0.25):
    metadata = {"axes": "YXS", "PhysicalSizeX": mpp, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": mpp, "PhysicalSizeYUnit": "µm"}
    tifffile.imwrite(path, image, photometric="rgb", tile=(256, 256), metadata=metadata)


@pytest.fixture(scope="module")
def coarse(tmp_path_factory):
    """A slide at 0.25 microns per pixel and its result at 0.5, half the rows and columns."""
    folder = tmp_path_factory.mktemp("coarse")
    model = folder / "model.safetensors"
    random_model(model, UNetConfig(3, 3, 6, 2), mpp=0.5)
    write_slide(folder / "a.ome.tif", RNG.integers(0, 255, (*SHAPE, 3), np.uint8))
    slideseg.predict(folder / "a.ome.tif", output=folder / "a.zarr", model=model, workers=1)
    return folder / "a.zarr"


@pytest.fixture
def truth_of(coarse, tmp_path):
    """The result itself at level 0: every pixel has the value its centre falls on."""
    found = class_map(coarse)
    rows = np.minimum(np.arange(SHAPE[0]) // 2, found.shape[0] - 1)
    columns = np.minimum(np.arange(SHAPE[1]) // 2, found.shape[1] - 1)
    Image.fromarray(found[np.ix_(rows, columns)]).save(tmp_path / "truth.png")
    return tmp_path / "truth.png"


def test_a_result_is_brought_to_the_truths_resolution(coarse, truth_of):
    assert class_map(coarse).shape == (150, 200)
    assert len(np.unique(class_map(coarse))) == 3
    done = run_slideseg("evaluate", coarse, truth_of, "--metrics", "semantic,isbi,instances", "--json")
    assert done.status == 0, done.err
    assert list(done.report) == ["status", "error", "metrics", "images", "notes", "unmatched"]
    semantic = done.report["metrics"]["semantic"]
    assert semantic["pixel_accuracy"] == semantic["dice"] == semantic["iou_pooled"] == 1
    assert [one["name"] for one in semantic["classes"]] == [known.name for known in slideseg.open_result(coarse).classes]
    assert set(done.report["metrics"]["isbi"]) == {"pixel_error", "rand_error", "warping_error", "v_rand", "v_info"}
    shares, numbers = {"f1", "precision", "recall", "ap", "aji", "pq", "sq", "rq"}, {"predicted", "truth"}
    assert set(done.report["metrics"]["instances"]) == shares | numbers
    assert done.report["images"] == [{"name": "a", **{k: v for k, v in done.report["images"][0].items() if k != "name"}}]


def test_a_result_is_compared_with_itself_on_its_own_grid(coarse):
    report = slideseg.evaluate(coarse, coarse, ["semantic", "instances"])
    assert report.semantic.dice == 1
    assert report.instances.pq == 1
    assert report.notes == (
        "semantic: both hold class ids (background, class 1, class 2), compared class by class",
        "instances: predicted objects are connected parts, true ones connected parts",
    )


def test_the_table_is_readable(coarse, truth_of):
    done = run_slideseg("evaluate", coarse, truth_of)
    assert done.status == 0
    lines = done.out.splitlines()
    assert lines[0].split() == ["image", "dice", "iou", "precision", "recall", "pixel", "accuracy"]
    assert lines[1].split() == ["a", *["1.0000"] * 5]
    assert {len(line) for line in lines[:2]} == {len(lines[0])}
    both = run_slideseg("evaluate", coarse, truth_of, "--metrics", "semantic,instances").out.splitlines()[0]
    assert both.count("semantic precision") == both.count("instances precision") == 1
    assert "semantic dice" not in both
    pooled = "all pixels pooled: Dice 1.0000, IoU 1.0000, precision 1.0000, recall 1.0000"
    assert pooled in lines


def test_a_results_own_objects_are_used(coarse, truth_of, tmp_path, monkeypatch):
    """Also where the plane is too large to make objects from its class map; they follow to the truth's grid."""
    store = tmp_path / "with_objects.zarr"
    shutil.copytree(coarse, store)
    ids = np.zeros((150, 200), np.uint32)
    for n in range(25):
        ids[30 * (n // 5) : 30 * (n // 5) + 20, 40 * (n % 5) : 40 * (n % 5) + 30] = 2**20 + n
    plan = ArrayPlan(f"{OBJECTS}/0", "yx", ids.shape, 1024, "uint32")
    about = ObjectsRecord(ObjectRules((1,)), 25, 0, ())
    create_array(open_store(store), plan, {"slideseg": about.to_json()})
    write_shard(open_store(store), plan, 0, ids)
    commit_objects(open_store(store), slideseg.open_result(store).layout)
    truth = ids.repeat(2, 0).repeat(2, 1)
    truth = np.concatenate([truth, np.zeros((1, 400), np.uint32)])
    monkeypatch.setattr(blocks, "LARGEST_COMPONENTS", 0)
    monkeypatch.setattr(blocks, "BLOCK", 64)
    report = slideseg.evaluate(store, truth, ["instances"])
    assert report.notes == ("instances: predicted objects are the result's, true ones ids", NO_SEAMS)
    assert report.instances.f1 == 1
    assert report.instances.sq > 0.98
    assert report.instances.predicted == 25


def test_objects_across_seams_are_told_once_a_result(tmp_path):
    make_result(tmp_path / "a.zarr", blobs((700, 610), 1))
    across = slideseg.objects(tmp_path / "a.zarr").across_seams
    assert across > 0
    report = slideseg.evaluate(tmp_path / "a.zarr", tmp_path / "a.zarr", ["instances"])
    assert f"seams: {across} of the predicted objects lie in several shards; slideseg verify looks at such" in report.notes


@pytest.mark.parametrize("truth", ["tiff", "zarr", "result"])
def test_objects_of_whole_slides_are_compared_block_by_block_and_exactly(truth, tmp_path, monkeypatch):
    predicted = make_result(tmp_path / "a.zarr", blobs((700, 610), 1), objects=True)
    true = make_result(tmp_path / "b.zarr", np.roll(blobs((700, 610), 1), (2, 1), (0, 1)), objects=True)
    match truth:
        case "tiff":
            tifffile.imwrite(tmp_path / "b.tif", true, tile=(128, 128))
        case "zarr":
            array = zarr.create_array(tmp_path / "labels.zarr", shape=true.shape, dtype="uint64", chunks=(200, 200))
            array[:] = np.where(true > 0, true.astype(np.uint64) + 2**40, 0)
    side = tmp_path / {"tiff": "b.tif", "zarr": "labels.zarr", "result": "b.zarr"}[truth]
    seen = []

    def counted(one, other):
        seen.append(one.shape)
        return OverlapTable(*(getattr(whole(one, other), name) for name in ("predicted", "truth", "pixels")))

    whole = OverlapTable.of
    monkeypatch.setattr(blocks, "BLOCK", 256)
    monkeypatch.setattr(OverlapTable, "of", counted)
    report = slideseg.evaluate(tmp_path / "a.zarr", side, ["instances"])
    assert len(seen) == 9
    assert max(seen) == (256, 256)
    assert report.instances == instance_scores(whole(predicted, true))
    assert 0.5 < report.instances.f1 < 1
    own = "the result's" if truth == "result" else "ids"
    assert report.notes == (f"instances: predicted objects are the result's, true ones {own}", NO_SEAMS)


def test_probabilities_of_a_result_are_cut_at_the_best_threshold(tmp_path, grey_model):
    path, _ = grey_model
    tifffile.imwrite(tmp_path / "em.tif", RNG.integers(0, 255, (2, 96, 100), np.uint8), photometric="minisblack")
    slideseg.predict(tmp_path / "em.tif", output=tmp_path / "em.zarr", model=path, workers=1, save_probabilities=True)
    probability = np.asarray(zarr.open(tmp_path / "em.zarr")["probabilities/0"][0]) / 255
    threshold = round(float(np.median(probability)), 1)
    truth = (probability > threshold).astype(np.uint8)
    assert 0 < truth.mean() < 1
    report = slideseg.evaluate(tmp_path / "em.zarr", truth, ["isbi"])
    assert report.isbi.pixel_error == report.isbi.warping_error == 0
    assert report.isbi.v_rand == 1
    assert "probabilities" in report.notes[0]


@pytest.mark.parametrize(
    ("prediction", "truth", "metrics", "complaint"),
    [
        ("a.zarr", "missing.png", "semantic", "no such slide"),
        ("missing.zarr", "truth.png", "semantic", "no such slide"),
        ("a.zarr", "small.png", "semantic", "different shapes (got 150 x 200, want 10 x 10"),
        ("a.zarr", "truth.png", "dice", "no such metrics (got dice"),
        ("unfinished.zarr", "truth.png", "semantic", "unfinished"),
    ],
)
def test_bad_input_is_one_line_and_status_2(coarse, truth_of, prediction, truth, metrics, complaint, run_here):
    folder = truth_of.parent
    shutil.copytree(coarse, folder / "a.zarr")
    shutil.copytree(coarse, folder / "unfinished.zarr")
    root = json.loads((coarse / "zarr.json").read_text())
    del root["attributes"]["ome"]
    (folder / "unfinished.zarr" / "zarr.json").write_text(json.dumps(root))
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(folder / "small.png")
    done = run_here("evaluate", prediction, truth, "--metrics", metrics, cwd=folder)
    assert done.status == 2
    assert done.out == ""
    assert len(done.err.splitlines()) == 1
    assert done.err.startswith("error: ")
    assert complaint in done.err


def test_the_bundled_model_scores_on_real_tiles_what_the_benchmark_says(data, tmp_path):
    """Dice of any class above 0 against instance ids at twice the resolution."""
    folder = data / "nuclei_monuseg"
    if not folder.is_dir():
        pytest.skip("no nuclei_monuseg in the real data")
    names = ["TCGA-B0-5710-01Z-00-DX1", "TCGA-CH-5767-01Z-00-DX1"]
    (tmp_path / "slides").mkdir()
    for name in names:
        image = np.asarray(Image.open(folder / "images" / f"{name}.png").convert("RGB"))
        write_slide(tmp_path / "slides" / f"{name}.ome.tif", image)
    (tmp_path / "results").mkdir()
    slideseg.predict(tmp_path / "slides", output=tmp_path / "results", workers=1, objects=True)
    report = slideseg.evaluate(tmp_path / "results", folder / "labels", ["semantic", "instances"])
    benchmark = json.loads((Path(__file__).parents[2] / "benchmarks" / "results" / "nuclei_quality.json").read_text())
    assert [image.name for image in report.images] == names
    for image in report.images:
        wanted = benchmark["outlines"]["monuseg"]["tiles"][image.name]["ours"]
        assert image.semantic.dice == pytest.approx(wanted["dice"], abs=1e-4)
        assert (image.instances.aji, image.instances.f1) == pytest.approx((wanted["aji"], wanted["f1"]), abs=1e-4)
    assert report.semantic.compared == "foreground"
    assert report.instances.truth == sum(tifffile.imread(folder / "labels" / f"{name}.tif").max() for name in names)
    assert len(report.unmatched) == 11


def test_the_bundled_model_finds_the_points_of_real_patches(data, tmp_path):
    """Points and patches are at 0.5 microns a pixel, results at the model's 0.25."""
    folder = data / "he_points_brca_m2c"
    if not folder.is_dir():
        pytest.skip("no he_points_brca_m2c in the real data")
    name = "TCGA-A7-A0DB-01Z-00-DX1_168501_13501_1000_1000_0.986"
    (tmp_path / "points").mkdir()
    (tmp_path / "results").mkdir()
    shutil.copy(folder / "points" / f"{name}.csv", tmp_path / "points")
    result = tmp_path / "results" / f"{name}.zarr"
    slideseg.predict(folder / "images" / f"{name}.jpg", output=result, workers=1, objects=True, mpp_of_slide=0.5, tissue="none")
    done = run_slideseg("evaluate", tmp_path / "results", tmp_path / "points", "--metrics", "points", "--json")
    assert done.status == 0, done.err
    scores = done.report["metrics"]["points"]
    assert scores["points"] == 315
    assert scores["matched"] + scores["missed"] == 315
    assert scores["recall"] > 0.8
    assert scores["precision"] > 0.7
    assert done.report["images"] == [{"name": name, "points": scores}]
    assert done.report["notes"] == ["points: a find is at most 3 µm from its point; finds are the result's"]
    in_pixels = run_slideseg("evaluate", result, tmp_path / "points" / f"{name}.csv", "--distance", "6px")
    lines = in_pixels.out.splitlines()
    assert lines[0].split() == [
        "image",
        "recall",
        "precision",
        "f1",
        "points",
        "found",
        "matched",
        "missed",
        "doubled",
        "several",
    ]
    assert lines[1].split()[4:7] == ["315", str(scores["found"]), str(scores["matched"])]
    assert [line.split()[:3] for line in lines[3:6]] == [["points", "of", "1"], ["points", "of", "2"], ["points", "of", "3"]]
    assert lines[6].split()[:2] == ["no", "point"]


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (
            (),
            "does not say how large a pixel is (want to compare places up to 3 µm apart; try --distance 6px, or predict",
        ),
        (("--distance", "far"), "no such --distance (got far, want microns above 0 as in 3, or pixels as in 6px)"),
        (("--metrics", "semantic"), "holds points (got --metrics semantic, want --metrics points)"),
    ],
)
def test_what_points_lack_is_one_line(options, told, run_here, tmp_path):
    Image.fromarray(np.eye(20, dtype=np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.csv").write_text("x,y\n3,3\n")
    done = run_here("evaluate", tmp_path / "a.png", tmp_path / "a.csv", *options)
    assert done.status == 2
    assert done.err.startswith("error: ")
    assert told in done.err
    assert done.err.count("\n") == 1


def test_polygons_of_an_export_are_a_truth(coarse, tmp_path):
    """As somebody does who corrects them in QuPath: exported, packed, and compared with the result that they came from."""
    slideseg.objects(coarse)
    done = run_slideseg("export", coarse, "--to", "geojson", "-o", tmp_path / "a.geojson.zip")
    assert done.status == 0, done.err
    done = run_slideseg("evaluate", coarse, tmp_path, "--metrics", "instances", "--frame", "bounds", "--json")
    assert done.status == 0, done.err
    report = done.report
    scores = report["metrics"]["instances"]
    assert (scores["f1"], scores["truth"]) == (1, scores["predicted"])
    assert 0.95 < scores["ap"] < 1, "the slide's last row has no pixel of the result; the nearest one stands in for it"
    done = run_slideseg("evaluate", coarse, tmp_path / "a.geojson", "--metrics", "instances")
    assert (done.status, done.out) == (2, "")
    (line,) = done.err.splitlines()
    assert line.startswith("error: no such annotations")
