"""A call of one of PyTorch's functions, as those see it who stand in for what it does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch.nn.functional as F
from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES: dict[Callable[..., Any], str] = {F.max_pool2d: "max_pool2d", F.adaptive_max_pool2d: "adaptive_max_pool2d"}
"""Names of functions that PyTorch has given another one."""


class Call:
    """A call of one of PyTorch's functions."""

    def __init__(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.func, self.args, self.kwargs = func, args, kwargs
        self.name = NAMES.get(func) or getattr(func, "__name__", "").rstrip("_")
        """The function's, without the mark of those that work in place."""

    @property
    def x(self) -> Tensor:
        """What it is called with first."""
        return self.args[0]  # type: ignore[no-any-return]

    @property
    def has_features(self) -> bool:
        """Whether that is a tensor of numbers with fractions."""
        return bool(self.args) and isinstance(self.args[0], Tensor) and self.args[0].dtype.is_floating_point

    def given(self, place: int, name: str, default: Any) -> Any:
        """Return an argument."""
        return self.args[place] if len(self.args) > place else self.kwargs.get(name, default)

    def made(self) -> Any:
        """Return what the function itself makes."""
        return self.func(*self.args, **self.kwargs)
