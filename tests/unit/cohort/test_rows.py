"""The row of a slide on the page."""

import re

import pytest

import slideseg
from slideseg.cohort.look import Look, ShownClass, look_at
from slideseg.cohort.rows import HEADS, heads, scale_of, slide_row
from slideseg.testing.records import made_classes
from tests.made_results import blobs, make_result
from tests.unit.cohort.test_markup import Parsed

SLIDE = {"input": "s/a.svs", "output": "r/a.zarr", "status": "ok", "error": None, "seconds": 75.0, "notes": []}
TUMOUR, STROMA = ShownClass("tumour", "#ff0000", "objects"), ShownClass("stroma", "#00ff00", "objects")
RUN = {"model": "m", "mpp": 0.5, "pixels": 4_000_000, "tissue_known": True, "tissue_pixels": 2_000_000, "tissue_mm2": 0.5}
ALL = {"objects": 1500, "per_mm2": 3000.0, "covered": 0.25, "median_um2": 40.0, "median_pixels": 160.0}
OF_TUMOUR = {"objects_tumour": 1000, "per_mm2_tumour": 2000.0, "covered_tumour": 0.2, "median_um2_tumour": 50.0}
OF_STROMA = {"objects_stroma": 500, "per_mm2_stroma": 1000.0, "covered_stroma": 0.05, "median_um2_stroma": 30.0}
ROW = RUN | ALL | OF_TUMOUR | OF_STROMA


def cells_of(look, *others, **facts):
    """Return key and text of each cell."""
    row = slide_row(7, {**SLIDE, **facts}, look, None, scale_of("r", [look, *others]))
    cells = re.findall(r"<td(.*?)>(.*?)</td>", row, re.DOTALL)
    keys = [re.search('data-v="(.*?)"', attributes) for attributes, _ in cells]
    return [(key and key[1], re.sub("<[^>]+>", "|", inner)) for key, (_, inner) in zip(keys, cells, strict=True)]


def test_every_column_is_sorted_by_what_it_shows():
    cells = cells_of(Look(ROW, (TUMOUR, STROMA)))
    assert len(cells) == len(HEADS)
    assert [key for key, _ in cells] == [None, "a.svs", "0.5", None, "1500", "3000.0", "40.0", "0.25", "75.0"]
    assert [kind["data-key"] for tag, kind in Parsed(heads()).tags if "data-key" in kind] == ["text", *["number"] * 6]
    assert "1:15 min" in cells[-1][1]


def test_a_slides_time_is_told_stage_by_stage_without_the_short_ones():
    *_, (_, inner) = cells_of(Look(ROW, (TUMOUR,)), stage_seconds={"plan": 0.1, "segment": 60.0, "objects": 15.0})
    assert re.sub(r"\|+", "|", inner) == "|1:15 min|segment 1:00 min|objects 15 s|"


def test_classes_have_a_line_each_below_that_of_all():
    cells = [re.sub(r"\|+", "|", inner) for _, inner in cells_of(Look(ROW, (TUMOUR, STROMA)))]
    assert cells[3:8] == [
        "|all|tumour|stroma|",
        "|1,500|1,000|500|",
        "|3,000 per mm\u00b2|2,000 per mm\u00b2|1,000 per mm\u00b2|",
        "|40 \u00b5m\u00b2|50 \u00b5m\u00b2|30 \u00b5m\u00b2|",
        "|25.0 %|20.0 %|5.0 %|",
    ]
    alone = [re.sub(r"\|+", "|", inner) for _, inner in cells_of(Look(ROW, (TUMOUR,)))]
    assert alone[3:5] == ["|tumour|", "|1,000|"]


def test_bars_are_as_long_as_densities_compare():
    other = Look({**ROW, "per_mm2_tumour": 4000.0}, (TUMOUR,))
    row = slide_row(0, SLIDE, Look(ROW, (TUMOUR, STROMA)), None, scale_of("r", [Look(ROW, (TUMOUR, STROMA)), other]))
    assert re.findall(r"--part:(.*?)%", row) == ["50.0", "25.0"]


def test_a_slide_without_microns_is_told_in_pixels_and_not_compared():
    unknown = {**ROW, **{name: None for name in ROW if "mm2" in name or "um2" in name}}
    cells = cells_of(Look(unknown, (TUMOUR,)), Look(ROW, (TUMOUR,)))
    assert (cells[5][0], "500 per Mpx" in cells[5][1]) == (None, True)
    alone = cells_of(Look(unknown, (TUMOUR,)))
    assert (alone[5][0], alone[6][0]) == ("750.0", "160.0")
    assert "2 Mpx" in alone[2][1]


def test_regions_are_told_by_their_areas():
    row = {"pixels": 100, "tissue_known": False, "tissue_pixels": 100, "tissue_mm2": 2.0, "objects": None}
    row |= {"area_mm2_gland": 0.5, "area_pixels_gland": 25, "share_gland": 0.25}
    cells = cells_of(Look(row, (ShownClass("gland", "#ff0000", "area"),)))
    assert [(key, inner.strip("|")) for key, inner in cells[4:8]] == [
        ("25", "0.5 mm\u00b2"), (None, "\u2013"), (None, "\u2013"), ("0.25", "25.0 %"),
    ]  # fmt: skip


def test_a_slide_that_failed_has_its_reason_and_no_numbers():
    cells = cells_of(Look({}), status="failed", error="cut off", seconds=0.0)
    assert len(cells) == 2
    assert "cut off" in cells[1][1]
    assert "slideseg view" not in cells[1][1]


@pytest.mark.parametrize(("objects", "roles"), [(True, ["objects", "outer"]), (False, ["area", "area"])])
def test_the_outer_part_of_objects_is_no_class_of_its_own(tmp_path, objects, roles):
    make_result(tmp_path / "x.zarr", blobs((200, 200)), classes=made_classes("background", "nucleus", "border"))
    if objects:
        slideseg.objects(tmp_path / "x.zarr")
    assert [known.role for known in look_at(str(tmp_path / "x.zarr"), 0).classes] == roles
