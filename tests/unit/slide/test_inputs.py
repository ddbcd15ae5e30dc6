"""From what was typed to slides and stores."""

import pytest

from slideseg.errors import ConfigError, SlideError
from slideseg.machine import available_memory, parse_size, usable_cores
from slideseg.slide.inputs import find_inputs, name_outputs, stem


def test_a_folder_stands_for_its_slides_and_a_zarr_for_itself(tmp_path):
    for name in ("b.tif", "a.SVS", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "c.zarr").mkdir()
    (tmp_path / "c.zarr" / "zarr.json").touch()

    found = find_inputs(tmp_path)

    assert [one.rpartition("/")[2] for one in found] == ["a.SVS", "b.tif", "c.zarr"]
    assert find_inputs([tmp_path / "c.zarr"]) == [str(tmp_path / "c.zarr")]
    assert find_inputs("s3://bucket/slide.zarr") == ["s3://bucket/slide.zarr"]


def test_missing_and_empty_are_told(tmp_path):
    with pytest.raises(SlideError, match="no such file"):
        find_inputs(tmp_path / "x.tif")
    with pytest.raises(SlideError, match="holds no slides"):
        find_inputs(tmp_path)
    with pytest.raises(ConfigError, match="no input"):
        find_inputs([])


def test_results_are_named_after_their_slides():
    assert name_outputs(["a/big.ome.tif"], None) == ["big.zarr"]
    assert name_outputs(["a/big.tif"], "out.zarr") == ["out.zarr"]
    assert name_outputs(["a.tif", "b.svs"], "s3://bucket/results/") == [
        "s3://bucket/results/a.zarr",
        "s3://bucket/results/b.zarr",
    ]


def test_a_folder_named_by_dots_has_its_own_name(tmp_path, monkeypatch):
    (tmp_path / "x.zarr" / "labels").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "x.zarr" / "labels")
    assert [stem(one) for one in ("..", "../", "../.", "./..", ".", "../../x.zarr")] == ["x", "x", "x", "x", "labels", "x"]
    assert stem("s3://bucket/x.zarr/.") == "."


def test_results_don_t_replace_each_other_or_their_slide(tmp_path):
    with pytest.raises(ConfigError, match="would share a result"):
        name_outputs(["a/x.tif", "b/x.svs"], "out")
    with pytest.raises(ConfigError, match="would replace its own slide"):
        name_outputs([str(tmp_path / "x.zarr")], tmp_path / "x.zarr")


@pytest.mark.parametrize("text", ["", "GiB", "-1GiB", "2 gigs", "0", "1e9"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="a size can't be read"):
        parse_size(text)


def test_the_machine_has_cores_and_memory():
    assert usable_cores() >= 1
    assert available_memory() > 2**20
