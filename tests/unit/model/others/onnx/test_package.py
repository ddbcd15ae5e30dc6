"""bioimage.io packages: what their description says is done, and their own test must give what it says."""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import yaml

from slideseg.errors import ModelError
from slideseg.model.config import UNetConfig
from slideseg.model.exporting import export_model
from slideseg.model.load import load_model
from slideseg.model.others.importing import import_network
from slideseg.testing.models import random_model
from tests.unit.model.others.onnx.exported import exported, like_tensorflow
from tests.unit.model.others.small import Small, trained

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MEAN, STD = np.array([120.0, 100.0, 140.0]), np.array([50.0, 40.0, 60.0])


def npy(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def image(side: int = 64) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (1, 3, side, side), np.uint8)


def made(folder: Path, change: Callable[[dict[str, Any]], None] = lambda said: None, **files: bytes) -> Path:
    """Write a package of form 0.5, with what a test changes in it."""
    net, given = trained(Small()), image()
    x = (given - MEAN[:, None, None]) / STD[:, None, None]
    with torch.inference_mode():
        found = net(torch.from_numpy(x).float()).softmax(1).numpy()
    content = {"net.onnx": exported(net), "in.npy": npy(given), "out.npy": npy(found), **files}
    axes = [
        {"type": "batch"}, {"type": "channel", "channel_names": ["r", "g", "b"]},
        *({"type": "space", "id": side, "unit": "micrometer", "scale": 0.5, "size": {"min": 32, "step": 2}} for side in "yx"),
    ]  # fmt: skip
    out = [{"type": "batch"}, {"type": "channel", "channel_names": ["background", "cell", "edge"]}, *axes[2:]]
    said: dict[str, Any] = {
        "format_version": "0.5.4", "type": "model", "name": "cells of somebody",
        "inputs": [{"id": "image", "axes": axes, "test_tensor": {"source": "in.npy"}, "preprocessing": [
            {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
            {"id": "fixed_zero_mean_unit_variance", "kwargs": {"mean": MEAN.tolist(), "std": STD.tolist(), "axis": "channel"}},
        ]}],
        "outputs": [{"id": "p", "axes": out, "test_tensor": {"source": "out.npy"}, "postprocessing": [{"id": "softmax"}]}],
        "weights": {"onnx": {"source": "net.onnx"}, "pytorch_state_dict": {"source": "https://nowhere/x.pt"}},
    }  # fmt: skip
    change(said)
    place = folder / "package"
    place.mkdir()
    for name, data in {**content, "rdf.yaml": yaml.safe_dump(said).encode()}.items():
        (place / name).write_bytes(data)
    return place


def test_a_package_says_all_that_is_needed(tmp_path: Path) -> None:
    info = import_network(made(tmp_path), tmp_path / "m")
    assert (info.name, info.input.mpp, info.network.kind) == ("cells of somebody", 0.5, "onnx")
    assert [known.name for known in info.classes] == ["background", "cell", "edge"]
    np.testing.assert_allclose(info.input.mean, MEAN / 255)
    np.testing.assert_allclose(info.input.std, STD / 255)
    model = load_model(tmp_path / "m")
    pixels = image()[0].transpose(1, 2, 0)
    x = torch.from_numpy((image() - MEAN[:, None, None]) / STD[:, None, None]).float()
    with torch.inference_mode():
        torch.testing.assert_close(model.net(model.preprocess(pixels)), trained(Small())(x), rtol=1e-4, atol=1e-4)


def test_what_is_stated_wins(tmp_path: Path) -> None:
    info = import_network(made(tmp_path), tmp_path / "m", name="mine", mpp=0.25, classes=["background", "a", "b"])
    assert (info.name, info.input.mpp, info.classes[1].name) == ("mine", 0.25, "a")


def test_a_zip_is_a_package_and_what_slideseg_exports_comes_back(tmp_path: Path) -> None:
    loaded = random_model(tmp_path / "m.safetensors", UNetConfig(3, 2, 4, 2), mpp=0.5)
    export_model(tmp_path / "m.safetensors", tmp_path / "m.zip", "bioimageio", licence="CC-BY-4.0")
    info = import_network(tmp_path / "m.zip", tmp_path / "back")
    assert (info.input.mpp, info.network.stride, info.config.reach) == (0.5, 4, 22)  # type: ignore[union-attr]
    pixels, back = image()[0].transpose(1, 2, 0), load_model(tmp_path / "back")
    with torch.inference_mode():
        want = loaded.net(loaded.preprocess(pixels))
        torch.testing.assert_close(back.net(back.preprocess(pixels)), want, rtol=1e-4, atol=1e-4)


def test_the_older_form_and_channels_last(tmp_path: Path) -> None:
    data, given = like_tensorflow(), image().transpose(0, 2, 3, 1)
    session = pytest.importorskip("onnxruntime").InferenceSession(data)
    (found,) = session.run(None, {"image": (given / 127.5 - 1).astype(np.float32)})

    def older(said: dict[str, Any]) -> None:
        scale = [{"name": "scale_linear", "kwargs": {"gain": 1 / 127.5, "offset": -1.0, "axes": "xyc"}}]
        said["inputs"] = [{"name": "image", "axes": "byxc", "preprocessing": scale}]
        said["outputs"] = [{"name": "p", "axes": "byxc"}]
        said |= {"format_version": "0.4.9", "test_inputs": ["in.npy"], "test_outputs": ["out.npy"]}

    files = {"net.onnx": data, "in.npy": npy(given), "out.npy": npy(found)}
    info = import_network(made(tmp_path, older, **files), tmp_path / "m")
    np.testing.assert_allclose([info.input.mean, info.input.std], [[0.5] * 3, [0.5] * 3])
    assert info.config.arguments == {"layout": "NHWC", "activation": "softmax"}  # type: ignore[union-attr]


def own(said: dict[str, Any]) -> None:
    said["inputs"][0]["preprocessing"] = [{"id": "zero_mean_unit_variance", "kwargs": {"axes": ["channel", "y", "x"]}}]


def test_what_is_taken_of_each_image_has_to_be_said(tmp_path: Path) -> None:
    """Its own test is repeated as it says; slides are normalised by what their user says, the same for all tiles."""
    given = image()
    with torch.inference_mode():
        found = trained(Small())(torch.from_numpy((given - given.mean()) / given.std()).float()).softmax(1).numpy()
    package = made(tmp_path, own, **{"out.npy": npy(found)})
    with pytest.raises(ModelError, match=r"normalises by each image's own values.*zero_mean_unit_variance.*--mean and --std"):
        import_network(package, tmp_path / "m")
    info = import_network(package, tmp_path / "m", mean=[0.5] * 3, std=[0.2] * 3)
    assert info.input.std == (0.2,) * 3


def preprocessed(*steps: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
    return lambda said: said["inputs"][0].update(preprocessing=list(steps))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda said: said["weights"].pop("onnx"), r"has no weights that are no code \(got pytorch_state_dict"),
        (lambda said: said["weights"]["onnx"].update(sha256="0" * 64), "is another file than its description says"),
        (lambda said: said["weights"]["onnx"].update(source="https://nowhere/net.onnx"), "is elsewhere"),
        (lambda said: said["weights"]["onnx"].update(source="../net.onnx"), "is elsewhere"),
        (lambda said: said["weights"]["onnx"].update(source="none.onnx"), "lacks a file"),
        (lambda said: said["inputs"].append(said["inputs"][0]), "takes several inputs"),
        (lambda said: said["inputs"][0].update(axes="bczyx"), "axes bczyx"),
        (preprocessed({"id": "clip", "kwargs": {"min": 0.0, "max": 1.0}}), r"not known \(got clip"),
        (preprocessed({"id": "scale_linear", "kwargs": {"gain": 0.1}}), "gives something else than it says"),
        (lambda said: said["outputs"][0].update(postprocessing=[{"id": "binarize"}]), r"not known \(got binarize"),
        (lambda said: said["outputs"][0].update(postprocessing=[]), "gives something else than it says"),
        (lambda said: said.pop("inputs"), "is damaged"),
        (lambda said: said.update(inputs=3), "is damaged"),
    ],
)
def test_a_package_that_can_t_be_used_is_one_line(change: Callable[[dict[str, Any]], None], words: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=words) as refused:
        import_network(made(tmp_path, change), tmp_path / "m")
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "m").exists()


