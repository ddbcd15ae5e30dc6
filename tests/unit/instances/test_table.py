"""The table of objects: its rows are those of scikit-image on the whole image, its lengths those of the slide."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import tifffile
from skimage.measure import regionprops

import slideseg
from slideseg.cli.info import facts_of
from slideseg.instances import run as instances
from slideseg.result import result as results
from slideseg.slide.facts import Channel
from slideseg.slide.fingerprint import fingerprint
from tests.damage import rewrite
from tests.results_of_discs import a_class_map, files, labels_of, write_result

if TYPE_CHECKING:
    from pathlib import Path


def test_the_table_has_a_row_an_object(tmp_path, monkeypatch):
    class_map = a_class_map()
    url = write_result(
        tmp_path / "x.zarr", class_map, mpp=0.5, facts={"mpp": 0.25, "shape": (1400, 1200, 3), "scale": (2.0, 2.0)}
    )
    slideseg.objects(url)
    result = slideseg.open_result(url)
    table, want = result.table, regionprops(labels_of(url).astype(np.int64))
    assert table["id"].to_pylist() == [one.label for one in want] == list(range(1, len(want) + 1))
    assert table["pixels"].to_pylist() == [one.area for one in want]
    assert set(table["class_name"].to_pylist()) == {"nucleus"}
    assert table["probability"].null_count == len(want)
    np.testing.assert_allclose(table["area_um2"], [one.area / 4 for one in want])
    np.testing.assert_allclose(table["area_px"], [one.area * 4 for one in want])
    np.testing.assert_allclose(table["bbox_x1_px"], [one.bbox[3] * 2 for one in want])
    np.testing.assert_allclose(table["centroid_y_um"], [(one.centroid[0] + 0.5) / 2 for one in want])
    np.testing.assert_allclose(table["perimeter_um"], [one.perimeter / 2 for one in want])
    np.testing.assert_allclose(table["solidity"], [one.solidity for one in want])
    (counts,) = result.object_counts()
    assert (counts["class"], counts["count"]) == ("nucleus", len(want))
    assert counts["area_fraction"] == pytest.approx((labels_of(url) > 0).mean(), abs=1e-6)
    assert counts["per_mm2"] == pytest.approx(len(want) / (class_map.size * 0.25e-6), rel=1e-4)
    assert (counts["median_pixels"], counts["probability"]) == (np.median([one.area for one in want]), None)
    assert counts["median_um2"] == counts["median_pixels"] / 4
    monkeypatch.setattr(results, "read_table", None)
    assert result.object_counts() == [counts], "counted without the whole table"
    assert facts_of(url)["objects"] == [counts]


def test_densities_are_of_tissue_where_it_is_known_and_of_all_that_was_segmented_else(tmp_path):
    class_map = a_class_map()
    url = write_result(tmp_path / "x.zarr", class_map, mpp=0.5)
    slideseg.objects(url)
    file = tmp_path / "x.zarr" / "zarr.json"
    (plain,), whole = slideseg.open_result(url).object_counts(), facts_of(url)
    assert (whole["per_mm2_of"], whole["area_mm2"]) == ("all that was segmented", round(class_map.size * 0.25e-6, 6))

    rewrite(file, lambda said: said["slideseg"].update(skipped_pixels=70_000, tissue_pixels=105_000))
    result, facts = slideseg.open_result(url), facts_of(url)
    assert (result.tissue_pixels, result.tissue_mm2) == (105_000, pytest.approx(0.02625))
    assert (facts["per_mm2_of"], facts["area_mm2"]) == ("tissue that was found", 0.02625)
    assert facts["objects"][0]["per_mm2"] == pytest.approx(plain["per_mm2"] * class_map.size / 105_000, rel=1e-4)
    assert facts["objects"][0]["area_fraction"] == pytest.approx(plain["area_fraction"] * class_map.size / 105_000, rel=1e-4)


def test_of_a_lower_level_without_microns_lengths_are_told_in_pixels_of_level_0(tmp_path):
    slide = {"level": 1, "shape": [600, 560, 3], "scale": (2.0, 2.0)}
    url = write_result(tmp_path / "x.zarr", a_class_map((300, 280)), mpp=None, facts=slide)
    slideseg.objects(url)
    table, want = slideseg.open_result(url).table, regionprops(labels_of(url).astype(np.int64))
    assert table["area_px"].to_pylist() == [one.area * 4 for one in want]
    assert table["bbox_y1_px"].to_pylist() == [one.bbox[2] * 2 for one in want]
    assert table["area_um2"].null_count == len(want) > 0


def a_slide(path: Path, shape=(700, 600, 3), dtype=np.uint8) -> tuple[np.ndarray, dict]:
    """Write an image; return it and what a run says of it."""
    image = np.random.default_rng(3).integers(0, 250, shape).astype(dtype)
    rgb = shape[-1] == 3
    tifffile.imwrite(path, image if rgb else image[..., 0], tile=(128, 128), photometric="rgb" if rgb else "minisblack")
    return image, {"path": str(path), "fingerprint": fingerprint(path), "shape": shape}


@pytest.mark.parametrize(
    ("shape", "dtype", "names"),
    [((700, 600, 3), np.uint8, ("red", "green", "blue")), ((700, 600, 1), np.uint16, ("0",))],
)
def test_the_table_has_the_means_of_the_slides_channels(tmp_path, shape, dtype, names):
    image, facts = a_slide(tmp_path / "slide.tif", shape, dtype)
    url = write_result(tmp_path / "x.zarr", a_class_map(), facts=facts)
    assert slideseg.objects(url).notes == ()
    want = regionprops(labels_of(url).astype(np.int64), image)
    table = slideseg.open_result(url).table
    assert [name for name in table.column_names if name.startswith("mean_")] == [f"mean_{name}" for name in names]
    for n, name in enumerate(names):
        np.testing.assert_allclose(table[f"mean_{name}"], [np.atleast_1d(one.intensity_mean)[n] for one in want], rtol=1e-12)


@pytest.mark.parametrize("what", ["gone", "changed", "of another shape"])
def test_without_its_slide_a_table_has_no_means_and_it_is_said(tmp_path, what):
    _, facts = a_slide(tmp_path / "slide.tif", (500, 600, 3) if what == "of another shape" else (700, 600, 3))
    match what:
        case "gone":
            (tmp_path / "slide.tif").unlink()
        case "changed":
            tifffile.imwrite(tmp_path / "slide.tif", np.zeros((700, 600, 3), np.uint8))
    url = write_result(tmp_path / "x.zarr", a_class_map(), facts=facts)
    (note,) = slideseg.objects(url).notes
    assert note.startswith("the table has no intensities: ")
    assert not [name for name in slideseg.open_result(url).table.column_names if name.startswith("mean_")]


def test_a_slide_that_goes_while_objects_are_measured_is_no_trouble(tmp_path, monkeypatch):
    _, facts = a_slide(tmp_path / "slide.tif")
    url, other = (write_result(tmp_path / name, a_class_map(), facts=facts) for name in ("x.zarr", "y.zarr"))
    with monkeypatch.context() as patch:
        patch.setattr(instances, "write_table", raises_interrupt)
        with pytest.raises(KeyboardInterrupt):
            slideseg.objects(url)
    (tmp_path / "slide.tif").unlink()
    slideseg.objects(url)
    slideseg.objects(other)
    assert files(url) == files(other)


def raises_interrupt(*_):
    raise KeyboardInterrupt


def test_a_table_without_microns_and_without_objects(tmp_path):
    url = write_result(tmp_path / "x.zarr", np.zeros((300, 300), np.uint8), mpp=None)
    assert slideseg.open_result(url).table is None
    slideseg.objects(url)
    result = slideseg.open_result(url)
    assert result.table.num_rows == 0
    nothing = dict.fromkeys(("per_mm2", "median_pixels", "median_um2", "probability"))
    assert result.object_counts() == [{"class": "nucleus", "count": 0, "area_fraction": 0.0, **nothing}]


@pytest.mark.parametrize("class_map", [np.stack([a_class_map((300, 280), seed) for seed in range(3)])])
def test_a_stacks_table_counts_planes(tmp_path, class_map):
    url = write_result(tmp_path / "x.zarr", class_map)
    slideseg.objects(url)
    table, labels = slideseg.open_result(url).table, labels_of(url)
    want = [(plane, one.label, one.area) for plane in range(3) for one in regionprops(labels[plane].astype(np.int64))]
    assert list(zip(*(table[name].to_pylist() for name in ("plane", "id", "pixels")), strict=True)) == want


def test_pixels_that_are_not_square_have_two_sides_in_every_column(tmp_path):
    """At a level of a slide of 0.5 x 0.2 microns whose pixels are 2 x 4 times as large; a note tells what counts pixels."""
    facts = {"mpp": (0.5, 0.2), "shape": (1400, 2400, 3), "scale": (2.0, 4.0), "level": 1}
    url = write_result(tmp_path / "x.zarr", a_class_map(), facts=facts)
    (of_intensities, note) = slideseg.objects(url, split=3.0).notes
    assert of_intensities.startswith("the table has no intensities")
    assert note == "pixels are 0.8 x 1 µm: --split and --grow count them as if they were square, of 0.8944 µm"
    result = slideseg.open_result(url)
    table = result.table
    for unit, sides in (("px", (2.0, 4.0)), ("um", (1.0, 0.8))):
        want = regionprops(labels_of(url).astype(np.int64), spacing=sides)
        np.testing.assert_allclose(table["area_px" if unit == "px" else "area_um2"], [one.area for one in want])
        np.testing.assert_allclose(table[f"centroid_x_{unit}"], [one.centroid[1] + sides[1] / 2 for one in want])
        np.testing.assert_allclose(table[f"bbox_y1_{unit}"], [one.bbox[2] * sides[0] for one in want])
        np.testing.assert_allclose(table[f"minor_axis_{unit}"], [one.axis_minor_length for one in want], atol=1e-6)
    np.testing.assert_allclose(table["eccentricity"], [one.eccentricity for one in want], atol=1e-7)
    assert (result.mpp_yx, result.level_0_scale) == ((1.0, 0.8), (2.0, 4.0))
    (counts,) = result.object_counts()
    assert counts["per_mm2"] == pytest.approx(len(want) / (a_class_map().size * 0.8e-6), rel=1e-4)


@pytest.mark.parametrize(
    ("names", "columns"),
    [(("DAPI", "CD3"), ("DAPI", "CD3")), (("DAPI", ""), ("0", "1")), (("a", "a"), ("0", "1")), ((), ("0", "1"))],
)
def test_means_have_the_names_of_the_slides_channels(tmp_path, names, columns):
    image = np.random.default_rng(3).integers(0, 250, (2, 700, 600)).astype(np.uint8)
    tifffile.imwrite(tmp_path / "s.ome.tif", image, tile=(128, 128), photometric="minisblack", metadata={"axes": "CYX"})
    path = tmp_path / "s.ome.tif"
    channels = tuple(Channel(name) for name in names)
    facts = {"path": str(path), "fingerprint": fingerprint(path), "shape": (700, 600, 2), "channels": channels}
    url = write_result(tmp_path / "x.zarr", a_class_map(), facts=facts)
    slideseg.objects(url)
    found = [name for name in slideseg.open_result(url).table.column_names if name.startswith("mean_")]
    assert found == [f"mean_{name}" for name in columns]


def test_minimal_areas_are_those_of_pixels_that_are_not_square(tmp_path):
    class_map = np.zeros((300, 300), np.uint8)
    class_map[10:20, 10:20] = class_map[50:61, 50:60] = 1
    url = write_result(tmp_path / "x.zarr", class_map, mpp=(0.5, 0.125))
    assert slideseg.objects(url, min_area=100 * 0.0625).number == 2
    assert slideseg.objects(url, min_area=100.5 * 0.0625, overwrite=True).number == 1
