"""Activation functions of the MLP."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from torch import Tensor
from torch.nn import functional

Activation = Callable[[Tensor], Tensor]


def gelu(*, approximate: bool = False) -> Activation:
    """The Gaussian error linear unit, exact or by tanh."""
    return partial(functional.gelu, approximate="tanh" if approximate else "none")


def relu() -> Activation:
    """max(x, 0)."""
    return functional.relu


def silu() -> Activation:
    """x * sigmoid(x), also called swish."""
    return functional.silu
