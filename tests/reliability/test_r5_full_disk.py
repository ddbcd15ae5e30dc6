"""R5: the disk fills while a result is written; one line says so, nothing is torn, and with room the same command ends it."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.integration.conftest import array_bytes
from tests.reliability import report, trials

SCRIPT = """
mount -t tmpfs -o size=64m none {disk} || exit 99
{command} > {folder}/first.json 2> {folder}/first.err &
while [ "$(ls {disk}/x.zarr/labels/segmentation/0/c 2> /dev/null | wc -l)" -lt {shards} ]; do sleep 0.01; done
dd if=/dev/zero of={disk}/ballast bs=64k 2> /dev/null
wait $!; echo $? > {folder}/first
find {disk} -name '*#*' | wc -l > {folder}/torn
rm {disk}/ballast
{command} > {folder}/second.json 2> {folder}/second.err; echo $? > {folder}/second
cp -r {disk}/x.zarr {folder}/x.zarr
"""
"""In a namespace of its own: the small disk is seen by nobody else, and gone with it."""

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root may mount a small disk"),
    pytest.mark.timeout(1200),
]


def test_a_full_disk_is_one_line_and_loses_nothing(workload, tmp_path):
    runs, refused = trials(1, 10), 0
    for number in range(runs):
        folder, disk = tmp_path / str(number), tmp_path / f"disk-{number}"
        folder.mkdir()
        disk.mkdir()
        words = [str(word) for word in workload.words(disk / "x.zarr", 1)]
        command = " ".join([sys.executable, "-c", "'from slideseg.cli import main; main()'", *words])
        script = SCRIPT.format(shards=1 + 2 * number, disk=disk, folder=folder, command=command)
        done = subprocess.run(["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, timeout=250, check=False)
        if done.returncode == 99:
            pytest.skip("no small disk may be mounted here")
        said = (folder / "first.err").read_text()
        assert (folder / "first").read_text().strip() == "1", said
        assert "No space left" in said, said
        assert "Traceback" not in said
        assert json.loads((folder / "first.json").read_text())["status"] == "failed"
        refused += 1
        assert (folder / "second").read_text().strip() == "0", (folder / "second.err").read_text()
        assert array_bytes(folder / "x.zarr") == workload.bytes
    report("R5", runs=runs, told=refused, lost=0)
