"""The batch scripts of ``cluster/slurm`` on a real Slurm, of two nodes on this machine."""

import json
import os
import re
import shlex
import stat
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile
from PIL import Image

from slideseg.model.config import UNetConfig
from slideseg.testing.models import random_model
from tests.integration.conftest import ROOT, array_bytes, run_slideseg
from tests.slurm_here import NoSlurmError, Slurm

pytestmark = pytest.mark.timeout(560)
many_minutes = [pytest.mark.slow, pytest.mark.ray]

SHARDS = 30
SLIDESEG = f"""#!/bin/bash
exec {shlex.quote(sys.executable)} -c 'from slideseg.cli import main; main()' "$@"
"""
ACTIVATE = """PATH={folder}:{python}:$PATH
export PATH OMP_NUM_THREADS=1 PYTHONPATH={root}
export RAY_gcs_rpc_server_reconnect_timeout_s=5 # so long a node waits for a head that is gone; else a minute
"""


@pytest.fixture(scope="module")
def slurm():
    try:
        with Slurm() as running:
            yield running
    except NoSlurmError as why:
        pytest.skip(str(why))


@pytest.fixture
def checkout(tmp_path):
    """A folder to submit from: the scripts, and an environment with slideseg."""
    (tmp_path / "cluster").symlink_to(ROOT / "cluster")
    (tmp_path / "slideseg").write_text(SLIDESEG)
    (tmp_path / "slideseg").chmod(0o755)
    activate = tmp_path / ".venv" / "bin" / "activate"
    activate.parent.mkdir(parents=True)
    activate.write_text(ACTIVATE.format(folder=tmp_path, python=Path(sys.executable).parent, root=ROOT))
    return tmp_path


def log_of(checkout):
    return "\n".join(path.read_text() for path in sorted(checkout.glob("*.log")))


def report_in(text):
    return json.loads(re.findall(r'^\{"status".*$', text, re.MULTILINE)[-1])["slides"][0]


def mode_of(path):
    return stat.S_IMODE(Path(path).stat().st_mode)


def shards_in(out):
    return len([p for p in out.glob("labels/segmentation/0/c/*/*/*") if "#" not in p.name])


# --- an array over a table of slides ---------------------------------------------------------------------------------------


@pytest.fixture
def table(checkout):
    """Three slides; the second is not there, the third's name needs quotes and its row options of its own."""
    pixels = np.random.default_rng(1).integers(0, 255, (70, 90), np.uint8)
    for name in ("a.png", "c, 1.png"):
        Image.fromarray(pixels).save(checkout / name)
    random_model(checkout / "m.safetensors", UNetConfig(1, 1, 4, 2))
    rows = [f"{checkout}/a.png,,", f"{checkout}/b.png,,", f'"{checkout}/c, 1.png",{checkout}/own.zarr,yes']
    (checkout / "slides.csv").write_text("\n".join(["path,output,save_probabilities", *rows]))
    return checkout / "slides.csv"


ARRAY = ["--cpus-per-task=1", "--mem-per-cpu=1G", "cluster/slurm/predict-array.sbatch"]


def test_an_array_segments_each_slide_of_a_table_and_only_the_missing_one_fails(slurm, checkout, table):
    job = slurm.submit(checkout, "--array=1-3", *ARRAY, table, "-m", checkout / "m.safetensors", "-o", f"{checkout}/results/")

    ends = [slurm.wait(f"{job}_{row}") for row in (1, 2, 3)]

    assert [end["ExitCode"] for end in ends] == ["0:0", "2:0", "0:0"], log_of(checkout)
    assert run_slideseg("verify", checkout / "results" / "a.zarr").status == 0
    assert run_slideseg("verify", checkout / "own.zarr").status == 0
    assert (checkout / "own.zarr" / "probabilities").exists()
    assert {path.name for path in (checkout / "results").iterdir()} == {"a.zarr"}
    assert "b.png" in (checkout / f"slideseg-array-{job}-2.log").read_text()


