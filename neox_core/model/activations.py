"""Activation functions of the MLP, and what a gated MLP does."""

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


def mish() -> Activation:
    """x * tanh(softplus(x)) (Misra, "Mish", 2019)."""
    return functional.mish


def softsign() -> Activation:
    """x / (1 + |x|)."""
    return functional.softsign


class Gated:
    """A value times a function of a gate (Shazeer, "GLU Variants Improve Transformer", 2020). An MLP with it has a third weight."""

    def __init__(self, function: Activation) -> None:
        self.function = function

    def __call__(self, value: Tensor, gate: Tensor) -> Tensor:
        """[..., width] and the same shape -> the same shape."""
        return value * self.function(gate)


def geglu() -> Gated:
    """Gated by gelu."""
    return Gated(gelu())


def reglu() -> Gated:
    """Gated by relu."""
    return Gated(relu())


def swiglu() -> Gated:
    """Gated by silu."""
    return Gated(silu())


def glu() -> Gated:
    """Gated by the logistic function."""
    return Gated(torch.sigmoid)


def bilinear() -> Gated:
    """Gated by nothing but the gate itself."""
    return Gated(lambda gate: gate)
