"""Activation functions of the MLP. One with the attribute `halves` is gated: its input is twice as wide as its output."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
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


class Gated:
    """The first half of the last dimension times a function of the second (Shazeer, 2020)."""

    halves = True

    def __init__(self, function: Activation) -> None:
        self.function = function

    def __call__(self, x: Tensor) -> Tensor:
        """[..., 2 * width] -> [..., width]."""
        value, gate = x.chunk(2, dim=-1)
        return value * self.function(gate)


def geglu() -> Activation:
    """Gated by gelu."""
    return Gated(gelu())


def reglu() -> Activation:
    """Gated by relu."""
    return Gated(relu())


def swiglu() -> Activation:
    """Gated by silu."""
    return Gated(silu())


def glu() -> Activation:
    """Gated by the logistic function."""
    return Gated(torch.sigmoid)


def bilinear() -> Activation:
    """Gated by nothing but the half itself."""
    return Gated(lambda gate: gate)
