"""The model file: what is written is read back, and every damage is refused before a weight is used."""

from __future__ import annotations

import hashlib
import json
import stat
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from slideseg.errors import ModelError
from slideseg.model.config import UNetConfig
from slideseg.model.file import load_model_file, save_model
from slideseg.model.info import FORMAT, ModelClass, ModelInfo, ModelInput
from slideseg.model.network.unet import UNet
from slideseg.model.objects import ObjectRules
from slideseg.model.stored import read_info
from slideseg.testing.models import random_model

CONFIG = UNetConfig(in_channels=3, out_channels=2, base_channels=2, depth=2)
CLASSES = (ModelClass(0, "background", "#000000"), ModelClass(1, "cell", "#00ff00"))
INPUT = ModelInput(3, 0.5, (0.5, 0.4, 0.3), (0.1, 0.2, 0.25))
TRAINING = {"data": "none", "licence": "CC0-1.0", "metrics": {"dice": 0.5}, "seed": 1, "slideseg_version": "0"}
INFO = ModelInfo("cells", CONFIG, CLASSES, INPUT, TRAINING)


@pytest.fixture
def path(tmp_path):
    torch.manual_seed(0)
    save_model(tmp_path / "m.safetensors", UNet(CONFIG), INFO)
    return tmp_path / "m.safetensors"


def parts(path):
    """Return the tensors and the description of a file."""
    with safe_open(path, framework="pt") as file:
        return {name: file.get_tensor(name) for name in file.keys()}, json.loads(file.metadata()["slideseg"])  # noqa: SIM118


def rewrite(path, tensors, description):
    save_file(tensors, path, metadata={"slideseg": json.dumps(description)})


def refused(path, match):
    with pytest.raises(ModelError, match=match) as caught:
        load_model_file(path)
    assert "\n" not in str(caught.value)
    return True


def test_what_is_written_is_read_back(tmp_path):
    torch.manual_seed(1)
    net = UNet(CONFIG)
    for module in net.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_()
            module.running_var.uniform_(0.5, 2)
    save_model(tmp_path / "m.safetensors", net, INFO)
    model = load_model_file(tmp_path / "m.safetensors")
    x = torch.rand(1, 3, 24, 16)
    with torch.no_grad():
        assert torch.allclose(model.module(x), net.eval()(x), atol=1e-5)
    assert model.info == INFO
    assert (model.mpp, model.stride, model.halo, model.classes) == (0.5, 4, 24, CLASSES)


def test_how_objects_are_best_made_is_told_only_where_it_is_known(tmp_path):
    info = replace(INFO, objects=ObjectRules(grow=6, split=10))
    save_model(tmp_path / "m.safetensors", UNet(CONFIG), info)
    assert read_info(tmp_path / "m.safetensors") == info
    assert json.loads(info.to_json())["objects"] == {"grow": 6, "split": 10, "min_area": 0, "fill_holes": 0}
    assert "objects" not in json.loads(INFO.to_json())


def test_the_description_has_the_fields_of_the_format(path):
    tensors, description = parts(path)
    assert set(description) == {"format", "name", "architecture", "config", "classes", "input", "tiling", "training"}
    assert (description["format"], description["architecture"]) == (FORMAT, "unet")
    assert description["input"] == {
        "channels": 3,
        "mpp": 0.5,
        "normalisation": {"mean": [0.5, 0.4, 0.3], "std": [0.1, 0.2, 0.25]},
    }
    assert description["tiling"] == {"stride": 4, "halo": 24}
    assert UNetConfig(**description["config"]) == CONFIG
    assert not any("num_batches_tracked" in name for name in tensors)
    assert read_info(path) == INFO


def test_the_hash_is_the_files(path):
    assert load_model_file(path).sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_model_gives_the_same_bytes_that_others_may_read(path, tmp_path):
    torch.manual_seed(0)
    save_model(tmp_path / "again.safetensors", UNet(CONFIG), INFO)
    assert (tmp_path / "again.safetensors").read_bytes() == path.read_bytes()
    (tmp_path / "plain").touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "plain").stat().st_mode)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["again.safetensors", "m.safetensors", "plain"]


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_weights_are_read_as_float32(path, dtype):
    tensors, description = parts(path)
    rewrite(path, {name: tensor.to(dtype) for name, tensor in tensors.items()}, description)
    assert {p.dtype for p in load_model_file(path).net.parameters()} == {torch.float32}


TENSOR_DAMAGE = {
    "missing": (lambda t: t.pop("head.bias"), r"not this network's .*missing \['head.bias'\]"),
    "unknown": (lambda t: t.update(more=torch.ones(1)), r"unknown \['more'\]"),
    "shape": (lambda t: t.update({"head.bias": torch.ones(3)}), r"head.bias of .* wrong shape \(got \[3\], want \[2\]\)"),
    "rank": (lambda t: t.update({"head.bias": torch.ones(2, 1)}), "wrong shape"),
    "whole numbers": (lambda t: t.update({"head.bias": torch.ones(2, dtype=torch.int32)}), r"wrong type \(got int32"),
    "double": (lambda t: t.update({"head.bias": torch.ones(2, dtype=torch.float64)}), r"wrong type \(got float64"),
    "nan": (lambda t: t["encoder.1.conv1.weight"][0, 0, 0].fill_(float("nan")), "encoder.1.conv1.weight of .* not finite"),
    "infinite": (lambda t: t["encoder.0.norm1.running_var"].fill_(float("inf")), "not finite"),
}


