"""A decoder that crashes is an error of one line, of one slide, and of one shard of it; the command itself decodes nothing."""

from __future__ import annotations

import os
import sys

import numpy as np
import pytest

from tests.integration.conftest import run_slideseg

CRASHING = """
import ctypes, sys

if "-c" in sys.orig_argv or "guard.serve" in " ".join(sys.orig_argv) or "default_worker" in " ".join(sys.orig_argv):
    from slideseg.slide.array import NpySlide

    begin, read = NpySlide.__init__, NpySlide._read

    def begin_or_crash(slide, path, *rest):
        begin(slide, path, *rest)
        if "opening" in path:
            ctypes.string_at(0)

    def read_or_crash(*where):
        pixels = read(*where)
        if (pixels == 255).any():
            ctypes.string_at(0)
        return pixels

    NpySlide.__init__, NpySlide._read = begin_or_crash, read_or_crash
"""
"""Put where every Python of a command finds it: also the command itself would crash if it decoded."""


@pytest.fixture(scope="module")
def slides(tmp_path_factory):
    folder = tmp_path_factory.mktemp("crashing")
    (folder / "patch").mkdir()
    (folder / "patch" / "sitecustomize.py").write_text(CRASHING)
    pixels = np.random.default_rng(0).integers(0, 250, (1200, 1100), np.uint8)
    np.save(folder / "good.npy", pixels)
    np.save(folder / "opening.npy", pixels)
    pixels[1150, 1090] = 255
    np.save(folder / "spot.npy", pixels)
    return folder


def run(slides, *words):
    places = os.pathsep.join([str(slides / "patch"), *(place for place in sys.path if place)])
    return run_slideseg(*words, cwd=slides, env={"PYTHONPATH": places})


def test_info_of_a_slide_that_crashes_its_decoder(slides):
    outcome = run(slides, "info", "opening.npy")
    assert outcome.status == 2
    assert outcome.err == ("error: opening.npy: the decoder crashed on it (got SIGSEGV; try another copy, or another format)\n")


def test_the_other_slides_are_done(slides, grey_model, tmp_path):
    outcome = run(slides, "predict", "opening.npy", "good.npy", "-o", tmp_path, "-m", grey_model[0], "-w", 1, "--json")
    assert outcome.status == 1
    bad, good = outcome.report["slides"]
    assert (bad["status"], good["status"]) == ("failed", "ok")
    assert "opening.npy: the decoder crashed on it (got SIGSEGV" in bad["error"]


def test_a_plan_that_looks_for_tissue_where_the_decoder_crashes(slides, grey_model, tmp_path):
    outcome = run(
        slides, "predict", "spot.npy", "-o", tmp_path / "x.zarr", "-m", grey_model[0], "--tissue", "auto", "--dry-run"
    )
    assert outcome.status == 2
    assert "the decoder crashed on it in Box" in outcome.err
    assert len(outcome.err.splitlines()) == 1


@pytest.mark.parametrize("workers", [1, pytest.param(2, marks=pytest.mark.ray)])
def test_the_other_shards_are_done(workers, slides, grey_model, tmp_path):
    out = tmp_path / "x.zarr"
    words = ["predict", "spot.npy", "-o", out, "-m", grey_model[0], "-w", workers, "--tile", 256, "--tissue", "none"]
    outcome = run(slides, *words)
    assert outcome.status == 1
    assert "1 of 4 shards failed" in outcome.err.splitlines()[-1], outcome.err
    told = "the decoder crashed on it in Box" if workers == 1 else "it killed its worker"
    assert told in outcome.err.splitlines()[-1]
    assert len([path for path in out.glob("labels/segmentation/0/c/*/*") if path.is_file()]) == 3


def test_converting_a_slide_that_crashes_its_decoder(slides, tmp_path):
    outcome = run(slides, "convert", "spot.npy", tmp_path / "x.zarr")
    assert outcome.status == 1
    assert "the decoder crashed on it in Box" in outcome.err.splitlines()[-1]
    assert "Traceback" not in outcome.err
