"""Models together, in views, smoothed: tiles equal one pass over the whole image, and the mean is the mean."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import slideseg
from slideseg.errors import ConfigError, ModelError
from slideseg.model.config import UNetConfig
from slideseg.model.file import save_model
from slideseg.model.info import ModelInfo, ModelInput
from slideseg.model.load import load_model
from slideseg.model.network.unet import UNet
from slideseg.model.stated import Stated
from slideseg.model.together.model import info_together, sha256_together, use_of
from slideseg.model.together.use import Use
from slideseg.prediction import in_memory
from slideseg.slide.array import ArraySlide
from slideseg.testing.models import random_model
from tests.unit.model.others.small import CLASSES, Small, trained

IMAGE = np.random.default_rng(0).integers(0, 256, (110, 141, 3), np.uint8)


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    random_model(folder / "a.safetensors", UNetConfig(3, 3, 4, 2))
    random_model(folder / "b.safetensors", UNetConfig(3, 3, 4, 3, "bilinear"), seed=1)
    random_model(folder / "one.safetensors", UNetConfig(3, 1, 4, 1), seed=2)
    return {name: folder / f"{name}.safetensors" for name in ("a", "b", "one")}


def whole(model) -> np.ndarray:
    """Return the probabilities of one pass over the mirror-padded image."""
    halo = model.halo
    padded = np.pad(IMAGE, ((halo, halo), (halo, halo), (0, 0)), "reflect")
    with torch.inference_mode():
        logits = model.module(model.preprocess(padded))[0, :, halo:-halo, halo:-halo].double()
    return (logits.sigmoid() if len(logits) == 1 else logits.softmax(0)).numpy()


WAYS = [
    (("a",), Use("flips")),
    (("a",), Use("d4")),
    (("a",), Use("scales")),
    (("b",), Use("scales")),
    (("one",), Use("d4", 0.7)),
    (("a",), Use(smooth=1.5)),
    (("a", "b"), Use()),
    (("a", "b"), Use("flips", 0.6)),
    (("a", "b"), Use("scales", 1.0)),
]


@pytest.mark.parametrize(("names", "use"), WAYS)
def test_tiles_of_any_size_equal_the_whole(names, use, paths, monkeypatch):
    model = load_model([paths[name] for name in names], tta=use.tta, smooth=use.smooth)
    want = whole(model)
    ids = want[0] > 0.5 if len(want) == 1 else want.argmax(0)
    assert len(np.unique(ids)) > 1
    for core in (64, 256):
        monkeypatch.setattr(in_memory, "CORE", core)
        found = in_memory.segment_slide(ArraySlide(IMAGE), model, probabilities=True)
        np.testing.assert_array_equal(found.class_map, ids)
        np.testing.assert_allclose(found.probabilities, 255 * want, atol=0.5 + 1e-6)


@pytest.mark.parametrize("use", [Use("flips"), Use("d4")])
def test_it_is_the_mean_over_images_that_are_turned_as_a_whole(use, paths):
    """The reference is what people write: turn the padded image, segment it, turn the probabilities back."""
    plain, model = load_model(paths["a"]), load_model(paths["a"], tta=use.tta)
    side, halo = 96, model.halo
    x = plain.preprocess(np.pad(IMAGE[:side, :side], ((halo, halo), (halo, halo), (0, 0)), "reflect"))
    turned = []
    with torch.inference_mode():
        for transposed in (False, True)[: 1 + (use.tta == "d4")]:
            for axes in ((), (2,), (3,), (2, 3)):
                seen = (x.transpose(2, 3) if transposed else x).flip(axes)
                found = plain.module(seen).double().softmax(1).flip(axes)
                turned.append(found.transpose(2, 3) if transposed else found)
        want = torch.stack(turned).mean(0)
        torch.testing.assert_close(model.module(x).softmax(1), want, rtol=1e-6, atol=1e-9)


def test_several_models_are_the_mean_of_each_as_it_wants_to_see(paths, tmp_path):
    first, second = load_model(paths["a"]), load_model(paths["b"])
    info = second.info
    other = ModelInfo("c", info.config, info.classes, type(info.input)(3, None, (0.1, 0.2, 0.3), (0.5, 0.6, 0.7)))
    torch.manual_seed(3)
    save_model(tmp_path / "c.safetensors", UNet(info.config), other)
    third = load_model(tmp_path / "c.safetensors")
    both = load_model([paths["a"], tmp_path / "c.safetensors"])
    pixels = IMAGE[:64, :64]
    with torch.inference_mode():
        alone = [model.net(model.preprocess(pixels)).double().softmax(1) for model in (first, third)]
        found = both.net(both.preprocess(pixels)).softmax(1)
    torch.testing.assert_close(found, sum(alone) / 2, rtol=1e-4, atol=1e-5)


def test_other_people_s_networks_too(paths, tmp_path, monkeypatch):
    model = slideseg.Model(trained(Small()), classes=CLASSES)
    np.save(tmp_path / "x.npy", IMAGE)
    for name, tile in (("a", 64), ("b", 160)):
        out = tmp_path / f"{name}.zarr"
        slideseg.predict(tmp_path / "x.npy", output=out, model=[model, model], tta="d4", tile=tile, workers=1, tissue="none")
    maps = [np.asarray(slideseg.open_result(tmp_path / f"{name}.zarr").segmentation) for name in "ab"]
    np.testing.assert_array_equal(*maps)
    settings = slideseg.open_result(tmp_path / "a.zarr").record.settings
    assert (settings.tta, settings.smooth) == ("d4", 0.0)


def test_a_single_model_as_it_is_stays_what_it_is(paths):
    assert load_model([paths["a"]]).sha256 == load_model(paths["a"]).sha256
    assert load_model([paths["a"]]).info.name == "random"
    assert sha256_together(["x"], Use()) == "x"
    hashes = [
        sha256_together(*way)
        for way in [(["x"], Use("d4")), (["x"], Use(smooth=1.0)), (["x", "y"], Use()), (["y", "x"], Use())]
    ]
    assert len(set(hashes)) == 4


def test_a_model_says_itself_how_it_is_used_and_its_user_may_say_otherwise(paths, tmp_path):
    plain = load_model(paths["a"])
    info = ModelInfo("mine", plain.info.config, plain.info.classes, plain.info.input, use=Use("flips", 1.0))
    save_model(tmp_path / "m.safetensors", UNet(info.config), info)
    assert load_model(tmp_path / "m.safetensors").info.name == "mine (flips, smoothed by 1 px)"
    assert load_model(tmp_path / "m.safetensors", tta="none", smooth=0).info.name == "mine"
    assert load_model(tmp_path / "m.safetensors", tta="d4").info.name == "mine (d4, smoothed by 1 px)"
    assert use_of([info, info]) == Use()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"classes": ("background", "a", "b")}, "their classes differ"),
        ({"mpp": 0.25}, "they see pixels of other sizes"),
        ({"channels": 1}, "they see other channels"),
        ({"outputs": 1, "classes": ("background", "class 1")}, "their classes differ"),
    ],
)
def test_models_that_don_t_fit_together_are_refused(change, words):
    def info(name, classes=("background", "class 1", "class 2"), mpp=0.5, channels=3, outputs=3):
        config = UNetConfig(channels, outputs, 4, 1)
        return ModelInfo(
            name,
            config,
            Stated(classes=classes).classes_of(outputs),
            ModelInput(channels, mpp, (0.0,) * channels, (1.0,) * channels),
        )

    assert info_together([info("x"), info("y", mpp=None)], Use()).name == "x + y"
    with pytest.raises(ModelError, match=f"models x and y can't be put together: {words}"):
        info_together([info("x"), info("y", **change)], Use())


@pytest.mark.parametrize(("tta", "smooth"), [("rotate", 0.0), ("none", -1.0), ("none", 100.0), ("none", float("nan"))])
def test_what_there_is_not_is_refused(tta, smooth):
    with pytest.raises(ConfigError):
        Use(tta, smooth)
