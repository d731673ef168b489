"""The position-wise part of a block."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from neox_core.model.activations import Gated
from neox_core.model.mixer import LayerContext


class MLP(nn.Module):
    """down(activation(up(x))); with a gated activation, down(up(x) * function(gate(x)))."""

    def __init__(self, context: LayerContext) -> None:
        super().__init__()
        model, width = context.model, context.resolved.mlp_width
        bias = model.use_bias_in_mlp
        self.activation: Any = context.activation()
        gated = isinstance(self.activation, Gated)
        into = partial(context.linear, model.hidden_size, width, bias=bias, role="input", parts=2 if gated else 1)
        self.up = into()
        self.gate = into() if gated else None
        self.down = context.linear(width, model.hidden_size, bias=bias, role="output")

    def forward(self, x: Tensor) -> Tensor:
        """[batch, seq, hidden] -> the same shape."""
        inner = self.activation(self.up(x)) if self.gate is None else self.activation(self.up(x), self.gate(x))
        out: Tensor = self.down(inner)
        return out
