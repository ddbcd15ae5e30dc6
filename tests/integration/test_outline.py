"""``slideseg outline`` on a real patch with points, and what it makes as data of a training."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image, ImageFilter

import slideseg
from tests.integration.conftest import run_slideseg

PATCH = "TCGA-A7-A0DB-01Z-00-DX1_168501_13501_1000_1000_0.986"
RECIPE = """
name: points
data:
  mpp: 0.25
  split: {{fraction: 0.5}}
  sources:
{source}
classes: [nucleus]
input: {{channels: 3}}
network: {{base_channels: 4, depth: 2}}
loss: {{bce: 1}}
training: {{epochs: 1, samples: 4, batch: 2, patch: 64}}
"""


def test_points_of_a_real_patch_become_labels_to_learn_from(data, tmp_path):
    """Most points are found by the bundled model; what is made fits the points better than what the model found."""
    folder = data / "he_points_brca_m2c"
    if not folder.is_dir():
        pytest.skip("no he_points_brca_m2c in the real data")
    for kind, ending in (("images", "jpg"), ("points", "csv")):
        (tmp_path / kind).mkdir()
        shutil.copy(folder / kind / f"{PATCH}.{ending}", tmp_path / kind)
    out = tmp_path / "outlines"
    done = run_slideseg(
        "outline", tmp_path / "images", "--points", tmp_path / "points", "-o", out, "--mpp-of-slide", "0.5", "--json"
    )
    assert done.status == 0, done.err
    report = done.report
    assert report["points"] == 315 == report["kept"] + report["parted"] + report["grown"] + report["ignored"]
    assert report["kept"] > 250
    assert report["parted"] > 10
    assert 20 < report["without_point"] < 150
    labels = np.asarray(Image.open(out / "labels" / f"{PATCH}.png"))
    assert labels.shape == (986, 986)
    assert np.asarray(Image.open(out / "images" / f"{PATCH}.png")).shape == (986, 986, 3)
    ids = np.setdiff1d(labels, [0, 65535])
    assert len(ids) == 315 - report["ignored"]
    assert 0.005 < (labels == 65535).mean() < 0.15
    points = np.loadtxt(folder / "points" / f"{PATCH}.csv", delimiter=",", skiprows=1)[:, :2]
    (tmp_path / "fine.csv").write_text("y,x\n" + "".join(f"{2 * y + 0.5},{2 * x + 0.5}\n" for y, x in points))
    outlines = np.where(labels == 65535, 0, labels)
    scores = slideseg.evaluate(outlines, tmp_path / "fine.csv", "points", "12px").points
    assert scores.precision > 0.94  # that of the objects it was made of is 0.77
    assert scores.doubled == 0


def test_what_was_made_is_learnt_from_as_it_is(data, tmp_path):
    """The lines that the command prints are a recipe's source."""
    folder = data / "he_points_brca_m2c"
    if not folder.is_dir():
        pytest.skip("no he_points_brca_m2c in the real data")
    out = tmp_path / "outlines"
    image = Image.open(folder / "images" / f"{PATCH}.jpg").crop((0, 0, 120, 120))
    (tmp_path / "images").mkdir()
    image.save(tmp_path / "images" / "a.png")
    image.transpose(Image.Transpose.ROTATE_180).save(tmp_path / "images" / "b.png")
    points = np.loadtxt(folder / "points" / f"{PATCH}.csv", delimiter=",", skiprows=1)[:, :2]
    points = points[(points < 120).all(1)]
    (tmp_path / "points").mkdir()
    for name, places in (("a", points), ("b", 119 - points)):
        (tmp_path / "points" / f"{name}.csv").write_text("y,x\n" + "".join(f"{y},{x}\n" for y, x in places))
    done = run_slideseg("outline", tmp_path / "images", "--points", tmp_path / "points", "-o", out, "--mpp-of-slide", "0.5")
    assert done.status == 0, done.err
    first, title, *source = done.out.splitlines()
    assert first.startswith(f"{out}: 2 images with {2 * len(points)} points in ")
    assert title == "in a recipe's data.sources:"
    (tmp_path / "recipe.yaml").write_text(RECIPE.format(source="\n".join(source)))
    sheet = tmp_path / "sheet.png"
    shown = run_slideseg("train", tmp_path / "recipe.yaml", "--preview", sheet)
    assert shown.status == 0, shown.err
    assert sheet.exists()


KINDS = """
name: kinds
data:
  mpp: 0.25
  split: {{validation: [c]}}
  sampling: {{foreground: 1}}
  sources:
{source}
classes: [lymphocyte, tumour, border]
target: {{rim: 0.5}}
input: {{channels: 3}}
network: {{base_channels: 8, depth: 2, form: same}}
loss: {{cross_entropy: 1, class_weights: [1, 3, 3, 1]}}
optimiser: {{rate: 0.01}}
training: {{epochs: 6, samples: 160, batch: 4, patch: 64, precision: fp32}}
objects: {{grow: 12, min_area: 20}}
"""
LOOKS = {"lymphocyte": ((70, 40, 120), 9), "tumour": ((150, 90, 170), 15)}
"""Colour and radius of made nuclei."""


