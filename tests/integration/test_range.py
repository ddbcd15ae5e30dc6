"""Values of black and white: one picture in 8, 10 and 12 bits and as floats gives the same objects, or a note why not."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import slideseg
from slideseg.demo.slide import TISSUE
from slideseg.testing.slides import write_pyramid
from tests.damage import as_of_an_older_version
from tests.integration.conftest import array_bytes, class_map, run_slideseg

CHANGED = {
    "12 bits": lambda pixels: pixels.astype(np.uint16) << 4,
    "10 bits": lambda pixels: pixels.astype(np.uint16) << 2,
    "floats": lambda pixels: 16 * pixels.astype(np.float32),
}
WHITE = {"8 bits": 255, "12 bits": 4080, "10 bits": 1020, "floats": 4080}


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    """A piece of real tissue, in each form."""
    folder = tmp_path_factory.mktemp("slides")
    pixels = np.array(Image.open(next(TISSUE.glob("09_1.*"))))[:400, :400]
    write_pyramid(folder / "8 bits.tif", pixels, compression=None, mpp=0.25)
    for name, change in CHANGED.items():
        write_pyramid(folder / f"{name}.tif", change(pixels), compression=None, mpp=0.25)
    return folder


def predict(slide: Path, out: Path, **options):
    (report,) = slideseg.predict(slide, out, workers=1, objects=True, overwrite=True, **options).slides
    return report


@pytest.fixture(scope="module")
def wanted(slides, tmp_path_factory):
    out = tmp_path_factory.mktemp("wanted") / "8.zarr"
    report = predict(slides / "8 bits.tif", out)
    assert report.warnings == ()
    assert report.objects > 10
    return report.objects, class_map(out)


@pytest.mark.parametrize("name", list(CHANGED))
def test_the_same_picture_in_other_values_is_noted_and_the_range_brings_its_objects_back(name, slides, wanted, tmp_path):
    objects, labels = wanted
    told = predict(slides / f"{name}.tif", tmp_path / "x.zarr")
    right = predict(slides / f"{name}.tif", tmp_path / "y.zarr", range=(0, WHITE[name]))

    assert told.objects != objects
    assert [note for note in told.warnings if "--range auto" in note and "--range 0," in note]
    assert (right.objects, right.warnings) == (objects, ())
    assert (class_map(tmp_path / "y.zarr") == labels).all()


def test_auto_gives_the_same_in_all_of_them(slides, wanted, tmp_path):
    found = {}
    for name in WHITE:
        report = predict(slides / f"{name}.tif", tmp_path / "x.zarr", range="auto")
        assert report.warnings == ()
        found[name] = class_map(tmp_path / "x.zarr")

    assert report.objects == pytest.approx(wanted[0], rel=0.1)
    assert all((labels == found["8 bits"]).all() for labels in found.values())


def test_the_table_of_objects_and_the_record_have_the_slide_s_own_values(slides, tmp_path):
    predict(slides / "12 bits.tif", tmp_path / "x.zarr", range="0,4080")
    result = slideseg.open_result(tmp_path / "x.zarr")
    means = [name for name in result.table.column_names if name.startswith("mean_") and "prob" not in name]

    assert result.record.settings.range == result.record.run.range == (0, 4080)
    assert means
    assert max(max(result.table[name].to_pylist()) for name in means) > 255


@pytest.mark.ray
def test_auto_is_the_same_for_any_workers_and_a_run_with_another_range_is_another(slides, tmp_path):
    words = ("predict", slides / "12 bits.tif", "--range", "auto", "--tile", 300, "--json")
    outs = [tmp_path / f"{workers}.zarr" for workers in (1, 2)]
    for workers, out in enumerate(outs, 1):
        outcome = run_slideseg(*words, "-w", workers, "-o", out)
        assert outcome.status == 0, outcome.err
    assert array_bytes(outs[0]) == array_bytes(outs[1])

    assert run_slideseg(*words, "-w", 1, "-o", outs[0]).slide["shards"]["computed"] == 0
    other = run_slideseg("predict", slides / "12 bits.tif", "--range", "0,4095", "-w", 1, "-o", outs[0])
    assert other.status == 2
    assert "holds another run's result: --range differs" in other.err


def test_a_result_of_an_earlier_version_is_opened_and_resumed(slides, tmp_path):
    out = tmp_path / "x.zarr"
    predict(slides / "8 bits.tif", out)
    as_of_an_older_version(out)
    root = out / "zarr.json"
    said = json.loads(root.read_text())
    del said["attributes"]["slideseg"]["run"]["range"], said["attributes"]["slideseg"]["settings"]["range"]
    root.write_text(json.dumps(said))

    assert slideseg.open_result(out).record.run.range is None
    (report,) = slideseg.predict(slides / "8 bits.tif", out, workers=1, objects=True).slides
    assert report.shards.kept == report.shards.total


@pytest.mark.parametrize(("words", "config"), [(("--range", "0,4080"), ""), ((), "range: [0, 4080]"), ((), 'range: "0,4080"')])
def test_the_plan_says_the_range_from_flags_and_files(words, config, slides, tmp_path):
    (tmp_path / "c.yaml").write_text(config)
    asked = (
        "predict",
        slides / "12 bits.tif",
        "-o",
        tmp_path / "x.zarr",
        "--dry-run",
        "-w",
        1,
        "--config",
        tmp_path / "c.yaml",
    )
    plan = run_slideseg(*asked, *words, "--json")

    assert plan.status == 0, plan.err
    assert "nearly all values" not in plan.err
    assert plan.report["plans"][0]["range"] == [0, 4080]


def test_the_plan_says_the_range_in_words(slides):
    made = slideseg.plan(slides / "12 bits.tif", range="0,4080", workers=1)
    assert "0 to 4080 are black to white" in str(made)


def test_info_and_the_plan_note_it_and_a_wrong_range_is_one_line(slides, tmp_path):
    slide = slides / "12 bits.tif"
    note = "nearly all values are"
    plan = run_slideseg("predict", slide, "-o", tmp_path / "x.zarr", "--dry-run", "-w", 1)
    refused = run_slideseg("predict", slide, "-o", tmp_path / "x.zarr", "--range", "5")

    assert note in plan.err
    assert note in run_slideseg("info", slide).out
    assert note not in run_slideseg("info", slides / "8 bits.tif").out
    assert refused.status == 2
    assert refused.err.count("\n") == 1
    assert "want auto, or LOW,HIGH" in refused.err


def test_tissue_is_found_by_the_same_white(tmp_path):
    """Else glass in 12 bits would be darkness, and tissue what is brightest."""
    pixels = np.full((2048, 3072, 3), 243, np.uint8)
    tile = np.array(Image.open(next(TISSUE.glob("09_1.*"))))
    pixels[500:1500, 500:1500] = np.tile(tile, (4, 4, 1))[:1000, :1000]
    kept = {}
    for name, image, limits in (("8", pixels, None), ("12", pixels.astype(np.uint16) << 4, (0, 4080))):
        tifffile.imwrite(tmp_path / f"{name}.tif", image, tile=(256, 256), photometric="rgb")
        plan = slideseg.plan(tmp_path / f"{name}.tif", tmp_path / f"{name}.zarr", mpp_of_slide=0.25, range=limits, workers=1)
        kept[name] = plan.skipped_pixels

    assert kept["12"] == kept["8"] > 0
