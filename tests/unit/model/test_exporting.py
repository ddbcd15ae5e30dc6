"""Models for other programs: ONNX files and bioimage.io packages that give what the network gives."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml
from click.testing import CliRunner

from slideseg.cli import cli
from slideseg.errors import ConfigError, ModelError
from slideseg.model.config import UNetConfig
from slideseg.model.exporting import export_model
from slideseg.model.file import read_network
from slideseg.model.load import load_model
from slideseg.model.others.importing import import_network
from slideseg.testing.models import random_model
from tests.unit.model.others.networks import MONAI, monai_unet

if TYPE_CHECKING:
    from pathlib import Path

runtime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models") / "cells.safetensors"
    random_model(path, UNetConfig(3, 2, 4, 2, "bilinear"), mpp=0.5)
    return path


@pytest.mark.parametrize("upsampling", ["conv", "bilinear"])
def test_an_onnx_file_gives_the_network_s_logits_and_comes_back_with_the_same_reach(upsampling: Any, tmp_path: Path) -> None:
    path, config = tmp_path / "m.safetensors", UNetConfig(3, 2, 4, 2, upsampling)
    loaded = random_model(path, config)
    export_model(path, tmp_path / "m.onnx", "onnx")
    session = runtime.InferenceSession((tmp_path / "m.onnx").read_bytes())
    image = np.random.default_rng(0).integers(0, 256, (2 * 16, 3 * 16, 3), np.uint8)
    (found,) = session.run(None, {"image": image.transpose(2, 0, 1)[None].astype(np.float32) / 255})
    with torch.inference_mode():
        torch.testing.assert_close(torch.from_numpy(found), loaded.net(loaded.preprocess(image)), rtol=1e-4, atol=1e-4)
    back = import_network(tmp_path / "m.onnx", tmp_path / "back").network
    assert (back.stride, back.reach, back.exact) == (config.stride, config.reach, True)  # type: ignore[attr-defined]


def test_other_people_s_networks_too(tmp_path: Path) -> None:
    torch.save(monai_unet().state_dict(), tmp_path / "w.pth")
    import_network(tmp_path / "w.pth", tmp_path / "m", network="monai.UNet", arguments=MONAI, mean=[0.5] * 3, std=[0.25] * 3)
    export_model(tmp_path / "m", tmp_path / "m.onnx", "onnx")
    image = torch.rand(1, 3, 32, 48)
    (found,) = runtime.InferenceSession((tmp_path / "m.onnx").read_bytes()).run(None, {"image": image.numpy()})
    with torch.inference_mode():
        want = read_network(tmp_path / "m" / "model.json")[0].eval()((image - 0.5) / 0.25)
    torch.testing.assert_close(torch.from_numpy(found), want, rtol=1e-4, atol=1e-4)


def test_a_package_says_what_goes_in_and_out_and_has_a_test_that_can_be_repeated(model: Path, tmp_path: Path) -> None:
    export_model(model, tmp_path / "m.zip", "bioimageio", licence="CC-BY-4.0", author="a laboratory")
    with zipfile.ZipFile(tmp_path / "m.zip") as package:
        files = {name: package.read(name) for name in package.namelist()}
    said = yaml.safe_load(files["rdf.yaml"])
    (given,), (found,) = said["inputs"], said["outputs"]
    assert (said["type"], said["license"], said["authors"]) == ("model", "CC-BY-4.0", [{"name": "a laboratory"}])
    assert [axis.get("halo") for axis in found["axes"]] == [None, None, 28, 28]
    assert given["axes"][2] == {"type": "space", "id": "y", "unit": "micrometer", "scale": 0.5, "size": {"min": 64, "step": 4}}
    for entry in (given["test_tensor"], found["test_tensor"], said["weights"]["onnx"], said["documentation"]):
        assert hashlib.sha256(files[entry["source"]]).hexdigest() == entry["sha256"]
    image, want = (np.load(io.BytesIO(files[tensor["test_tensor"]["source"]])) for tensor in (given, found))
    loaded = load_model(model)
    with torch.inference_mode():
        p = loaded.net(loaded.preprocess(image[0].transpose(1, 2, 0))).softmax(1).numpy()
    np.testing.assert_allclose(p, want, atol=1e-5)
    assert said["config"]["slideseg"]["model"] == json.loads(loaded.info.to_json())
    export_model(model, tmp_path / "again.zip", "bioimageio", licence="CC-BY-4.0", author="a laboratory")
    assert (tmp_path / "again.zip").read_bytes() == (tmp_path / "m.zip").read_bytes()


def test_a_package_passes_the_zoo_s_own_test(model: Path, tmp_path: Path) -> None:
    core = pytest.importorskip("bioimageio.core", reason="bioimageio.core is not installed")
    export_model(model, tmp_path / "m.zip", "bioimageio", licence="CC-BY-4.0")
    summary = core.test_model(str(tmp_path / "m.zip"))
    assert summary.status == "passed", summary.format()


def test_what_can_t_be_is_refused_in_one_line(model: Path, tmp_path: Path) -> None:
    for licence in (None, "unknown", "mine"):
        with pytest.raises(ModelError, match=r"needs the licence of the weights of random .*try --licence CC-BY-4\.0"):
            export_model(model, tmp_path / "m.zip", "bioimageio", licence=licence)
    with pytest.raises(ConfigError, match="becomes no such file"):
        export_model(model, tmp_path / "m.zip", "keras")  # type: ignore[arg-type]
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_gives_something_else_is_never_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("slideseg.model.others.onnx.tracing.SAME", -1.0)
    with pytest.raises(ModelError, match="the ONNX graph of the network of random gives something else than it"):
        export_model(model, tmp_path / "m.onnx", "onnx")
    assert not (tmp_path / "m.onnx").exists()


def test_the_command_names_the_file_after_the_model(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(cli, ["model", "export", str(model)]).stdout == "cells.onnx\n"
    assert (tmp_path / "cells.onnx").is_file()
    again = CliRunner().invoke(cli, ["model", "export", str(model)])
    assert "the target exists" in str(again.exception)
