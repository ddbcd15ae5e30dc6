"""``slideseg view`` on the command line."""

import json
import signal
import socket
import subprocess
import sys
import urllib.request
import webbrowser

import numpy as np
import pytest

from slideseg.cli import main
from slideseg.instances.run import objects
from slideseg.viewer import chromium
from slideseg.viewer.run import View
from tests.made_results import blobs, make_result


@pytest.fixture
def here(tmp_path, monkeypatch):
    make_result(tmp_path / "x.zarr", blobs((64, 64)))
    squares = np.zeros((64, 64), np.uint8)
    squares[5:9, 5:9] = squares[20:29, 5:9] = 1
    make_result(tmp_path / "o.zarr", squares)
    objects(tmp_path / "o.zarr")
    make_result(tmp_path / "unfinished.zarr", blobs((64, 64)), finish=False)
    (tmp_path / "there.png").write_bytes(b"mine")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(chromium.shutil, "which", lambda name: f"/no/{name}")
    return tmp_path


def run(capsys, *arguments):
    with pytest.raises(SystemExit) as left:
        main(["view", *map(str, arguments)])
    said = capsys.readouterr()
    return left.value.code, said.out, said.err


@pytest.fixture
def interrupted(monkeypatch):
    """A user who presses Ctrl-C as soon as the page is there."""

    def wait(view):
        with urllib.request.urlopen(view.address, timeout=60) as answer:
            assert answer.status == 200
        raise KeyboardInterrupt

    monkeypatch.setattr(View, "wait", wait)


def test_the_page_is_opened_and_ctrl_c_is_a_good_end(here, capsys, interrupted, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", lambda address: opened.append(address) or True)
    code, out, err = run(capsys, "x.zarr", "--at", "#x=3&y=4")
    assert (code, err.strip()) == (0, "")
    assert out.splitlines()[0] == opened[0]
    assert opened[0].endswith("/#x=3&y=4")


def test_without_a_browser_the_address_is_still_served(here, capsys, interrupted, monkeypatch):
    monkeypatch.setattr(webbrowser, "open", lambda address: False)
    code, out, err = run(capsys, "x.zarr")
    assert code == 0
    assert out.startswith("http://127.0.0.1:")
    assert err.splitlines()[0].startswith("warning: no browser can be opened here (try ")


def test_no_browser_means_none(here, capsys, interrupted, monkeypatch):
    monkeypatch.setattr(webbrowser, "open", lambda address: pytest.fail("a browser was opened"))
    code, out, _ = run(capsys, "x.zarr", "--no-browser", "--json")
    assert code == 0
    assert json.loads(out)["address"].startswith("http://127.0.0.1:")


def test_several_results_and_folders_are_a_sheet(here, capsys, interrupted):
    (here / "empty").mkdir()
    for arguments in (["x.zarr", "o.zarr"], ["."], ["x.zarr", "unfinished.zarr", "o.zarr", "--edit"]):
        code, out, _ = run(capsys, *arguments, "--no-browser")
        assert (code, out.count("/", 8)) == (0, 2), arguments
    code, out, _ = run(capsys, "o.zarr", "x.zarr", "--compare", "--no-browser", "--at", "object=2")
    assert code == 0
    assert out.splitlines()[0].endswith("/r/0/#with=1&object=2")
    code, _, err = run(capsys, "empty")
    assert (code, err.startswith("error: there are no results (got empty")) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["y.zarr"], "no such result"),
        (["unfinished.zarr"], "unfinished"),
        (["x.zarr", "--host", "no.such.host.invalid"], "can't listen on no.such.host.invalid"),
        (["x.zarr", "--host", "no.such.host.invalid"], "try another --host"),
        (["x.zarr", "--host", "a..b"], "try another --host"),
        (["x.zarr", "--host", "203.0.113.1"], "(got Cannot assign requested address; try another --host"),
        (["x.zarr", "--at", "nonsense=1&zoom=abc"], "the page knows no such place (got nonsense, want x, y, zoom,"),
        (["x.zarr", "--at", "zoom=abc"], "zoom is no place of the page (got abc, want a number above 0)"),
        (["x.zarr", "--at", "zoom=0"], "(got 0, want a number above 0)"),
        (["x.zarr", "--at", "x=1&y=nan"], "(got nan, want a number)"),
        (["x.zarr", "--at", "x=1"], "both x and y"),
        (["x.zarr", "--at", "object=1"], "(got 1, want none: the result has no objects)"),
        (["o.zarr", "--at", "#object=1.5"], "object is no place of the page (got 1.5, want 1 to 2)"),
        (["o.zarr", "--at", "object="], "(got nothing, want 1 to 2)"),
        (["o.zarr", "--at", "object=3"], "(got 3, want 1 to 2)"),
        (["x.zarr", "--at", "12"], "no such place (got 12"),
        (["x.zarr", "--at", "plane=1"], "(got 1, want 0 to 0)"),
        (["x.zarr", "--at", "classes=1.1"], "(got 1.1, want a number from 0 to 1)"),
        (["x.zarr", "--at", "hidden=1,b"], "numbers of classes"),
        (["x.zarr", "--screenshot", "new.jpg"], "a screenshot is a PNG (got new.jpg, want a name that ends in .png)"),
        (["x.zarr", "--screenshot", "x.zarr/new.png"], "the target lies inside a Zarr store"),
        (["x.zarr", "--port", "65536"], "--port"),
        (["x.zarr", "--screenshot", "there.png"], "the target exists"),
        (["x.zarr", "--screenshot", "no/there.png"], "does not exist"),
        (["x.zarr", "--screenshot", "new.png", "--size", "10x10"], "size is out of range"),
        (["x.zarr", "--screenshot", "new.png", "--size", "800"], "WIDTHxHEIGHT"),
        (["x.zarr", "--size", "800x600"], "--screenshot"),
        (["x.zarr", "--compare"], "two results can be compared (got 1, want slideseg view A.zarr B.zarr --compare)"),
        (["x.zarr", "o.zarr", "unfinished.zarr", "--compare"], "two results can be compared (got 3"),
        (["x.zarr", "unfinished.zarr", "--compare"], "unfinished.zarr is unfinished"),
        (["x.zarr", "y.zarr"], "no such result (got y.zarr"),
        (["x.zarr", "o.zarr", "--at", "object=1"], "the page knows no such place (got object, want sort, down, find;"),
        (["x.zarr", "--edit"], "nothing can be edited here (got no objects)"),
        (["o.zarr", "--at", "by=&low=1"], "by is no place of the page (got nothing, want the name of a measure)"),
        ([], "Missing argument 'RESULT...'"),
        (["x.zarr", "--overwrite"], "--screenshot"),
    ],
)
def test_a_failure_is_one_line(here, capsys, arguments, message):
    code, out, err = run(capsys, *arguments)
    assert (code, out) == (2, "")
    (line,) = err.splitlines()
    assert line.startswith("error: ")
    assert message in line
    assert (here / "there.png").read_bytes() == b"mine"
    assert not (here / "new.png").exists()


