"""Lines that ``slideseg info`` prints for people."""

import json

from click.testing import CliRunner

from slideseg.cli.info import info
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
