"""``loss``, ``optimiser``, ``schedule`` and ``training``: nonsense is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from slideseg.training.recipe.learning import LossConfig


@pytest.mark.parametrize("wrong", [{}, {"dice": -1}, {"dice": 1, "dice_of": "all"}, {"focal": 1}])
def test_a_loss_of_nonsense_is_refused(wrong) -> None:
    with pytest.raises(ValidationError):
        LossConfig(**wrong)