@pytest.mark.parametrize(("damage", "message"), TENSOR_DAMAGE.values(), ids=TENSOR_DAMAGE.keys())
def test_weights_that_are_not_the_networks_are_refused(path, damage, message):
    tensors, description = parts(path)
    damage(tensors)
    rewrite(path, tensors, description)
    assert refused(path, message)


def put(*keys_and_value):
    """Return a change of a description: the value at a path of keys."""

    def change(description):
        *keys, last, value = keys_and_value
        for key in keys:
            description = description[key]
        description[last] = value

    return change


DESCRIPTION_DAMAGE = {
    "commands in the name": (put("name", "\x1b[2J"), "the model's name can't be used"),
    "commands in a class": (put("classes", 1, "name", "\x1b[2Jcell"), "a class can't be used"),
    "later format": (
        put("format", "slideseg-model/2"),
        r"unknown model format \(got slideseg-model/2, want slideseg-model/1\)",
    ),
    "no format": (lambda d: d.pop("format"), "unknown model format"),
    "architecture": (put("architecture", "vit"), "unknown architecture"),
    "stride lies": (put("tiling", "stride", 2), r"tiling contradicts its network .*'stride': 2"),
    "halo lies": (put("tiling", "halo", 0), "tiling contradicts its network"),
    "no tiling": (lambda d: d.pop("tiling"), "tiling contradicts its network"),
    "no config": (lambda d: d.pop("config"), "description is damaged"),
    "unknown option": (put("config", "attention", 1), "description is damaged"),
    "no channels": (put("config", "in_channels", 0), "description is damaged"),
    "text for a number": (put("config", "depth", "2"), "description is damaged"),
    "depth": (put("config", "depth", 60), "description is damaged"),
    "list for a number": (put("config", "base_channels", [2]), "description is damaged"),
    "list for a choice": (put("config", "upsampling", ["conv"]), "description is damaged"),
    "text for dropout": (put("config", "dropout", "much"), "description is damaged"),
    "more channels than there are bytes": (put("config", "base_channels", 10**12), "description is damaged"),
    "channels beyond any number": (put("config", "base_channels", 10**30), "description is damaged"),
    "no end of channels": (put("input", "channels", float("inf")), "description is damaged"),
    "no classes": (put("classes", []), "classes don't fit"),
    "class ids": (put("classes", 1, "id", 7), "classes don't fit"),
    "classes are no list": (put("classes", 3), "description is damaged"),
    "class name": (put("classes", 1, "name", 7), "class can't be used"),
    "class color": (put("classes", 1, "color", "green"), "class can't be used"),
    "channels": (put("input", "channels", 1), "channels don't fit"),
    "means": (put("input", "normalisation", "mean", [0.5]), "channels don't fit"),
    "no deviation": (put("input", "normalisation", "std", [0.1, 0.0, 0.1]), "normalisation can't be used"),
    "deviation is no number": (put("input", "normalisation", "std", [0.1, float("nan"), 0.1]), "normalisation can't be used"),
    "mpp": (put("input", "mpp", -1), "mpp can't be used"),
    "no input": (lambda d: d.pop("input"), "description is damaged"),
    "input is no object": (put("input", 5), "description is damaged"),
    "objects are no object": (put("objects", 5), "model's objects can't be used"),
    "objects of another kind": (put("objects", {"shape": 1}), "model's objects can't be used"),
    "objects of no class": (put("objects", {"classes": [9]}), "model's objects can't be used"),
    "objects of half a pixel": (put("objects", {"grow": 1.5}), "model's objects can't be used"),
    "objects of less than none": (put("objects", {"split": -1}), "model's objects can't be used"),
    "objects together or not": (put("objects", {"together": "no"}), "model's objects can't be used"),
    "training is no object": (put("training", 5), "description is damaged"),
}


