"""From logits to probabilities and classes, and back. One channel means one sigmoid, more a softmax."""

from __future__ import annotations

import torch
from torch import Tensor

LEAST = 1e-12
"""Probabilities are taken for this at least."""
HALF = 0.5
"""Where a single probability becomes class 1."""


def probabilities_of(logits_NKHW: Tensor) -> Tensor:
    """Return probabilities in double precision, in which a last bit that depends on a pixel's place decides nothing."""
    exact_NKHW = logits_NKHW.double()
    return exact_NKHW.sigmoid() if exact_NKHW.shape[1] == 1 else exact_NKHW.softmax(1)


def logits_of_probabilities(p_NKHW: Tensor) -> Tensor:
    """Return logits of which a sigmoid, or a softmax, makes these probabilities."""
    return torch.logit(p_NKHW, LEAST) if p_NKHW.shape[1] == 1 else p_NKHW.clamp(min=LEAST).log()


def change_of(before_NKHW: Tensor, after_NKHW: Tensor) -> tuple[float, float]:
    """Return the largest difference of two probabilities, and the share of pixels whose classes differ."""
    one, other = (p_NKHW[:, 0] > HALF if p_NKHW.shape[1] == 1 else p_NKHW.argmax(1) for p_NKHW in (before_NKHW, after_NKHW))
    return float((before_NKHW - after_NKHW).abs().max()), float((one != other).double().mean())
