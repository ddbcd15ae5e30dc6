"""ONNX networks with frozen statistics: the same numbers as PyTorch's network with its own, and tiles equal the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
import torch

import slideseg
from slideseg.errors import ModelError
from slideseg.model.others.describe import describe
from slideseg.model.others.importing import import_network
from slideseg.model.others.onnx.net import OnnxNet
from slideseg.model.reach.frozen import freeze, measure
from tests.unit.model.others.networks import monai_unet
from tests.unit.model.others.onnx.exported import TensorProto, exported, helper, numpy_helper, onnx, written
from tests.unit.model.others.small import Small, Squeezing, trained

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

NETS: dict[str, Callable[[], nn.Module]] = {
    "instance": lambda: trained(Small("instance")),
    "group": lambda: trained(Small("group")),
    "squeezing": lambda: trained(Squeezing()),
    "monai": lambda: monai_unet(norm="instance").eval(),
}
CLASSES = ("background", "cell", "edge")


@pytest.mark.parametrize("name", NETS)
def test_frozen_it_gives_what_pytorch_s_gives_frozen_with_the_same_sample(name: str, tmp_path: Path) -> None:
    net = NETS[name]()
    (tmp_path / "x.onnx").write_bytes(exported(net))
    info = import_network(tmp_path / "x.onnx", tmp_path / "m", classes=CLASSES)
    assert (info.network.exact, info.network.curable) == (False, True)
    sample, other = torch.rand(3, 3, 64, 64), torch.rand(2, 3, 96, 32) ** 2
    own = measure(net, describe(net, 3, "torch", name, {}).places, sample)
    graph = slideseg.load_model(tmp_path / "m").as_trained
    statistics = measure(graph, info.config.places, sample)  # type: ignore[union-attr]
    assert len(statistics.of_calls) == len(own.of_calls)
    with torch.inference_mode():
        want, found = freeze(net, own)(other), freeze(graph, statistics)(other)
        torch.testing.assert_close(found, want, rtol=1e-3, atol=1e-4)
        assert not torch.allclose(found, graph(other), rtol=1e-3, atol=1e-4)


def test_tiles_of_a_frozen_one_equal_the_whole_slide(tmp_path: Path) -> None:
    image = np.random.default_rng(0).integers(0, 256, (150, 300, 3), np.uint8)
    image[:, 150:] //= 3
    tifffile.imwrite(tmp_path / "x.tif", image, photometric="rgb")
    (tmp_path / "x.onnx").write_bytes(exported(NETS["squeezing"]()))
    import_network(tmp_path / "x.onnx", tmp_path / "m", classes=CLASSES)
    options = {"model": tmp_path / "m", "workers": 1, "tissue": "none"}
    with pytest.raises(ModelError, match="try --freeze-statistics, or --inexact"):
        slideseg.predict(tmp_path / "x.tif", tmp_path / "none.zarr", **options)
    maps = []
    for tile in (64, 400):
        out = tmp_path / f"{tile}.zarr"
        slideseg.predict(tmp_path / "x.tif", out, tile=tile, freeze_statistics=True, **options)
        result = slideseg.open_result(out)
        assert (result.record.tiling.exact, result.record.settings.freeze_statistics) == (True, True)
        maps.append(np.asarray(result.segmentation))
    np.testing.assert_array_equal(*maps)
    assert len(np.unique(maps[0])) > 1


def test_one_that_is_not_frozen_stays_as_it_is(tmp_path: Path) -> None:
    data = exported(NETS["instance"]())
    net = OnnxNet(data, "NCHW", "none")
    assert freeze(net, measure(net, (), torch.rand(2, 3, 32, 32))).data == data  # type: ignore[comparison-overlap]


def test_numbers_of_half_precision_are_frozen_as_they_are(tmp_path: Path) -> None:
    node, half = helper.make_node, TensorProto.FLOAT16
    nodes = [
        node("Cast", ["image"], ["x"], to=half, name="half"),
        node("Conv", ["x", "k"], ["y"], name="conv"),
        node("GlobalAveragePool", ["y"], ["p"], name="pool"),
        node("Mul", ["y", "p"], ["z"], name="mul"),
        node("Cast", ["z"], ["found"], to=TensorProto.FLOAT, name="back"),
    ]
    model = onnx.load_model_from_string(written(nodes, {"k": np.ones((2, 3, 1, 1))}, ["n", 3, "h", "w"]))
    weight = model.graph.initializer[0]
    weight.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(weight).astype(np.float16), weight.name))
    (tmp_path / "x.onnx").write_bytes(model.SerializeToString())
    info = import_network(tmp_path / "x.onnx", tmp_path / "m")
    assert info.network.obstacles == ("pool (global pooling)",)
    net = slideseg.load_model(tmp_path / "m").as_trained
    frozen = freeze(net, measure(net, info.config.places, torch.rand(2, 3, 32, 32)))  # type: ignore[union-attr]
    with torch.inference_mode():
        x = torch.rand(1, 3, 64, 32)
        torch.testing.assert_close(frozen(x)[..., :32, :], frozen(x[..., :32, :]))