@pytest.mark.parametrize(("damage", "message"), DESCRIPTION_DAMAGE.values(), ids=DESCRIPTION_DAMAGE.keys())
def test_descriptions_that_contradict_the_network_are_refused(path, damage, message):
    tensors, description = parts(path)
    damage(description)
    rewrite(path, tensors, description)
    assert refused(path, message)


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", '"text"', "[" * 5000])
def test_descriptions_that_are_no_object_are_refused(path, text):
    save_file(parts(path)[0], path, metadata={"slideseg": text})
    assert refused(path, "description is damaged")


def test_other_files_are_refused(path, tmp_path):
    good = path.read_bytes()
    for content in (b"", b"\x80\x02pickle", good[:100], good[:-1], good + b"\0", b"\xff" * 64, b"text " * 100):
        path.write_bytes(content)
        assert refused(path, "is not a model file")
    save_file({"w": torch.ones(2)}, path)
    assert refused(path, "is not a slideseg model")
    assert refused(tmp_path / "none.safetensors", "no such model file")
    assert refused(tmp_path, "no such model file")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"classes": CLASSES[:1]}, "classes don't fit"),
        ({"classes": CLASSES[::-1]}, "classes don't fit"),
        ({"input": replace(INPUT, channels=1)}, "channels don't fit"),
        ({"input": replace(INPUT, mpp=float("inf"))}, "mpp can't be used"),
        ({"config": replace(CONFIG, out_channels=3)}, "classes don't fit"),
    ],
)
def test_a_description_is_checked_when_it_is_made(change, message):
    with pytest.raises(ModelError, match=message):
        replace(INFO, **change)


def test_one_output_means_two_classes():
    assert replace(INFO, config=replace(CONFIG, out_channels=1)).classes == CLASSES


def test_a_grey_image_is_red_green_and_blue_alike_to_a_model_of_three_channels(path):
    model = load_model_file(path)
    grey = np.random.default_rng(0).integers(0, 256, (6, 7, 1), dtype=np.uint8)
    assert torch.equal(model.preprocess(grey), model.preprocess(np.repeat(grey, 3, axis=2)))
    assert torch.equal(model.preprocess(grey[:, :, 0]), model.preprocess(grey))


def test_preprocess_is_a_pixelwise_scale(path):
    model = load_model_file(path)
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    x = model.preprocess(image)
    want = (image / 255 - INPUT.mean) / INPUT.std
    assert (x.shape, x.dtype) == ((1, 3, 5, 7), torch.float32)
    assert np.allclose(x[0].permute(1, 2, 0), want, atol=1e-5)
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(model.preprocess(image[2:4, 1:]), x[:, :, 2:4, 1:])
    assert torch.equal(model.preprocess(image[::-1, ::-1]), x.flip(2, 3))


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.uint16, np.int16, np.uint32, np.int8, np.float16, np.float32, np.float64, ">u2"]
)
def test_white_is_one_in_every_dtype(path, dtype):
    dtype = np.dtype(dtype)
    white = np.full((2, 2, 3), 1 if dtype.kind == "f" else np.iinfo(dtype).max, dtype)
    x = load_model_file(path).preprocess(white)
    assert np.allclose(x[0, :, 0, 0], (1 - np.array(INPUT.mean)) / INPUT.std, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_is_no_number_is_black_and_infinity_is_white(path, dtype):
    model = load_model_file(path)
    odd = np.full((3, 4, 3), 0.5, dtype)
    odd[0, 0], odd[1, 1], odd[2, 2] = np.nan, np.inf, -np.inf
    plain = np.full((3, 4, 3), 0.5, dtype)
    plain[0, 0], plain[1, 1], plain[2, 2] = 0, 1, 0
    assert torch.equal(model.preprocess(odd), model.preprocess(plain))
    assert np.isnan(odd[0, 0]).all()


def test_images_that_do_not_fit_are_refused(path):
    model = load_model_file(path)
    for shape in ((4, 4, 2), (4, 4, 4), (1, 4, 4, 3), (4,)):
        with pytest.raises(ModelError, match="does not fit the model"):
            model.preprocess(np.zeros(shape, np.uint8))
    for dtype in (np.int64, np.uint64, bool, np.complex64):
        with pytest.raises(ModelError, match="dtype is not supported"):
            model.preprocess(np.zeros((4, 4, 3), dtype))


def test_a_grey_image_may_come_without_its_channel_axis(tmp_path):
    config = UNetConfig(1, 1, 2, 1)
    info = ModelInfo("grey", config, CLASSES, ModelInput(1, None, (0.0,), (1.0,)))
    save_model(tmp_path / "m.safetensors", UNet(config), info)
    model = load_model_file(tmp_path / "m.safetensors")
    image = np.random.default_rng(0).integers(0, 256, (6, 4), np.uint8)
    assert torch.equal(model.preprocess(image), model.preprocess(image[..., None]))


def test_who_writes_into_the_file_afterwards_changes_nothing(tmp_path):
    loaded, config = random_model(tmp_path / "m.safetensors", UNetConfig(1, 1, 4, 2)), UNetConfig(1, 1, 4, 2)
    x_NCHW = torch.rand(1, 1, 64, 64)
    before, digest = loaded.module(x_NCHW), hashlib.sha256((tmp_path / "m.safetensors").read_bytes()).hexdigest()
    random_model(tmp_path / "other.safetensors", config, seed=1)
    other = (tmp_path / "other.safetensors").read_bytes()
    assert len(other) == (tmp_path / "m.safetensors").stat().st_size
    with (tmp_path / "m.safetensors").open("r+b") as file:
        file.write(other)
    assert torch.equal(loaded.module(x_NCHW), before)
    assert loaded.sha256 == digest
