"""The allocator's settings, seen by the pages that a process has to be given."""

from __future__ import annotations

import gc
import mmap
import os
import resource
import subprocess
import sys

import pytest
from click.testing import CliRunner

from slideseg.cli import cli
from slideseg.machine import KEEPING, little_memory, loading

PAGES_OF_ALL = 2 * 70 * 2**20 // os.sysconf("SC_PAGE_SIZE")
COUNT = """
import resource, threading, torch
from slideseg.machine import keep_freed_memory, return_freed_memory
return_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
def step():
    tensors = [torch.zeros(70 * 2**20, dtype=torch.uint8) for _ in range(2)]
def work():
    {keep}
    counts = []
    for _ in range(18):
        before = faults()
        step()
        counts.append(faults() - before)
    print(min(counts[-5:]), max(counts[-5:]))
if {in_thread}:
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
else:
    work()
"""


def faults_of_a_step(*, keep: bool, in_thread: bool = False) -> tuple[int, int]:
    """Return the fewest and the most pages that one of the last five steps took.

    The first steps say nothing: aligned blocks leave gaps until the C library's own caches are full, after 4 to 9 steps.
    """
    script = COUNT.format(keep="keep_freed_memory()" if keep else "", in_thread=in_thread)
    env = {**os.environ, **(KEEPING if keep else {}), "THP_MEM_ALLOC_ENABLE": "0"}
    ended = subprocess.run([sys.executable, "-c", script], env=env, check=True, capture_output=True, text=True)
    fewest, most = ended.stdout.split()
    return int(fewest), int(most)


@pytest.mark.skipif(sys.platform != "linux" or "glibc" not in os.confstr("CS_GNU_LIBC_VERSION"), reason="another C library")
def test_freed_memory_is_kept_in_training_and_returned_else() -> None:
    assert faults_of_a_step(keep=False)[0] >= PAGES_OF_ALL
    assert faults_of_a_step(keep=True)[1] < PAGES_OF_ALL / 20
    assert faults_of_a_step(keep=True, in_thread=True)[1] < PAGES_OF_ALL / 20  # as a Ray worker trains


def test_the_command_keeps_freed_memory_where_it_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    monkeypatch.setattr(sys.modules["slideseg.cli.train"], "keep_freed_memory", lambda: calls.append(1))
    CliRunner().invoke(cli, ["train", "missing.yaml", "--preview", "x.png"])
    assert not calls
    CliRunner().invoke(cli, ["train", "missing.yaml"])
    assert calls == [1]


def test_a_block_gets_little_memory_and_the_next_one_what_it_wants() -> None:
    def take(size: int) -> None:
        """Ask the system; the allocator may have kept some that an earlier test has freed."""
        mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS).close()

    before = resource.getrlimit(resource.RLIMIT_DATA)
    with little_memory(1 << 28):
        take(1 << 20)
        with pytest.raises(OSError, match="allocate"):
            take(1 << 30)
    assert resource.getrlimit(resource.RLIMIT_DATA) == before
    take(1 << 30)


@pytest.mark.parametrize("looks", [True, False])
def test_no_garbage_is_looked_for_while_modules_are_loaded(looks: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if looks else gc.disable)()
        with loading():
            assert not gc.isenabled()
        assert gc.isenabled() is looks
    finally:
        (gc.enable if before else gc.disable)()
