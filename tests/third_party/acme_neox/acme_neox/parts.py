"""Additions to the core's tables: a norm, positions, an activation, a schedule."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from neox_core.config import ModelSettings
from neox_core.model import Positions
from neox_core.training import ScheduleShape


class LengthNorm(nn.Module):
    """scale * x / |x|."""

    def __init__(self, size: int, model: ModelSettings) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor([size**0.5]))

    def forward(self, x: Tensor) -> Tensor:
        """[..., size] -> the same shape."""
        out: Tensor = self.scale * x / x.norm(dim=-1, keepdim=True).clamp(min=1e-6)
        return out


class Wavelengths(Positions):
    """Sines and cosines of geometric wavelengths in turn (Vaswani et al., 2017)."""

    def __init__(self, model: ModelSettings) -> None:
        super().__init__(model)
        self.width = model.hidden_size

    def embed(self, positions: Tensor) -> Tensor:
        """[batch or 1, seq] -> [batch or 1, seq, hidden]."""
        half = torch.arange(0, self.width, 2, device=positions.device) / self.width
        angles = positions[..., None] / 10000**half
        return torch.stack((angles.sin(), angles.cos()), -1).flatten(-2)[..., : self.width]


def squared_relu() -> Callable[[Tensor], Tensor]:
    """max(x, 0)^2 (So et al., 2021)."""
    return lambda x: x.relu().square()


def inverse_sqrt(shape: ScheduleShape) -> Callable[[int], float]:
    """Linear warm-up, then the peak over the square root of the steps since."""
    warmup = max(shape.warmup, 1.0)
    return lambda steps: max(shape.minimum, shape.peak * min((steps + 1) / warmup, (warmup / (steps + 1)) ** 0.5))
