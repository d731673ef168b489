"""The position-wise part of a block."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from neox_core.model.activations import Gated
from neox_core.model.mixer import LayerContext
from neox_core.parallel import columns


class MLP(nn.Module):
    """down(activation(up(x))); with a gated activation, down(up(x) * function(gate(x)))."""

    def __init__(self, context: LayerContext) -> None:
        super().__init__()
        model, width = context.model, context.resolved.mlp_width
        bias = model.use_bias_in_mlp
        self.activation: Any = context.activation()
        gated = isinstance(self.activation, Gated)
        into = partial(context.linear, model.hidden_size, width, bias=bias, role="input", parts=2 if gated else 1)
        self.up = into(cut="columns")
        self.gate = into(cut="columns") if gated else None
        self.down = context.linear(width, model.hidden_size, bias=bias, role="output", cut="rows")

    def forward(self, x: Tensor) -> Tensor:
        """[batch, seq, hidden] -> the same shape."""
        inner = columns(x, self.up) if self.gate is None else columns(x, self.up, self.gate)
        out: Tensor = self.down(self.activation(*inner))
        return out
