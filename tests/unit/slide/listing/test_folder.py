"""Which files of a folder are slides: each slide once, and nothing that is none."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import tifffile
import zarr

from slideseg.errors import SlideError
from slideseg.slide.listing.folder import list_folder
from slideseg.slide.listing.sets import files_of
from slideseg.slide.open import open_slide
from tests.dicom_files import REDUCED, Made, series, write

PIXELS = np.random.default_rng(1).integers(0, 255, (100, 130, 3), dtype=np.uint8)


def names(folder, **options):
    listing = list_folder(str(folder), **options)
    return [str(Path(slide).relative_to(folder)) for slide in listing.slides], [name for name, _ in listing.left_out]


def dicom_slide(folder, *labels, ending=".dcm", prefix=""):
    folder.mkdir(parents=True, exist_ok=True)
    one = series()
    write(folder / f"{prefix}0{ending}", Made(PIXELS, series=one))
    write(folder / f"{prefix}1{ending}", Made(PIXELS[::2, ::2], series=one, spacing=(0.001, 0.001), kind=REDUCED))
    for label in labels:
        write(folder / f"{prefix}{label}{ending}", Made(PIXELS, series=one, kind=("ORIGINAL", "PRIMARY", label, "NONE")))


def test_dicom_series_are_one_slide_each(tmp_path):
    dicom_slide(tmp_path / "one", "LABEL", "OVERVIEW")
    assert names(tmp_path / "one") == (["."], [])
    dicom_slide(tmp_path / "two", "LABEL", prefix="a")
    dicom_slide(tmp_path / "two", prefix="b", ending="")
    assert names(tmp_path / "two") == (["a0.dcm", "b0"], [])
    (tmp_path / "one" / "x.svs").touch()
    assert names(tmp_path / "one") == (["0.dcm", "x.svs"], [])
    assert names(tmp_path) == (["two/a0.dcm", "two/b0"], ["one/"])
    (tmp_path / "one" / "x.svs").rename(tmp_path / "one" / "preview.png")
    assert names(tmp_path) == (["one", "two/a0.dcm", "two/b0"], [])


def test_dicom_is_found_in_folders_of_folders_and_what_is_no_slide_is_told(tmp_path):
    dicom_slide(tmp_path / "patient" / "study" / "series 1")
    dicom_slide(tmp_path / "patient" / "study" / "series 2")
    write(tmp_path / "ct.dcm", Made(PIXELS, tags={"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"}))
    write(tmp_path / "label.dcm", Made(PIXELS, kind=("ORIGINAL", "PRIMARY", "LABEL", "NONE")))
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    (tmp_path / "empty").mkdir()
    found, left_out = names(tmp_path)
    assert found == ["patient/study/series 1", "patient/study/series 2"]
    assert left_out == [f"2 DICOM files in {tmp_path.name}", "empty/"]
    assert list_folder(str(tmp_path)).out_of_reach == {left_out[0]}


def test_zarrs_of_any_name_are_slides_and_results_are_not(tmp_path):
    for name in ("a.zarr", "plain", ".hidden.zarr"):
        zarr.create_array(str(tmp_path / name), shape=(4, 4), dtype="u1")
    results = {
        "result.zarr": {"status": "complete", "model": {"name": "nuclei"}, "run": {}},
        "begun.zarr": {"status": "running", "run": {"slide": "x"}},
        "converted.zarr": {"status": "complete", "run": {"conversion of": "x.svs"}},
    }
    for name, said in results.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "zarr.json").write_text(json.dumps({"attributes": {"slideseg": said}}))
    zarr.create_array(str(tmp_path / "x.zarr.source.zarr"), shape=(4, 4), dtype="u1")
    (tmp_path / "b.zarr.partial").mkdir()
    assert names(tmp_path) == (
        ["a.zarr", "converted.zarr", "plain"],
        ["b.zarr.partial/", "begun.zarr", "result.zarr", "x.zarr.source.zarr"],
    )
    assert names(tmp_path, results=True)[0] == ["a.zarr", "begun.zarr", "converted.zarr", "plain", "result.zarr"]


def test_what_belongs_to_another_file_is_no_slide(tmp_path):
    (tmp_path / "m").mkdir()
    for name in (
        "m.mrxs",
        "m/Slidedat.ini",
        "m/Data0000.dat",
        "v.opt",
        "v.jpg",
        "v_macro.jpg",
        "v_map2.jpg",
        ".x.svs",
        "y.svs.partial",
    ):
        (tmp_path / name).touch()
    (tmp_path / "v.vms").write_text(
        "[Virtual]\nImageFile=v.jpg\nMacroImage=v_macro.jpg\nMapFile=v_map2.jpg\nOptimisationFile=v.opt\n"
    )
    assert names(tmp_path) == (["m.mrxs", "v.vms"], [])
    assert {Path(file).name for file in files_of(str(tmp_path / "m.mrxs"))} == {"m.mrxs", "Slidedat.ini", "Data0000.dat"}


def test_pictures_beside_a_slide_of_their_name_are_none(tmp_path):
    left_out = ["a-macro.tif", "a.jpg", "a_label.png", "b_thumbnail.jpeg", "b overview.png"]
    for name in ["a.svs", "b.ome.tif", "c_label.tif", "d.png", "d.tif", "macro.jpg", *left_out]:
        (tmp_path / name).touch()
    found, left = names(tmp_path)
    assert found == ["a.svs", "b.ome.tif", "c_label.tif", "d.png", "d.tif", "macro.jpg"]
    assert sorted(left) == sorted(left_out)


def write_ome(folder, files, companion=None):
    text = "<OME>" + "".join(f'<UUID FileName="{name}">u</UUID>' for name in files) + "</OME>"
    if companion is not None:
        (folder / companion).write_text(text)
        text = f'<OME><BinaryOnly MetadataFile="{companion}" UUID="u"/></OME>'
    for k, name in enumerate(files):
        order = "<>"[k % 2]
        tifffile.imwrite(folder / name, np.full((9, 9), k), description=text, metadata=None, bigtiff=k == 1, byteorder=order)


@pytest.mark.parametrize("companion", [None, "set.companion.ome"])
def test_ome_tiffs_in_several_files_are_one_slide(tmp_path, companion):
    write_ome(tmp_path, ["c1.ome.tif", "c0.ome.tif", "c2.tif"], companion)
    tifffile.imwrite(tmp_path / "alone.ome.tif", np.zeros((9, 9)), ome=True)
    assert names(tmp_path) == (["alone.ome.tif", "c1.ome.tif"], [])
    (tmp_path / "c0.ome.tif").rename(tmp_path / "other.tif")
    assert names(tmp_path)[0] == ["alone.ome.tif", "c1.ome.tif", "other.tif"]


def test_a_handed_set_of_ome_tiffs(data):
    folder = data / "wsi" / "ome" / "multifile"
    if not folder.is_dir():
        pytest.skip("no multifile in the data folder")
    assert names(folder) == (["multifile-Z1.ome.tiff"], [])
    assert len(files_of(str(folder / "multifile-Z4.ome.tiff"))) == 6


def test_handed_slides_of_several_files(data):
    if not (data / "reported").is_dir():
        pytest.skip("no reported slides in the data folder")
    found, left_out = names(data / "reported")
    assert {
        "c11_dicom_jpeg_named_rgb",
        "c13_dicom_levels",
        "c33_dicom_padded",
        "c30_bright.mrxs",
        "c40_nested_unsaid.zarr",
    } <= set(found)
    assert not {"c30_bright", "c30_bright/Data0000.dat"} & {*found, *left_out}
    assert len(found) == 17


def test_parts_of_a_czi_are_one_slide(tmp_path):
    for part, name in enumerate(["s.czi", "s(1).czi", "s(2).czi"]):
        head = b"ZISRAWFILE".ljust(48, b"\0") + b"P" * 16 + bytes([part]) * 16 + part.to_bytes(4, "little")
        (tmp_path / name).write_bytes(head.ljust(600, b"\0"))
    (tmp_path / "other.czi").write_bytes(b"ZISRAWFILE".ljust(48, b"\0") + b"Q" * 100)
    assert names(tmp_path) == (["other.czi", "s.czi"], [])


def test_what_is_called_as_a_slide_and_is_none_fails_by_its_name(tmp_path):
    """A folder of links whose mount is gone would be taken for complete."""
    for name in ("x.tif", "y.svs", "a_label.png", "z.dcm", "r.zarr", "m.mrxs", "notes.txt", "IM1"):
        (tmp_path / name).symlink_to(tmp_path / "gone" / name)
    (tmp_path / "loop.ndpi").symlink_to("loop.ndpi")
    (tmp_path / ".hidden.tif").symlink_to("gone.tif")
    for name in ("pipe.tif", "pipe.dcm"):
        os.mkfifo(tmp_path / name)
    for name in ("a.svs", "empty.dcm"):
        (tmp_path / name).touch()
    found, left_out = names(tmp_path)
    lost = ["empty.dcm", "loop.ndpi", "m.mrxs", "pipe.dcm", "pipe.tif", "r.zarr", "x.tif", "y.svs", "z.dcm"]
    assert (found, left_out) == (["a.svs", *lost], ["a_label.png"])
    for name in lost:
        with pytest.raises(SlideError, match=name):
            open_slide(tmp_path / name)


def test_a_part_of_a_series_that_is_lost_is_told_and_changes_no_name(tmp_path):
    dicom_slide(tmp_path / "top")
    dicom_slide(tmp_path / "top" / "sub")
    for folder in ("top", "top/sub"):
        (tmp_path / folder / "2.dcm").symlink_to("gone.dcm")
    assert names(tmp_path / "top") == ([".", "2.dcm", "sub", "sub/2.dcm"], [])


def test_a_folder_that_may_not_be_read_stops_no_slide(tmp_path, monkeypatch):
    dicom_slide(tmp_path / "one")
    (tmp_path / "two").mkdir()
    iterdir = Path.iterdir
    monkeypatch.setattr(Path, "iterdir", lambda self: iterdir(self if self.name != "two" else self / "none"))
    assert names(tmp_path) == (["one"], ["two/"])


def test_a_mosaic_is_one_slide(tmp_path):
    (tmp_path / "grid").mkdir()
    (tmp_path / "grid" / "mosaic.yaml").write_text('tiles: "{row}_{col}.tif"')
    (tmp_path / "grid" / "0_0.tif").touch()
    assert names(tmp_path) == (["grid"], [])
    assert [Path(file).name for file in files_of(str(tmp_path / "grid"))] == ["mosaic.yaml", "0_0.tif"]
