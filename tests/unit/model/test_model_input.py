"""What a model says of its input: black and white, and the names of its channels."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import torch

import slideseg
from slideseg.errors import ModelError, SlideError
from slideseg.model.info import ModelInfo, ModelInput
from slideseg.model.together.model import check_ranges, info_together
from slideseg.model.together.use import Use
from slideseg.training.recipe.reading import parse_config

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ("DAPI", "CD3", "CD8")
INPUT = ModelInput(2, 0.5, (0.1, 0.2), (0.5, 0.5), "auto", ("CD8", "DAPI"))


def model(**said) -> slideseg.Model:
    net = torch.nn.Conv2d(2, 2, 3, padding=1)
    torch.nn.init.constant_(net.weight, 0.0)
    net.weight.data[1, 0, 1, 1] = 1.0  # the first channel decides
    net.bias.data[:] = torch.tensor([0.5, 0.0])
    return slideseg.Model(net, classes=["background", "bright"], mean=(0.0,) * 2, std=(1.0,) * 2, **said)


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pixels = np.random.default_rng(0).integers(0, 900, (3, 64, 80), np.uint16)
    path: Path = tmp_path_factory.mktemp("slide") / "x.ome.tif"
    tifffile.imwrite(path, pixels, metadata={"axes": "CYX", "Channel": {"Name": list(NAMES)}}, photometric="minisblack")
    return path


def segmented(slide: Path, out: Path, given: slideseg.Model, **options):
    slideseg.predict(slide, output=out, model=given, workers=1, tissue="none", **options)
    return slideseg.open_result(out)


def test_a_file_keeps_it_and_leaves_out_what_is_not_said() -> None:
    assert ModelInput.from_json(INPUT.to_json()) == INPUT
    with_numbers = replace(INPUT, range=(0.0, 4095.0), names=())
    assert ModelInput.from_json(with_numbers.to_json()) == with_numbers
    assert set(replace(INPUT, range=None, names=()).to_json()) == {"channels", "mpp", "normalisation"}
    info = slideseg.load_model("nuclei").info
    info = replace(info, input=replace(info.input, range="auto", names=NAMES))
    assert ModelInfo.from_json(info.to_json()) == info


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"range": (2.0, 1.0)}, "range can't be used"),
        ({"range": (1.0,)}, "range can't be used"),
        ({"range": "often"}, "range can't be used"),
        ({"names": ("a",)}, r"names of the model's channels can't be used \(got a, want 2 different names"),
        ({"names": ("a", "a")}, "names of the model's channels"),
        ({"names": ("a", "\x1b")}, "names of the model's channels"),
        ({"names": (1, 2)}, "names of the model's channels"),
        ({"names": ("a", "A ")}, "names of the model's channels"),
        ({"names": ("a", " ")}, "names of the model's channels"),
    ],
)
def test_what_no_slide_has_is_refused(said: dict, words: str) -> None:
    with pytest.raises(ModelError, match=words):
        replace(model().info, input=replace(model().info.input, **said))


def test_its_channels_are_found_by_name_and_its_user_has_the_last_word(slide: Path, tmp_path: Path) -> None:
    pixels = tifffile.imread(slide)
    found = segmented(slide, tmp_path / "x.zarr", model(channel=("CD8", "DAPI"), range=(0, 900)))
    np.testing.assert_array_equal(found.segmentation, pixels[2] > 450)
    assert found.record.run.selection.channels == ("CD8", "DAPI")
    asked = segmented(slide, tmp_path / "y.zarr", model(channel=("CD8", "DAPI"), range=(0, 900)), channel="CD3, CD8")
    np.testing.assert_array_equal(asked.segmentation, pixels[1] > 450)
    with pytest.raises(
        ModelError, match=r"other channels than model Conv2d sees \(got DAPI, CD3, CD8, want CD4, DAPI; try --ch"
    ):
        segmented(slide, tmp_path / "z.zarr", model(channel=("CD4", "DAPI")))
    pair = tmp_path / "pair.ome.tif"
    tifffile.imwrite(pair, pixels[:2], metadata={"axes": "CYX", "Channel": {"Name": ["FOO ", "CD3"]}}, photometric="minisblack")
    with pytest.raises(ModelError, match=r"\(got FOO, CD3, want DAPI, CD3; try --channel, to say which they are\)"):
        segmented(pair, tmp_path / "z.zarr", model(channel=NAMES[:2]))
    said = segmented(pair, tmp_path / "z.zarr", model(channel=NAMES[:2], range=(0, 900)), channel=["FOO ", "1"])
    np.testing.assert_array_equal(said.segmentation, pixels[0] > 450)
    with pytest.raises(SlideError, match=r"has no such channel \(got CD4"):
        segmented(slide, tmp_path / "z.zarr", model(), channel="CD3,CD4")


def test_black_and_white_are_the_model_s_unless_its_user_says_others(slide: Path, tmp_path: Path) -> None:
    pixels = tifffile.imread(slide)[:2]
    low, high = np.percentile(pixels, (0.1, 99.9), axis=(1, 2), method="nearest")
    auto = segmented(slide, tmp_path / "x.zarr", model(channel=NAMES[:2], range="auto"))
    assert auto.record.settings.range == (tuple(low), tuple(high))
    np.testing.assert_array_equal(auto.segmentation, (pixels[0] - low[0]) / (high[0] - low[0]) > 0.5)
    said = segmented(slide, tmp_path / "y.zarr", model(channel=NAMES[:2], range="auto"), range="0,200")
    np.testing.assert_array_equal(said.segmentation, pixels[0] > 100)
    in_memory = slideseg.segment(np.moveaxis(pixels, 0, -1), model(range="auto"))
    np.testing.assert_array_equal(in_memory, auto.segmentation)


def test_models_that_see_other_channels_or_values_do_not_go_together() -> None:
    named = [model(channel=NAMES[:2]).info, model(channel=NAMES[1::-1]).info]
    with pytest.raises(ModelError, match=r"they see other channels \(got CD3, DAPI, want DAPI, CD3"):
        info_together(named, Use())
    assert info_together([model().info, named[0]], Use()).input.names == NAMES[:2]
    with pytest.raises(ModelError, match=r"other values for black and white \(got their type's, want auto; try --range"):
        check_ranges([model(range="auto").info, model().info])


def test_models_with_other_values_go_together_where_these_are_said(slide: Path, tmp_path: Path) -> None:
    both = [model(range="auto"), model()]
    with pytest.raises(ModelError, match="other values for black and white"):
        segmented(slide, tmp_path / "x.zarr", both, channel="0,1")  # type: ignore[arg-type]
    found = segmented(slide, tmp_path / "x.zarr", both, channel="0,1", range="0,900")  # type: ignore[arg-type]
    np.testing.assert_array_equal(found.segmentation, tifffile.imread(slide)[0] > 450)


def test_a_model_that_learnt_from_percentiles_says_so() -> None:
    def learnt(*ranges):
        sources = [{"images": "a", "labels": "b", "labels_are": "instances", "range": limits} for limits in ranges]
        fields = {"name": "m", "data": {"sources": sources}, "classes": ["cell"], "loss": {"bce": 1}}
        return parse_config(fields, "test").model_input((0.0,), (1.0,)).range

    assert learnt("auto", "auto") == "auto"
    assert learnt("auto", [0, 100]) is learnt([0, 100]) is learnt(None) is None