def test_a_port_that_is_taken_is_one_line(here, capsys):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, _, err = run(capsys, "x.zarr", "--port", port)
    assert code == 2
    wanted = "(got Address already in use; try another --port, or none for any that is free)"
    assert err == f"error: can't listen on 127.0.0.1 port {port} {wanted}\n"


def test_a_screenshot_needs_chromium(here, capsys, monkeypatch):
    monkeypatch.setattr(chromium.shutil, "which", lambda name: None)
    code, _, err = run(capsys, "x.zarr", "--screenshot", "new.png")
    assert code == 2
    assert err == "error: a screenshot needs Chromium or Chrome (got neither; try apt-get install chromium)\n"


@pytest.mark.parametrize(("program", "message"), [("/bin/true", "the browser ended"), ("/etc/passwd", "can't be started")])
def test_a_browser_that_does_not_start_is_one_line(here, capsys, monkeypatch, program, message):
    monkeypatch.setattr(chromium.shutil, "which", lambda name: program)
    code, _, err = run(capsys, "x.zarr", "--screenshot", "new.png")
    assert code == 1
    (line,) = err.splitlines()
    assert message in line
    assert not list(here.glob("*new.png*"))


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_without_a_traceback(here, stop):
    words = [sys.executable, "-c", "from slideseg.cli import main; main()", "view", "x.zarr", "--no-browser"]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    address = process.stdout.readline().strip()
    with urllib.request.urlopen(address, timeout=60) as answer:
        assert answer.status == 200
    process.send_signal(stop)
    _, err = process.communicate(timeout=60)
    assert (process.returncode, err.strip()) == (0, "")
