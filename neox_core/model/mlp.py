"""The position-wise part of a block."""

from __future__ import annotations

from torch import Tensor, nn

from neox_core.model.activations import gelu
from neox_core.model.mixer import LayerContext
from neox_core.model.tables import make


class MLP(nn.Module):
    """down(activation(up(x))); with a gated activation, `up` is twice as wide as `down`: first the values, then the gate."""

    def __init__(self, context: LayerContext) -> None:
        super().__init__()
        model = context.model
        width = context.resolved.mlp_width
        fused_gelu = model.activation.casefold() == "gelu" and model.bias_gelu_fusion
        self.activation = (
            gelu(approximate=True) if fused_gelu else make("activation", model.activation, context.plugins)
        )
        inner = 2 * width if getattr(self.activation, "halves", False) else width
        self.up = context.linear(model.hidden_size, inner, bias=model.use_bias_in_mlp, role="input")
        self.down = context.linear(width, model.hidden_size, bias=model.use_bias_in_mlp, role="output")

    def forward(self, x: Tensor) -> Tensor:
        """[batch, seq, hidden] -> the same shape."""
        out: Tensor = self.down(self.activation(self.up(x)))
        return out
