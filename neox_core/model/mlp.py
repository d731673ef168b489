"""The position-wise part of a block."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from neox_core.model.activations import Gated
from neox_core.model.mixer import LayerContext
from neox_core.parallel import RowLinear, columns


class MLP(nn.Module):
    """down(activation(up(x))); with a gated activation, down(up(x) * function(gate(x))).

    Args:
        context: of the layer.
        inside: for tensor-parallel ranks: whether what it is given has entered their part of the work already, and what it gives is
            yet to leave it, as where several MLPs share the communication.
    """

    def __init__(self, context: LayerContext, *, inside: bool = False) -> None:
        super().__init__()
        model, width = context.model, context.resolved.mlp_width
        bias = model.use_bias_in_mlp
        self.activation: Any = context.activation()
        gated = isinstance(self.activation, Gated)
        into = partial(context.linear, model.hidden_size, width, bias=bias, role="input", parts=2 if gated else 1)
        self.up = into(cut="columns", inside=inside)
        self.gate = into(cut="columns", inside=inside) if gated else None
        self.down = context.linear(width, model.hidden_size, bias=bias, role="output", cut="rows")
        if inside and isinstance(self.down, RowLinear):
            self.down.defer()

    @property
    def last(self) -> nn.Linear:
        """The layer that writes to the residual stream."""
        return self.down

    def forward(self, x: Tensor) -> Tensor:
        """[batch, seq, hidden] -> the same shape."""
        inner = columns(x, self.up) if self.gate is None else columns(x, self.up, self.gate)
        out: Tensor = self.down(self.activation(*inner))
        return out
