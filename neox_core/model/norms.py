"""Normalisations. Each is made for the trailing dimensions `size` of what it is given."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neox_core.config import ModelSettings

Size = int | tuple[int, ...]
"""The width of the residual stream, or the shape (heads, head_dim) of queries and keys."""


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight over the last dimension, computed in float32 at least (Zhang and Sennrich, 2019)."""

    def __init__(self, size: Size, eps: float) -> None:
        super().__init__()
        self.weight = unit(size)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """[..., size] -> the same shape and dtype."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        wide = wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + self.eps)
        return (wide * self.weight.to(wide.dtype)).to(x.dtype)


class ScaleNorm(nn.Module):
    """x / max(|x|, eps) * weight over the last dimension, with one weight (Nguyen and Salazar, "Transformers without Tears", 2019).

    The weight begins at 1, as in GPT-NeoX; in the paper at the square root of the width.
    """

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.weight = unit(1)
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """[..., size] -> the same shape and dtype."""
        scaled: Tensor = x / torch.linalg.vector_norm(x, dim=-1, keepdim=True).clamp(min=self.eps) * self.weight
        return scaled


def unit(size: Size) -> nn.Parameter:
    """A weight of ones that does not decay, whatever its number of dimensions."""
    return without_decay(nn.Parameter(torch.ones(size)))


def without_decay(parameter: nn.Parameter) -> nn.Parameter:
    """Mark a parameter that weight decay leaves alone. Vectors are left alone anyway."""
    parameter.no_weight_decay = True  # type: ignore[attr-defined]
    return parameter


def layer_norm(size: Size, model: ModelSettings) -> nn.Module:
    """Layer normalisation with weight and bias."""
    norm = nn.LayerNorm(size, eps=model.layernorm_epsilon)
    for parameter in norm.parameters():
        without_decay(parameter)
    return norm


def rms_norm(size: Size, model: ModelSettings) -> nn.Module:
    """Root-mean-square normalisation with a weight."""
    return RMSNorm(size, model.rms_norm_epsilon)


def scale_norm(size: Size, model: ModelSettings) -> nn.Module:
    """Normalisation to a learned length."""
    return ScaleNorm(model.scalenorm_epsilon)


def non_parametric_layer_norm(size: Size, model: ModelSettings) -> nn.Module:
    """Layer normalisation without weight and bias (Groeneveld et al., "OLMo", 2024)."""
    return nn.LayerNorm(size, eps=model.layernorm_epsilon, elementwise_affine=False)
