"""From what was typed to slides and stores."""

import os
from pathlib import Path

import numpy as np
import pytest

from slideseg.errors import ConfigError, SlideError
from slideseg.machine import available_memory, parse_size, usable_cores
from slideseg.slide import inputs
from slideseg.slide.inputs import check_outputs, find_inputs, name_of, name_outputs, name_results
from slideseg.slide.listing.folder import Listing
from slideseg.slide.listing.names import stem
from slideseg.slide.listing.sets import files_of
from slideseg.slide.open import open_labels, open_slide
from tests.dicom_files import Made, series, write


def test_a_folder_stands_for_its_slides_and_a_zarr_for_itself(tmp_path):
    for name in ("b.tif", "a.SVS", "notes.txt"):
        (tmp_path / name).touch()
    (tmp_path / "c.zarr").mkdir()
    (tmp_path / "c.zarr" / "zarr.json").touch()

    found = find_inputs(tmp_path)

    assert [one.rpartition("/")[2] for one in found] == ["a.SVS", "b.tif", "c.zarr"]
    assert find_inputs([tmp_path / "c.zarr"]) == [str(tmp_path / "c.zarr")]
    assert find_inputs("s3://bucket/slide.zarr") == ["s3://bucket/slide.zarr"]


def test_what_is_left_out_of_a_folder_is_told_once(tmp_path, caplog):
    for name in ("a.svs", "a_label.png", "a-macro.jpg", "b_label.png"):
        (tmp_path / name).touch()
    (tmp_path / "more").mkdir()
    assert [Path(one).name for one in find_inputs(tmp_path)] == ["a.svs", "b_label.png"]
    left_out = "a-macro.jpg (macro of a.svs), a_label.png (label of a.svs), more/ (a folder)"
    assert [record.getMessage() for record in caplog.records] == [f"{tmp_path}: left out, name it to take it: {left_out}"]
    assert find_inputs([tmp_path / "a_label.png"]) == [str(tmp_path / "a_label.png")]
    (tmp_path / "more" / "x.zarr").mkdir()
    (tmp_path / "more" / "x.zarr" / "zarr.json").write_text('{"attributes": {"slideseg": {"status": "complete", "run": {}}}}')
    with pytest.raises(SlideError, match=r"holds no slides \(got .*more, with x.zarr \(a result\)"):
        find_inputs(tmp_path / "more")
    assert len(find_inputs(tmp_path / "more", results=True)) == 1


def test_of_what_is_not_read_where_it_is_named_it_is_not_said_to_name_it(monkeypatch, caplog):
    found = Listing(["a"], [("b", "a folder"), ("c.png", "local"), ("d.png", "local")], {"c.png", "d.png"})
    monkeypatch.setattr(inputs, "list_bucket", lambda *_, **__: found)
    find_inputs("s3://lab/x")
    assert [record.getMessage() for record in caplog.records] == [
        "s3://lab/x: left out, name it to take it: b (a folder)", "s3://lab/x: left out: c.png (local), d.png (local)",
    ]  # fmt: skip


def test_a_slide_whose_files_are_all_named_counts_once(tmp_path):
    one = series()
    pixels = np.random.default_rng(1).integers(0, 255, (100, 130, 3), dtype=np.uint8)
    write(tmp_path / "a.dcm", Made(pixels, series=one))
    write(tmp_path / "b.dcm", Made(pixels[::2, ::2], series=one, spacing=(0.001, 0.001)))
    write(tmp_path / "c.dcm", Made(pixels))
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "Data0000.dat").touch()
    (tmp_path / "m.mrxs").touch()
    (tmp_path / "v.jpg").touch()
    (tmp_path / "v.vms").write_text("ImageFile=v.jpg\n")
    everything = sorted(tmp_path.iterdir())
    assert [Path(one).name for one in find_inputs(everything)] == ["a.dcm", "c.dcm", "m.mrxs", "v.vms"]
    assert find_inputs([tmp_path / "b.dcm"]) == [str(tmp_path / "b.dcm")]


