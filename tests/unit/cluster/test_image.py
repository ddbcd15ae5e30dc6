"""The image that all nodes of a cluster run."""

import importlib.metadata
import json
import re
import subprocess
import tomllib

import pytest
from packaging.requirements import Requirement

from tests.unit.cluster import CLUSTER, ROOT

CONSTRAINTS = (ROOT / "constraints.txt").read_text(encoding="utf-8")


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


def test_all_that_ray_needs_on_a_cluster_has_a_fixed_version():
    wanted = [Requirement(text) for text in importlib.metadata.requires("ray")]
    names = [one.name for one in wanted if one.marker is None or one.marker.evaluate({"extra": "default"})]
    assert {"aiohttp", "grpcio", "requests"} <= set(names)
    assert [name for name in names if not re.search(rf"(?mi)^{name.replace('_', '[-_]')}==", CONSTRAINTS)] == []


@pytest.mark.parametrize("path", ["cluster/Dockerfile", "cluster/ray-up.yaml"])
def test_versions_that_are_named_are_those_of_the_project(path):
    """`pip install X==1` beside constraints.txt would be a second truth; boto3 alone is none of ours."""
    for command in re.findall(r"pip install ([^&#\n]+)", (ROOT / path).read_text(encoding="utf-8")):
        assert "-c constraints.txt" in command or re.fullmatch(r"boto3==[\d.]+ *|'ray\[default\]' boto3`.*", command), command


def test_everything_in_the_image_is_pinned():
    runs = [rest for name, rest in instructions() if name == "RUN" and "pip install" in rest]
    assert runs
    assert all("-c constraints.txt" in run for run in runs)
    for run in runs:
        check = subprocess.run(["bash", "-n", "-c", run], capture_output=True, text=True, check=False)
        assert check.returncode == 0, check.stderr
