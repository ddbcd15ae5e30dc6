"""A decoder that crashes costs the slide it crashed on, and nothing else."""

from __future__ import annotations

import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import numpy as np
import psutil
import pytest
from PIL import Image

from slideseg.errors import SlideError
from slideseg.slide.guard import process
from slideseg.slide.guard.process import Decoder, _one_by_one, shared
from slideseg.slide.guard.slide import GuardedSlide, open_in_run
from slideseg.slide.open import open_slide
from slideseg.slide.selection import Selection
from slideseg.space.box import Box
from slideseg.tasks import base

RNG = np.random.default_rng(2)
CRASHING = """
import ctypes, sys

if "slideseg.slide.guard.serve" in " ".join(sys.orig_argv):
    from slideseg.slide.array import NpySlide

    read = NpySlide._read

    def crash(slide, box, level, plane):
        pixels = read(slide, box, level, plane)
        if (pixels == 254).any():
            raise OSError("a mistake")
        if (pixels == 255).any():
            ctypes.string_at(0)
        return pixels

    NpySlide._read = crash
"""


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.npy"
    np.save(path, RNG.integers(0, 250, (300, 200, 3), np.uint8))
    return str(path)


@pytest.fixture
def crashing(tmp_path, monkeypatch):
    """A slide with a spot on which the decoder has a segmentation fault."""
    (tmp_path / "patch").mkdir()
    (tmp_path / "patch" / "sitecustomize.py").write_text(CRASHING)
    monkeypatch.syspath_prepend(str(tmp_path / "patch"))
    path = tmp_path / "bad.npy"
    pixels = RNG.integers(0, 250, (300, 200, 3), np.uint8)
    pixels[100, 100] = 255
    np.save(path, pixels)
    if (decoder := shared.if_alive()) is not None:
        decoder.close()
    yield str(path)
    for decoder in (shared, _one_by_one):
        decoder.get().close()  # it is patched


def test_it_is_the_slide_that_is_opened_here(good):
    with closing(open_in_run(good)) as guarded, closing(open_slide(good)) as direct:
        assert isinstance(guarded, GuardedSlide)
        assert guarded.facts == direct.facts
        box = Box(7, 9, 211, 180)
        np.testing.assert_array_equal(guarded.read(box), direct.read(box))
        assert guarded.scanned(box) is None
        guarded.read(box)[:] = 0  # the caller's own


def test_it_knows_where_nothing_was_scanned(tmp_path):
    pixels = np.full((64, 96, 4), 200, np.uint8)
    pixels[:, 40:, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "x.png")
    with closing(open_in_run(str(tmp_path / "x.png"))) as guarded:
        np.testing.assert_array_equal(guarded.scanned(Box(0, 8, 64, 96)), np.broadcast_to(np.arange(8, 96) < 40, (64, 88)))
        nowhere = guarded.scanned(Box(0, 40, 64, 96))
    assert (nowhere.shape, nowhere.any()) == ((64, 56), False)


def test_selections_are_its_own(tmp_path):
    np.save(tmp_path / "x.npy", RNG.integers(0, 250, (5, 30, 40), np.uint8))
    with closing(open_in_run(str(tmp_path / "x.npy"), Selection(z=3, mpp=(0.5, 0.25)))) as guarded:
        assert guarded.axes == "yxc"
        assert guarded.mpp_yx == (0.5, 0.25)


def test_what_it_refuses_is_refused_as_here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for opens in (open_in_run, open_slide):
        with pytest.raises(SlideError, match=r"^no such slide: missing\.tif$"):
            opens("missing.tif")


def test_a_path_is_of_the_current_folder(tmp_path, monkeypatch):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        np.save(tmp_path / name / "x.npy", np.full((5, 5), ord(name), np.uint8))
        monkeypatch.chdir(tmp_path / name)
        with closing(open_in_run("x.npy")) as slide:
            assert slide.path == "x.npy"
            assert (slide.read((0, 0, 5, 5)) == ord(name)).all()


