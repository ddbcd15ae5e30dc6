"""Targets: border classes against their definitions."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst
from scipy import ndimage

from slideseg.training.recipe.samples import TargetConfig
from slideseg.training.samples.targets import borders, contacts, depths, rims, targets_of

IDS = st.sampled_from([0, 0, 1, 2, 2**24, 2**24 + 1, 2**31 - 1])
LABELS = npst.arrays(np.int32, npst.array_shapes(min_dims=3, max_dims=3, min_side=1, max_side=9), elements=IDS)


def ids_around(labels, y, x, inside):
    rows, columns = np.mgrid[: labels.shape[0], : labels.shape[1]]
    return set(labels[inside(abs(rows - y), abs(columns - x))].tolist())


@given(LABELS)
def test_a_border_of_one_is_the_outermost_pixel(labels):
    found = targets_of(torch.from_numpy(labels > 0), torch.from_numpy(labels), TargetConfig(border=1), 2)
    assert found.dtype == torch.int64
    cross = ndimage.generate_binary_structure(2, 1)[None]
    low, high = (f(labels, footprint=cross) for f in (ndimage.minimum_filter, ndimage.maximum_filter))
    assert np.array_equal(found.numpy(), np.where(labels == 0, 0, np.where(low == high, 1, 2)))


@given(LABELS, st.integers(1, 4))
def test_borders_by_definition(labels, width):
    found = borders(torch.from_numpy(labels), width).numpy()
    for n, y, x in np.ndindex(labels.shape):
        near = ids_around(labels[n], y, x, lambda dy, dx: dy + dx <= width)
        assert found[n, y, x] == (labels[n, y, x] > 0 and len(near) > 1)


@given(LABELS, st.integers(1, 3))
def test_contacts_by_definition(labels, reach):
    found = contacts(torch.from_numpy(labels), reach).numpy()
    for n, y, x in np.ndindex(labels.shape):
        near = ids_around(labels[n], y, x, lambda dy, dx: np.maximum(dy, dx) <= reach)
        assert found[n, y, x] == (len(near - {0}) > 1)


@given(LABELS)
def test_depths_by_definition(labels):
    """A step goes to one of four neighbours, every second one to one of eight; an instance without an edge is 1 deep."""
    found = depths(torch.from_numpy(labels)).numpy()
    for n, y, x in np.ndindex(labels.shape):
        reached, steps = np.zeros(labels.shape[1:], np.bool_), 0
        reached[y, x] = True
        while set(labels[n][reached]) == {labels[n, y, x]} and steps < sum(labels.shape):
            reached, steps = ndimage.binary_dilation(reached, np.ones((3, 3)) if steps % 2 else None), steps + 1
        edged = len(set(labels[n].ravel())) > 1
        assert found[n, y, x] == (0 if labels[n, y, x] == 0 else steps if edged else 1)


@given(LABELS, st.sampled_from([0.3, 0.5, 0.9]))
def test_every_instance_keeps_a_core_and_loses_its_outer_part(labels, share):
    found, depth = rims(torch.from_numpy(labels), share).numpy(), depths(torch.from_numpy(labels)).numpy()
    assert not found[labels == 0].any()
    for n in range(len(labels)):
        for instance in set(labels[n].ravel()) - {0}:
            inside = labels[n] == instance
            assert np.array_equal(found[n] & inside, inside & (depth[n] <= share * depth[n][inside].max()))
            assert not found[n][inside].all()


def test_instances_of_one_id_in_two_samples_are_two():
    small, large = torch.zeros(1, 9, 9, dtype=torch.int32), torch.zeros(1, 9, 9, dtype=torch.int32)
    small[:, 4, 4] = large[:, 1:8, 1:8] = 1
    found = rims(torch.cat([small, large]), 0.5)
    assert not found[0].any()
    assert (~found[1] & (large[0] > 0)).sum() == 9


def test_plain_classes_stay():
    classes = torch.tensor([[[0, 1, 3]]], dtype=torch.uint8)
    found = targets_of(classes, torch.tensor([[[0, 5, 6]]], dtype=torch.int32), TargetConfig(), 4)
    assert found.dtype == torch.int64
    assert found.tolist() == [[[0, 1, 3]]]


def test_touching_takes_both_sides_and_the_gap_and_nothing_else():
    instances = torch.tensor([[[1, 1, 1, 0, 2, 2, 2, 0, 0]]], dtype=torch.int32)
    found = targets_of((instances > 0).long(), instances, TargetConfig(touching=2), 2)
    assert found.tolist() == [[[1, 1, 2, 2, 2, 1, 1, 0, 0]]]


def test_labels_are_not_changed():
    classes, instances = torch.ones(1, 4, 4, dtype=torch.int64), torch.eye(4, dtype=torch.int32)[None]
    targets_of(classes, instances, TargetConfig(border=2), 2)
    assert classes.sum() == 16


def test_a_whole_batch_of_real_size():
    labels = ndimage.label(np.random.default_rng(0).random((64, 64)) < 0.5)[0].astype(np.int32)
    batch = torch.from_numpy(np.stack([labels, labels.T]))
    out = targets_of((batch > 0).long(), batch, TargetConfig(border=1), 2)
    assert torch.equal(out[0], out[1].T)
