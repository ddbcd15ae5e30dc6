"""Augmented samples: each follows from its own seed, and each change does what it says."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from slideseg.errors import ConfigError
from slideseg.training.recipe.samples import AugmentConfig
from slideseg.training.samples import augment as module
from slideseg.training.samples.augment import augment, draw, window_side
from slideseg.training.samples.warp import Warp, source_of, turned
from slideseg.training.samples.windows import Windows, join

ALL = {
    "elastic": {"sigma": 4},
    "shift": 5,
    "rotate": 180,
    "scale": (0.6, 1.5),
    "stretch": (0.9, 1.1),
    "optical_distortion": 0.1,
    "interpolation": "bicubic",
    "flip": True,
    "turn": True,
    "contrast": 0.3,
    "brightness": 0.1,
    "gamma": (0.7, 1.4),
    "blur": 1,
    "motion_blur": 7,
    "noise": 0.1,
    "stain": {"amount": 0.2, "shift": 0.05},
    "paint": 0.5,
    "one_of": {"probability": 0.6, "members": ["motion_blur", "noise", "optical_distortion"]},
}
OFF_GEOMETRY = {"elastic": {}, "shift": 0, "rotate": 0, "scale": (1, 1), "stretch": (1, 1), "optical_distortion": 0}


def windows_of(count, side, channels=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = np.kron(rng.integers(0, 9, (count, side // 8 + 1, side // 8 + 1)), np.ones((1, 8, 8), int))[:, :side, :side]
    image = rng.random((count, channels, side, side), np.float32) * 0.5 + 0.25
    instances = torch.from_numpy(labels.astype(np.int32))
    weights = torch.from_numpy(rng.random((count, side, side), np.float32))
    return Windows(torch.from_numpy(image), (instances > 0).long() + (instances > 5).long(), instances, weights)


def tensors(windows):
    return [getattr(windows, field.name) for field in dataclasses.fields(windows)]


def same(one, other):
    return all(torch.equal(a, b) and a.dtype == b.dtype for a, b in zip(tensors(one), tensors(other), strict=True))


def run(config, side=32, count=1, seeds=None, channels=1):
    windows = windows_of(count, window_side(config, side), channels)
    return windows, augment(windows, config, side, seeds or range(count), ["fluorescence"] * count)


@pytest.mark.parametrize("side", [31, 64])
@pytest.mark.parametrize("change", [{}, {"paint": 1.0}, OFF_GEOMETRY])
def test_a_sample_is_the_same_in_any_batch(side, change):
    config = AugmentConfig(**ALL | change)
    windows = windows_of(4, window_side(config, side))
    seeds, kinds = [2**62 + 5, 0, 7, 8], ["fluorescence", "he_pink", "purple_on_white", ""]
    together = augment(windows, config, side, seeds, kinds)
    alone = join([augment(windows.pick(i), config, side, [seeds[i]], [kinds[i]]) for i in range(4)])
    assert same(together, alone)
    order = [2, 0, 3, 1]
    mixed = augment(join([windows.pick(i) for i in order]), config, side, [seeds[i] for i in order], [kinds[i] for i in order])
    assert same(join([mixed.pick(order.index(i)) for i in range(4)]), together)


def test_another_seed_is_another_sample():
    windows = windows_of(1, window_side(AugmentConfig(**ALL), 32))
    one, other = (augment(windows, AugmentConfig(**ALL), 32, [seed], ["he_pink"]) for seed in (1, 2))
    assert not torch.equal(one.image_NCHW, other.image_NCHW)


def test_nothing_asked_for_is_a_crop_to_the_bit():
    windows = windows_of(2, 41)
    assert same(augment(windows, AugmentConfig(), 32, [1, 2], ["", ""]), windows.crop(32))
    assert window_side(AugmentConfig(flip=True, turn=True, noise=1), 32) == 32


def test_without_weights_there_are_none_after():
    windows = dataclasses.replace(windows_of(2, window_side(AugmentConfig(**ALL), 16)), weights_NHW=None)
    assert augment(windows, AugmentConfig(**ALL), 16, [1, 2], ["", ""]).weights_NHW is None


def test_turns_and_flips_make_all_eight_and_no_other_pixels():
    windows, _ = run(AugmentConfig(), 8)
    seen = {
        augment(windows, AugmentConfig(flip=True, turn=True), 8, [seed], [""]).image_NCHW.numpy().tobytes()
        for seed in range(80)
    }
    wanted = {
        torch.rot90(image, quarters, (-2, -1)).contiguous().numpy().tobytes()
        for image in (windows.image_NCHW, windows.image_NCHW.flip(-1))
        for quarters in range(4)
    }
    assert seen == wanted


def test_flips_alone_are_about_half():
    flips = [draw(AugmentConfig(flip=True), seed).flip for seed in range(400)]
    assert 150 < sum(flips) < 250


RANGE = st.tuples(st.floats(0.4, 1), st.floats(1, 2))


@given(st.floats(0, 180), RANGE, RANGE, st.floats(0, 20), st.floats(0, 0.25), st.integers(1, 90), st.integers(0, 99))
def test_a_raw_window_holds_all_that_a_sample_shows(rotate, scale, stretch, shift, distortion, side, seed):
    config = AugmentConfig(rotate=rotate, scale=scale, stretch=stretch, shift=shift, optical_distortion=distortion)
    raw = window_side(config, side)
    source = source_of([draw(config, seed).warp], side, raw, torch.device("cpu"))
    assert (raw - side) % 2 == 0
    assert source.min() > -1e-3
    assert source.max() < raw - 1 + 1e-3


def test_a_raw_window_is_not_larger_than_needed():
    assert window_side(AugmentConfig(shift=3), 32) == 38
    assert window_side(AugmentConfig(elastic={"sigma": 10}), 572) == 632
    assert window_side(AugmentConfig(scale=(1.5, 2)), 32) == 32  # magnified only: shows less than there is
    assert window_side(AugmentConfig(rotate=180), 401) == 401 + 2 * 83  # 200 sqrt(2) = 282.8


def test_a_raw_window_holds_the_outermost_corner():
    config = AugmentConfig(rotate=60, scale=(0.5, 1), stretch=(0.8, 1), shift=7, optical_distortion=0.2)
    raw = window_side(config, 101)
    extreme = Warp(turned(45, np.full(2, 0.4)), np.full(2, 7.0), np.zeros((2, 3, 3)), 0.2)
    source = source_of([extreme], 101, raw, torch.device("cpu"))
    assert raw - 3 < source.max() <= raw - 1


def test_elastic_displacements_have_the_stated_deviation():
    config = AugmentConfig(elastic={"sigma": 10, "grid": 3})
    points = np.concatenate([draw(config, seed).warp.displacement.ravel() for seed in range(200)])
    assert points.std() == pytest.approx(10, rel=0.05)
    assert abs(points.mean()) < 0.6


def test_what_is_off_changes_nothing_of_what_is_on():
    bare, full = (
        draw(AugmentConfig(rotate=30, noise=0.2), 5),
        draw(AugmentConfig(**ALL | {"rotate": 30, "noise": 0.2, "one_of": {}}), 5),
    )
    assert (bare.noise, bare.magnification) == (full.noise, 1)
    assert np.arctan2(*bare.warp.matrix[::-1, 0]) != 0


def test_a_group_lets_at_most_one_act_in_its_share():
    members = ["noise", "blur", "motion_blur", "contrast"]
    config = AugmentConfig(noise=1, blur=1, motion_blur=5, contrast=0.5, one_of={"probability": 0.75, "members": members})
    draws = [draw(config, seed) for seed in range(400)]
    acting = np.array([[d.noise > 0, d.blur > 0, d.motion_yx != (0, 0), d.contrast != 1] for d in draws])
    assert acting.sum(1).max() == 1
    assert 0.68 < acting.any(1).mean() < 0.82
    assert acting.sum(0).min() > 45


def test_what_is_not_in_the_group_acts_always():
    config = AugmentConfig(noise=1, blur=1, one_of={"probability": 0, "members": ["blur"]})
    assert [(d.noise > 0, d.blur > 0) for d in (draw(config, seed) for seed in range(9))] == [(True, False)] * 9


def test_noise_is_gaussian_of_its_deviation():
    image = torch.full((1, 1, 256, 256), 0.5)
    change = module.noisy(image, 0.05, 3) - image
    assert change.std().item() == pytest.approx(0.05, rel=0.02)
    assert abs(change.mean().item()) < 1e-3
    assert not torch.equal(module.noisy(image, 0.05, 4) - image, change)


def test_contrast_keeps_the_mean_and_brightness_moves_it():
    windows = windows_of(1, 64, 1)
    out = augment(windows, AugmentConfig(contrast=0.2), 64, [4], [""]).image_NCHW
    drawn = draw(AugmentConfig(contrast=0.2), 4)
    assert out.mean().item() == pytest.approx(windows.image_NCHW.mean().item(), abs=1e-5)
    assert (out.std() / windows.image_NCHW.std()).item() == pytest.approx(drawn.contrast, abs=1e-4)
    lit = augment(windows, AugmentConfig(brightness=0.1), 64, [4], [""]).image_NCHW
    moved = draw(AugmentConfig(brightness=0.1), 4).brightness
    torch.testing.assert_close(lit, windows.image_NCHW + moved)


def test_gamma_leaves_black_and_white():
    ends = Windows(torch.tensor([0.0, 1.0, 0.5, 0.5]).view(1, 1, 2, 2), *torch.zeros(2, 1, 2, 2, dtype=torch.int32))
    out = augment(ends, AugmentConfig(gamma=(2, 2)), 2, [0], [""]).image_NCHW
    assert out.flatten().tolist() == pytest.approx([0, 1, 0.25, 0.25])


def test_pixels_stay_between_black_and_white():
    _, out = run(AugmentConfig(noise=3, brightness=1), count=4)
    assert (out.image_NCHW.min(), out.image_NCHW.max()) == (0, 1)


def point(side=21):
    image = torch.zeros(1, 1, side, side)
    image[..., side // 2, side // 2] = 1
    return image


def test_a_blur_has_its_deviation_and_keeps_the_light():
    spot = module.gaussian_blurred(point(), 1.5)[0, 0]
    offsets = torch.arange(21.0) - 10
    assert spot.sum().item() == pytest.approx(1, abs=1e-5)
    assert (spot.sum(1) * offsets**2).sum().sqrt().item() == pytest.approx(1.5, abs=0.05)
    torch.testing.assert_close(spot, spot.T)


def test_motion_draws_a_line_of_its_length_and_direction():
    spot = module.motion_blurred(point(), (0.0, 6.0))[0, 0]
    assert spot.sum().item() == pytest.approx(1, abs=1e-5)
    assert spot[10, 8:13].min() > 0.12
    assert spot[10, 7] < 0.75 * spot[10, 10]  # the line ends in the middle of this pixel
    assert spot.sum(1).nonzero().flatten().tolist() == [10]
    steep = module.motion_blurred(point(), (6.0, 0.0))[0, 0]
    torch.testing.assert_close(steep, spot.T)


@pytest.mark.parametrize("side", [1, 2, 5])
def test_blurs_fit_into_tiny_windows(side):
    image = torch.rand(1, 1, side, side)
    assert module.motion_blurred(module.gaussian_blurred(image, 3.0), (9.0, 9.0)).shape == image.shape


def test_shrunk_stripes_become_grey_not_other_stripes():
    config = AugmentConfig(scale=(0.4, 0.4))
    raw = window_side(config, 32)
    stripes = (torch.arange(raw) % 2).float().expand(1, 1, raw, raw)
    ids = torch.zeros(1, raw, raw, dtype=torch.int32)
    out = augment(Windows(stripes, ids.long(), ids), config, 32, [0], [""]).image_NCHW
    assert out.sub(0.5).abs().max() < 0.1


def test_stains_are_told_apart():
    """Twice the haematoxylin of a picture dyed with haematoxylin alone is twice its density, and no more eosin."""
    stains = torch.from_numpy(module.stain_matrix()).float()
    amount = torch.rand(1, 1, 8, 8)
    image = (-amount * stains[0].view(1, 3, 1, 1)).exp()
    out = module.restained(image, np.array([2.0, 0.3, 0.3]), np.zeros(3))
    torch.testing.assert_close(out, (-2 * amount * stains[0].view(1, 3, 1, 1)).exp())
    added = module.restained(torch.ones(1, 3, 2, 2), np.ones(3), np.array([0, 0.5, 0]))
    torch.testing.assert_close(-added.log()[0, :, 0, 0], 0.5 * stains[1], atol=1e-6, rtol=0)
    assert module.restained(torch.ones(1, 3, 2, 2), np.ones(3), np.full(3, -0.5)).max() == 1  # no lighter than white


def test_stain_amounts_of_one_change_nothing():
    image = torch.rand(1, 3, 8, 8).clamp_min(0.02)
    torch.testing.assert_close(module.restained(image, np.ones(3), np.zeros(3)), image, atol=1e-5, rtol=0)


def test_painting_keeps_outlines_and_copies_classes():
    windows = windows_of(1, 64)
    copies = 0
    for seed in range(12):
        out = augment(windows, AugmentConfig(paint=1.0), 64, [seed], ["fluorescence"])
        kept = windows.instances_NHW > 0
        assert torch.equal(out.instances_NHW[kept], windows.instances_NHW[kept])
        assert torch.equal(out.classes_NHW[kept], windows.classes_NHW[kept])
        assert torch.equal(out.instances_NHW > 0, out.classes_NHW > 0)
        copied = out.instances_NHW > 8
        copies += int(copied.sum())
        assert torch.equal(out.classes_NHW[copied], 1 + (out.instances_NHW[copied] - 8 > 5).long())
    assert copies > 0


def test_painting_works_on_windows_larger_than_its_textures():
    _, out = run(AugmentConfig(paint=1.0), side=400, channels=3)
    assert out.image_NCHW.shape == (1, 3, 400, 400)


@pytest.mark.parametrize("change", [{"paint": 0.5}, {"stain": {"amount": 0.1}}])
def test_stains_of_a_grey_image_are_refused(change):
    with pytest.raises(ConfigError, match="RGB images only \\(got 1 channels, want 3"):
        run(AugmentConfig(**change))


def test_a_window_that_is_too_small_is_refused():
    with pytest.raises(ConfigError, match="too small to be augmented \\(got 32, want 38 px"):
        augment(windows_of(1, 32), AugmentConfig(shift=3), 32, [0], [""])
    with pytest.raises(ConfigError, match="too small to be cropped"):
        windows_of(1, 32).crop(33)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_it_runs_on_a_gpu_as_on_a_cpu():
    config = AugmentConfig(**ALL | {"noise": 0, "paint": 0})
    windows = windows_of(2, window_side(config, 32))
    out = augment(windows.map(lambda tensor: tensor.cuda()), config, 32, [1, 2], ["", ""])
    wanted = augment(windows, config, 32, [1, 2], ["", ""])
    torch.testing.assert_close(out.image_NCHW.cpu(), wanted.image_NCHW, atol=2e-3, rtol=0)
    assert (out.instances_NHW.cpu() == wanted.instances_NHW).float().mean() > 0.999
