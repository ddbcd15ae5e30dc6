"""`slideseg doctor`: the real command, where all is well and where Ray can't be started."""

import os
from pathlib import Path

from slideseg.doctor import run as checks
from slideseg.doctor.finding import bad
from tests.integration.conftest import run_slideseg
from tests.s3_server import running

ROOT = Path(__file__).parents[2]


def test_all_is_looked_at_and_nothing_is_left(tmp_path):
    temp = Path("/tmp") / f"d{os.getpid()}"
    temp.mkdir()
    with running() as server:
        server.buckets["bucket"] = {}
        words = ("doctor", tmp_path, "s3://bucket/x", "--endpoint-url", server.environment["AWS_ENDPOINT_URL"], "--json")
        env = {name: value for name, value in server.environment.items() if name != "AWS_ENDPOINT_URL"}
        done = run_slideseg(*words, env={**env, "TMPDIR": str(temp), "RAY_ADDRESS": "127.0.0.1:1"})
        assert server.buckets["bucket"] == {}
    states = {check["name"]: check["state"] for check in done.report["checks"]}
    assert {name for name, state in states.items() if state == "bad"} == set(), done.report
    assert done.status == 0
    assert states.keys() >= {
        "installation", "optional files", "cores", "memory", "shared memory", "temporary files", "open files", "processes",
        "Ray", f"store {tmp_path}", f"clock of {tmp_path}", "store s3://bucket/x", "clock of s3://bucket/x",
    }  # fmt: skip
    assert list(tmp_path.iterdir()) == []
    assert list(temp.iterdir()) == []
    temp.rmdir()


def test_libraries_that_can_not_be_loaded_are_named(tmp_path):
    for library in ("ray", "torch"):
        (tmp_path / library).mkdir()
        (tmp_path / library / "__init__.py").write_text(f"raise ImportError('lib{library}.so: cannot open shared object file')")
    done = run_slideseg("doctor", env={"PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"})
    assert done.status == 1
    assert [line for line in done.out.splitlines() if line.startswith("bad")] == [
        "bad   PyTorch: it can't be loaded: libtorch.so: cannot open shared object file "
        "(try pip install --force-reinstall torch)",
        "bad   Ray: libray.so: cannot open shared object file (try --workers 1, which does without Ray)",
    ]


def test_what_is_bad_is_a_line_and_the_exit_status(run_here, tmp_path, monkeypatch):
    monkeypatch.setattr(checks, "bounded", lambda name, *_, **__: [bad(name, "broken", "this")])
    done = run_here("doctor", tmp_path, "--address", "head:1")
    assert done.status == 1
    lines = done.out.splitlines()
    assert lines[0] == "bad   installation: broken (try this)"
    assert lines[-2:] == [f"bad   store {tmp_path}: broken (try this)", "bad   cluster head:1: broken (try this)"]
    report = run_here("doctor", "--json").report
    assert (report["status"], report["error"]) == ("failed", "9 checks found something bad")
    assert report["checks"][0] == {"name": "installation", "state": "bad", "found": "broken", "todo": "this"}
