"""Normalisations."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neox_core.config import ModelSettings


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight, computed in float32 (Zhang and Sennrich, 2019)."""

    def __init__(self, size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """[..., size] -> the same shape and dtype."""
        wide = x.float()
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (wide * self.weight.float()).to(x.dtype)


def layer_norm(size: int, model: ModelSettings) -> nn.Module:
    """Layer normalisation with weight and bias."""
    return nn.LayerNorm(size, eps=model.layernorm_epsilon)


def rms_norm(size: int, model: ModelSettings) -> nn.Module:
    """Root-mean-square normalisation with a weight."""
    return RMSNorm(size, model.rms_norm_epsilon)