def test_a_task_of_an_array_may_do_several_rows(slurm, checkout, table):
    job = slurm.submit(
        checkout,
        "--export=ALL,SLIDESEG_ROWS=2",
        "--array=1-2",
        *ARRAY,
        table,
        "-m",
        checkout / "m.safetensors",
        "-o",
        f"{checkout}/results",
    )

    ends = [slurm.wait(f"{job}_{task}") for task in (1, 2)]

    assert [end["ExitCode"] for end in ends] == ["1:0", "0:0"], log_of(checkout)
    assert "1 of 2 slides" in log_of(checkout)
    assert {path.name for path in (checkout / "results").iterdir()} == {"a.zarr"}
    assert run_slideseg("verify", checkout / "own.zarr").status == 0


# --- one job on two nodes --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def work(data, tmp_path_factory):
    """What the jobs do: (words for predict, bytes of the result of an undisturbed run in this process)."""
    folder = tmp_path_factory.mktemp("work")
    random_model(folder / "m.safetensors", UNetConfig(1, 1, 16, 3))
    words = [data / "isbi2012" / "test-volume.tif", "-m", folder / "m.safetensors", "--json"]
    assert tifffile.TiffFile(words[0]).series[0].shape[0] == SHARDS
    assert run_slideseg("predict", *words, "-o", folder / "x.zarr", "-w", 1).status == 0
    return words, array_bytes(folder / "x.zarr")


class Job:
    """A job of `predict.sbatch` that has begun to write."""

    def __init__(self, slurm, checkout, words):
        self.slurm, self.checkout, self.out = slurm, checkout, checkout / "x.zarr"
        options = ["--cpus-per-task=1", "--mem-per-cpu=1G", "cluster/slurm/predict.sbatch"]
        self.number = slurm.submit(checkout, *options, *words, "-o", self.out)
        slurm.until(lambda: shards_in(self.out) >= 4 or self.facts()["JobState"] not in {"PENDING", "RUNNING"}, 120)
        assert 4 <= shards_in(self.out) < SHARDS, log_of(checkout)

    def facts(self):
        return self.slurm.facts(self.number)

    def wait(self):
        return self.slurm.wait(self.number)

    def until_begun_again(self, seconds=60):
        self.slurm.until(lambda: self.facts()["Restarts"] == "1", seconds)

    def check(self, wanted):
        """Look at the result, and that nothing is left of the job but that and its log."""
        assert self.facts()["ExitCode"] == "0:0", log_of(self.checkout)
        assert array_bytes(self.out) == wanted
        assert run_slideseg("verify", self.out).status == 0
        self.check_nothing_is_left()
        return report_in(log_of(self.checkout))["shards"]

    def folders(self):
        """Return where Ray has, or had, its files on the nodes."""
        folders = set(re.findall(r"/tmp/seg-\w{6}", log_of(self.checkout)))
        assert len(folders) >= 2
        return folders

    def check_nothing_is_left(self):
        assert self.slurm.processes(self.number) == []
        assert list(self.checkout.glob(".ray-token*")) == []
        folders = self.folders()
        assert [folder for folder in folders if Path(folder).exists()] == []
        everything = " ".join(word for one in psutil.process_iter(["cmdline"]) for word in one.info["cmdline"] or [])
        assert [folder for folder in folders if folder in everything] == []


@pytest.fixture
def job(slurm, checkout, work):
    return Job(slurm, checkout, work[0])


