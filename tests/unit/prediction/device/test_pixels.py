"""Pixels that are sent as they are become the numbers that the host makes of them, to the bit."""

import numpy as np
import pytest
import torch

from slideseg.model.config import UNetConfig
from slideseg.prediction.device import pixels
from slideseg.prediction.device.pixels import OnDevice, OnHost, Sender
from slideseg.space.box import Box
from slideseg.testing.models import random_model

BOX = Box(3, 1, 19, 30)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    return {count: random_model(folder / f"{count}.safetensors", UNetConfig(count, 2, 2, 1)) for count in (1, 3)}


def image(dtype, channels):
    generator = np.random.default_rng(0)
    if np.dtype(dtype).kind == "f":
        return generator.normal(0.5, 2, (21, 33, channels)).astype(dtype)
    info = np.iinfo(dtype)
    return generator.integers(info.min, info.max, (21, 33, channels), dtype, endpoint=True)


def sent(model, region, limits=None):
    """Send as to a GPU, to a device that is here."""
    found = Sender(model, limits, "cpu:0").send(region)
    assert isinstance(found, OnDevice)
    return found


@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int16", "uint32", "int32", "float16", "float32", "float64"])
@pytest.mark.parametrize("channels", [(1, 1), (3, 3), (1, 3)], ids=["grey", "rgb", "grey as rgb"])
def test_they_are_the_host_s_numbers(models, dtype, channels):
    region, model = image(dtype, channels[0]), models[channels[1]]
    of_channels = [((10.0, 0.0, 5.0), (100.0, 50.0, 6.0))] if channels[0] == 3 else []
    for limits in (None, (10.0, 100.0), *of_channels):
        want = OnHost(model, limits, region).tile(BOX)
        assert torch.equal(sent(model, region, limits).tile(BOX), want)
        assert want.shape == (1, channels[1], *BOX.shape)


def test_what_is_not_in_order_in_memory_is_sent_too(models):
    region = image("uint16", 3)[::-1, ::2]
    assert torch.equal(sent(models[3], region).tile(BOX.shift(0, -1)), OnHost(models[3], None, region).tile(BOX.shift(0, -1)))


def test_few_bytes_are_sent_and_a_table_once(models, monkeypatch):
    bring, bytes_sent = pixels.bring, []
    monkeypatch.setattr(pixels, "bring", lambda tensor, device: bytes_sent.append(tensor.nbytes) or bring(tensor, device))
    sender, region = Sender(models[3], None, "cpu:0"), image("uint8", 3)
    for _ in range(3):
        sender.send(region).tile(BOX)
    assert bytes_sent == [256 * 3 * 4, *[region.nbytes] * 3]


def test_a_processor_is_sent_nothing(models):
    assert isinstance(Sender(models[1], None, "cpu").send(image("uint8", 1)), OnHost)
