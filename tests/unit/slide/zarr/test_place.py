"""Zarrs behind addresses: files, buckets, web servers without listings."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
import zarr

from slideseg.errors import SlideError
from slideseg.slide.inputs import find_inputs
from slideseg.slide.open import open_slide
from slideseg.storage.place import absolute, local_path
from slideseg.storage.store import list_keys, open_store, write_key
from tests.s3_server import running
from tests.unit.slide.zarr.made import image, multiscale
from tests.web_server import Whole, serving

PIXELS = np.random.default_rng(2).integers(1, 256, (3, 150, 200), dtype=np.uint8)


@pytest.fixture(params=[2, 3])
def zarr_format(request):
    return request.param


@pytest.fixture
def slide_folder(tmp_path, zarr_format):
    """An image of two levels in small chunks."""
    path = tmp_path / "data" / "my slide.zarr"
    attributes = {"multiscales": [multiscale("cyx", [(1, 0.5, 0.5), (1, 1, 1)])]}
    attributes = attributes if zarr_format == 2 else {"ome": attributes | {"version": "0.5"}}
    group = zarr.open_group(str(path), mode="w", zarr_format=zarr_format, attributes=attributes)
    for name, pixels in (("0", PIXELS), ("1", PIXELS[:, ::2, ::2])):
        group.create_array(name, shape=pixels.shape, dtype="u1", chunks=(1, 64, 64))[:] = pixels
    return path


def spoil(folder, zarr_format):
    """Put the chunks of level 0 under other names."""
    shutil.move(folder / "0" / "c", folder / "0" / "d") if zarr_format == 3 else [
        file.rename(file.with_name(file.name.replace(".", "-"))) for file in (folder / "0").glob("*.*.*")
    ]


def check(slide):
    assert (slide.shape, slide.mpp, [level.scale for level in slide.levels]) == ((150, 200, 3), 0.5, [(1, 1), (2, 2)])
    assert slide.notes == ()
    np.testing.assert_array_equal(slide.read((5, 6, 140, 150)), PIXELS[:, 5:140, 6:150].transpose(1, 2, 0))
    np.testing.assert_array_equal(slide.read((3, 4, 70, 90), 1), PIXELS[:, 6:140:2, 8:180:2].transpose(1, 2, 0))


@pytest.fixture
def web(slide_folder):
    asked = []

    class Plain(Whole):
        """Gives files, and lists no folders."""

        def log_message(self, *_):
            asked.append(self.path)

        def list_directory(self, _):
            self.send_error(404)

    with serving(slide_folder.parent, Plain) as url:
        yield f"{url}/my%20slide.zarr", asked


def test_a_web_server(web, slide_folder, zarr_format):
    address, asked = web
    with open_slide(address) as slide:
        assert len(asked) < 80
        check(slide)
        assert slide.scanned((0, 0, 150, 200)) is None
    first = slide_folder / "0" / ("c/1/0/0" if zarr_format == 3 else "1.0.0")
    first.unlink()
    with open_slide(address) as slide:
        assert slide.notes == ("level 0: 1 of 36 chunks are not stored: they hold the fill value 0",)
    spoil(slide_folder, zarr_format)
    with pytest.raises(SlideError, match="absent is not empty"):
        open_slide(address)


@pytest.mark.filterwarnings("ignore:Consolidated")
def test_a_web_server_with_consolidated_metadata(web, slide_folder):
    zarr.consolidate_metadata(str(slide_folder))
    with open_slide(web[0]) as slide:
        check(slide)


def test_a_web_server_that_keeps_chunks_under_other_names(web, slide_folder, zarr_format):
    for file in [*slide_folder.glob("0/c/*/*/*"), *slide_folder.glob("0/*.*.*")]:
        key = file.relative_to(slide_folder / "0").as_posix()
        target = slide_folder / "0" / (key.removeprefix("c/") if zarr_format == 3 else key.replace(".", "/"))
        target.parent.mkdir(parents=True, exist_ok=True)
        file.rename(target)
    with pytest.raises(SlideError, match=r"under other names than its metadata says.*got \d/\d/\d, want (c/0/0/0|0\.0\.0)"):
        open_slide(web[0])


def test_a_bucket(slide_folder, zarr_format, monkeypatch):
    with running() as server:
        for name, value in server.environment.items():
            monkeypatch.setenv(name, value)
        server.buckets["slides"] = {}
        bucket = open_store("s3://slides/deep/x.zarr")
        for key in list_keys(open_store(slide_folder)):
            write_key(bucket, key, (slide_folder / key).read_bytes())
        with open_slide("s3://slides/deep/x.zarr") as slide:
            check(slide)
        lost = "deep/x.zarr/0/" + ("c/2/1/1" if zarr_format == 3 else "2.1.1")
        del server.buckets["slides"][lost]
        with open_slide("s3://slides/deep/x.zarr") as slide:
            assert slide.notes == ("level 0: 1 of 36 chunks are not stored: they hold the fill value 0",)
            assert slide.read((64, 64, 128, 128))[..., 2].max() == 0
        for key in [
            key for key in server.buckets["slides"] if "x.zarr/0/" in key and "zarr.json" not in key and "/.z" not in key
        ]:
            del server.buckets["slides"][key]
        with pytest.raises(SlideError, match="absent is not empty, none of its chunks are stored, of 36"):
            open_slide("s3://slides/deep/x.zarr")


def test_a_file_address(slide_folder):
    address = slide_folder.as_uri()
    assert "%20" in address
    with open_slide(address) as slide:
        check(slide)
    assert find_inputs(address) == [str(slide_folder)]
    assert absolute(address) == local_path(address) == str(slide_folder)


def test_nothing_is_there(tmp_path, web):
    with pytest.raises(SlideError, match="missing"):
        open_slide(f"{web[0]}x")
    with pytest.raises(SlideError, match="no such slide"):
        open_slide((tmp_path / "none.zarr").as_uri())
    (tmp_path / "n5").mkdir()
    (tmp_path / "n5" / "attributes.json").write_text("{}")
    with pytest.raises(SlideError, match="an N5, which is not read"):
        open_slide(tmp_path / "n5")


def test_an_image_in_a_group_of_a_bucket_is_found_by_its_path(slide_folder):
    assert open_slide(f"{slide_folder}/0").shape == (150, 200, 3)
    image(slide_folder.parent / "other.zarr" / "0", [PIXELS], multiscale("cyx", [(1, 2, 2)]))
    assert open_slide(slide_folder.parent / "other.zarr" / "0").mpp == 2


def test_a_version_that_is_a_text_is_said_with_what_can_be_opened(slide_folder, zarr_format, data):
    """WEBKNOSSOS writes its groups so."""
    name = ".zgroup" if zarr_format == 2 else "zarr.json"
    file = slide_folder / name
    file.write_text(file.read_text().replace(f'"zarr_format": {zarr_format}', f'"zarr_format": "{zarr_format}"'))
    with pytest.raises(
        SlideError, match=rf'{name} says its zarr_format as a text .got "{zarr_format}", want a number; .*slide.zarr/0'
    ):
        open_slide(slide_folder)
    with open_slide(slide_folder / "0") as slide:
        assert slide.shape == (150, 200, 3)
    zipped = shutil.make_archive(str(slide_folder), "zip", slide_folder)
    with pytest.raises(SlideError, match=rf"slide.zarr.zip: {name} says its zarr_format as a text"):
        open_slide(zipped)
    dataset = data / "ngff" / "webknossos" / "simple_zarr_dataset"
    with pytest.raises(SlideError, match=r".zgroup says its zarr_format as a text .*, .*/simple_zarr_dataset/color"):
        open_slide(dataset)
