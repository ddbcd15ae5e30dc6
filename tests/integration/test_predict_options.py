"""Level, mpp, tissue, probabilities, flat colours, inexact models: the options of predict, end to end, against a reference."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import zarr
from PIL import Image

import slideseg
from slideseg.model.config import UNetConfig
from slideseg.model.file import read_unet, save_model
from slideseg.model.made_for import MadeFor
from slideseg.model.network.number_format import is_emulated
from slideseg.slide.resampled import ResampledSlide
from slideseg.space.box import Box
from slideseg.testing.models import random_model
from slideseg.testing.slides import PatternSlide, write_pyramid
from tests.integration.conftest import array_bytes, class_map, pixels_of, run_slideseg, whole_class_map


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "m.safetensors"
    return path, random_model(path, UNetConfig(3, 3, 4, 3))


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    """A pyramid of 1500 x 2300 pixels with tissue in the left part and flat white elsewhere."""
    path = tmp_path_factory.mktemp("slide") / "slide.tif"
    image = PatternSlide((1500, 2300)).read(Box(0, 0, 1500, 2300))
    image[:, 1200:] = 243
    write_pyramid(path, image, levels=3, mpp=0.5, compression=None)
    return path


def predict(slide, model, out, *options):
    outcome = run_slideseg("predict", slide, "-m", model[0], "-o", out, "-w", 1, "--json", *options)

    assert outcome.status == 0, outcome.err
    return outcome


def test_a_level_is_segmented_as_an_image_of_its_own(slide, model, tmp_path):
    predict(slide, model, tmp_path / "x.zarr", "--level", 1, "--tissue", "none")
    with slideseg.open_slide(slide) as opened:
        image = opened.read(Box(0, 0, *opened.levels[1].shape), level=1)

    assert (class_map(tmp_path / "x.zarr") == whole_class_map(model[1], image)).all()
    assert slideseg.open_result(tmp_path / "x.zarr").mpp == pytest.approx(1.0)


def test_another_mpp_is_resampled_and_tiles_still_agree_to_the_bit(slide, model, tmp_path):
    predict(slide, model, tmp_path / "a.zarr", "--mpp", 0.7, "--tile", 200, "--tissue", "none")
    predict(slide, model, tmp_path / "b.zarr", "--mpp", 0.7, "--tile", 900, "--tissue", "none")
    working = ResampledSlide(slideseg.open_slide(slide), 0, (0.7 / 0.5, 0.7 / 0.5))
    image = working.read(Box(0, 0, *working.levels[0].shape))

    assert image.shape[:2] == (1071, 1643)
    assert array_bytes(tmp_path / "a.zarr") == array_bytes(tmp_path / "b.zarr")
    assert (class_map(tmp_path / "a.zarr") == whole_class_map(model[1], image)).all()


def test_flat_tiles_are_computed_once_and_are_exact(slide, model, tmp_path):
    outcome = predict(slide, model, tmp_path / "x.zarr", "--tile", 240, "--save-probabilities", "--tissue", "none")

    assert outcome.slide["reused_pixels"] > 500_000
    assert outcome.slide["skipped_pixels"] == 0
    assert (class_map(tmp_path / "x.zarr") == whole_class_map(model[1], pixels_of(slide))).all()


def test_blocks_without_tissue_are_background_whatever_the_tile(slide, model, tmp_path):
    outcome = predict(slide, model, tmp_path / "a.zarr", "--tissue", "auto", "--tile", 200, "--save-probabilities")
    predict(slide, model, tmp_path / "b.zarr", "--tissue", "auto", "--tile", 1100, "--save-probabilities")
    got, reference = class_map(tmp_path / "a.zarr"), whole_class_map(model[1], pixels_of(slide))
    probabilities = zarr.open(str(tmp_path / "a.zarr"), mode="r")["probabilities/0"][:]

    assert array_bytes(tmp_path / "a.zarr") == array_bytes(tmp_path / "b.zarr")
    assert outcome.slide["skipped_pixels"] == 1500 * (2300 - 1280)
    assert (got[:, :1280] == reference[:, :1280]).all()
    assert (got[:, 1280:] == 0).all()
    assert (probabilities[:, :, 1280:].max(axis=(1, 2)) == [255, 0, 0]).all()


def test_a_mask_says_what_is_segmented(slide, model, tmp_path):
    mask = np.zeros((150, 230), np.uint8)
    mask[30:60, 10:20] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    predict(slide, model, tmp_path / "x.zarr", "--tissue", tmp_path / "mask.png")
    got, reference = class_map(tmp_path / "x.zarr"), whole_class_map(model[1], pixels_of(slide))

    assert (got[300:600, 100:200] == reference[300:600, 100:200]).all()
    assert (got[:, 512:] == 0).all()
    assert (got[768:] == 0).all()


def test_probabilities_are_the_bytes_of_the_reference(slide, model, tmp_path):
    predict(slide, model, tmp_path / "x.zarr", "--save-probabilities", "--image", "none", "--tissue", "none")
    loaded, image = model[1], pixels_of(slide)
    padded = np.pad(image, ((loaded.halo,) * 2, (loaded.halo,) * 2, (0, 0)), "reflect")
    with torch.inference_mode():
        p = torch.softmax(loaded.module(loaded.preprocess(padded)), 1)[0].numpy()
    p = p[:, loaded.halo : loaded.halo + 1500, loaded.halo : loaded.halo + 2300]
    got = zarr.open(str(tmp_path / "x.zarr"), mode="r")["probabilities/0"][:]

    assert np.abs(got - 255 * p).max() <= 0.5 + 255e-5


def test_a_network_that_can_not_be_tiled_exactly_says_by_how_much(slide, tmp_path):
    path = tmp_path / "corners.safetensors"
    random_model(path, UNetConfig(3, 2, 4, 3, "bilinear-corners"))
    outcome = predict(slide, (path,), tmp_path / "x.zarr", "--tile", 400, "--inexact")
    tiling = run_slideseg("info", tmp_path / "x.zarr", "--json").report["tiling"]

    assert "can't be tiled exactly" in outcome.err
    assert tiling["exact"] is False
    assert 0 < tiling["max_error"] <= 1
    assert f"{tiling['max_error']:.3f}" in outcome.err
    assert 0 < tiling["other_classes"] < 1
    assert "% of the pixels get another class" in outcome.err
    assert "% of the pixels have another class" in run_slideseg("info", tmp_path / "x.zarr").out


def test_a_png_is_chunked_first_and_the_copy_is_gone_afterwards(slide, model, tmp_path):
    image = pixels_of(slide)[:600, :700]
    Image.fromarray(image).save(tmp_path / "x.png")
    predict(tmp_path / "x.png", model, tmp_path / "x.zarr")

    assert (class_map(tmp_path / "x.zarr") == whole_class_map(model[1], image)).all()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.png", "x.zarr"]


@pytest.mark.parametrize("shape", [(1, 1), (1, 300), (17, 5), (257, 256)])
def test_slides_of_odd_sizes(shape, model, tmp_path):
    image = np.random.default_rng(1).integers(0, 255, (*shape, 3), np.uint8)
    tifffile.imwrite(tmp_path / "x.tif", image, photometric="rgb")
    predict(tmp_path / "x.tif", model, tmp_path / "x.zarr", "--save-probabilities")

    assert (class_map(tmp_path / "x.zarr") == whole_class_map(model[1], image)).all()
    assert run_slideseg("verify", tmp_path / "x.zarr").status == 0


def test_damage_is_found_removed_and_restored(slide, model, tmp_path):
    out = tmp_path / "x.zarr"
    predict(slide, model, out)
    before = array_bytes(out)
    shard = next(out.glob("labels/segmentation/0/c/*/*"))
    shard.write_bytes(shard.read_bytes()[:-7])

    broken = run_slideseg("verify", out, "--repair")
    assert (broken.status, run_slideseg("verify", out).status) == (1, 1)
    assert str(shard.relative_to(out)) in broken.out
    again = predict(slide, model, out)

    assert again.slide["shards"]["computed"] == 1
    assert array_bytes(out) == before
    assert run_slideseg("verify", out).status == 0


def test_a_config_file_gives_options_and_flags_win(slide, model, tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(f"model: {model[0]}\nlevel: 2\nsave-probabilities: true\ntile: 300\n")
    planned = run_slideseg("predict", slide, "--config", config, "--level", 1, "--dry-run", "--json")

    assert planned.status == 0, planned.err
    plan = json.loads(planned.out)["plans"][0]
    assert (plan["level"], plan["save_probabilities"]) == (1, True)
    assert plan["tile"] <= 300


def test_a_slide_of_unknown_size_is_said_in_one_line_and_in_the_report(tmp_path):
    path, image = tmp_path / "half.safetensors", np.zeros((64, 64, 3), np.uint8)
    random_model(path, UNetConfig(3, 3, 4, 3), mpp=0.5)
    np.save(tmp_path / "x.npy", image)
    unsaid = predict(tmp_path / "x.npy", (path,), tmp_path / "x.zarr")
    told = [line for line in unsaid.err.splitlines() if "--mpp-of-slide" in line]

    assert len(told) == 1
    assert "x.npy: how large its pixels are is not known (an npy file says none)" in told[0]
    assert unsaid.report["slides"][0]["notes"] == [told[0].partition("x.npy: ")[2]]
    assert len(run_slideseg("predict", tmp_path / "x.npy", "-m", path, "--dry-run", "--json").report["plans"][0]["notes"]) == 1

    other = run_slideseg("predict", tmp_path / "x.npy", "-m", path, "-o", tmp_path / "x.zarr", "-w", 1, "--mpp-of-slide", "0.5")
    assert (other.status, "another run" in other.err or "exists" in other.err) == (2, True), other.err


@pytest.mark.parametrize("said", ["'0.25,0.5'", "[0.5, 0.25]"])
def test_a_file_of_options_states_the_size_of_pixels(tmp_path, said):
    path, config = tmp_path / "half.safetensors", tmp_path / "c.yaml"
    random_model(path, UNetConfig(3, 3, 4, 3), mpp=0.5)
    np.save(tmp_path / "x.npy", np.zeros((64, 64, 3), np.uint8))
    config.write_text(f"mpp-of-slide: {said}\n")
    stated = predict(tmp_path / "x.npy", (path,), tmp_path / "x.zarr", "--config", config)

    assert "--mpp-of-slide" not in stated.err
    assert stated.report["slides"][0]["notes"] == []
    assert slideseg.open_result(tmp_path / "x.zarr").record.slide.mpp_yx == (0.5, 0.25)
    assert class_map(tmp_path / "x.zarr").shape == (64, 32)


def test_what_the_model_is_made_for_is_told_and_kept_and_slides_unlike_it_are_warned_of(model, tmp_path):
    fluorescence, stained = np.full((300, 300), 10, np.uint8), np.full((300, 300, 3), 240, np.uint8)
    fluorescence[40:70, 40:200], stained[40:200, 40:200] = 200, (200, 110, 160)
    Image.fromarray(fluorescence).save(tmp_path / "dark.png")
    Image.fromarray(stained).save(tmp_path / "stained.png")
    net, _, info = read_unet(Path(model[0]))
    save_model(tmp_path / "h.safetensors", net, replace(info, made_for=MadeFor("cells in H&E", "bright", color=True)))

    told = {
        (name, file.name): predict(tmp_path / name, (file,), tmp_path / f"{name}-{file.name}.zarr").slide
        for name in ("dark.png", "stained.png")
        for file in (tmp_path / "h.safetensors", Path(model[0]))
    }
    warned = {of: [note for note in slide["notes"] if "looks like" in note] for of, slide in told.items()}

    assert [of for of, notes in warned.items() if notes] == [("dark.png", "h.safetensors")]
    assert "dark field and grey" in warned["dark.png", "h.safetensors"][0]
    assert told["dark.png", "h.safetensors"]["model"] == f"{info.name}, made for cells in H&E (bright field, in colour)"
    record = slideseg.open_result(tmp_path / "dark.png-h.safetensors.zarr").record
    assert record.model.made_for == MadeFor("cells in H&E", "bright", color=True)
    again = run_slideseg(
        "predict", tmp_path / "stained.png", "-m", tmp_path / "h.safetensors", "-o", tmp_path / "b.zarr", "-w", 1
    )
    assert [line for line in again.out.splitlines() if "made for" in line] == [
        f"model: {told['dark.png', 'h.safetensors']['model']}"
    ]


@pytest.mark.skipif(is_emulated("int8"), reason="this processor has no instructions for int8")
def test_int8_is_told_how_near_it_is_and_does_not_depend_on_tiles(run_here, slide, model, tmp_path):
    words = ("predict", slide, "-m", model[0], "-w", 1, "--json", "--precision", "int8")
    done = run_here(*words, "-o", tmp_path / "one.zarr")
    assert done.status == 0, done.err
    assert any(note.startswith("int8 gives ") for note in done.slide["notes"])
    assert run_here(*words, "-o", tmp_path / "other.zarr", "--tile", 384).status == 0
    assert array_bytes(tmp_path / "one.zarr") == array_bytes(tmp_path / "other.zarr")
    again = run_here(*words, "-o", tmp_path / "one.zarr")
    assert (again.status, again.slide["shards"]["computed"]) == (0, 0)
    fp32 = run_here("predict", slide, "-m", model[0], "-w", 1, "--json", "-o", tmp_path / "one.zarr")
    assert "--precision differs (got int8, want fp32; try --precision int8" in fp32.err
