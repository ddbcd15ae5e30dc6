"""The Slurm scripts run here with stand-ins for Slurm's commands; tests/integration/test_slurm.py runs them on a real one."""

import json
import os
import re
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
from PIL import Image

from slideseg.model.config import UNetConfig
from slideseg.storage.lease import EXPIRE_SECONDS
from slideseg.testing.models import random_model
from tests.unit.cluster import CLUSTER, ROOT, name_of

SCRIPTS = sorted((CLUSTER / "slurm").iterdir())


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_a_script_parses(path):
    check = subprocess.run(["bash", "-n", path], capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stderr


@pytest.mark.parametrize("path", SCRIPTS, ids=name_of)
def test_a_script_passes_shellcheck(path):
    if shutil.which("shellcheck") is None:
        pytest.skip("shellcheck is not installed")
    check = subprocess.run(["shellcheck", "-x", path], cwd=ROOT, capture_output=True, text=True, check=False)
    assert check.returncode == 0, check.stdout


@pytest.mark.parametrize("path", [path for path in SCRIPTS if path.suffix == ".sbatch"], ids=name_of)
def test_slurm_reads_all_options_of_a_script(path):
    """Slurm stops at the first command; what comes later would be ignored in silence."""
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith("#!")
    first_command = next(i for i, line in enumerate(lines) if line and not line.startswith("#"))
    options = {line.split()[1].split("=")[0]: i for i, line in enumerate(lines) if line.startswith("#SBATCH ")}
    assert max(options.values()) < first_command
    assert {"--requeue", "--signal", "--open-mode", "--cpus-per-task", "--mem-per-cpu", "--time"} <= set(options)


SRUN = """#!/bin/bash
# Runs here what srun would run on a node, and notes how it was called and who may read the token.
echo "srun $*" >>"$CALLS"
echo $$ >>"$CALLS.steps"
stat -c 'token %a' "$RAY_AUTH_TOKEN_PATH" >>"$CALLS"
while [[ $1 == --* ]]; do shift; done
# The head has no core here, so that the work must be done by the other node.
[[ " $* " != *" --head "* ]] || export SLURM_CPUS_PER_TASK=0
exec "$@"
"""
SCONTROL = """#!/bin/bash
case "$*" in
  *hostnames*) printf 'node1\\nnode2\\n' ;;
  *"show node node2"*) echo "NodeName=node2 NodeAddr=127.0.0.1 Port=6818" ;;
  *) echo "scontrol $*" >>"$CALLS" ;;
esac
"""
SCANCEL = """#!/bin/bash
[[ $* == "--signal=TERM "* && -e $CALLS.steps ]] && kill $(cat "$CALLS.steps") # the tasks of all steps
"""
WAITING = '#!/bin/bash\necho "slideseg $*" >>"$CALLS"\ntrap "exit 130" TERM\nwhile :; do sleep 0.05; done\n'
ENDING = '#!/bin/bash\necho "slideseg $*" >>"$CALLS"\nexit 7\n'
REAL = f"""#!/bin/bash
exec {shlex.quote(sys.executable)} -c 'from slideseg.cli import main; main()' "$@"
"""


class Job:
    """A batch script that runs as Slurm would run it, in a submit folder of its own."""

    def __init__(self, folder, slideseg):
        self.folder, self.calls, self.log = folder, folder / "calls", folder / "log"
        (folder / ".venv" / "bin").mkdir(parents=True)
        (folder / "cluster").symlink_to(CLUSTER)
        for name, text in {"srun": SRUN, "scontrol": SCONTROL, "scancel": SCANCEL, "slideseg": slideseg}.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        path = f"{folder}:{Path(sys.executable).parent}:$PATH"
        (folder / ".venv" / "bin" / "activate").write_text(f"PATH={path}\n")

    def start(self, script, *arguments, **more):
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "SLURM_"))}
        settings = {
            "JOB_ID": os.getpid(),
            "JOB_NUM_NODES": 2,
            "CPUS_PER_TASK": 1,
            "ARRAY_TASK_ID": 2,
            "JOB_NODELIST": "node[1-2]",
            **more,
        }
        slurm = {f"SLURM_{name}": str(value) for name, value in settings.items()}
        slurm |= {"SLURM_SUBMIT_DIR": str(self.folder), "SLURMD_NODENAME": "node1", "SLURM_JOB_NODELIST": "node[1-2]"}
        with self.log.open("w") as log, (self.folder / "out").open("w") as out:
            return subprocess.Popen(
                ["bash", str(CLUSTER / "slurm" / script), *map(str, arguments)],
                env={**keep, **slurm, "CALLS": str(self.calls), "OMP_NUM_THREADS": "1"},
                cwd=self.folder, stdout=out, stderr=log, start_new_session=True,
            )  # fmt: skip

    def called(self, word):
        lines = self.calls.read_text().splitlines() if self.calls.exists() else []
        return [line for line in lines if line.startswith(word)]

    def wait_for_the_command(self):
        for _ in range(400):
            if self.called("slideseg"):
                return
            time.sleep(0.05)
        pytest.fail(f"the command was not run: {self.log.read_text()}")