def test_a_closed_slide_is_not_read(good):
    slide = open_in_run(good)
    slide.close()
    with pytest.raises(SlideError, match="closed"):
        slide.read((0, 0, 5, 5))


def test_a_worker_that_is_replaced_decodes_itself(good, monkeypatch):
    monkeypatch.setattr(base, "_EXPENDABLE", threading.Event())
    base.be_expendable()
    with closing(open_in_run(good)) as slide:
        assert not isinstance(slide, GuardedSlide)


def test_a_crash_is_an_error_of_the_box_that_was_read(crashing, good):
    with closing(open_in_run(crashing)) as bad, closing(open_in_run(good)) as other:
        with pytest.raises(SlideError, match=r"bad\.npy: the decoder crashed on it in Box.*SIGSEGV"):
            bad.read((90, 90, 110, 110))
        assert bad.read((0, 0, 90, 90)).shape == (90, 90, 3)
        assert other.read((0, 0, 300, 200)).shape == (300, 200, 3)


def test_a_mistake_is_told_with_its_trace_and_is_no_error_of_the_slide(crashing):
    pixels = np.load(crashing)
    pixels[0, 0] = 254
    np.save(crashing, pixels)
    with closing(open_in_run(crashing)) as slide:
        with pytest.raises(RuntimeError, match="OSError: a mistake"):
            slide.read((0, 0, 5, 5))
        assert slide.read((10, 10, 20, 20)).shape == (10, 10, 3)


def test_what_was_read_beside_a_crash_is_read_all_the_same(crashing, good):
    with closing(open_in_run(crashing)) as bad, closing(open_in_run(good)) as other, closing(open_slide(good)) as direct:
        whole = direct.read((0, 0, 300, 200))
        with ThreadPoolExecutor(8) as pool:
            crashes = [pool.submit(bad.read, (90, 90, 110, 110)) for _ in range(2)]
            reads = [pool.submit(other.read, (0, 0, 300, 200)) for _ in range(30)]
        for read in reads:
            np.testing.assert_array_equal(read.result(), whole)
        assert [type(crash.exception()) for crash in crashes] == [SlideError] * 2


def test_a_decoder_that_hangs_is_ended(good):
    slide = open_in_run(good)
    decoder = shared.get()
    os.kill(decoder._process.pid, signal.SIGSTOP)
    while psutil.Process(decoder._process.pid).status() != psutil.STATUS_STOPPED:  # each of its threads, some time later
        time.sleep(0.01)
    decoder.patience = 1.0
    assert slide.read((0, 0, 5, 5)).shape == (5, 5, 3)  # by another one
    assert not decoder.is_alive
    assert decoder._process.wait(10) == -signal.SIGKILL
    slide.close()


def test_an_answer_that_was_not_waited_for_is_nobody_elses(good, monkeypatch):
    slide = open_in_run(good)
    with monkeypatch.context() as interrupted:
        interrupted.setattr(process, "receive", lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            slide.read((0, 0, 300, 200))
    with closing(open_slide(good)) as direct:
        for side in range(1, 20):
            np.testing.assert_array_equal(slide.read((0, 0, side, side)), direct.read((0, 0, side, side)))
    slide.close()


def test_a_fork_has_a_decoder_of_its_own(good):
    with closing(open_in_run(good)) as slide:
        child = os.fork()
        if not child:
            try:
                with closing(open_in_run(good)) as forked:
                    forked.read((0, 0, 300, 200))
                    slide.read((0, 0, 300, 200))
                shared.get().close()
                os._exit(0)
            finally:
                os._exit(1)
        assert slide.read((0, 0, 5, 5)).shape == (5, 5, 3)
        assert os.waitpid(child, 0)[1] == 0
        assert slide.read((0, 0, 300, 200)).shape == (300, 200, 3)


def test_a_decoder_ends_with_its_command(good):
    decoder = Decoder(threads=2)
    for _ in range(2):
        decoder._free.get().close()
    assert decoder._process.wait(20) == 0
