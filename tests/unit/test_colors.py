"""Colours: those of results that are there don't change, and there is one reader of ``#rrggbb``."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from slideseg import colors
from slideseg.colors import IMPORTED, PALETTE, color_of, color_table, object_colors, rgb_of
from slideseg.model.info import ModelClass

SOURCE = Path(colors.__file__).parent
READERS = re.compile(r"fromhex\(|ImageColor|int\(.*, 16\)")
"""Ways to read a colour."""


@pytest.mark.parametrize("text", ["#ff8000", "#FF8000", "ff8000", "FF8000"])
def test_a_colour_is_red_green_and_blue(text: str) -> None:
    assert rgb_of(text) == (255, 128, 0)
    assert color_of(rgb_of(text)) == "#ff8000"


@pytest.mark.parametrize(
    "text", ["", "#", "red", "#fff", "#ff80000", "##ff8000", "#ff 8000", "#ff80zz", "#ff8000\n", "#-f8000"]
)
def test_anything_else_is_no_colour(text: str) -> None:
    with pytest.raises(ValueError, match="no color #rrggbb"):
        rgb_of(text)


def test_the_palettes_are_those_of_the_models_and_runs_that_are_there() -> None:
    first = ("#2ca02c", "#ffbf00", "#1f77b4", "#d62728", "#9467bd")
    assert (*first, "#8c564b", "#e377c2", "#17becf") == PALETTE
    assert (*first, "#17becf", "#e377c2", "#8c564b", "#bcbd22") == IMPORTED


def test_a_table_has_a_colour_for_every_id() -> None:
    table = color_table([ModelClass(2, "a", "#ff8000"), ModelClass(255, "b", "#0000ff")])
    assert (table.shape, table.dtype) == ((256, 3), np.uint8)
    assert table[[0, 1, 2, 254, 255]].tolist() == [[0, 0, 0], [0, 0, 0], [255, 128, 0], [0, 0, 0], [0, 0, 255]]


def test_objects_have_the_colours_they_always_had_and_any_few_of_them_are_far_apart() -> None:
    found = object_colors(np.array([[0, 1, 2], [3, 1021, 1022]], np.uint32))
    assert (found.shape, found.dtype) == ((2, 3, 3), np.float32)
    red, blue, green, pink = [255, 0, 0], [0, 74, 255], [148, 255, 0], [255, 0, 223]
    assert found.astype(np.uint8).tolist() == [[red, blue, green], [pink, red, blue]]
    near = object_colors(np.arange(2000, 2005))
    assert min(np.abs(near[a] - near[b]).max() for a in range(5) for b in range(a)) > 100


def test_nothing_else_reads_colours() -> None:
    found = {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py") if READERS.search(path.read_text("utf-8"))}
    assert found == {"colors.py"}
