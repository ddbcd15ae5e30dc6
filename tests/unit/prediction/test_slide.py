"""What holds a run over several slides together."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from slideseg.errors import ModelError
from slideseg.prediction.job import ModelFile
from slideseg.prediction.slide import ModelsOfRun


def planned(name: str, sha256: str) -> Any:
    return SimpleNamespace(job=SimpleNamespace(model=ModelFile(name, sha256)))


def test_a_model_that_is_replaced_during_a_run_is_another_one_for_the_slides_that_follow() -> None:
    models = ModelsOfRun()
    for name, sha256 in (("a", "1"), ("b", "2"), ("a", "1"), ("b", "2")):
        models.check(planned(name, sha256))
    with pytest.raises(ModelError, match=r"model a is another one than when the run began \(got 3, want 1;"):
        models.check(planned("a", "3"))
    models.check(planned("a", "1"))
