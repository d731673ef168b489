"""Stochastic gradient descent, by torch."""

from __future__ import annotations

from typing import Any

import torch

from neox_optimizers.params import SGDParams


def build(groups: list[dict[str, Any]], params: SGDParams) -> torch.optim.Optimizer:
    """The optimizer over parameter groups; their weight decay is added to the gradient."""
    return torch.optim.SGD(groups, **params.model_dump())
