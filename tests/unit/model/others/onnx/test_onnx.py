"""ONNX files: as PyTorch's own numbers, reach found by another way than PyTorch's and equal to it, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from torch import nn

import slideseg
from slideseg.errors import ModelError
from slideseg.model.check import check_model
from slideseg.model.load import load_model
from slideseg.model.others.describe import describe
from slideseg.model.others.importing import import_network
from slideseg.model.others.libraries import onnx_networks
from slideseg.prediction import in_memory
from tests.unit.model.others.networks import monai_unet, smp_unet
from tests.unit.model.others.onnx.exported import TensorProto, exported, helper, like_tensorflow, onnx, written
from tests.unit.model.others.small import CLASSES, Corners, Small, Squeezing, trained
from tests.unit.model.reach.test_probe import NETWORKS

IMAGE = np.random.default_rng(0).integers(0, 256, (150, 201, 3), np.uint8)


def imported(data: bytes, folder, **options):
    (folder / "net.onnx").write_bytes(data)
    return import_network(folder / "net.onnx", folder / "m", **options)


def whole(model) -> np.ndarray:
    halo = model.halo
    padded = np.pad(IMAGE, ((halo, halo), (halo, halo), (0, 0)), "reflect")
    with torch.inference_mode():
        return model.module(model.preprocess(padded))[0, :, halo:-halo, halo:-halo].argmax(0).numpy()


def test_it_gives_what_the_network_gives_and_tiles_equal_the_whole(tmp_path, monkeypatch):
    net = trained(Small())
    info = imported(exported(net), tmp_path, classes=CLASSES, mpp=0.5)
    assert sorted(path.name for path in (tmp_path / "m").iterdir()) == ["model.json", "network.onnx"]
    assert (info.config.library, info.config.arguments) == ("onnx", {"layout": "NCHW", "activation": "none"})
    model = load_model(tmp_path / "m")
    x = model.preprocess(IMAGE[:64, :64])
    with torch.inference_mode():
        torch.testing.assert_close(model.net(x), net(x), rtol=1e-4, atol=1e-5)
    for core in (32, 64, 256):
        monkeypatch.setattr(in_memory, "CORE", core)
        np.testing.assert_array_equal(slideseg.segment(IMAGE, model), whole(model))


NETS = {
    "batch": lambda: trained(Small()),
    "instance": lambda: trained(Small("instance")),
    "group": lambda: trained(Small("group")),
    "squeezing": lambda: trained(Squeezing()),
    "corners": lambda: trained(Corners()),
    "monai": monai_unet,
    "smp": smp_unet,
}


@pytest.mark.parametrize("name", [name if name != "smp" else pytest.param(name, marks=pytest.mark.slow) for name in NETS])
def test_its_reach_and_what_prevents_it_are_those_that_pytorch_s_network_has(name, tmp_path):
    net = NETS[name]()
    got, want = imported(exported(net), tmp_path).config, describe(net, 3, "torch", name, {})
    assert (got.stride, got.reach, got.exact) == (want.stride, want.reach, want.exact)
    unused = 0.3 if name == "smp" else 0.0  # layers that PyTorch runs for nothing are not in the file
    assert (1 - unused - 0.02) * want.multiplications <= got.multiplications <= 1.02 * want.multiplications
    assert 0.6 * want.cost.values <= got.cost.values <= 1.1 * want.cost.values
    kinds = [{text.rpartition("(")[2].rstrip(")") for text in network.obstacles} for network in (got, want)]
    assert kinds[0] == {"instance norm" if kind == "group norm" else kind for kind in kinds[1]}


@settings(max_examples=5, deadline=None)
@given(NETWORKS)
def test_the_two_ways_to_find_a_reach_agree(net: nn.Module):
    """One adds up gradients of a linear network, the other one follows ones through a graph."""
    for weight in net.parameters():
        nn.init.uniform_(weight, 0.1, 1.0) if weight.ndim > 1 else nn.init.zeros_(weight)
    _, got = onnx_networks().describe_file(exported(net.eval(), channels=1), "it")
    want = describe(net, 1, "torch", "it", {})
    assert (got.reach, got.exact) == (want.reach, want.exact) or got.stride != want.stride
    assert got.stride in (want.stride, 2 * want.stride) or want.stride % got.stride == 0


@pytest.mark.parametrize("last", ["Softmax", "Sigmoid"])
def test_channels_last_and_probabilities_as_tensorflow_has_them(last, tmp_path, monkeypatch):
    info = imported(like_tensorflow(last), tmp_path, classes=CLASSES)
    assert info.config.arguments == {"layout": "NHWC", "activation": last.lower()}
    assert (info.config.stride, info.config.reach, info.network.exact) == (2, 5, True)
    model = load_model(tmp_path / "m")
    monkeypatch.setattr(in_memory, "CORE", 64)
    found = slideseg.segment(IMAGE, model)
    np.testing.assert_array_equal(found, whole(model))
    assert len(np.unique(found)) > 1
    with torch.inference_mode():
        p = model.net(model.preprocess(IMAGE[:32, :32]))
    assert float(p.max()) <= (0 if last == "Softmax" else 40)  # logarithms of probabilities


def test_a_size_that_was_written_down_is_let_go_where_the_network_does_without(tmp_path):
    assert imported(exported(trained(Small()), sides=()), tmp_path).network.exact


def test_one_that_holds_its_size_is_refused(tmp_path):
    node = helper.make_node
    nodes = [node("Reshape", ["image", "form"], ["flat"]), node("Reshape", ["flat", "back"], ["found"])]
    weights = {"form": np.array([1, 3, 4096]), "back": np.array([1, 3, 64, 64])}
    with pytest.raises(ModelError, match=r"can't be run on 3 channels of 128 pixels"):
        imported(written(nodes, weights, [1, 3, 64, 64]), tmp_path)


def one_node(kind: str, shape=("n", 3, "h", "w"), elements: int = TensorProto.FLOAT, **attributes) -> bytes:
    gives = TensorProto.INT64 if kind == "ArgMax" else elements
    node = helper.make_node(kind, ["image"], ["found"], name="it", **attributes)
    return written([node], {}, list(shape), kind=elements, found_kind=gives)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"x" * 64, "is no valid ONNX file"),
        (b"", "is no valid ONNX file"),
        (one_node("Relu", ("n", 3)), "takes something else than an image"),
        (one_node("Relu", ("n", "c", "h", "w")), "does not say how many channels"),
        (one_node("Relu", elements=TensorProto.DOUBLE), "takes something else than an image"),
        (one_node("ReduceMean", keepdims=1), "gives no logits of every pixel"),
        (one_node("MaxPool", kernel_shape=[2, 2], strides=[2, 2]), "gives no logits of every pixel"),
        (one_node("ArgMax", axis=1), "logits that are no numbers"),
    ],
)
def test_what_is_no_network_for_images_is_refused(data, words, tmp_path):
    with pytest.raises(ModelError, match=words):
        imported(data, tmp_path)
    assert not (tmp_path / "m").exists()


def test_weights_elsewhere_and_weights_that_are_no_numbers_are_refused(tmp_path):
    data = exported(trained(Small()))
    model = onnx.load_model_from_string(data)
    weight = model.graph.initializer[0]
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="../../etc/passwd")
    with pytest.raises(ModelError, match=r"keeps weights in other files|no valid ONNX"):
        imported(model.SerializeToString(), tmp_path)
    net = trained(Small())
    nn.init.constant_(net.first.weight, torch.nan)
    with pytest.raises(ModelError, match="is not finite"):
        imported(exported(net), tmp_path)


def test_what_is_not_known_is_never_believed_to_be_exact(tmp_path):
    info = imported(one_node("LRN", size=3), tmp_path)
    assert info.network.obstacles == ("it (LRN, which is not known)",)
    assert not info.network.curable


def test_what_is_chosen_by_values_is_made_of_them_too(tmp_path):
    """Where a blurred picture is bright the pixel is taken, else another: both, and what is asked, are seen."""
    node = helper.make_node
    nodes = [
        node("AveragePool", ["image"], ["blurred"], kernel_shape=[9, 9], pads=[4] * 4, name="blur"),
        node("Greater", ["blurred", "half"], ["bright"], name="compare"),
        node("Not", ["bright"], ["dark"], name="turn"),
        node("Where", ["dark", "image", "half"], ["found"], name="choose"),
    ]
    info = imported(written(nodes, {"half": np.array([0.5])}, ["n", 3, "h", "w"]), tmp_path)
    assert (info.config.stride, info.config.reach, info.network.exact) == (1, 4, True)


def test_a_place_that_is_found_in_the_image_is_an_obstacle(tmp_path):
    node = helper.make_node
    nodes = [
        node("ArgMax", ["image"], ["where"], axis=1, keepdims=1, name="best"),
        node("Cast", ["where"], ["as_number"], to=TensorProto.FLOAT, name="cast"),
        node("Add", ["image", "as_number"], ["found"], name="add"),
    ]
    info = imported(written(nodes, {}, ["n", 3, "h", "w"]), tmp_path)
    assert info.network.obstacles == ("best (ArgMax, which decides by the image's values)",)


def test_it_is_checked_as_others_are(tmp_path):
    imported(exported(trained(Small())), tmp_path)
    found = check_model(tmp_path / "m")
    assert (found.probed.stride, found.probed.margin, found.probed.exact) == (2, 5, True)
    assert found.difference < 1e-5


def test_another_file_in_the_folder_is_refused(tmp_path):
    imported(exported(trained(Small())), tmp_path)
    (tmp_path / "m" / "network.onnx").write_bytes(exported(trained(Small(), 1)))
    with pytest.raises(ModelError, match="is another file than"):
        load_model(tmp_path / "m")
