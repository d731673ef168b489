"""How many floating-point operations a model takes, of which its speed in operations and the utilisation of a device follow."""

from __future__ import annotations

import math

from torch import Tensor, nn

from neox_core.parallel import global_shape


def of_weights(module: nn.Module) -> float:
    """Operations of a forward and backward pass for one token, of weights that each multiply once a token: 6 for each weight."""
    return 6.0 * sum(map(_size, module.parameters()))


def flops_per_token(module: nn.Module, length: int) -> float:
    """Operations of a forward and backward pass for one token of a sequence of `length` tokens.

    A module that does more, or less, than multiply once a token with each of its weights has a method `flops_per_token(length)`,
    which is asked for all that the module does. All others are what their weights and their sub-modules are.
    """
    said = getattr(module, "flops_per_token", None)
    if said is not None:
        return float(said(length))
    own = 6.0 * sum(map(_size, module.parameters(recurse=False)))
    return own + sum(flops_per_token(child, length) for child in module.children())


def _size(weight: Tensor) -> int:
    """Elements of the parameter on all tensor-parallel ranks together."""
    return math.prod(global_shape(weight))
