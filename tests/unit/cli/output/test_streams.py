"""Commands whose standard streams are closed, full, or read by nobody."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from slideseg.cli.output.streams import OneLine
from slideseg.testing.models import threshold_model

SAY = "import sys, slideseg.cli as c; c.cli.main = lambda **_: {what} or 0; c.main(['info', 'x'])"
MUCH = "[print('x' * 9999, file=sys.stderr) for _ in range(99)] and 0"


def run(shell: str, what: str) -> subprocess.CompletedProcess[str]:
    words = ["bash", "-c", shell, sys.executable, SAY.format(what=what)]
    ready = partial(signal.signal, signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests may have had it ignored
    return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False, preexec_fn=ready)


@pytest.mark.parametrize("shell", ['("$0" -c "$1"; echo $?) 2> >(head -c 1 >/dev/null)', '"$0" -c "$1" 2>/dev/full; echo $?'])
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device")
def test_what_can_not_be_said_does_not_matter(shell: str) -> None:
    assert run(shell, MUCH).stdout == "0\n"


def test_streams_that_are_closed_are_silent_ones() -> None:
    said = "[print('out'), print('err', file=sys.stderr), sys.stdin.read()]"
    what = f"{said} and print(open('/dev/null').fileno() > 2, file=open(9, 'w'))"
    assert run('"$0" -c "$1" 9>&1 <&- >&- 2>&-', what).stdout == "True\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device")
def test_a_document_that_finds_no_room_is_one_line(tmp_path: Path) -> None:
    threshold_model(tmp_path / "m.safetensors")
    words = [sys.executable, "-c", "from slideseg.cli import main; main()", "info", str(tmp_path / "m.safetensors"), "--json"]
    with open("/dev/full", "w") as full:
        done = subprocess.run(words, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (1, "error: [Errno 28] No space left on device\n")
    assert json.loads(subprocess.run(words, capture_output=True, text=True, timeout=60, check=True).stdout)["kind"] == "model"


@pytest.mark.parametrize(("before", "status"), [("", "130"), ("trap '' HUP;", "0")])
def test_the_end_of_a_terminal_is_a_request_to_stop_unless_it_is_ignored(before: str, status: str) -> None:
    # a thread of a library may get it first, and the one that works hears of it a little later
    what = "__import__('os').kill(__import__('os').getpid(), 1) or __import__('time').sleep(1)"
    done = run(f'{before} "$0" -c "$1"; echo $?', what)
    assert done.stdout.splitlines()[-1] == status
    assert ("interrupted" in done.stderr) == (status == "130")


def test_what_is_logged_is_one_line_with_a_traceback_behind_it() -> None:
    record = logging.LogRecord("x", logging.WARNING, "x", 1, "%s: bad", ("a.tif\nerror: \x1b[2J",), None)
    assert OneLine("said: %(message)s").format(record) == "said: a.tif error: \\x1b[2J: bad"
    record.exc_info = ValueError, ValueError("a\nb"), None
    assert OneLine("%(message)s").format(record).splitlines() == ["a.tif error: \\x1b[2J: bad", "ValueError: a", "b"]
