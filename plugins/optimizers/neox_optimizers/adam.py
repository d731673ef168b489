"""AdamW (Loshchilov and Hutter, 2019) by torch."""

from __future__ import annotations

from typing import Any

import torch

from neox_optimizers.params import AdamParams


def build(groups: list[dict[str, Any]], params: AdamParams) -> torch.optim.Optimizer:
    """The optimizer over parameter groups that say their own weight decay."""
    return torch.optim.AdamW(groups, lr=params.lr, betas=params.betas, eps=params.eps, fused=True)
