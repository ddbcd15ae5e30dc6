"""Lines that ``slideseg info`` prints for people."""

import json

from click.testing import CliRunner

from slideseg.cli.info import info
from slideseg.testing.slides import PatternSlide, write_pyramid
from tests.made_results import blobs, make_result


def test_info_parts_names_from_values(tmp_path):
    make_result(tmp_path / "x.zarr", blobs((300, 300)))
    file = tmp_path / "x.zarr" / "zarr.json"
    root = json.loads(file.read_text())
    root["attributes"]["slideseg"]["skipped_pixels"] = 0
    file.write_text(json.dumps(root))
    lines = CliRunner().invoke(info, [str(tmp_path / "x.zarr")]).output.splitlines()
    assert "skipped_pixels  0" in lines
    assert "kind            result" in lines


def test_info_prints_lists_of_facts_a_line_an_entry(tmp_path):
    write_pyramid(tmp_path / "x.tif", PatternSlide((900, 700)), levels=3, mpp=0.5)
    lines = CliRunner().invoke(info, [str(tmp_path / "x.tif")]).output.splitlines()
    assert "shape       900 x 700 x 3" in lines
    first = lines.index("levels      shape 900 x 700, downsample 1, scale [1.0, 1.0]")
    assert lines[first + 1] == "            shape 450 x 350, downsample 2, scale [2.0, 2.0]"
    assert not any(line.startswith(("bounds", "z_step", "channels")) for line in lines)
