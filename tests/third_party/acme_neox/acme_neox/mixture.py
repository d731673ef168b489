"""A mixture without routing: every token goes to all experts."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from neox_core.config import MixtureSettings
from neox_core.model import MLP, LayerContext


class SoftMixture(nn.Module):
    """The experts' outputs, weighted by a softmax; there is nothing to balance."""

    def __init__(self, context: LayerContext) -> None:
        super().__init__()
        experts = context.resolved[MixtureSettings].moe_num_experts
        self.router = context.linear(context.model.hidden_size, experts, bias=False, role="input")
        self.experts = nn.ModuleList(MLP(context) for _ in range(experts))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """[batch, seq, hidden] -> (the same shape, 0)."""
        weights = self.router(x).softmax(-1).unbind(-1)
        out = torch.stack([w[..., None] * expert(x) for w, expert in zip(weights, self.experts, strict=True)]).sum(0)
        return out, out.new_zeros(())
