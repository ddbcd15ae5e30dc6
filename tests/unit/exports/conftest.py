"""A result to export, and what is left of a folder."""

import numpy as np
import pytest
from PIL import Image

import slideseg
from tests.made_results import blobs, make_result

SHAPE = (700, 1100)


@pytest.fixture(scope="session")
def class_map():
    return blobs(SHAPE)


@pytest.fixture(scope="session")
def image():
    return np.random.default_rng(1).integers(0, 256, (*SHAPE, 3)).astype(np.uint8)


@pytest.fixture(scope="session")
def result(class_map, image, tmp_path_factory):
    """A result with objects and their table, and the instances."""
    path = tmp_path_factory.mktemp("exports") / "biopsy.zarr"
    return path, make_result(path, class_map, image=image, objects=True, table=True)


def left(folder):
    return sorted(file.name for file in folder.iterdir())


def picture(path):
    with Image.open(path) as opened:
        opened.load()
        return np.asarray(opened)


@pytest.fixture(scope="session")
def measured(tmp_path_factory):
    """A result with objects and their table."""
    path = tmp_path_factory.mktemp("tables") / "biopsy.zarr"
    image = np.random.default_rng(1).integers(0, 256, (*SHAPE, 3)).astype(np.uint8)
    make_result(path, blobs(SHAPE), image=image)
    slideseg.objects(path)
    return path


@pytest.fixture(scope="session")
def rows(measured):
    return slideseg.open_result(measured).table
