"""Lines that ``slideseg verify`` prints for people."""

import numpy as np
import pytest
from click.testing import CliRunner

from slideseg.cli import cli
from slideseg.instances.run import objects
from tests.made_results import blobs, make_result


def verified(url, class_map):
    make_result(url, class_map)
    objects(url)
    done = CliRunner().invoke(cli, ["verify", str(url)], standalone_mode=False)
    assert done.return_value == 0
    return done.output.splitlines()[-1]


def test_verify_says_how_many_objects_it_compared(tmp_path):
    assert verified(tmp_path / "x.zarr", blobs((300, 300))).endswith(
        " comparisons of objects in 1 window at seams, all the same"
    )
    one = np.zeros((300, 300), np.uint8)
    one[250:260, 250:260] = 1
    assert "; 1 comparison of objects in 1 window at seams, " in verified(tmp_path / "y.zarr", one)


@pytest.mark.parametrize(("side", "windows"), [(300, "1 window"), (1500, "4 windows")])
def test_verify_says_that_it_compared_nothing(tmp_path, side, windows):
    line = verified(tmp_path / "x.zarr", np.zeros((side, side), np.uint8))
    assert line == f"objects: their table is whole; nothing compared, as no object is whole in {windows} at seams"
