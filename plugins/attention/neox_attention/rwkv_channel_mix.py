"""Channel mixing of RWKV 6."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from neox_attention.rwkv_time_mix import falling
from neox_attention.settings.rwkv import RWKVSettings
from neox_core.model import LayerContext

EXPANSION, MULTIPLE = 3.5, 32
"""Width of channel mixing: as a multiple of hidden_size, and what it is rounded down to a multiple of."""


class ChannelMix(nn.Module):
    """sigmoid(receptance) * value(relu(key)^2), receptance and key being of the token mixed with the one before it."""

    def __init__(self, context: LayerContext) -> None:
        super().__init__()
        hidden, layer, layers = context.model.hidden_size, context.layer, context.model.num_layers
        width = _width(context)
        self.mix_key = nn.Parameter(falling(hidden, 1 - layer / layers))
        self.mix_receptance = nn.Parameter(falling(hidden, 1 - layer / layers))
        self.key = context.linear(hidden, width, bias=False, role="input")
        self.receptance = context.linear(hidden, hidden, bias=False, role="input")
        self.value = context.linear(width, hidden, bias=False, role="output")

    def forward(self, x: Tensor, previous: Tensor) -> Tensor:
        """Tokens and those before them, [batch, seq, hidden] -> the same shape."""
        key = functional.relu(self.key(torch.lerp(x, previous, self.mix_key))).square()
        receptance = self.receptance(torch.lerp(x, previous, self.mix_receptance))
        mixed: Tensor = torch.sigmoid(receptance) * self.value(key)
        return mixed


def _width(context: LayerContext) -> int:
    """Width of keys, as the settings say."""
    model, given = context.model, context.resolved[RWKVSettings].ffn_dim
    if given:
        return given
    width = model.intermediate_size or int((model.expansion_factor or EXPANSION) * model.hidden_size)
    return max(1, width // MULTIPLE) * MULTIPLE