@pytest.mark.usefixtures("slurm")
class TestOneJob:
    pytestmark = many_minutes

    def test_a_job_that_is_put_back_goes_on_where_it_was(self, slurm, job, work):
        (token,) = job.checkout.glob(".ray-token*")
        assert mode_of(token) == 0o600
        assert {mode_of(folder) for folder in job.folders()} == {0o700}
        assert {one.environ()["SLURMD_NODENAME"] for one in slurm.processes(job.number)} == {"node1", "node2"}
        slurm.run("scontrol", "requeue", job.number)
        job.until_begun_again()
        job.wait()
        shards = job.check(work[1])
        assert shards["total"] == SHARDS
        assert shards["kept"] >= 4
        assert shards["kept"] + shards["computed"] == SHARDS

    def test_a_job_whose_time_is_nearly_up_puts_itself_back(self, slurm, job, work):
        slurm.run("scancel", "--signal=USR1", "--batch", job.number)  # what --signal=B:USR1@120 comes to
        job.until_begun_again()
        job.wait()
        assert job.check(work[1])["kept"] >= 4

    def test_a_job_that_loses_a_node_goes_on_with_the_other(self, slurm, job, work):
        with slurm.without("node2", job.number):
            facts = job.wait()
        assert facts["Restarts"] == "0"
        assert facts["NodeList"] == "node1"
        assert array_bytes(job.out) == work[1]
        assert run_slideseg("verify", job.out).status == 0

    def test_a_job_that_loses_its_first_node_comes_back_on_its_own(self, slurm, job, work):
        with slurm.without("node1", job.number):
            job.until_begun_again(120)
        job.wait()
        assert job.check(work[1])["kept"] >= 4

    def test_a_cancelled_job_leaves_nothing_and_does_not_come_back(self, slurm, job):
        slurm.run("scancel", job.number)
        facts = job.wait()
        assert facts["JobState"] == "CANCELLED"
        slurm.until(lambda: slurm.processes(job.number) == [], 30)
        job.check_nothing_is_left()

    def test_a_task_of_an_array_that_is_put_back_goes_on_where_it_was(self, slurm, checkout, work):
        (path, *options), wanted = work
        (checkout / "slides.csv").write_text(f"path,output\n{path},{checkout}/x.zarr\n")
        job = slurm.submit(checkout, "--array=1", *ARRAY, checkout / "slides.csv", *options)
        slurm.until(lambda: shards_in(checkout / "x.zarr") >= 4, 60)
        slurm.run("scontrol", "requeue", f"{job}_1")
        slurm.until(lambda: slurm.facts(f"{job}_1")["Restarts"] == "1", 60)
        facts = slurm.wait(f"{job}_1")
        assert facts["ExitCode"] == "0:0", (facts, log_of(checkout))
        assert report_in(log_of(checkout))["shards"]["kept"] >= 4
        assert array_bytes(checkout / "x.zarr") == wanted
        assert run_slideseg("verify", checkout / "x.zarr").status == 0

    @pytest.mark.skipif("SLIDESEG_TEST_DATA" not in os.environ, reason="no real data; set SLIDESEG_TEST_DATA")
    def test_a_training_takes_both_nodes_and_goes_on_after_it_was_put_back(self, slurm, checkout):
        options = ["--cpus-per-task=1", "--mem-per-cpu=1G", "--gpus-per-node=0", "cluster/slurm/train.sbatch"]
        words = [ROOT / "configs" / "tiny.yaml", "-o", checkout / "run", "--json", "-s", "training.epochs=6"]
        job = slurm.submit(checkout, *options, *words)
        slurm.until(lambda: len(list(checkout.glob("run/checkpoints/*"))) >= 1, 180)
        slurm.run("scontrol", "requeue", job)
        slurm.until(lambda: slurm.facts(job)["Restarts"] == "1", 60)
        assert slurm.wait(job)["ExitCode"] == "0:0", log_of(checkout)
        rows = (checkout / "run" / "metrics.csv").read_text().splitlines()
        assert [row.split(",")[0] for row in rows[1:]] == ["1", "2", "3", "4", "5", "6"]
        assert json.loads((checkout / "run" / "report.json").read_text())["status"] == "complete"
        assert slurm.processes(job) == []
