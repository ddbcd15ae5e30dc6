"""Lines that ``slideseg verify`` prints for people."""

import numpy as np
import pytest
from click.testing import CliRunner

from slideseg.cli import cli
from slideseg.errors import ResultInUseError
from slideseg.instances.run import objects
from slideseg.storage.lease import Lease
from tests.damage import as_of_an_older_version
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


def test_verify_says_what_it_could_not_compare_what_is_not_ours_and_what_it_mended(tmp_path):
    url = tmp_path / "x.zarr"
    make_result(url, blobs((300, 300)))
    (url / "notes.txt").write_text("mine")
    whole = CliRunner().invoke(cli, ["verify", str(url)], standalone_mode=False)
    assert (whole.return_value, whole.stdout.splitlines()[-1]) == (0, "1 file not slideseg's, such as notes.txt")

    root = (url / "zarr.json").read_bytes()
    (url / "zarr.json").write_bytes(root.replace(b"0.5", b"0.4", 1))
    mended = CliRunner().invoke(cli, ["verify", "--repair", str(url)], standalone_mode=False)
    assert (mended.return_value, mended.stdout.splitlines()[0]) == (1, "zarr.json")
    assert mended.stderr.endswith("mended; nothing has to be computed again\n")
    assert (url / "zarr.json").read_bytes() == root

    (url / "labels/segmentation/0/manifest.txt").unlink()
    damaged = CliRunner().invoke(cli, ["verify", str(url)], standalone_mode=False)
    assert (damaged.return_value, "as it is damaged: every chunk" in damaged.stdout) == (1, True)
    as_of_an_older_version(url)
    old = CliRunner().invoke(cli, ["verify", str(url)], standalone_mode=False)
    assert (old.return_value, "as an older version wrote none: every chunk" in old.stdout) == (0, True)


def test_a_result_that_a_run_is_at_is_not_repaired(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((300, 300)))
    (tmp_path / "x.zarr/labels/segmentation/0/c/0/0").unlink()
    with Lease(str(tmp_path / "x.zarr")):
        with pytest.raises(ResultInUseError):
            CliRunner().invoke(
                cli, ["verify", "--repair", str(tmp_path / "x.zarr")], standalone_mode=False, catch_exceptions=False
            )
        looked = CliRunner().invoke(cli, ["verify", str(tmp_path / "x.zarr")], standalone_mode=False)
    assert looked.return_value == 1
    repaired = CliRunner().invoke(cli, ["verify", "--repair", str(tmp_path / "x.zarr")], standalone_mode=False)
    assert "run the same command again" in repaired.stderr
