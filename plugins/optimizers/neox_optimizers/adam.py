"""Adam (Kingma and Ba, 2015) and AdamW (Loshchilov and Hutter, 2019), by torch or by DeepSpeed's kernel for GPUs."""

from __future__ import annotations

import logging
from functools import cache
from typing import Any

import torch

from neox_optimizers.params import AdamParams, FusedAdamParams

logger = logging.getLogger("neox")


def build_torch(groups: list[dict[str, Any]], params: AdamParams) -> torch.optim.Optimizer:
    """torch's fused one over parameter groups that say their own weight decay."""
    kind = torch.optim.AdamW if params.adam_w_mode else torch.optim.Adam
    return kind(groups, lr=params.lr, betas=params.betas, eps=params.eps, fused=True)


def build(groups: list[dict[str, Any]], params: FusedAdamParams) -> torch.optim.Optimizer:
    """DeepSpeed's where the parameters are on a GPU and its kernel can be built, else torch's; on GPUs it is logged once which."""
    if not any(parameter.is_cuda for group in groups for parameter in group["params"]):
        return build_torch(groups, params)
    if params.torch_adam:
        announce("optimizer: Adam by torch's fused kernels")
        return build_torch(groups, params)
    from neox_optimizers import fused_adam

    if reason := fused_adam.lack():
        announce(f"optimizer: Adam by torch's fused kernels, since DeepSpeed's cannot be built here ({reason})")
        return build_torch(groups, params)
    announce("optimizer: Adam by DeepSpeed's FusedAdam")
    return fused_adam.build(groups, params)


@cache
def announce(sentence: str) -> None:
    """Log it the first time."""
    logger.info(sentence)
