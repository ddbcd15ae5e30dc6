"""The fuzzer for some seconds, what it found before, and that it would notice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from slideseg.errors import SlideError
from slideseg.slide.array import ArraySlide
from slideseg.slide.open import open_slide
from slideseg.space.box import Box
from tests.fuzz import look as looking
from tests.fuzz.child import in_child
from tests.fuzz.judge import Judge
from tests.fuzz.mutate import Mutant
from tests.fuzz.seeds import TIFFS, Seed, tiff_segments

FINDS = sorted(path for path in (Path(__file__).parent / "finds").iterdir() if path.suffix != ".md")
ROOT = Path(__file__).parents[2]


def test_mutants_of_every_kind_are_right_or_refused():
    """In a process of its own: threads of other tests' libraries would be missing in its forks."""
    words = [sys.executable, "-W", "ignore", "-m", "tests.fuzz", "--mutants", "50", "--processes", "1"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-3000:]}{done.stderr[-2000:]}"


@pytest.mark.parametrize("path", FINDS, ids=lambda path: path.name)
def test_a_find_is_refused(path):
    with pytest.raises(SlideError) as refusal, closing(open_slide(path)) as slide:
        slide.read(Box.of_shape(slide.levels[0].shape))
    assert "\n" not in str(refusal.value)


def test_finds_are_small_and_told():
    told = (Path(__file__).parent / "finds" / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in FINDS if f"`{path.name}`" not in told or path.stat().st_size > 4096] == []


def by_signal():
    os.kill(os.getpid(), signal.SIGSEGV)


def by_our_error():
    raise SlideError("one line")


def by_two_lines():
    raise SlideError("two\nlines")


ENDS = {
    "done": lambda: "well",
    "crash": by_signal,
    "refused": by_our_error,
    "exception": by_two_lines,
    "memory": lambda: np.ones(3 << 30, np.uint8),
    "hang": lambda: time.sleep(60),
}


@pytest.mark.parametrize("end", ENDS)
def test_a_child_says_how_it_ended(end):
    outcome = in_child(ENDS[end], seconds=2)
    assert outcome.end == end
    assert outcome.value == ("well" if end == "done" else None)


@pytest.fixture
def judge(tmp_path):
    make = dict(TIFFS)["tiled_deflate"]
    for name in ("seed", "copy"):
        (tmp_path / name).mkdir()
    path = make(tmp_path / "seed")
    tiles, loose = tiff_segments(path)
    return Judge(Seed("tiled_deflate", path, path, tuple(tiles), tuple(loose), ("tifffile",)), tmp_path / "copy")


def test_other_pixels_are_noticed(judge, monkeypatch):
    """Where nothing was changed, and where a tile was: the rest of the picture has to stay."""
    monkeypatch.setattr(looking, "open_slide", lambda _: ArraySlide(np.zeros((80, 112, 3), np.uint8)))
    inside = judge.seed.segments[0][0] + 5
    for spans in ((), ((inside, inside + 1),)):
        assert judge.judge(Mutant(judge.data, "nothing", spans)).verdict == "silent"


def test_the_seed_itself_is_the_same(judge):
    assert judge.judge(Mutant(judge.data, "nothing", ())).verdict == "same"


def test_a_seed_that_is_cut_is_refused_before_it_is_read(judge):
    cuts = [judge.judge(Mutant(judge.data[: len(judge.data) * part // 10], "cut", None)) for part in range(10)]
    assert [case.verdict for case in cuts] == ["refused"] * 10
