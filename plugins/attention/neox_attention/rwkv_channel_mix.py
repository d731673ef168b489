"""Channel mixing of RWKV 6."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from neox_attention.rwkv_time_mix import falling
from neox_attention.settings.rwkv import RWKVSettings
from neox_core.model import LayerContext
from neox_core.parallel import shares, with_partial_gradient

EXPANSION, MULTIPLE = 3.5, 32
"""Width of channel mixing: as a multiple of hidden_size, and what it is rounded down to a multiple of."""


class ChannelMix(nn.Module):
    """sigmoid(receptance) * value(relu(key)^2), receptance and key being of the token mixed with the one before it.

    Keys and receptances are cut over tensor-parallel ranks; the latter come together for the product.
    """

    def __init__(self, context: LayerContext) -> None:
        super().__init__()
        hidden, layer, layers = context.model.hidden_size, context.layer, context.model.num_layers
        width = _width(context)
        self.mix_key = nn.Parameter(falling(hidden, 1 - layer / layers))
        self.mix_receptance = nn.Parameter(falling(hidden, 1 - layer / layers))
        into = partial(context.linear, hidden, bias=False, role="input", cut="columns", inside=True)
        self.key, self.receptance = into(width), into(hidden)
        self.value = context.linear(width, hidden, bias=False, role="output", cut="rows")
        self.tensor, self.sizes = context.tensor, shares(hidden, context.tensor.axis)
        for parameter in (self.mix_key, self.mix_receptance):
            with_partial_gradient(parameter)

    def forward(self, x: Tensor, previous: Tensor) -> Tensor:
        """Mix channels.

        Args:
            x: all tokens, which have entered the ranks' part of the work, [batch, seq, hidden].
            previous: those before them.

        Returns:
            [batch, this rank's or all tokens, hidden].
        """
        key = functional.relu(self.key(torch.lerp(x, previous, self.mix_key))).square()
        receptance = self.receptance(torch.lerp(x, previous, self.mix_receptance))
        receptance = self.tensor.own_tokens(self.tensor.join(receptance, -1, self.sizes))
        mixed: Tensor = torch.sigmoid(receptance) * self.value(key)
        return mixed


def _width(context: LayerContext) -> int:
    """Width of keys, as the settings say."""
    model, given = context.model, context.resolved[RWKVSettings].ffn_dim
    if given:
        return given
    width = model.intermediate_size or int((model.expansion_factor or EXPANSION) * model.hidden_size)
    return max(1, width // MULTIPLE) * MULTIPLE
