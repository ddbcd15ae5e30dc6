"""The source distribution holds what a packager needs: to build, test, document and run the program."""

from __future__ import annotations

import shutil
import subprocess
import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

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
