"""Which label images are doubted, and which are not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import tifffile

from slideseg.training.data.dataset import open_data
from slideseg.training.recipe.data import DataConfig

if TYPE_CHECKING:
    from pathlib import Path

CLASSES = ("background", "cell")


def discs(*values: int, ground: int = 0) -> np.ndarray:
    """Return two squares that don't touch, of these values."""
    image = np.full((30, 40), ground, np.uint16)
    image[5:12, 5:12], image[5:12, 20:30] = values
    return image


def notes(folder: Path, *labels: np.ndarray, **source: Any) -> tuple[str, ...]:
    """Return what is told of label images, the last of which is for validation."""
    for name in ("images", "labels"):
        (folder / name).mkdir()
    for number, pixels in enumerate(labels):
        tifffile.imwrite(
            folder / "images" / f"{number}.tif", np.random.default_rng(number).integers(0, 256, (30, 40), np.uint8)
        )
        tifffile.imwrite(folder / "labels" / f"{number}.tif", pixels)
    said = {"images": str(folder / "images"), "labels": str(folder / "labels"), **source}
    config = DataConfig.model_validate({"sources": [said], "split": {"validation": [str(len(labels) - 1)]}})
    opened = open_data(config, CLASSES, 1)
    opened.close()
    return tuple(note.removeprefix(f"{folder}/labels: ") for note in opened.label_notes)


@pytest.mark.parametrize("value", [1, 255])
def test_a_mask_that_is_called_instances_is_doubted(tmp_path: Path, value: int) -> None:
    (said,) = notes(tmp_path, discs(value, value), discs(0, value), labels_are="instances")
    assert said == (
        "all objects have one id, though they don't touch, so they count as one object "
        f"(got {value} in 2 places; try labels_are: mask)"
    )


@pytest.mark.parametrize(
    "labels",
    [
        pytest.param((discs(1, 2), discs(1, 2)), id="an id each"),
        pytest.param((discs(0, 255), discs(255, 0)), id="one object an image"),
        pytest.param((discs(7, 7), discs(1, 2)), id="one object behind another in one of the images"),
    ],
)
def test_instances_are_believed(tmp_path: Path, labels: tuple[np.ndarray, ...]) -> None:
    assert notes(tmp_path, *labels, labels_are="instances") == ()


def test_an_id_that_is_ignored_is_no_object(tmp_path: Path) -> None:
    assert notes(tmp_path, discs(9, 9), discs(1, 2), labels_are="instances", values={9: "ignore"}) == ()


def test_a_mask_without_background_is_doubted_and_its_values_are_named(tmp_path: Path) -> None:
    (said,) = notes(tmp_path, discs(2, 2, ground=1), discs(1, 1, ground=1), labels_are="mask")
    assert said == (
        "no pixel of 2 label images is background, which is 0 "
        "(got values 1, 2; try labels_are: classes with values: {1: 0, 2: 1})"
    )


def test_one_image_that_is_object_alone_is_believed(tmp_path: Path) -> None:
    assert notes(tmp_path, discs(1, 1, ground=1), discs(1, 0), labels_are="mask") == ()


def test_classes_may_be_all_over(tmp_path: Path) -> None:
    assert notes(tmp_path, discs(1, 1, ground=1), discs(1, 1, ground=1), labels_are="classes") == ()
