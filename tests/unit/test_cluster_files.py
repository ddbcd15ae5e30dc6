"""What can be known about ``cluster/`` without a cluster: schemas, scripts that parse, commands that exist, tokens everywhere.

The Slurm scripts really run here, with stand-ins for ``srun`` and ``scontrol`` that do on this machine what Slurm would do on
the nodes. KubeRay's own schema weighs a megabyte, so the fields that the manifests may use are listed below instead.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import click
import jsonschema
import numpy as np
import psutil
import pytest
import yaml
from PIL import Image

from slideseg.cli import cli
from slideseg.model.config import UNetConfig
from slideseg.storage.lease import EXPIRE_SECONDS
from slideseg.testing.models import random_model

ROOT = Path(__file__).parents[2]
CLUSTER = ROOT / "cluster"
FILES = sorted(path for path in CLUSTER.rglob("*") if path.is_file())
SCRIPTS = sorted((CLUSTER / "slurm").iterdir())
MANIFESTS = sorted((CLUSTER / "kuberay").glob("*.yaml"))
TEXTS = [*FILES, ROOT / "docs" / "clusters.md"]


def name_of(path):
    return path.relative_to(ROOT).as_posix()


def pinned(package):
    text = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    return re.search(rf"^{package}==(.+)$", text, re.MULTILINE)[1]


# --- every `slideseg` command that is written down can be typed ------------------------------------------------------------

KINDS = ("cluster/ray-up.yaml", "cluster/kuberay", "cluster/slurm")
SHELL_VALUES = {"$ray_address": "10.0.0.1:6379", "$ray_workers": "16"}


def commands(path):
    """Yield (command, words) for each call of predict or train in a file; ``$@`` becomes what the file's usage line gives."""
    text = path.read_text(encoding="utf-8")
    usage = re.search(rf"^#   sbatch .*{re.escape(path.name)} (.*)$", text, re.MULTILINE)
    for name, rest in re.findall(r"\bslideseg (predict|train) ([^'`#\n]+)", text):
        words = []
        for word in shlex.split(rest):
            words += shlex.split(usage[1]) if word == "$@" else [SHELL_VALUES.get(word, word)]
        yield name, words


def check_command(name, words):
    """Parse the words as click would, but open nothing."""
    command = cli.commands[name]
    with click.Context(command, info_name=name) as context:
        given, rest, _ = command.make_parser(context).parse_args(list(words))
        assert rest == []
        for parameter in command.params:
            value = given.get(parameter.name)
            if isinstance(parameter, click.Argument):
                assert isinstance(value, str | tuple), f"{name} lacks {parameter.name}"
                assert value, f"{name} lacks {parameter.name}"
            elif isinstance(value, str):
                parameter.type_cast_value(context, value)
    return given


@pytest.mark.parametrize(
    ("path", "name", "words"),
    [pytest.param(path, *found, id=f"{name_of(path)}-{i}") for path in TEXTS for i, found in enumerate(commands(path))],
)
def test_a_command_that_is_written_down_can_be_typed(path, name, words):
    if name not in cli.commands:
        pytest.skip(f"slideseg has no command {name} yet")
    given = check_command(name, words)
    assert isinstance(given["output"], str), "where results go must not depend on the folder that a scheduler chose"


@pytest.mark.parametrize("words", [["x.svs", "--adress", "auto"], ["x.svs", "--workers", "many"], ["-o", "x.zarr"]])
def test_a_command_that_can_not_be_typed_is_found(words):
    with pytest.raises((click.UsageError, AssertionError)):
        check_command("predict", words)


def test_predict_and_train_are_there_for_every_kind_of_cluster():
    kinds = {part: {name for path in FILES if part in name_of(path) for name, _ in commands(path)} for part in KINDS}
    assert kinds == {part: {"predict", "train"} for part in KINDS}


# --- what must never be in these files -------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_file_ends_other_peoples_ray_or_turns_the_token_off(path):
    text = path.read_text(encoding="utf-8")
    commands_only = "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("#"))
    if path.suffix != ".md":
        assert "symmetric-run" not in commands_only
        assert "ray stop" not in commands_only or path.name == "ray-up.yaml", "on shared nodes it ends other jobs' Ray"
    assert not re.search(r"RAY_AUTH_MODE\s*[=:]\s*(?!token)\w", text)
    assert not re.search(r"RAY_AUTH_TOKEN\s*[=:]", text), "a token is a secret: no file holds one"


