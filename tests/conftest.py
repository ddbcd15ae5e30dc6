"""What all tests share: where the real data lies, and small, repeatable Hypothesis runs."""

import os
import signal
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.torchvision_operators import define_operators

ROOT = Path(__file__).parents[1]

define_operators()

# Two processes of tests share the cores (`make test`): a thread that has nothing to do must not keep one busy.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

# A shell ignores SIGINT for what it starts in the background, and children would inherit that: tests send it to theirs.
signal.signal(signal.SIGINT, signal.default_int_handler)

settings.register_profile("default", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("nightly", deadline=None, max_examples=500)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real slides and image sets; tests that need it are skipped where it is missing."""
    folder = Path(os.environ.get("SLIDESEG_TEST_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set SLIDESEG_TEST_DATA")
    return folder


@pytest.fixture(autouse=True)
def _pytorch_keeps_its_threads():
    """A run that computes in this process says how many threads PyTorch may take; the next test finds them as they were."""
    torch = sys.modules.get("torch")
    threads = None if torch is None else torch.get_num_threads()
    yield
    if torch is not None and torch.get_num_threads() != threads:
        torch.set_num_threads(threads)


@pytest.fixture
def process_as_it_is(monkeypatch):
    """Let the command's `main` run in this process without changing how it takes memory and signals."""
    monkeypatch.setattr("slideseg.cli.return_freed_memory", lambda: None)
    monkeypatch.setattr("slideseg.cli.signal.signal", lambda *_: None)
    monkeypatch.setattr("slideseg.cli.gc.freeze", lambda: None)
