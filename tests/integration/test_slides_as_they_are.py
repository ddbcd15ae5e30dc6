"""The commands on slides whose files are unusual: what they say, and what they refuse."""

from __future__ import annotations

import json

import numpy as np
import pytest
import zarr

import slideseg
from slideseg.cli import main
from tests.made_mirax import TILE, write_mirax
from tests.unit.slide.zarr.made import image, multiscale

pytestmark = pytest.mark.usefixtures("process_as_it_is")


def status(*arguments):
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in arguments])
    return ended.value.code


def test_an_mrxs_without_a_byte_is_segmented(tmp_path):
    random = np.random.default_rng(0)
    tiles = {(y, x): random.integers(0, 255, (TILE, TILE, 3), np.uint8) for y in range(2, 4) for x in range(2, 6)}
    path = write_mirax(tmp_path / "x.mrxs", tiles, (6, 8))
    assert status("predict", path, "-o", tmp_path / "out.zarr", "--workers", 1, "--tissue", "none") == 0
    assert slideseg.open_result(tmp_path / "out.zarr").segmentation.shape == (384, 512)


def test_info_tells_what_a_zarr_lacks_and_where_it_lies(tmp_path, capsys):
    scale = multiscale("cyx", [(1, 0.5, 0.25)])
    scale["datasets"][0]["coordinateTransformations"].append({"type": "translation", "translation": [0, 10, 20]})
    omero = {"channels": [{"label": "DAPI", "color": "0000FF"}, {"label": "GFP"}]}
    path = image(tmp_path / "x.zarr", [np.ones((2, 40, 50), np.uint16)], scale, {"omero": omero})
    array = zarr.open_group(str(path))
    del array["0"]
    array.create_array("0", shape=(2, 40, 50), chunks=(1, 20, 50), dtype="u2")[:, 20:] = 1
    assert status("info", path, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["mpp_yx"], facts["origin"], facts["background"]) == ([0.5, 0.25], [10, 20], [0, 0])
    assert [channel["name"] for channel in facts["channels"]] == ["DAPI", "GFP"]
    assert facts["notes"] == ["level 0: 2 of 4 chunks are not stored: they hold the fill value 0"]


def test_a_zarr_whose_chunks_lie_elsewhere_is_refused_in_one_line(data, capsys, tmp_path):
    path = data / "reported" / "c40_nested_unsaid.zarr"
    if not path.exists():
        pytest.skip("no reported files in the data folder")
    assert status("predict", path, "-o", tmp_path / "out.zarr", "--workers", 1) == 2
    said = capsys.readouterr().err.strip()
    assert said.startswith("error: ")
    assert "its chunks lie under other names than its metadata says" in said
    assert "\n" not in said
    assert not (tmp_path / "out.zarr").exists()
