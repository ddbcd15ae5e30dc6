"""The source distribution holds what a packager needs: to build, test, document and run the program."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from slideseg.installed import pip_install, requirements
from slideseg.version import DISTRIBUTION, __version__

ROOT = Path(__file__).parents[1]
LEFT_OUT = {".ci", ".gitignore", ".pre-commit-config.yaml"}
"""What only the project's own machines and repositories use."""
BY_ITSELF = {"pyproject.toml"}
"""What the build adds unasked."""


def _settings() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def included() -> set[str]:
    """Return the files and folders at the root that the source distribution takes."""
    patterns = _settings()["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert all(pattern.startswith("/") for pattern in patterns), "a name without / would match in every folder"
    return {pattern.removeprefix("/") for pattern in patterns}


def test_what_is_included_is_there() -> None:
    assert [name for name in sorted(included()) if not (ROOT / name).exists()] == []


@pytest.mark.parametrize(
    "needed",
    ["slideseg", "tests", "docs", "mkdocs.yml", "benchmarks", "cluster", "configs", "Makefile", "constraints.txt", "LICENSE"],
)
def test_a_packager_finds(needed: str) -> None:
    assert needed in included()


def test_everything_in_the_repository_is_included_or_left_out_on_purpose() -> None:
    if not (ROOT / ".git").exists() or shutil.which("git") is None:
        pytest.skip("no repository, as in a source distribution")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()
    assert {path.partition("/")[0] for path in listed} == included() | BY_ITSELF | LEFT_OUT


def test_whom_the_models_data_is_owed_to_comes_with_the_models() -> None:
    settings, notice = _settings(), "slideseg/model/weights/NOTICE"
    wheel = settings["tool"]["hatch"]["build"]["targets"]["wheel"]
    said = files("slideseg.model").joinpath("weights/NOTICE").read_text(encoding="utf-8")

    assert wheel == {"packages": ["slideseg"]}, "the wheel takes all that is in the package"
    assert notice in settings["project"]["license-files"]
    assert all(part in said for part in ("TNBC", "Naylor", "CC BY 4.0", "10.5281/zenodo.1175282", "Changes:"))
    assert all(part in said for part in ("BRCA-M2C", "Copyright (c) 2022, TopoXLab", "THIS SOFTWARE IS PROVIDED"))
    if (ROOT / ".git").exists() and shutil.which("git") is not None:  # what git ignores, the wheel leaves out
        assert subprocess.run(["git", "check-ignore", "-q", notice], cwd=ROOT, check=False).returncode == 1


def test_pip_calls_it_by_a_name_that_is_no_other_projects() -> None:
    assert _settings()["project"]["name"] == DISTRIBUTION != "slideseg"
    found = requirements()
    assert found is not None, "the distribution is installed under its name"
    assert any(line.startswith("zarr>=") for line in found)
    assert not any(line.startswith("anndata") for line in found)
    assert pip_install("anndata") == "pip install 'anndata>=0.12.10'"


def test_nothing_says_that_it_is_published() -> None:
    """No page has pip fetch it from anywhere: it is installed from a checkout or a wheel."""
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]
    said = [word for page in pages for word in installed_by(page.read_text(encoding="utf-8"))]
    assert "." in said
    assert [word for word in said if re.search("slideseg", word) and not word.startswith("dist/")] == []


def installed_by(text: str) -> list[str]:
    """Return what a page has pip install.

    >>> installed_by("`pip install -c constraints.txt '.[test]' x==1` or\\n    pip install slideseg   # quick")
    ['.[test]', 'x==1', 'slideseg']
    """
    commands = re.findall(r"pip install ([^`#\n]+)", text)
    words = [word.strip("'") for command in commands for word in re.sub(r"-c \S+", "", command).split()]
    return [word for word in words if not word.startswith("-")]


def test_the_wheel_has_the_command_and_the_models(tmp_path: Path) -> None:
    """`make wheel`, whose file is all that another machine gets; what the package needs is taken from here."""
    made = subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(ROOT)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if made.returncode and "hatchling" in made.stdout + made.stderr:
        pytest.skip("what builds wheels can't be fetched here")
    assert made.returncode == 0, made.stderr
    (wheel,) = tmp_path.glob("*.whl")
    assert wheel.name == f"slideseg_tiles-{__version__}-py3-none-any.whl"
    with zipfile.ZipFile(wheel) as file:
        names = file.namelist()
        file.extractall(tmp_path / "there")
    assert {"slideseg/model/weights/nuclei.safetensors", "slideseg/viewer/page/viewer.html"} <= {*names}
    assert not any(name.startswith(("tests/", "docs/")) for name in names)
    program = "import sys, slideseg.cli; print(slideseg.cli.__file__); sys.argv[0] = 'slideseg'; slideseg.cli.main()"
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "there")}
    ran = subprocess.run(
        [sys.executable, "-P", "-c", program, "model", "list"], cwd=tmp_path, env=environment, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert ran.stdout.startswith(str(tmp_path / "there"))
    assert "nuclei-fluo" in ran.stdout
