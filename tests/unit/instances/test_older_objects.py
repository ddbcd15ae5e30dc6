"""Objects that a former version wrote, which said less about themselves, are found again and not refused."""

import json
from pathlib import Path

import numpy as np
import pytest

import slideseg
from tests.made_results import make_result


@pytest.mark.parametrize("overwrite", [False, True])
def test_objects_that_lack_facts_are_unfinished(tmp_path, overwrite):
    url, class_map = str(tmp_path / "x.zarr"), np.zeros((300, 300), np.uint8)
    class_map[250:260, 10:20] = class_map[5:9, 5:9] = 1
    make_result(url, class_map)
    assert slideseg.objects(url).across_seams == 1
    file = Path(url, "labels/objects/0/zarr.json")
    said = json.loads(file.read_text())
    del said["attributes"]["slideseg"]["across_seams"], said["attributes"]["slideseg"]["sample"]
    file.write_text(json.dumps(said))
    report = slideseg.objects(url, overwrite=overwrite)
    assert (report.number, report.across_seams) == (2, 1)
    assert slideseg.open_result(url).object_facts["across_seams"] == 1
