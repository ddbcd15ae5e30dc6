"""``slideseg outline`` on a real patch with points, and what it makes as data of a training."""

import shutil

import numpy as np
import pytest
from PIL import Image

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
