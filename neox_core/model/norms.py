"""Normalisations. Each is made for the trailing dimensions `size` of what it is given."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from neox_core.config import ModelSettings
from neox_core.parallel import Piece, TensorParallel, cut, evenly, shares, with_partial_gradient

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


class SharedLayerNorm(nn.Module):
    """Layer normalisation over dimensions of which each tensor-parallel rank has a part: all heads, or all channels.

    Args:
        norm: for this rank's part.
        elements: of all ranks' parts together.
        tensor: the ranks.
    """

    def __init__(self, norm: nn.LayerNorm, elements: int, tensor: TensorParallel) -> None:
        super().__init__()
        self.weight, self.bias, self.eps = norm.weight, norm.bias, norm.eps
        self.elements, self.tensor = elements, tensor
        self.dimensions = [-1 - dimension for dimension in range(len(norm.normalized_shape))]

    def forward(self, x: Tensor) -> Tensor:
        """[..., this rank's part] -> the same shape and dtype; statistics are float32 at least."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        mean = self._mean(wide)
        centred = wide - mean
        scaled = centred * torch.rsqrt(self._mean(centred.square()) + self.eps)
        return scaled.to(x.dtype) if self.weight is None else (scaled * self.weight + self.bias).to(x.dtype)

    def _mean(self, x: Tensor) -> Tensor:
        """Over the parts of all ranks; each rank goes on with it in its own way."""
        return self.tensor.copy(self.tensor.sum(x.sum(self.dimensions, keepdim=True))) / self.elements


def cut_norm(norm: nn.Module, heads: int, pieces: Sequence[Piece], tensor: TensorParallel) -> nn.Module:
    """A norm of queries or keys that was made for this rank's heads, as a part of that for all heads.

    Args:
        norm: with weights of a head each, or one for all of them.
        heads: of all ranks.
        pieces: which are this rank's.
        tensor: the ranks.
    """
    own = sum(piece.size for piece in pieces)
    for parameter in norm.parameters():
        if len(parameter) == own and parameter.dim() > 1:
            cut(parameter, 0, heads, pieces)
        else:
            with_partial_gradient(parameter)
    if isinstance(norm, nn.LayerNorm):
        return SharedLayerNorm(norm, heads * norm.normalized_shape[-1], tensor)
    return norm


def cut_channels(norm: nn.Module, width: int, tensor: TensorParallel) -> nn.Module:
    """A norm of hidden states as one of which each rank has an even share of the channels, [..., this rank's channels].

    Layer norms share their statistics. Others are given the channels of all ranks.

    Args:
        norm: of this rank's channels, if it is a layer norm; else of all.
        width: channels of all ranks.
        tensor: the ranks.
    """
    pieces = evenly(width, tensor.axis)
    if isinstance(norm, nn.LayerNorm):
        for parameter in norm.parameters():
            cut(parameter, 0, width, pieces)
        return SharedLayerNorm(norm, width, tensor)
    for parameter in norm.parameters():
        with_partial_gradient(parameter)
    sizes = shares(width, tensor.axis)
    norm.register_forward_pre_hook(lambda _, inputs: (tensor.copy(tensor.join(inputs[0], -1, sizes)),))
    norm.register_forward_hook(lambda _, inputs, whole: whole[..., pieces[0].start : pieces[0].stop])
    return norm


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
