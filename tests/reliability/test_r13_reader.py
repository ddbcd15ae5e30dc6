"""R13: somebody reads while the result is written; no shard is ever torn, and what describes it comes last."""

import threading

import pytest
import zarr

import slideseg
from tests.reliability import report, trials
from tests.reliability.conftest import shards_in

pytestmark = pytest.mark.timeout(3000)


def test_a_reader_sees_whole_shards_or_none(workload, tmp_path):
    looks = torn = 0
    runs = trials(1, 10)
    for number in range(runs):
        out = tmp_path / f"{number}.zarr"
        settings = {"model": workload.model, "objects": True, "mpp_of_slide": 1.0, "min_area": 60.0, "workers": 1}
        writer = threading.Thread(target=slideseg.predict, args=(workload.slide, out), kwargs=settings, daemon=True)
        writer.start()
        while writer.is_alive():
            if not shards_in(out):
                continue
            described = "ome" in dict(zarr.open_group(out, mode="r").attrs)
            is_whole = shards_in(out) == len([key for key in workload.bytes if key.startswith("labels/segmentation/0/c")])
            assert is_whole or not described, "described before it was whole"
            for path in out.glob("labels/segmentation/0/c/*/*/*"):
                if "#" not in path.name:
                    looks += 1
                    torn += path.read_bytes() != workload.bytes[str(path.relative_to(out))]
        writer.join()
        assert workload.is_as_undisturbed(out)
    assert looks, "nobody looked in time"
    assert torn == 0
    report("R13", runs=runs, looks=looks, torn=torn)
