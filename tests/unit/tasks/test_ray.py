"""What an actor does when what it is to do does not come; with a real Ray in tests/contracts/test_executors.py."""

from __future__ import annotations

import pytest
import ray
from ray.exceptions import GetTimeoutError

from slideseg.errors import RunError
from slideseg.tasks.process import NotMadeError
from slideseg.tasks.ray import FETCH_SECONDS, _Actor
from slideseg.version import __version__


def test_a_task_that_does_not_come_is_given_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that the command's node can't send to answers when it is asked, so nobody would take it for dead."""

    def get(_: object, timeout: float) -> None:
        assert timeout == FETCH_SECONDS
        raise GetTimeoutError

    monkeypatch.setattr(ray, "get", get)
    with pytest.raises(NotMadeError) as raised:
        _Actor(1, __version__).run(0, ["reference"], 7)
    assert isinstance(raised.value.error, RunError)
    assert "got no work from the command within 120 s" in str(raised.value.error)