def test_a_zip_without_a_description_is_none(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("a.txt", "a")
    (tmp_path / "y.zip").write_bytes(b"x")
    for name in ("x.zip", "y.zip"):
        with pytest.raises(ModelError, match=r"is no bioimage\.io package"):
            import_network(tmp_path / name, tmp_path / "m")


def test_a_package_that_holds_pickles_is_not_unpickled(tmp_path: Path) -> None:
    pickled = np.array([{"a": 1}], dtype=object)
    with pytest.raises(ModelError, match="is damaged"):
        import_network(made(tmp_path, **{"in.npy": npy(pickled)}), tmp_path / "m")


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("rdf.yaml", b"name: \xff\xfe", "the description of .* is damaged"),
        ("in.npy", b"", "the description of .* is damaged"),
    ],
)
def test_a_package_with_a_damaged_file_is_one_line(name: str, data: bytes, words: str, tmp_path: Path) -> None:
    package = made(tmp_path)
    (package / name).write_bytes(data)
    with pytest.raises(ModelError, match=words) as raised:
        import_network(package, tmp_path / "m")
    assert "\n" not in str(raised.value)


def test_a_zip_that_can_t_be_unpacked_is_one_line(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "m.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("rdf.yaml", "name: x\n" * 1000)
    whole = bytearray((tmp_path / "m.zip").read_bytes())
    for at, words in ((45, "rdf.yaml of .* can't be read"), (6, "rdf.yaml of .* can't be read .*encrypted")):
        damaged = bytearray(whole)
        damaged[at] ^= 0xFF if at == 45 else 1
        if at == 6:  # encrypted, says the list of what is in it
            damaged[bytes(whole).index(b"PK\x01\x02") + 8] ^= 1
        (tmp_path / "m.zip").write_bytes(damaged)
        with pytest.raises(ModelError, match=words):
            import_network(tmp_path / "m.zip", tmp_path / "m")
