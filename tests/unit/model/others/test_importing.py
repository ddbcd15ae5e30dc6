"""From another library's weights to a model folder, and what is refused on the way."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from slideseg.errors import ConfigError, ModelError, ResultError, RunError
from slideseg.model.check import check_model
from slideseg.model.load import load_model
from slideseg.model.others.folder import WEIGHTS, check_folder
from slideseg.model.others.importing import import_network
from slideseg.model.others.libraries import build
from tests.unit.model.others.networks import MONAI, SMP, monai_unet, smp_unet

if TYPE_CHECKING:
    from slideseg.model.info import ModelInfo

NAMES = ["background", "cell", "edge"]


def imported(source, out, **options) -> ModelInfo:
    return import_network(source, out, **{"network": "monai.UNet", "arguments": MONAI} | options)


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "cells.pth"
    torch.save(monai_unet().state_dict(), path)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory, weights):
    path = tmp_path_factory.mktemp("model") / "cells.model"
    imported(weights, path, classes=NAMES, mpp=0.5, mean=[0.5] * 3, std=[0.25] * 3)
    return path


def test_the_model_gives_what_the_network_gives(folder):
    model = load_model(folder)
    x = model.preprocess(np.random.default_rng(0).integers(0, 256, (64, 48, 3), np.uint8))
    with torch.inference_mode():
        torch.testing.assert_close(model.net(x), monai_unet()(x), rtol=1e-5, atol=1e-5)
    assert [known.name for known in model.classes] == NAMES
    assert (model.mpp, model.stride, model.info.name) == (0.5, 4, "cells")
    assert (model.info.input.mean, model.info.input.std) == ((0.5,) * 3, (0.25,) * 3)


def test_a_folder_holds_a_description_and_weights_and_is_the_same_each_time(folder, weights, tmp_path):
    assert sorted(path.name for path in folder.iterdir()) == ["model.json", WEIGHTS]
    imported(weights, tmp_path / "cells.model", classes=NAMES, mpp=0.5, mean=[0.5] * 3, std=[0.25] * 3)
    assert all((tmp_path / "cells.model" / path.name).read_bytes() == path.read_bytes() for path in folder.iterdir())
    assert load_model(folder / "model.json").sha256 == load_model(folder).sha256


@pytest.mark.parametrize("kind", ["safetensors", "prefixed", "lightning", "half"])
def test_weights_may_come_as_people_keep_them(kind, folder, tmp_path):
    state = monai_unet().state_dict()
    path = tmp_path / f"w.{'safetensors' if kind == 'safetensors' else 'ckpt'}"
    match kind:
        case "safetensors":
            save_file(state, path)
        case "prefixed":
            torch.save({f"module.net.{name}": tensor for name, tensor in state.items()}, path)
        case "lightning":
            torch.save({"epoch": 3, "state_dict": {f"net.{name}": tensor for name, tensor in state.items()}}, path)
        case "half":
            torch.save({name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in state.items()}, path)
    imported(path, tmp_path / "m")
    got, want = (load_model(place).as_trained.state_dict() for place in (tmp_path / "m", folder))
    assert all(torch.allclose(got[name], want[name], atol=0 if kind != "half" else 1e-3) for name in want)


def test_slides_are_pictures(weights, tmp_path):
    without = {name: value for name, value in MONAI.items() if name != "spatial_dims"}
    assert imported(weights, tmp_path / "m", arguments=without).config.arguments == without
    assert load_model(tmp_path / "m").stride == 4


def test_what_is_not_stated_is_numbered_and_left_as_it_is(weights, tmp_path):
    info = imported(weights, tmp_path / "m")
    assert [known.name for known in info.classes] == ["background", "class 1", "class 2"]
    assert (info.input.mpp, info.input.mean, info.input.std) == (None, (0.0,) * 3, (1.0,) * 3)
    assert "cells.pth" in info.training["data"]


def test_it_is_checked_as_others_are(folder):
    found = check_model(folder)
    assert (found.probed.stride, found.probed.exact) == (4, True)
    assert found.multiplications > 100


def test_a_folder_that_smp_saved(tmp_path):
    net = smp_unet(activation="sigmoid")
    net.save_pretrained(tmp_path / "saved")
    info = import_network(tmp_path / "saved", tmp_path / "m", classes=["background", "cell"])
    assert (info.config.library, info.config.name, info.network.stride, info.network.exact) == ("smp", "Unet", 8, True)
    model, plain = load_model(tmp_path / "m"), smp_unet()
    x = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():  # logits, not what an activation makes of them
        torch.testing.assert_close(model.net(x), plain(x), rtol=1e-5, atol=1e-5)
    assert "encoder_weights" not in info.config.arguments


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"network": None}, "it is not said what network the weights are of"),
        ({"network": "UNet"}, "it is not said what network the weights are of"),
        ({"network": "keras.UNet"}, "it is not said what network the weights are of"),
        ({"network": "monai.os"}, "has no such network"),
        ({"network": "monai.UNett"}, "has no such network"),
        ({"arguments": {}}, "can't be made of these arguments"),
        ({"arguments": MONAI | {"nothing": 1}}, "can't be made of these arguments"),
        ({"arguments": MONAI | {"pretrained": True}}, "would fetch weights"),
        ({"arguments": MONAI | {"out_channels": 4}}, "has a wrong shape"),
        ({"arguments": MONAI | {"norm": "instance"}}, "are not this network's"),
        ({"arguments": MONAI | {"spatial_dims": 3}}, "has a wrong shape"),
        ({"classes": ["background", "cell"]}, "the classes don't fit the network"),
        ({"mean": [0.5]}, "the input's channels don't fit the network"),
        ({"std": [0.0] * 3}, "the normalisation can't be used"),
        ({"mpp": -1.0}, "mpp can't be used"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(options, words, weights, tmp_path):
    with pytest.raises(ModelError) as refused:
        imported(weights, tmp_path / "m", **options)
    assert words in str(refused.value)
    assert not (tmp_path / "m").exists()


def test_an_unknown_statement_is_refused(weights, tmp_path):
    with pytest.raises(ConfigError, match="unknown option"):
        imported(weights, tmp_path / "m", colour="red")


class Bomb:
    def __reduce__(self):
        return (print, ("boom",))


def test_code_damage_and_numbers_that_are_none_are_refused(tmp_path, capsys):
    state = monai_unet().state_dict()
    first = next(iter(state))
    files = {
        "code.pth": lambda path: path.write_bytes(pickle.dumps(Bomb())),
        "torn.safetensors": lambda path: path.write_bytes(b"x" * 64),
        "list.pth": lambda path: torch.save([1, 2], path),
        "empty.pth": lambda path: torch.save({}, path),
        "nan.pth": lambda path: torch.save({**state, first: state[first] * torch.nan}, path),
        "few.pth": lambda path: torch.save({first: state[first]}, path),
    }
    for name, write in files.items():
        write(tmp_path / name)
        with pytest.raises(ModelError, match=name):
            imported(tmp_path / name, tmp_path / "m")
    with pytest.raises(ModelError, match=r"no such file of weights"):
        imported(tmp_path / "none.safetensors", tmp_path / "m")
    with pytest.raises(ModelError, match=r"no such checkpoint"):
        imported(tmp_path / "none.pth", tmp_path / "m")
    assert not (tmp_path / "m").exists()
    assert "boom" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("{}", "does not say what network"),
        ("[1]", "does not say"),
        ("{", "can't be read"),
        ('{"_model_class": "os"}', "no such network"),
    ],
)
def test_a_saved_folder_that_is_none_is_refused(config, words, tmp_path):
    saved = tmp_path / "saved"
    saved.mkdir()
    with pytest.raises(ModelError, match="no folder that save_pretrained wrote"):
        import_network(saved, tmp_path / "m")
    save_file({"x": torch.zeros(1)}, saved / "model.safetensors")
    (saved / "config.json").write_text(config)
    if "os" in config:
        smp_unet(**SMP)
    with pytest.raises(ModelError, match=words):
        import_network(saved, tmp_path / "m")


def test_only_a_model_folder_is_replaced_and_only_if_asked(folder, tmp_path):
    check_folder(tmp_path / "new", overwrite=False)
    check_folder(folder, overwrite=True)
    with pytest.raises(ResultError, match="the target exists"):
        check_folder(folder, overwrite=False)
    (tmp_path / "mine.txt").write_text("x")
    for place in (tmp_path, tmp_path / "mine.txt"):
        with pytest.raises(ResultError, match="is no model folder"):
            check_folder(place, overwrite=True)
    with pytest.raises(ResultError, match="does not exist"):
        check_folder(tmp_path / "no" / "new", overwrite=False)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"weights": None}, "does not say where its weights are"),
        ({"weights": {"file": "../w.safetensors", "sha256": "0"}}, "does not say where its weights are"),
        ({"weights": {"file": "w.safetensors", "sha256": "0"}}, "no such file of weights"),
        ({"weights": {"file": WEIGHTS, "sha256": "0"}}, "is another file than"),
        ({"architecture": "keras"}, "unknown architecture"),
        ({"architecture": "unet"}, "is damaged"),
        ({"tiling": {"stride": 4, "halo": 4}}, "contradicts its network"),
        ({"format": "x"}, "unknown model format"),
    ],
)
def test_a_damaged_folder_is_refused(change, words, folder, tmp_path):
    damaged = tmp_path / "m"
    damaged.mkdir()
    (damaged / WEIGHTS).write_bytes((folder / WEIGHTS).read_bytes())
    (damaged / "model.json").write_text(json.dumps({**json.loads((folder / "model.json").read_text()), **change}))
    with pytest.raises(ModelError, match=words):
        load_model(damaged)


@pytest.mark.parametrize("data", [b"{", b"\xff\xfe", b"[]", b"{}" + b" " * (1 << 21)])
def test_a_description_that_is_none_is_refused(data, tmp_path):
    (tmp_path / "model.json").write_bytes(data)
    with pytest.raises(ModelError):
        load_model(tmp_path)


def test_a_folder_that_can_t_be_written_is_said(weights, tmp_path):
    (tmp_path / "m").write_text("x")
    with pytest.raises((RunError, ResultError, ConfigError), match="m"):
        imported(weights, tmp_path / "m")


def test_a_library_that_is_not_there_says_how_to_get_it(folder, monkeypatch):
    monkeypatch.setattr("slideseg.model.others.libraries.importlib.import_module", _absent)
    with pytest.raises(ModelError, match=r"networks of monai need monai .*pip install"):
        load_model(folder)


def _absent(name):
    raise ModuleNotFoundError(f"No module named '{name}'")


def test_a_library_that_does_not_fit_another_one_is_one_line(monkeypatch):
    """As torchvision that was built for another PyTorch, which many libraries import."""

    def broken(name):
        msg = "operator torchvision::nms does not exist"
        raise RuntimeError(msg)

    monkeypatch.setattr("slideseg.model.others.libraries.importlib.import_module", broken)
    with pytest.raises(ModelError, match=r"networks of smp need segmentation_models_pytorch \(got operator torchvision::nms"):
        build("smp", "Unet", {})
