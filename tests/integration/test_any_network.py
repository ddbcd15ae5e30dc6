"""Other people's networks through the real commands: as one pass over the whole image, whatever the tiles and the workers."""

import subprocess
import sys

import numpy as np
import pytest
import tifffile
import torch

import slideseg
from tests.integration.conftest import array_bytes, class_map, pixels_of, run_slideseg, whole_class_map
from tests.unit.model.others.networks import MONAI, monai_unet

IMAGE = np.random.default_rng(0).integers(0, 256, (300, 700, 3), np.uint8)
CLASSES = ("--classes", "background,cell,edge")


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "slide.tif"
    tifffile.imwrite(path, IMAGE, tile=(256, 256), photometric="rgb")
    return path


def imported(folder, norm):
    torch.save(monai_unet(norm=norm).state_dict(), folder / f"{norm}.pth")
    words = [word for name, value in (MONAI | {"norm": norm}).items() for word in ("-s", f"{name}={value}")]
    made = run_slideseg("model", "import", folder / f"{norm}.pth", "--network", "monai.UNet", *words, *CLASSES, cwd=folder)
    assert made.status == 0, made.err
    assert made.out.strip() == f"{norm}.model"
    return folder / f"{norm}.model", made


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return imported(tmp_path_factory.mktemp("batch"), "batch")[0]


@pytest.fixture(scope="module")
def inexact(tmp_path_factory):
    return imported(tmp_path_factory.mktemp("instance"), "instance")


def predicted(slide, out, *options):
    done = run_slideseg("predict", slide, "-o", out, "--tissue", "none", "--save-probabilities", "--json", *options)
    assert done.status == 0, done.err
    return done


@pytest.mark.ray
def test_tiles_batches_and_workers_equal_the_whole_slide(slide, model, tmp_path):
    ways = [("-w", 1), ("-w", 1, "--tile", 128), ("-w", 1, "--tile", 96, "--batch", 2), ("-w", 2)]
    reference = whole_class_map(slideseg.load_model(model), pixels_of(slide))
    assert np.bincount(reference.ravel(), minlength=3).min() > 100
    found = []
    for number, options in enumerate(ways):
        predicted(slide, tmp_path / f"{number}.zarr", "-m", model, *options)
        assert (class_map(tmp_path / f"{number}.zarr") == reference).all()
        found.append(np.asarray(slideseg.open_result(tmp_path / f"{number}.zarr").probabilities).astype(int))
    assert max(int(np.abs(p - found[0]).max()) for p in found) <= 1  # of 255, where rounding is on the edge
    assert array_bytes(tmp_path / "0.zarr") == array_bytes(tmp_path / "3.zarr")
    tiling = slideseg.open_result(tmp_path / "0.zarr").record.tiling
    assert (tiling.exact, tiling.stride, tiling.max_error) == (True, 4, 0.0)


@pytest.mark.ray
def test_frozen_statistics_make_tiles_equal_the_whole_slide(slide, inexact, tmp_path):
    model, made = inexact
    assert "can't be tiled exactly: model.0" in made.err
    frozen = ("-m", model, "--freeze-statistics")
    done = [
        predicted(slide, tmp_path / f"{at}.zarr", *frozen, *way) for at, way in enumerate([("-w", 1), ("-w", 2, "--tile", 96)])
    ]
    maps = [class_map(tmp_path / f"{at}.zarr") for at in range(2)]
    assert (maps[0] == maps[1]).all()
    assert "statistics are those of the slide's tissue" in done[0].err
    record = slideseg.open_result(tmp_path / "0.zarr").record
    assert (record.tiling.exact, record.settings.freeze_statistics) == (True, True)
    predicted(slide, tmp_path / "w.zarr", "-m", model, "--inexact", "-w", 1, "--tile", 96)
    predicted(slide, tmp_path / "v.zarr", "-m", model, "--inexact", "-w", 1, "--tile", 96, "--batch", 3, "--memory", "900MiB")
    assert (class_map(tmp_path / "w.zarr") != maps[0]).any()
    assert array_bytes(tmp_path / "w.zarr") == array_bytes(tmp_path / "v.zarr")
    tiling = slideseg.open_result(tmp_path / "w.zarr").record.tiling
    assert (tiling.exact, tiling.window, tiling.stride) == (False, 96, 64)
    assert 0 < tiling.max_error < 1


SCRIPT = """
import sys, torch, slideseg
class Mine(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b = torch.nn.Conv2d(3, 8, 5, padding=2), torch.nn.Conv2d(8, 3, 3, padding=1)
    def forward(self, x):
        return self.b(torch.relu(self.a(x - 0.5)))
if __name__ == "__main__":
    torch.manual_seed(0)
    slide, out, workers = sys.argv[1:]
    model = slideseg.Model(Mine(), classes=["background", "cell", "edge"])
    report = slideseg.predict(slide, output=out, model=model, workers=int(workers), tissue="none", tile=96)
    assert report.slides[0].status == "ok", report
"""


@pytest.mark.ray
def test_a_class_of_a_script_of_ones_own_travels_to_workers(slide, tmp_path):
    (tmp_path / "mine.py").write_text(SCRIPT)
    words = [sys.executable, "mine.py", str(slide), "2.zarr", "2"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    assert done.returncode == 0, done.stderr
    found = class_map(tmp_path / "2.zarr")
    assert len(np.unique(found)) == 3
    mine: dict = {"__name__": "mine"}
    exec(SCRIPT, mine)
    torch.manual_seed(0)
    assert (found == slideseg.segment(IMAGE, slideseg.Model(mine["Mine"](), classes=CLASSES[1].split(",")))).all()
    assert slideseg.open_result(tmp_path / "2.zarr").record.model.name == "Mine"


def test_refusals_are_one_line(tmp_path, run_here):
    (tmp_path / "w.pth").write_bytes(b"x")
    for words, said in [
        (("w.pth", "--network", "monai.UNet", "-s", "x"), "an argument can't be read (got x, want NAME=VALUE)"),
        (("w.pth", "-s", "x=1"), "--set is for the class that --network names"),
        (("w.pth", "--network", "keras.UNet"), "it is not said what network the weights are of"),
        (("none",), "no such checkpoint"),
    ]:
        done = run_here("model", "import", *words, "-o", tmp_path / "m", cwd=tmp_path)
        assert done.status == 2
        assert said in done.err
        assert done.err.count("\n") == 1
