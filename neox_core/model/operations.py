"""How many floating-point operations a model takes, of which its speed in operations and the utilisation of a device follow."""

from __future__ import annotations

from torch import nn


def of_weights(module: nn.Module) -> float:
    """Operations of a forward and backward pass for one token, of weights that each multiply once a token: 6 for each weight."""
    return 6.0 * sum(weight.numel() for weight in module.parameters())


def flops_per_token(module: nn.Module, length: int) -> float:
    """Operations of a forward and backward pass for one token of a sequence of `length` tokens.

    A module that does more, or less, than multiply once a token with each of its weights has a method `flops_per_token(length)`,
    which is asked for all that the module does. All others are what their weights and their sub-modules are.
    """
    said = getattr(module, "flops_per_token", None)
    if said is not None:
        return float(said(length))
    own = 6.0 * sum(weight.numel() for weight in module.parameters(recurse=False))
    return own + sum(flops_per_token(child, length) for child in module.children())