# --- the machines of `ray up` ----------------------------------------------------------------------------------------------


@pytest.fixture
def ray_up():
    return yaml.safe_load((CLUSTER / "ray-up.yaml").read_text(encoding="utf-8"))


def check_with_ray(config):
    from ray.autoscaler._private.util import prepare_config, validate_config  # noqa: PLC0415 - heavy

    validate_config(prepare_config(config))


def test_the_ray_up_file_fits_rays_own_schema(ray_up):
    check_with_ray(ray_up)


@pytest.mark.parametrize(
    ("place", "value"), [(("max_worker",), 1), (("available_node_types", "worker", "cpus"), 4), (("setup_commands",), "pip")]
)
def test_rays_own_schema_finds_mistakes(ray_up, place, value):
    *way, last = place
    part = ray_up
    for name in way:
        part = part[name]
    part[last] = value
    with pytest.raises((jsonschema.ValidationError, AttributeError, TypeError)):
        check_with_ray(ray_up)


def test_every_machine_starts_ray_with_the_same_token(ray_up):
    starts = [line for kind in ("head", "worker") for line in ray_up[f"{kind}_start_ray_commands"] if "ray start" in line]
    assert len(starts) == 2
    assert all("RAY_AUTH_MODE=token ray start" in line and "chmod 600 ~/.ray/auth_token" in line for line in starts)
    assert ray_up["file_mounts"]["~/.ray/auth_token"] == "~/.ray/auth_token"
    assert any("export RAY_AUTH_MODE=token" in line for line in ray_up["setup_commands"]), "the driver needs it too"


def test_slideseg_can_begin_on_the_machines_that_ray_up_starts(ray_up):
    worker = ray_up["available_node_types"]["worker"]
    assert worker["min_workers"] >= 1
    assert worker["max_workers"] == ray_up["max_workers"]


# --- Kubernetes ------------------------------------------------------------------------------------------------------------

TEXT, COUNT, STRINGS = {"type": "string"}, {"type": "integer", "minimum": 0}, {"additionalProperties": {"type": "string"}}


def fields(required, **properties):
    return {"type": "object", "required": required.split(), "properties": properties, "additionalProperties": False}


CONTAINER = fields(
    "name image resources volumeMounts",
    name=TEXT,
    image=TEXT,
    resources=fields("requests limits", requests=STRINGS, limits=STRINGS),
    volumeMounts={"type": "array", "items": fields("name mountPath", name=TEXT, mountPath=TEXT)},
)
POD = fields(
    "spec",
    spec=fields(
        "automountServiceAccountToken securityContext containers volumes",
        automountServiceAccountToken={"const": False},
        securityContext=fields(
            "runAsNonRoot runAsUser fsGroup", runAsNonRoot={"const": True}, runAsUser={"const": 1000}, fsGroup={"const": 1000}
        ),
        containers={"type": "array", "minItems": 1, "maxItems": 1, "items": CONTAINER},
        volumes={
            "type": "array",
            "items": fields("name persistentVolumeClaim", name=TEXT, persistentVolumeClaim=fields("claimName", claimName=TEXT)),
        },
    ),
)
RAY_JOB = fields(
    "apiVersion kind metadata spec",
    apiVersion={"const": "ray.io/v1"},
    kind={"const": "RayJob"},
    metadata=fields("name", name={"type": "string", "pattern": "^[a-z][a-z0-9-]{0,46}$"}),
    spec=fields(
        "entrypoint rayClusterSpec",
        entrypoint=TEXT,
        backoffLimit=COUNT,
        shutdownAfterJobFinishes={"type": "boolean"},
        ttlSecondsAfterFinished=COUNT,
        rayClusterSpec=fields(
            "rayVersion authOptions headGroupSpec workerGroupSpecs",
            rayVersion=TEXT,
            authOptions=fields("mode", mode={"const": "token"}),
            headGroupSpec=fields("rayStartParams template", rayStartParams=STRINGS, template=POD),
            workerGroupSpecs={
                "type": "array",
                "minItems": 1,
                "items": fields(
                    "groupName replicas minReplicas maxReplicas rayStartParams template",
                    groupName=TEXT,
                    replicas=COUNT,
                    minReplicas=COUNT,
                    maxReplicas=COUNT,
                    rayStartParams=STRINGS,
                    template=POD,
                ),
            },
        ),
    ),
)
"""The part of the RayJob that the manifests use, as in KubeRay 1.5.1; unknown fields are mistakes, as for the API server."""


