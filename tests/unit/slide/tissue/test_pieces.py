"""Blocks with tissue are cut into rectangles: each is in one, and no more is in them than is worth it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from slideseg.slide.tissue.pieces import pieces_of

MARGIN = 94 / 256
"""The reach of a network with 4 poolings, in blocks."""


def cost(boxes):
    return sum((box.shape[0] + MARGIN) * (box.shape[1] + MARGIN) for box in boxes)


@given(hnp.arrays(bool, st.tuples(st.integers(1, 8), st.integers(1, 8))))
def test_every_block_with_tissue_is_in_one_piece_and_never_costs_more_than_one_rectangle_around_all(busy):
    pieces = pieces_of(busy, MARGIN)

    covered = np.zeros(busy.shape, int)
    for piece in pieces:
        covered[piece.slices] += 1
    assert covered.max() <= 1
    assert (covered[busy] == 1).all()
    assert pieces == [] or busy.any()
    for piece in pieces:  # as small as can be
        inside = busy[piece.slices]
        assert all(edge.any() for edge in (inside[0], inside[-1], inside[:, 0], inside[:, -1]))
    if busy.any():
        (around,) = pieces_of(busy, 1e9)
        assert cost(pieces) <= cost([around]) + 1e-9


@pytest.mark.parametrize(
    ("blocks", "number"),
    [
        (["11", "11"], 1),
        (["00", "00"], 0),
        (["1000", "0000", "0000", "0001"], 2),
        (["1111", "1111", "1100", "1100"], 2),
        (["11111111"] * 7 + ["11111110"], 1),  # a block more costs less than seven by themselves
        (["111", "101", "111"], 1),
        (["11111", "11111", "00000", "11111", "11111"], 2),
        (["11111", "00000", "00000", "00000", "11111"], 2),
    ],
)
def test_it_is_cut_where_that_saves_something(blocks, number):
    assert len(pieces_of(np.array([[block == "1" for block in row] for row in blocks]), MARGIN)) == number


def test_the_wider_a_network_sees_the_less_is_cut():
    busy = np.random.default_rng(0).random((8, 8)) < 0.3
    assert [len(pieces_of(busy, margin)) for margin in (0, 0.1, 0.4, 1, 9)] == sorted(
        (len(pieces_of(busy, margin)) for margin in (0, 0.1, 0.4, 1, 9)), reverse=True
    )
