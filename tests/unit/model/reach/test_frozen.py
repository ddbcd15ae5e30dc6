"""Frozen statistics: what they are, and that a network with them sees no further than its margin."""

from __future__ import annotations

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from slideseg.model.reach.frozen import Frozen, Statistics, measure
from slideseg.model.reach.probe import largest_difference, probe
from tests.unit.model.others.small import Small, Squeezing, trained


def sample(seed: int = 0) -> torch.Tensor:
    return torch.rand((3, 3, 64, 64), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("net", [Small("instance"), Small("group"), Squeezing()])
def test_a_frozen_network_is_exact_with_the_margin_that_was_found_before(net):
    net = trained(net)
    reach = probe(net, 3)
    frozen = Frozen(net, measure(net, reach.places, sample()))
    after = probe(frozen, 3)
    assert not reach.exact
    assert (after.exact, after.stride, after.margin) == (True, reach.stride, reach.margin)
    assert largest_difference(net, reach, 3, cells=8) > 1e-4
    assert largest_difference(frozen, reach, 3, cells=8) < 1e-6


@pytest.mark.parametrize("norm", ["instance", "group"])
def test_a_norm_s_statistics_are_the_sample_s(norm):
    net, x_NCHW = trained(Small(norm)), sample()
    (tensors,) = measure(net, probe(net, 3).places, x_NCHW).of_calls.values()
    with torch.no_grad():
        given_NCHW = net.low(F.max_pool2d(F.relu(net.first(x_NCHW)), 2))
    groups = given_NCHW.reshape(3, 2 if norm == "group" else 8, -1)
    variance, mean = torch.var_mean(groups, (0, 2), correction=0)
    for found, want in zip(tensors, (mean, variance), strict=True):
        torch.testing.assert_close(found, want.repeat_interleave(8 // len(want)))


def test_of_one_image_alone_a_frozen_network_gives_what_it_gave():
    """An instance norm of one image has that image's statistics; twice the same image has the same."""
    for net in (trained(Small("instance")), trained(Squeezing())):
        image = sample()[:1]
        frozen = Frozen(net, measure(net, probe(net, 3).places, torch.cat([image, image])))
        with torch.inference_mode():
            torch.testing.assert_close(frozen(image), net(image), rtol=1e-4, atol=1e-5)


def test_layers_behind_are_measured_as_they_will_be():
    """Measured all at once on the network as it is, the second would be measured behind a first one that is not frozen."""
    net = nn.Sequential(nn.InstanceNorm2d(3), nn.ReLU(), nn.InstanceNorm2d(3), nn.Conv2d(3, 2, 1))
    bright = torch.cat([sample(), 5 * sample(1)])
    first, second = measure(net, (1, 2), bright).of_calls.values()
    given = F.relu(F.batch_norm(bright, *first))
    torch.testing.assert_close(second[0], given.mean((0, 2, 3)))


@pytest.mark.parametrize("net", [Small("instance"), Squeezing()])
def test_they_don_t_depend_on_the_threads(net):
    """Small images: PyTorch's own convolution for them is another one with more threads."""
    net, found = trained(net), set()
    threads = torch.get_num_threads()
    for count in (1, 2, 3):
        torch.set_num_threads(count)
        found.add(measure(net, probe(net, 3).places, sample()).digest())
    torch.set_num_threads(threads)
    assert len(found) == 1


def test_only_what_is_to_be_frozen_is():
    net = nn.Sequential(nn.BatchNorm2d(3), nn.InstanceNorm2d(3), nn.AvgPool2d(3, 1, 1), nn.Conv2d(3, 2, 1)).eval()
    assert probe(net, 3).places == (2,)
    assert set(measure(net, (2,), sample()).of_calls) == {2}


def test_torch_s_own_instance_norm_has_its_arguments_elsewhere():
    class Direct(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.bias = nn.Parameter(torch.tensor([1.0, 2, 3])), nn.Parameter(torch.tensor([0.1, 0.2, 0.3]))

        def forward(self, x):
            return torch.instance_norm(x, self.weight, self.bias, None, None, True, 0.1, 1e-5, False)

    net, image = Direct(), sample()[:1]
    frozen = Frozen(net, measure(net, (1,), torch.cat([image, image])))
    torch.testing.assert_close(frozen(image), net(image), rtol=1e-4, atol=1e-5)


def test_statistics_go_where_the_network_goes_and_have_a_hash():
    net = trained(Small("instance"))
    statistics = measure(net, (1,), sample())
    again = pickle.loads(pickle.dumps(statistics))
    assert statistics.digest() == again.digest() == measure(net, (1,), sample()).digest()
    assert statistics.digest() != measure(net, (1,), sample(1)).digest()
    frozen = copy.deepcopy(Frozen(net, statistics)).to(torch.bfloat16)
    assert frozen(sample().bfloat16()).dtype == torch.bfloat16
    assert Statistics({}).digest() != statistics.digest()