@pytest.fixture(params=MANIFESTS, ids=name_of)
def ray_job(request):
    return yaml.safe_load(request.param.read_text(encoding="utf-8"))


def test_a_manifest_has_the_fields_of_a_ray_job(ray_job):
    jsonschema.validate(ray_job, RAY_JOB)


@pytest.mark.parametrize(
    ("place", "value"),
    [(("authOptions", "mode"), "disabled"), (("authOption",), {}), (("headGroupSpec", "rayStartParams", "num-cpus"), 0)],
)
def test_a_mistake_in_a_manifest_is_found(ray_job, place, value):
    *way, last = place
    part = ray_job["spec"]["rayClusterSpec"]
    for name in way:
        part = part[name]
    part[last] = value
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(ray_job, RAY_JOB)


def test_a_manifest_agrees_with_itself(ray_job):
    cluster = ray_job["spec"]["rayClusterSpec"]
    head, (group,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    pods = [head["template"]["spec"], group["template"]["spec"]]
    assert cluster["rayVersion"] == pinned("ray")
    assert group["minReplicas"] == group["replicas"] == group["maxReplicas"]
    for pod in pods:
        (container,) = pod["containers"]
        assert container["resources"]["requests"] == container["resources"]["limits"], "Ray counts the limits"
        assert {mount["name"] for mount in container["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert len({pod["containers"][0]["image"] for pod in pods}) == 1, "one version on all nodes"
    words = shlex.split(ray_job["spec"]["entrypoint"])
    gpus = int(pods[1]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"])
    assert int(words[words.index("--workers") + 1]) == group["replicas"] * gpus
    assert words[words.index("--address") + 1] == "auto"


# --- the image -------------------------------------------------------------------------------------------------------------


def instructions():
    text = (CLUSTER / "Dockerfile").read_text(encoding="utf-8")
    lines = re.sub(r"^#.*\n", "", text, flags=re.MULTILINE).replace("\\\n", " ").splitlines()
    return [tuple(line.split(maxsplit=1)) for line in lines if line.strip()]


def test_the_dockerfile_is_made_of_instructions():
    names = [name for name, _ in instructions()]
    assert set(names) <= {"FROM", "RUN", "ENV", "WORKDIR", "COPY", "ARG", "USER", "ENTRYPOINT"}
    assert names[0] == "FROM"
    assert names[-1] == "ENTRYPOINT"
    assert names.index("USER") > max(i for i, name in enumerate(names) if name == "RUN")


def test_the_image_has_a_python_that_fits_and_a_user():
    values = dict(instructions())
    python = re.fullmatch(r"python:3\.(\d+)-slim", values["FROM"])
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["requires-python"]
    assert wanted == ">=3.11,<3.14"
    assert 11 <= int(python[1]) < 14
    assert values["USER"] == "slideseg"
    assert json.loads(values["ENTRYPOINT"]) == ["slideseg"]
    assert "RAY_AUTH_MODE=token" in values["ENV"]


def test_the_image_takes_all_that_the_package_is_built_from():
    copied = [word for name, rest in instructions() if name == "COPY" for word in rest.split()[:-1]]
    assert [word for word in copied if not (ROOT / word).exists()] == []
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    licences = {name for name in project["license-files"] if not name.startswith("slideseg/")}
    assert {"pyproject.toml", "constraints.txt", "slideseg", project["readme"], *licences} <= set(copied)


def test_everything_in_the_image_is_pinned():
    runs = [rest for name, rest in instructions() if name == "RUN" and "pip install" in rest]
    assert runs
    assert all("-c constraints.txt" in run for run in runs)
    for run in runs:
        check = subprocess.run(["bash", "-n", "-c", run], capture_output=True, text=True, check=False)
        assert check.returncode == 0, check.stderr


# --- Slurm -----------------------------------------------------------------------------------------------------------------


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
stat -c 'token %a' "$RAY_AUTH_TOKEN_PATH" >>"$CALLS"
while [[ $1 == --* ]]; do shift; done
# The head has no core here, so that the work must be done by the other node.
[[ " $* " != *" --head "* ]] || export SLURM_CPUS_PER_TASK=0
exec "$@"
"""
SCONTROL = '#!/bin/bash\necho "scontrol $*" >>"$CALLS"\n'
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
        for name, text in {"srun": SRUN, "scontrol": SCONTROL, "slideseg": slideseg}.items():
            (folder / name).write_text(text)
            (folder / name).chmod(0o755)
        path = f"{folder}:{Path(sys.executable).parent}:$PATH"
        (folder / ".venv" / "bin" / "activate").write_text(f"PATH={path}\n")

    def start(self, script, *arguments, **more):
        keep = {name: value for name, value in os.environ.items() if not name.startswith(("RAY_", "SLURM_"))}
        settings = {"JOB_ID": os.getpid(), "JOB_NUM_NODES": 2, "CPUS_PER_TASK": 1, "ARRAY_TASK_ID": 2, **more}
        slurm = {f"SLURM_{name}": str(value) for name, value in settings.items()}
        slurm |= {"SLURM_SUBMIT_DIR": str(self.folder), "SLURMD_NODENAME": "node1"}
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
    (tmp_path / "list").write_text("/shared/a.svs\n/shared/b c.ome.tif\n/shared/d.svs\n")
    return tmp_path / "list"


def test_a_task_of_an_array_takes_its_own_slide_and_hands_the_status_on(tmp_path, slides):
    job = Job(tmp_path, ENDING)
    assert job.start("predict-array.sbatch", slides, "/shared/results").wait(30) == 7
    assert job.called("slideseg") == ["slideseg predict /shared/b c.ome.tif -o /shared/results/b c.ome.zarr"]
    assert job.called("scontrol") == []


def test_a_job_whose_time_is_nearly_up_stops_and_waits_in_the_queue_again(tmp_path, slides):
    job = Job(tmp_path, WAITING)
    script = job.start("predict-array.sbatch", slides, "/shared/results")
    job.wait_for_the_command()
    script.send_signal(signal.SIGUSR1)
    assert script.wait(30) == 130, job.log.read_text()
    assert job.called("scontrol") == [f"scontrol requeue {os.getpid()}"]


def test_a_job_that_comes_back_lets_the_lease_of_its_first_life_run_out(tmp_path, slides):
    job = Job(tmp_path, ENDING)
    (tmp_path / "sleep").write_text('#!/bin/bash\necho "sleep $*" >>"$CALLS"\n')
    (tmp_path / "sleep").chmod(0o755)
    assert job.start("predict-array.sbatch", slides, "/shared/results", RESTART_COUNT=1).wait(30) == 7
    (slept,) = job.called("sleep")
    assert int(slept.split()[1]) >= EXPIRE_SECONDS
    assert job.calls.read_text().startswith(slept)


def test_a_cancelled_job_ends_its_command_and_does_not_come_back(tmp_path, slides):
    job = Job(tmp_path, WAITING)
    script = job.start("predict-array.sbatch", slides, "/shared/results")
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
    folders = set(re.findall(r"/tmp/ray-\w{6}", log))
    assert len(folders) == 2
    assert [folder for folder in folders if Path(folder).exists()] == []
    assert [one for one in psutil.process_iter(["cmdline"]) if folders & mentioned(one)] == []


def mentioned(process):
    return set(re.findall(r"/tmp/ray-\w{6}", " ".join(process.info["cmdline"] or [])))


def test_the_token_of_a_job_is_long_and_for_its_user_alone(tmp_path):
    """The line of ray.sh that makes it, run by itself under the widest umask."""
    (line,) = [line for line in (CLUSTER / "slurm" / "ray.sh").read_text().splitlines() if "/dev/urandom" in line]
    token = tmp_path / "token"
    subprocess.run(["bash", "-c", f"umask 000; {line}"], env={**os.environ, "RAY_AUTH_TOKEN_PATH": str(token)}, check=True)
    assert re.fullmatch(r"[0-9a-f]{64}", token.read_text())
    assert stat.S_IMODE(token.stat().st_mode) == 0o600
