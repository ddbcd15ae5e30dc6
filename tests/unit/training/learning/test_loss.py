"""Losses on cases worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch

from slideseg.errors import ConfigError
from slideseg.training.learning.loss import cross_entropy, dice_loss, loss_of
from slideseg.training.recipe.learning import LossConfig


def logits_of(*shares):
    """Logits (1, K, 1, pixels) whose softmax are these probabilities, one list a pixel."""
    return torch.tensor(shares).log().T[None, :, None]


def target(*ids):
    return torch.tensor(ids)[None, None]


def test_softmax_cross_entropy_by_hand():
    found = cross_entropy(logits_of([0.5, 0.5], [0.9, 0.1]), target(0, 1))
    assert found.tolist() == pytest.approx([(-math.log(0.5) - math.log(0.1)) / 2])


def test_one_channel_is_a_sigmoid():
    logits = torch.tensor([0.0, 2.0, -3.0]).view(1, 1, 1, 3)
    p = 1 / (1 + math.exp(-2)), 1 / (1 + math.exp(3))
    wanted = (-math.log(0.5) - math.log(p[0]) - math.log(1 - p[1])) / 3
    for config in (LossConfig(bce=1), LossConfig(cross_entropy=1)):
        assert loss_of(config)(logits, target(1, 1, 0), None).tolist() == pytest.approx([wanted])


def test_one_channel_and_two_agree():
    one = torch.randn(2, 1, 5, 5)
    two = torch.cat([torch.zeros_like(one), one], 1)
    ids = torch.randint(0, 2, (2, 5, 5))
    for loss in map(loss_of, (LossConfig(cross_entropy=1), LossConfig(dice=1), LossConfig(dice=1, dice_of="classes"))):
        torch.testing.assert_close(loss(one, ids), loss(two, ids))


def test_weights_multiply_and_are_not_divided_by():
    """E = sum of w log p, over the number of pixels: weights twice as large make a loss twice as large."""
    logits, weights = logits_of([0.5, 0.5], [0.9, 0.1]), torch.tensor([[[3.0, 5.0]]])
    found = cross_entropy(logits, target(0, 1), weights)
    assert found.tolist() == pytest.approx([(-3 * math.log(0.5) - 5 * math.log(0.1)) / 2])
    torch.testing.assert_close(cross_entropy(logits, target(0, 1), 2 * weights), 2 * found)


def test_class_weights_follow_the_true_class():
    loss = loss_of(LossConfig(cross_entropy=1, class_weights=(1, 10)))
    found = loss(logits_of([0.5, 0.5], [0.9, 0.1]), target(0, 1))
    assert found.tolist() == pytest.approx([(-math.log(0.5) - 10 * math.log(0.1)) / 2])
    one_channel = loss(torch.zeros(1, 1, 1, 2), target(0, 1))
    assert one_channel.tolist() == pytest.approx([11 * math.log(2) / 2])


def test_dice_of_the_foreground_by_hand():
    """Foreground 0.5 + 0.9 of truths 1 and 1: both 1.4, sizes 1.6 + 2."""
    found = dice_loss(logits_of([0.5, 0.3, 0.2], [0.1, 0.5, 0.4], [0.8, 0.1, 0.1]), target(1, 2, 0))
    assert found.tolist() == pytest.approx([1 - (2 * 1.4 + 1) / (1.6 + 2 + 1)], abs=1e-6)


def test_dice_of_each_class_by_hand():
    found = dice_loss(logits_of([0.5, 0.3, 0.2], [0.1, 0.5, 0.4]), target(1, 2), dice_of="classes")
    first, second = 1 - (2 * 0.3 + 1) / (0.8 + 1 + 1), 1 - (2 * 0.4 + 1) / (0.6 + 1 + 1)
    assert found.tolist() == pytest.approx([(first + second) / 2], abs=1e-6)


def test_dice_leaves_out_what_weighs_nothing():
    logits, ids = torch.randn(1, 3, 1, 6), target(0, 1, 2, 1, 0, 2)
    weights = torch.tensor([[[1.0, 9.0, 0.5, 0.0, 0.0, 0.0]]])
    for kind in ("foreground", "classes"):
        torch.testing.assert_close(dice_loss(logits, ids, weights, kind), dice_loss(logits[..., :3], ids[..., :3], None, kind))


@pytest.mark.parametrize("channels", [1, 3])
def test_nothing_true_and_nothing_found_is_no_loss(channels):
    logits = torch.full((1, channels, 4, 4), -50.0)
    logits[:, 0] = 50.0 if channels > 1 else -50.0
    for kind in ("foreground", "classes"):
        loss = loss_of(LossConfig(cross_entropy=1, dice=1, dice_of=kind))
        assert loss(logits, torch.zeros(1, 4, 4, dtype=torch.int64)).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("channels", [1, 2, 3])
@pytest.mark.parametrize("size", [1e4, 1e30])
def test_extreme_logits_stay_finite(channels, size):
    logits = (torch.randn(2, channels, 4, 4).sign() * size).requires_grad_()
    loss = loss_of(LossConfig(cross_entropy=1, dice=1))(logits, torch.randint(0, max(2, channels), (2, 4, 4)))
    loss.sum().backward()
    assert torch.isfinite(loss).all()
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("dice_of", ["foreground", "classes"])
def test_gradients_are_those_of_the_loss(channels, dice_of, monkeypatch):
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)  # finite differences need float64
    config = LossConfig(cross_entropy=0.7, dice=1.3, dice_of=dice_of, class_weights=(1, 2, 3)[: max(2, channels)])
    logits = torch.randn(2, channels, 3, 3, dtype=torch.float64, requires_grad=True)
    ids, weights = torch.randint(0, max(2, channels), (2, 3, 3)), torch.rand(2, 3, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: loss_of(config)(x, ids, weights), (logits,))


def test_a_sample_does_not_depend_on_its_batch():
    logits, ids, weights = torch.randn(5, 3, 7, 7), torch.randint(0, 3, (5, 7, 7)), torch.rand(5, 7, 7)
    loss = loss_of(LossConfig(cross_entropy=1, dice=2, dice_of="classes"))
    together = loss(logits, ids, weights)
    assert together.shape == (5,)
    alone = torch.cat([loss(logits[i : i + 1], ids[i : i + 1], weights[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(together, alone)


def test_terms_add_up_with_their_factors():
    logits, ids = torch.randn(2, 3, 4, 4), torch.randint(0, 3, (2, 4, 4))
    found = loss_of(LossConfig(cross_entropy=2, dice=3))(logits, ids)
    torch.testing.assert_close(found, 2 * cross_entropy(logits, ids) + 3 * dice_loss(logits, ids))


def test_half_precision_logits_are_taken_in_full():
    logits, ids = torch.randn(1, 2, 4, 4).bfloat16(), torch.randint(0, 2, (1, 4, 4))
    found = loss_of(LossConfig(cross_entropy=1, dice=1))(logits, ids)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, loss_of(LossConfig(cross_entropy=1, dice=1))(logits.float(), ids))


def test_one_channel_takes_any_id_above_0():
    logits = torch.randn(1, 1, 1, 3)
    assert torch.equal(cross_entropy(logits, target(0, 1, 1)), cross_entropy(logits, target(0, 2, 7)))


def test_what_does_not_fit_the_network_is_refused():
    with pytest.raises(ConfigError, match="one channel \\(got 2 channels, want 1; try cross_entropy"):
        loss_of(LossConfig(bce=1))(torch.zeros(1, 2, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64))
    with pytest.raises(ConfigError, match="as many class weights as there are classes \\(got 2, want 3"):
        loss_of(LossConfig(cross_entropy=1, class_weights=(1, 1)))(
            torch.zeros(1, 3, 2, 2), torch.zeros(1, 2, 2, dtype=torch.int64)
        )
