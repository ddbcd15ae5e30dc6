"""With --json standard output holds one document, whoever else prints."""

from __future__ import annotations

import json
import subprocess
import sys

NOISY = """
import os, subprocess, sys
from slideseg.cli.output.json_out import say_json, take_stdout
print("before")
sys.stdout.flush()
take_stdout()
print("(raylet) a worker died")
os.write(1, b"from a library\\n")
subprocess.run([sys.executable, "-c", "print('from a child')"])
say_json({"status": "ok", "name": "gr\\u00fcn"})
say_json([1])
print("afterwards")
"""


def test_only_the_document_is_on_standard_output() -> None:
    done = subprocess.run([sys.executable, "-c", NOISY], capture_output=True, text=True, check=True)
    before, first, second = done.stdout.splitlines()
    assert before == "before"
    assert json.loads(first) == {"status": "ok", "name": "gr\u00fcn"}
    assert json.loads(second) == [1]
    assert set(done.stderr.splitlines()) == {"(raylet) a worker died", "from a library", "from a child", "afterwards"}


def test_the_command_keeps_standard_output_for_it() -> None:
    """Whatever a command prints on its way; also where it fails."""
    code = "import slideseg.cli as c; c.return_freed_memory = lambda: print('noise'); c.main(['info', 'none', '--json'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert json.loads(done.stdout)["status"] == "failed"
    assert "noise" in done.stderr


def test_what_others_print_there_is_an_object_of_the_log() -> None:
    code = "import slideseg.cli as c; c.cli.main = lambda **_: print('noise'); c.main(['info', 'x', '--json', '--log-json'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == ""
    assert json.loads(done.stderr)["message"] == "noise"
