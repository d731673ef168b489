"""AdamW (Loshchilov and Hutter, 2019) by torch."""

from __future__ import annotations

from typing import Any

import torch
from pydantic import BaseModel, ConfigDict, Field


class AdamParams(BaseModel):
    """`optimizer.params` of the Adam family."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    lr: float = Field(0.001, gt=0, description="Peak learning rate")
    betas: tuple[float, float] = Field((0.9, 0.999), description="Decay of the running means of gradient and square")
    eps: float = Field(1e-8, gt=0, description="Added to the denominator")


def build(groups: list[dict[str, Any]], params: AdamParams) -> torch.optim.Optimizer:
    """The optimizer over parameter groups that say their own weight decay."""
    return torch.optim.AdamW(groups, lr=params.lr, betas=params.betas, eps=params.eps, fused=True)
