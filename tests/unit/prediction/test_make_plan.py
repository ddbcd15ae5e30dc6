"""What a plan decides: level, tile, memory, and what makes two runs the same."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pytest
import tifffile
import torch

from slideseg.errors import ConfigError, ModelError
from slideseg.machine import usable_cores
from slideseg.model.config import UNetConfig
from slideseg.model.stored import read_info
from slideseg.prediction.choices import devices
from slideseg.prediction.make_plan import _doubts, _of_file, make_plan
from slideseg.prediction.options import PredictOptions
from slideseg.slide.array import ArraySlide
from slideseg.slide.facts import Channel, Image
from slideseg.testing.models import random_model
from slideseg.testing.slides import PatternSlide, write_pyramid

MODEL = UNetConfig(3, 3, 8, 3)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plan")
    random_model(folder / "m.safetensors", MODEL)
    random_model(folder / "half.safetensors", MODEL, mpp=0.5)
    random_model(folder / "corners.safetensors", replace(MODEL, upsampling="bilinear-corners"))
    write_pyramid(folder / "slide.tif", PatternSlide((3000, 2500)), levels=3, mpp=0.25)
    np.save(folder / "plain.npy", np.zeros((700, 600, 3), np.uint8))
    return folder


def plan(folder, slide="slide.tif", **options):
    options.setdefault("model", str(folder / "m.safetensors"))
    return make_plan(str(folder / slide), str(folder / "out.zarr"), PredictOptions(**options))


def test_a_model_without_mpp_works_at_level_0(folder):
    one = plan(folder, tissue="none")

    assert (one.job.source.level, one.job.source.factors, one.mpp) == (0, (1.0, 1.0), 0.25)
    assert one.job.grid.shape_yx == (3000, 2500)
    assert one.skipped_pixels == 0


def test_the_model_s_mpp_picks_the_level(folder):
    half = str(folder / "half.safetensors")

    assert plan(folder, model=half).job.source.level == 1
    assert plan(folder, model=half).job.grid.shape_yx == (1500, 1250)
    assert plan(folder, model=half, level=0).job.grid.shape_yx == (3000, 2500)
    assert plan(folder, "plain.npy", model=half).job.source.factors == (1.0, 1.0)


def test_an_mpp_between_levels_is_resampled_from_the_finer_one(folder):
    one = plan(folder, mpp=0.375)

    assert (one.job.source.level, one.job.source.factors) == (0, (1.5, 1.5))
    assert one.job.grid.shape_yx == (2000, 1667)
    assert one.mpp == pytest.approx(0.375)


def test_workers_share_the_machine_with_one_thread_each(folder):
    assert plan(folder, workers=1).job.threads == torch.get_num_threads()
    assert plan(folder, workers=3).job.threads == 1
    assert 1 <= plan(folder).workers <= usable_cores()


def test_what_is_done_before_others_had_started_needs_no_others(monkeypatch):
    monkeypatch.setattr(devices, "usable_cores", lambda: 4)
    enough = devices.RAY_SECONDS * devices.CORE_RATE * 4
    assert devices.choose_workers(PredictOptions(), "cpu", 9, 0.9 * enough) == 1
    assert devices.choose_workers(PredictOptions(), "cpu", 9, 1.1 * enough) == 4
    assert devices.choose_workers(PredictOptions(), "cpu", 3, 1.1 * enough) == 3
    assert devices.choose_workers(PredictOptions(workers=2), "cpu", 9, 0) == 2, "as somebody said"


@pytest.mark.parametrize("tile", [300, 640, 5000])
def test_a_tile_is_a_core_with_its_reach_on_the_grid(folder, tile):
    one = plan(folder, tile=tile)

    assert one.tile <= tile
    assert one.job.tiling.core % 8 == 0
    assert one.job.tiling.core <= one.job.grid.side


def test_less_memory_makes_smaller_tiles_that_fit_it(folder):
    sizes = [plan(folder, memory=memory, workers=1) for memory in ("4GiB", "700MiB", "600MiB")]

    assert [one.worker_memory <= limit * 2**20 for one, limit in zip(sizes, (4096, 700, 600), strict=True)] == [True] * 3
    assert sizes[0].job.tiling.core > sizes[2].job.tiling.core


def test_what_decides_the_bytes_is_the_run(folder):
    base = plan(folder, tissue="none", workers=1)

    for same in ({"workers": 2}, {"tile": 400}, {"batch": 2}, {"memory": "700MiB"}):
        assert plan(folder, **{"tissue": "none", "workers": 1, **same}).identity == base.identity
    for other in (
        {"level": 1},
        {"mpp": 0.4},
        {"range": "auto"},
        {"range": (0, 200)},
        {"save_probabilities": True},
        {"image": "none"},
        {"tissue": "auto"},
    ):
        assert plan(folder, **{"tissue": "none", "workers": 1, **other}).identity != base.identity
    assert plan(folder, tissue="none", model=str(folder / "half.safetensors"), level=0).identity != base.identity


def test_a_slide_that_was_touched_or_copied_is_the_same_run(folder):
    base = plan(folder, tissue="none").identity
    os.utime(folder / "slide.tif", (1, 1))
    shutil.copyfile(folder / "slide.tif", folder / "copy.tif")
    assert plan(folder, tissue="none").identity == plan(folder, "copy.tif", tissue="none").identity == base
    with (folder / "copy.tif").open("ab") as file:
        file.write(b"more")
    assert plan(folder, "copy.tif", tissue="none").identity != base


def test_a_network_that_can_not_be_tiled_exactly_has_its_windows_in_the_run(folder):
    corners = str(folder / "corners.safetensors")

    def identity(**options):
        return plan(folder, model=corners, inexact=True, **options).identity

    assert identity(workers=1) == identity(workers=4) == identity(memory="3GiB") == identity(tile=640)
    assert identity(tile=400).window == 384
    assert identity(tile=400) != identity()
    with pytest.raises(ConfigError, match=r"the tile is too small for this network \(got 4, want at least \d+\)"):
        identity(tile=4)
    with pytest.raises(ModelError, match=r"can't be tiled exactly: its upsampling .* makes .*\(try --inexact, which"):
        plan(folder, model=corners)


def test_a_plan_describes_itself_in_json_s_types(folder):
    described = plan(folder, tissue="auto").describe()

    assert described["exact"] is True
    assert described["pixels"] == 7_500_000
    assert 0 <= described["skipped_pixels"] < described["pixels"]
    assert described["tiles"] >= described["shards"] * (described["skipped_pixels"] == 0)
    assert {"slide", "level", "mpp", "tile", "halo", "shards", "memory_per_worker", "disk"} <= set(described)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"workers": 0}, "there must be a worker"),
        ({"batch": 0}, "batch can't be like that"),
        ({"level": -1}, "level counts from 0"),
        ({"mpp": float("nan")}, "mpp can't be like that"),
        ({"tile": 50}, "the tile is too small"),
        ({"level": 9}, "has no level 9"),
        ({"memory": "1kB"}, "does not hold one tile"),
        ({"device": "cuda"}, "no GPU is usable here"),
        ({"mpp": 0.5, "level": 1}, "exclude each other"),
    ],
)
def test_what_can_not_work_is_refused(folder, options, message):
    with pytest.raises(ConfigError, match=message):
        plan(folder, **options)


def test_a_format_that_the_processor_emulates_is_refused(folder, monkeypatch):
    monkeypatch.setattr("slideseg.model.network.number_format.is_emulated", lambda name: name == "bf16")
    with pytest.raises(ConfigError, match=r"this processor has no bf16"):
        plan(folder, precision="bf16")
    assert plan(folder, precision="fp16").job.tiling.precision == "fp16"


def test_the_machine_that_plans_must_have_int8_too(folder, monkeypatch):
    """It compares it with fp32, which sums that are cut off would spoil."""
    monkeypatch.setattr("slideseg.model.network.number_format.is_emulated", lambda name: name == "int8")
    with pytest.raises(ConfigError, match="no instructions for sums of int8"):
        plan(folder, precision="int8", address="10.0.0.1:6379")


def test_int8_is_not_for_gpus(folder):
    with pytest.raises(ConfigError, match=r"int8 is for CPUs \(got --device cuda; try --device cpu"):
        plan(folder, precision="int8", device="cuda", address="10.0.0.1:6379")


def test_a_model_for_other_channels_is_refused(folder, tmp_path):
    random_model(tmp_path / "grey.safetensors", replace(MODEL, in_channels=1))
    with pytest.raises(ModelError, match=r"got 3 channel\(s\), want 1"):
        plan(folder, model=str(tmp_path / "grey.safetensors"))


class Noted(ArraySlide):
    """A slide of whose file much was decided."""

    notes = tuple(f"level {number} is not used" for number in range(1, 9))


def test_of_many_notes_a_few_are_said_and_where_the_others_are():
    assert _of_file(ArraySlide(np.zeros((9, 9), np.uint8))) == ()
    assert _of_file(Noted(np.zeros((9, 9), np.uint8))) == (
        *Noted.notes[:4],
        "and 4 notes more of this file: try slideseg info",
    )


def test_what_was_decided_of_a_file_is_in_the_plan(tmp_path, folder):
    np.save(tmp_path / "x.npy", np.zeros((64, 64, 3), np.uint8))
    other = np.random.default_rng(1).integers(0, 255, (2, 128, 128, 3), np.uint8)
    with tifffile.TiffWriter(tmp_path / "x.tif") as writer:
        writer.write(other[0], tile=(64, 64), photometric="rgb", metadata=None)
        writer.write(other[1, ::2, ::2], tile=(64, 64), photometric="rgb", metadata=None)

    assert plan(folder, tmp_path / "x.npy", tissue="none").notes == ()
    (note,) = plan(folder, tmp_path / "x.tif", tissue="none").notes
    assert note.startswith("its resolution of 64 x 64 is not used")


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("wsi/aperio/CMU-1-Small-Region.svs", None),
        ("wsi/ndpi/test3-DAPI-2-387.ndpi", None),
        ("reported/c33_dicom_padded/l0.dcm", None),
        ("reported/c21_33003.svs", "JPEG 2000 streams are YCbCr"),
        ("reported/c11_dicom_jpeg_named_rgb/level0.dcm", "read as YCbCr"),
        ("reported/c04_missing_tiles.tif", "2 of its 12 tiles hold no data"),
        ("reported/c02_aniso_tags.tif", "pixels are not square"),
    ],
)
def test_of_ordinary_slides_nothing_is_said(data, folder, name, told):
    notes = plan(folder, data / name, model=str(folder / "half.safetensors"), tissue="none").notes
    assert any(told in note for note in notes) if told else notes == ()


class Fluorescence(ArraySlide):
    """Three channels that are no colours, one of two slides of a file."""

    channels = (Channel("DAPI"), Channel("FITC"), Channel("Cy3"))
    is_rgb = False
    images = (Image(0, "slide", (9, 9), "yx", used=True), Image(1, "macro", (9, 9), "yx"), Image(2, "slide", (9, 9), "yx"))


def test_what_may_not_be_meant_is_said(folder):
    info = read_info(folder / "m.safetensors")
    image = np.zeros((9, 9, 3), np.uint8)
    assert _doubts(ArraySlide(image), info) == ()
    others, colours = _doubts(Fluorescence(image), info)
    assert others == "the file has other slides too, which are left out: try --series 2"
    assert colours == "its channels DAPI, FITC, Cy3 are taken for red, green and blue: try --channel DAPI"