def test_a_slide_is_called_by_its_folder_its_companion_or_its_file(tmp_path, data):
    write(tmp_path / "IM0001", Made(np.zeros((64, 64, 3), np.uint8)))
    assert find_inputs(tmp_path) == [str(tmp_path)]
    assert name_of(str(tmp_path)) == tmp_path.name
    (tmp_path / "case 1.2").mkdir()
    assert name_of(str(tmp_path / "case 1.2")) == "case 1.2"
    assert name_of("1.2.840.99.dcm") == name_of("1.2.840.99") == "1.2.840.99"
    (tmp_path / "mosaic.yaml").write_text('tiles: "{row}_{col}.tif"')
    assert name_of(str(tmp_path / "mosaic.yaml")) == tmp_path.name
    folder = data / "wsi" / "ome" / "multifile"
    if folder.is_dir():
        assert name_outputs(find_inputs(folder), None) == ["multifile.zarr"]


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "a.tif")
    for look in (find_inputs, open_slide, open_labels):
        with pytest.raises(SlideError, match=r"a.tif is no file \(got a pipe"):
            look(str(tmp_path / "a.tif"))
    assert files_of(str(tmp_path / "a.tif")) == [str(tmp_path / "a.tif")]


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


def test_a_folder_of_slides_has_a_folder_of_results_however_many_there_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.tif").touch()

    def named(inputs, output):
        found = name_results(inputs, output)
        return list(found.results), found.folder

    assert named("in", "out") == (["out/a.zarr"], "out")
    assert named("in/", "out/") == (["out/a.zarr"], "out/")
    assert named("in", None) == (["a.zarr"], None)
    assert named("in", "s3://bucket/out") == (["s3://bucket/out/a.zarr"], None)
    assert named("in/a.tif", "out/") == (["out/a.zarr"], "out/"), "a slash says so too"
    assert named("in/a.tif", "out") == (["out"], None)
    assert named("in", "one.zarr") == (["one.zarr"], None), "and the name of a result says otherwise"
    assert named("in/a.tif", "one.zarr/") == (["one.zarr/"], None)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "zarr.json").touch()
    assert named("in", "out") == (["out"], None), "a result that is there stays one"
    (tmp_path / "in" / "b.tif").touch()
    assert named("in", "new") == (["new/a.zarr", "new/b.zarr"], "new")
    with pytest.raises(ConfigError, match=r"would lie inside a Zarr store \(got out/a.zarr in .*/out, want"):
        name_results("in", "out")
    with pytest.raises(ConfigError, match="would lie inside a Zarr store"):
        name_results("in/a.tif", "out/x/y.zarr")


def test_slides_of_one_name_keep_their_endings():
    assert name_outputs(["f/a.tif", "f/a.svs", "f/b.svs"], None) == ["a.tif.zarr", "a.svs.zarr", "b.zarr"]
    assert name_outputs(["f/a.ome.tif", "g/a.zarr/"], "out") == ["out/a.ome.tif.zarr", "out/a.zarr.zarr"]


def test_a_folder_named_by_dots_has_its_own_name(tmp_path, monkeypatch):
    (tmp_path / "x.zarr" / "labels").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "x.zarr" / "labels")
    assert [stem(one) for one in ("..", "../", "../.", "./..", ".", "../../x.zarr")] == ["x", "x", "x", "x", "labels", "x"]
    assert stem("s3://bucket/x.zarr/.") == "."


