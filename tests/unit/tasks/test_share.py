from __future__ import annotations

import os
import threading
import warnings

import pytest

from slideseg.machine import usable_cores
from slideseg.tasks import share as module
from slideseg.tasks.share import Helpers, share, threads, use_threads


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("pieces", [0, 1, 2, 50])
def test_every_piece_is_done_once(count, pieces):
    done: list[int] = []
    Helpers(count).share(done.append, range(pieces))
    assert sorted(done) == list(range(pieces))


def test_pieces_are_done_at_once_by_as_many_threads_as_allowed():
    both = threading.Barrier(3, timeout=20)
    Helpers(3).share(lambda _: both.wait(), range(3))


def test_one_thread_means_the_callers():
    used: set[int] = set()
    Helpers(1).share(lambda _: used.add(threading.get_ident()), range(9))
    assert used == {threading.get_ident()}


def test_callers_that_find_no_helper_free_go_on_alone():
    helpers = Helpers(2)
    busy, release = threading.Event(), threading.Event()

    def hold(piece: int) -> None:
        busy.set()
        release.wait(20)

    other = threading.Thread(target=helpers.share, args=(hold, range(2)))  # takes the only helper
    other.start()
    busy.wait(20)
    done: list[int] = []
    helpers.share(done.append, range(5))
    assert sorted(done) == [0, 1, 2, 3, 4]
    release.set()
    other.join()


@pytest.mark.parametrize("count", [1, 3])
def test_what_fails_is_raised_and_the_helpers_live_on(count):
    helpers = Helpers(count)

    def work(piece: int) -> None:
        if piece == 7:
            msg = "piece 7"
            raise ValueError(msg)

    with pytest.raises(ValueError, match="piece 7"):
        helpers.share(work, range(20))
    done: list[int] = []
    helpers.share(done.append, range(20))
    assert len(done) == 20


def test_a_process_uses_its_cores_unless_told_otherwise(monkeypatch):
    monkeypatch.setattr(module, "_helpers", Helpers())
    assert threads() == usable_cores()
    use_threads(3)
    assert threads() == 3
    use_threads(None)
    assert threads() == usable_cores()


def test_a_forked_child_has_helpers_of_its_own(monkeypatch):
    monkeypatch.setattr(module, "_helpers", Helpers(2))
    share(lambda _: None, range(8))  # starts threads that the child won't have
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of any fork beside threads
        child = os.fork()
    if not child:
        done: list[int] = []
        share(done.append, range(8))
        os._exit(0 if sorted(done) == list(range(8)) and threads() == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