def tissue(folder, names="abc", side=240):
    """Write images of nuclei of two kinds, 16 each, and their places with names."""
    rng, (y, x) = np.random.default_rng(5), np.indices((side, side))
    for kind in ("images", "points"):
        (folder / kind).mkdir()
    for name in names:
        image, rows = np.full((side, side, 3), (240, 215, 235), np.float64), ["y,x,class"]
        for place in range(16):
            kind = ("lymphocyte", "tumour")[rng.integers(2)]
            color, radius = LOOKS[kind]
            cy, cx = np.array(divmod(place, 4)) * 60 + 30 + rng.integers(-6, 7, 2)
            image[np.hypot(y - cy, x - cx) < radius] = color
            rows.append(f"{cy},{cx},{kind}")
        noisy = np.clip(image + rng.normal(0, 6, image.shape), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).filter(ImageFilter.GaussianBlur(1)).save(folder / "images" / f"{name}.png")
        (folder / "points" / f"{name}.csv").write_text("\n".join(rows))


@pytest.mark.slow
def test_kinds_of_objects_are_learnt_from_points_with_classes(tmp_path):
    """From points to counts by class, as one types it: each object has its core's class, most of it being border."""
    tissue(tmp_path)
    images, points, out = (tmp_path / name for name in ("images", "points", "outlines"))
    done = run_slideseg("outline", images, "--points", points, "-o", out, "--mpp-of-slide", "0.25")
    assert done.status == 0, done.err
    _, counted, _, *source = done.out.splitlines()
    truths = "".join(file.read_text() for file in points.iterdir())
    assert counted == f"outlines by class: lymphocyte: {truths.count('lymph')}, tumour: {truths.count('tumour')}"
    assert source[-1] == f"    instance_classes: {out}/classes"
    (tmp_path / "recipe.yaml").write_text(KINDS.format(source="\n".join(source)))
    trained = run_slideseg("train", tmp_path / "recipe.yaml", "-o", tmp_path / "run")
    assert trained.status == 0, trained.err
    size = ("--mpp-of-slide", "0.25", "--tissue", "none", "--objects")
    done = run_slideseg("predict", images / "c.png", "-o", tmp_path / "c.zarr", "-m", tmp_path / "run", *size)
    assert done.status == 0, done.err
    result = slideseg.open_result(tmp_path / "c.zarr")
    said = (points / "c.csv").read_text()
    expected = {kind: said.count(kind) for kind in LOOKS}
    assert {entry["class"]: entry["count"] for entry in result.object_counts()} == expected
    class_map, objects = (np.asarray(array) for array in (result.segmentation, result.objects))
    assert set(np.unique(class_map)) == {0, 1, 2, 3}
    for label in np.unique(objects)[1:]:
        cores, border = (np.count_nonzero((objects == label) & kind) for kind in ((class_map % 3) > 0, class_map == 3))
        assert 0 < cores < border
    exported = run_slideseg("export", tmp_path / "c.zarr", "--to", "geojson", "-o", tmp_path / "c.geojson")
    assert exported.status == 0, exported.err
    features = json.loads((tmp_path / "c.geojson").read_text())["features"]
    names = [feature["properties"]["classification"]["name"] for feature in features]
    assert {kind: names.count(kind) for kind in LOOKS} == expected
    for tumour, named in (("tumour", "tumour"), ("2", "tumour"), ("", "no class")):
        (tmp_path / "truth.csv").write_text(said.replace("lymphocyte", "1").replace("tumour", tumour))
        scored = run_slideseg("evaluate", tmp_path / "c.zarr", tmp_path / "truth.csv", "--metrics", "points")
        for line in (
            "found as              lymphocyte  tumour  missed",
            f"points of lymphocyte {expected['lymphocyte']:11}       0       0",
            f"points of {named:10}           0 {expected['tumour']:7}       0",
            "no point                       0       0",
        ):
            assert line in scored.out.splitlines(), scored.out


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ((), "does not say its microns per pixel"),
        (("--mpp-of-slide", "0.5", "-m", "none.safetensors"), "none.safetensors"),
    ],
)
def test_what_can_not_be_outlined_is_one_line(options, told, run_here, tmp_path):
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(tmp_path / "a.png")
    (tmp_path / "a.csv").write_text("y,x\n3,3\n")
    done = run_here("outline", tmp_path / "a.png", "--points", tmp_path / "a.csv", "-o", tmp_path / "out", *options)
    assert done.status == 2
    assert done.err.startswith("error: ")
    assert told in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "out").exists()