@pytest.fixture
def slides(tmp_path):
    """A manifest whose second slide has a name with a blank."""
    (tmp_path / "slides.csv").write_text(TABLE, encoding="utf-8-sig")  # as Excel writes it
    return tmp_path / "slides.csv"


TABLE = "path,output\n/shared/a.svs,\n/shared/b c.ome.tif,/shared/own.zarr\n"
RESULTS = ["-o", "/shared/results"]


@pytest.mark.parametrize(
    ("task", "each", "rows"), [(2, None, "2-2"), (2, 1, "2-2"), (1, 20, "1-20"), (2, 20, "21-40"), (500, 10, "4991-5000")]
)
def test_a_task_of_an_array_takes_its_own_rows_and_hands_the_status_on(tmp_path, slides, task, each, rows, monkeypatch):
    if each is not None:
        monkeypatch.setenv("SLIDESEG_ROWS", str(each))
    job = Job(tmp_path, ENDING)
    assert job.start("predict-array.sbatch", slides, *RESULTS, ARRAY_TASK_ID=task).wait(30) == 7
    (called,) = job.called("slideseg")
    assert called == f"slideseg predict --manifest {slides} --rows {rows} --workers 1 -o /shared/results"
    assert job.called("scontrol") == []


@pytest.mark.parametrize(
    "text", ["path\na.svs\nb.svs\nc.svs\n", "path\r\na.svs\r\nb.svs\r\nc.svs", "path\n\na.svs\nb.svs\nc.svs\n\n"]
)
@pytest.mark.parametrize("page", ["cluster/slurm/predict-array.sbatch", "docs/clusters.md"])
def test_the_size_of_an_array_is_the_number_of_rows(tmp_path, page, text):
    (command,) = re.findall(r"n=\$\(.*\)", (ROOT / page).read_text())
    (tmp_path / "slides.csv").write_bytes(text.encode())
    done = subprocess.run(["bash", "-c", f"{command}; echo $n"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout == "3\n"


@pytest.mark.parametrize("number", [1, 9, 10, 11, 5000])
@pytest.mark.parametrize("page", ["cluster/slurm/predict-array.sbatch", "docs/clusters.md"])
def test_so_many_tasks_of_several_rows_do_all_of_them(page, number):
    (command,) = re.findall(r"sbatch --export=.*", (ROOT / page).read_text())
    words = subprocess.run(["bash", "-c", f"n={number}; echo {command}"], capture_output=True, text=True, check=True).stdout
    each, tasks = re.findall(r"--export=ALL,SLIDESEG_ROWS=(\d+) --array=1-(\d+)%", words)[0]
    assert (int(tasks) - 1) * int(each) < number <= int(tasks) * int(each)
    assert int(tasks) <= 1000, "as many as Slurm has by default"


def test_a_job_whose_time_is_nearly_up_stops_and_waits_in_the_queue_again(tmp_path, slides):
    job = Job(tmp_path, WAITING)
    script = job.start("predict-array.sbatch", slides, *RESULTS)
    job.wait_for_the_command()
    script.send_signal(signal.SIGUSR1)
    assert script.wait(30) == 130, job.log.read_text()
    assert job.called("scontrol") == [f"scontrol requeue {os.getpid()}"]


def test_a_job_whose_time_is_too_short_for_anything_does_not_come_back_for_ever(tmp_path, slides):
    job = Job(tmp_path, WAITING)
    script = job.start("predict-array.sbatch", slides, *RESULTS, RESTART_COUNT=20)
    job.wait_for_the_command()
    script.send_signal(signal.SIGUSR1)
    assert script.wait(30) == 130
    assert job.called("scontrol") == []
    assert "error: not done after 20 restarts" in job.log.read_text()


TAKEN = """#!/bin/bash
# A result that belongs to another run, for two tries.
echo "slideseg $*" >>"$CALLS"
(($(grep -c slideseg "$CALLS") > 2)) || exit 3
"""


def test_a_job_that_comes_back_waits_until_its_first_life_lets_go_of_the_result(tmp_path, slides):
    job = Job(tmp_path, TAKEN)
    (tmp_path / "sleep").write_text('#!/bin/bash\necho "sleep $*" >>"$CALLS"\n')
    (tmp_path / "sleep").chmod(0o755)
    assert job.start("predict-array.sbatch", slides, *RESULTS, RESTART_COUNT=1).wait(30) == 0
    assert len(job.called("slideseg")) == 3
    assert job.called("sleep") == ["sleep 10"] * 2
    (patience,) = re.findall(r"SECONDS - started < (\d+)", (CLUSTER / "slurm" / "ray.sh").read_text())
    assert int(patience) > EXPIRE_SECONDS


def test_a_job_whose_result_is_anothers_from_the_start_does_not_wait(tmp_path, slides):
    job = Job(tmp_path, TAKEN)
    assert job.start("predict-array.sbatch", slides, *RESULTS).wait(30) == 3
    assert len(job.called("slideseg")) == 1


def test_a_cancelled_job_ends_its_command_and_does_not_come_back(tmp_path, slides):
    job = Job(tmp_path, WAITING)
    script = job.start("predict-array.sbatch", slides, *RESULTS)
    job.wait_for_the_command()
    (command,) = [child for child in psutil.Process(script.pid).children() if "slideseg" in " ".join(child.cmdline())]
    script.send_signal(signal.SIGTERM)
    assert script.wait(30) == 143
    assert not command.is_running()
    assert job.called("scontrol") == []


@pytest.mark.ray
@pytest.mark.timeout(280)
def test_a_slurm_job_starts_ray_with_a_token_on_two_nodes_runs_and_leaves_nothing(tmp_path):
    """Two Ray nodes on this machine, on ports and in folders of their own, as for two jobs that share a node."""
    pixels = np.random.default_rng(1).integers(0, 255, (200, 300), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "slide.png")
    random_model(tmp_path / "m.safetensors", UNetConfig(1, 1, 4, 2))
    job = Job(tmp_path, REAL)

    script = job.start(
        "predict.sbatch", tmp_path / "slide.png", "-m", tmp_path / "m.safetensors", "-o", tmp_path / "x.zarr", "--json"
    )
    try:
        status = script.wait(240)
    finally:
        if script.poll() is None:
            os.killpg(script.pid, signal.SIGTERM)  # the session that this test made
    log = job.log.read_text()

    assert status == 0, log
    report = json.loads((tmp_path / "out").read_text())
    assert report["status"] == "ok"
    assert report["slides"][0]["shards"]["computed"] == 1
    head, worker = job.called("srun")
    assert "--nodelist=node1" in head
    assert "--exclude=node1" in worker
    assert job.called("token") == ["token 600"] * 2
    assert list(tmp_path.glob(".ray-token*")) == []
    folders = set(re.findall(r"/tmp/seg-\w{6}", log))
    assert len(folders) == 2
    assert [folder for folder in folders if Path(folder).exists()] == []
    assert [one for one in psutil.process_iter(["cmdline"]) if folders & mentioned(one)] == []


def mentioned(process):
    return set(re.findall(r"/tmp/seg-\w{6}", " ".join(process.info["cmdline"] or [])))


def source(lines, folder):
    """Run lines with the functions of ray.sh, in a submit folder."""
    words = {"SLURM_SUBMIT_DIR": str(folder), "SLURM_JOB_ID": "7", "SLURM_CPUS_PER_TASK": "1", "CALLS": str(folder / "calls")}
    return subprocess.run(
        ["bash", "-c", f"source {shlex.quote(str(CLUSTER))}/slurm/ray.sh; trap - EXIT; {lines}"],
        env={**os.environ, **words}, capture_output=True, text=True, check=False,
    )  # fmt: skip


def test_the_token_of_a_job_is_long_and_for_its_user_alone(tmp_path):
    Job(tmp_path, ENDING)
    token = tmp_path / ".ray-token-7"
    token.write_text("laid here by somebody who wants to read ours")
    token.chmod(0o666)
    done = source("umask 000; make_token", tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(r"[0-9a-f]{64}", token.read_text())
    assert stat.S_IMODE(token.stat().st_mode) == 0o600


def test_a_token_is_not_written_into_what_somebody_else_left(tmp_path):
    """In a folder with a sticky bit the other's file can't be removed."""
    Job(tmp_path, ENDING)
    token = tmp_path / ".ray-token-7"
    token.write_text("theirs")
    assert source("rm() { :; }; make_token", tmp_path).returncode != 0
    assert token.read_text() == "theirs"


def test_a_node_clears_what_dead_jobs_left_and_nothing_else():
    """Folders of dead jobs have no lock; those of a live job, those without the sign and links are not touched."""
    text = (CLUSTER / "slurm" / "ray-node.sh").read_text()
    (loop,) = re.findall(r"^for left in .*?^done$", text, re.MULTILINE | re.DOTALL)
    with tempfile.TemporaryDirectory() as folder:
        dead, live, unknown, link = (Path(folder, f"seg-{name}") for name in ("dead00", "live00", "unknow", "link00"))
        for one in (dead, live, unknown):
            one.mkdir()
        for one in (dead, live):
            (one / "locked").touch()
            (one / "ray" / "session").mkdir(parents=True)
        link.symlink_to(dead)
        with subprocess.Popen(["flock", live, "sleep", "60"]) as holder:
            while subprocess.run(["flock", "--nonblock", live, "true"], check=False).returncode == 0:
                time.sleep(0.01)
            loop = loop.replace("/tmp/", f"{folder}/")
            subprocess.run(["bash", "-euc", f"rmdir() {{ false; }}; {loop}"], check=True)  # as if Ray had written once more
            assert [path.name for path in dead.iterdir()] == ["locked"]
            subprocess.run(["bash", "-euc", loop], check=True)
            holder.kill()
        assert {path.name for path in Path(folder).iterdir()} == {"seg-live00", "seg-unknow", "seg-link00"}


def test_nodes_that_clear_up_at_once_are_not_in_each_others_way():
    text = (CLUSTER / "slurm" / "ray-node.sh").read_text()
    (loop,) = re.findall(r"^for left in .*?^done$", text, re.MULTILINE | re.DOTALL)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(30):
            (Path(folder, f"seg-dead{number:02}") / "ray" / "session").mkdir(parents=True)
            Path(folder, f"seg-dead{number:02}", "locked").touch()
        nodes = [subprocess.Popen(["bash", "-euc", loop.replace("/tmp/", f"{folder}/")]) for _ in range(6)]
        assert [node.wait(60) for node in nodes] == [0] * 6
        assert list(Path(folder).iterdir()) == []


@pytest.mark.parametrize(("address", "requeued"), [("127.0.0.1:1", True), (None, False)])
def test_a_node_gives_the_job_back_only_if_the_first_node_is_gone(tmp_path, address, requeued):
    """Ray ends by itself on a node; the head is, or is not, where it was."""
    Job(tmp_path, ENDING)
    (tmp_path / "ray").write_text("#!/bin/bash\nexit 1\n")
    (tmp_path / "ray").chmod(0o755)
    with socket.create_server(("127.0.0.1", 0)) as head:
        words = [f"--address={address or ':'.join(map(str, head.getsockname()))}"]
        done = subprocess.run(
            ["bash", CLUSTER / "slurm" / "ray-node.sh", *words],
            env={
                **os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "CALLS": str(tmp_path / "calls"),
                "SLURM_CPUS_PER_TASK": "1", "RAY_PORT": "1", "SLURM_JOB_ID": "7",
            },
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1, done.stderr
    calls = (tmp_path / "calls").read_text() if (tmp_path / "calls").exists() else ""
    assert calls == ("scontrol requeue 7\n" if requeued else "")
