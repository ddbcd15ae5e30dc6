"""The learning curves: a picture of the promised size for any run, however short or odd."""

from __future__ import annotations

import io
import math

import numpy as np
import pytest
from PIL import Image

from slideseg.training.record import curves
from slideseg.training.record.curves import draw_curves


def rows(epochs, **columns):
    return [
        {"epoch": epoch, "train_loss": 1 / epoch, "val_loss": 2 / epoch, "val_dice": 0.5, "val_iou": 0.4, **columns}
        for epoch in range(1, epochs + 1)
    ]


def pixels(png):
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


def drawn(png, color):
    """Count the pixels of exactly this colour."""
    return int((pixels(png) == [int(color[i : i + 2], 16) for i in (1, 3, 5)]).all(axis=2).sum())


@pytest.mark.parametrize("epochs", [1, 2, 60])
def test_all_four_curves_are_drawn(epochs):
    png = draw_curves(rows(epochs))
    assert pixels(png).shape == (700, 900, 3)
    assert all(drawn(png, color) > 10 for _, color in [*curves.LOSSES.values(), *curves.SCORES.values()])


def test_the_best_epoch_is_marked():
    assert not np.array_equal(pixels(draw_curves(rows(9))), pixels(draw_curves(rows(9), best_epoch=4)))
    assert not np.array_equal(pixels(draw_curves(rows(9), best_epoch=5)), pixels(draw_curves(rows(9), best_epoch=4)))


def test_a_run_without_validation_has_a_picture():
    lonely = [{"epoch": row["epoch"], "train_loss": row["train_loss"]} for row in rows(5)]
    png = draw_curves(lonely)
    assert drawn(png, curves.LOSSES["train_loss"][1]) > 10
    assert drawn(png, curves.LOSSES["val_loss"][1]) == 0


def test_validation_now_and_then_is_one_line():
    some = [row if row["epoch"] % 5 == 0 else {"epoch": row["epoch"], "train_loss": 1.0} for row in rows(100)]
    assert drawn(draw_curves(some), curves.SCORES["val_dice"][1]) > 500


@pytest.mark.parametrize("odd", [math.nan, math.inf, -1.0, 0.0])
def test_odd_losses_are_no_obstacle(odd):
    table = rows(5)
    table[2]["train_loss"] = odd
    assert pixels(draw_curves(table)).shape == (700, 900, 3)


def test_nothing_yet_is_an_empty_picture():
    assert pixels(draw_curves([])).shape == (700, 900, 3)


def test_the_same_rows_give_the_same_bytes():
    assert draw_curves(rows(7), 3) == draw_curves(rows(7), 3)