def test_results_don_t_replace_each_other_or_their_slide(tmp_path):
    with pytest.raises(ConfigError, match=r"share the result out/x.tif.zarr \(got a/x.tif and b/x.tif; try one command each"):
        name_outputs(["a/x.tif", "a/y.tif", "b/x.tif"], "out")
    with pytest.raises(ConfigError, match="a result would replace a slide"):
        name_outputs([str(tmp_path / "x.zarr")], tmp_path / "x.zarr")
    (tmp_path / "link").symlink_to(tmp_path)
    for slide in ("x.zarr/0", "y/../x.zarr/image", "link/x.zarr/0"):
        with pytest.raises(ConfigError, match="a result would replace a slide"):
            name_outputs([str(tmp_path / slide)], f"{tmp_path}/x.zarr")
    with pytest.raises(ConfigError, match="a result would replace a slide"):
        name_outputs(["a.tif", "out/a.zarr/0/b.tif"], "out")
    with pytest.raises(ConfigError, match="a result would replace a slide"):
        name_outputs(["s3://bucket/r.zarr/0"], "s3://bucket/r.zarr/")
    assert name_outputs(["s3://other/r.zarr/0"], "s3://bucket/r.zarr") == ["s3://bucket/r.zarr"]
    assert name_outputs(["https://host/r.zarr/0"], "r.zarr") == ["r.zarr"]


@pytest.mark.parametrize("both", [("a.zarr", "./a.zarr"), ("x/a.zarr", "link/a.zarr"), ("{here}/a.zarr", "y/../a.zarr/")])
def test_results_are_told_apart_by_where_they_are_not_by_what_they_are_called(both, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x").mkdir()
    (tmp_path / "link").symlink_to("x")
    one, other = (name.format(here=tmp_path) for name in both)
    for first, second in ((one, other), (other, one)):
        with pytest.raises(ConfigError, match=r"2 slides would share the result .* \(got 0.tif and 1.tif; try"):
            check_outputs(["0.tif", "1.tif"], [first, second])
        with pytest.raises(ConfigError, match="a result would lie inside another one"):
            check_outputs(["0.tif", "1.tif"], [first, f"{second}/b.zarr"])
        with pytest.raises(ConfigError, match="a result would lie inside another one"):
            check_outputs(["0.tif", "1.tif"], [f"{first}/0/b.zarr", second])
    check_outputs(["0.tif", "1.tif"], [one, "b.zarr"])


def test_results_that_are_links_to_one_place_are_one(tmp_path):
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "a.zarr").symlink_to("b.zarr")
    with pytest.raises(ConfigError, match="2 slides would share the result"):
        name_outputs(["a.tif", "b.tif"], tmp_path)


@pytest.mark.parametrize(("result", "lost"), [("r", "r"), ("r/.", "r/sub"), ("link", "r"), ("x", "x/m.csv"), (".", "r")])
def test_a_result_does_not_replace_what_must_stay(result, lost, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "r").mkdir()
    (tmp_path / "link").symlink_to("r")
    with pytest.raises(ConfigError, match=rf"would replace the folder of the results \(got {lost};"):
        check_outputs(["0.tif", "1.tif"], ["b.zarr", result], folder=lost)
    with pytest.raises(ConfigError, match=rf"would replace what one is made with \(got {lost};"):
        check_outputs(["/elsewhere/0.tif"], [result], kept=["/elsewhere/m.csv", lost])
    check_outputs(["0.tif", "1.tif"], ["b.zarr", "other/a"], folder="r", kept=["x/m.csv"])


def test_a_home_is_meant_by_its_sign_everywhere(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "a.tif").touch()
    (tmp_path / "b.tif").touch()
    assert find_inputs(["~/a.tif"]) == [f"{tmp_path}/a.tif"]
    found = name_results(["~/a.tif", "~/b.tif"], "~/out")
    assert (found.results, found.folder) == ((f"{tmp_path}/out/a.zarr", f"{tmp_path}/out/b.zarr"), f"{tmp_path}/out")
    assert name_outputs(["a.tif"], "~/a.zarr") == [f"{tmp_path}/a.zarr"]


@pytest.mark.parametrize("text", ["", "GiB", "-1GiB", "2 gigs", "0", "1e9"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="a size can't be read"):
        parse_size(text)


def test_the_machine_has_cores_and_memory():
    assert usable_cores() >= 1
    assert available_memory() > 2**20
