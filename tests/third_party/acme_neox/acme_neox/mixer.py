"""A sequence mixer: each head averages the values so far, the older the less."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from acme_neox.settings import MixerSettings
from neox_core.model import LayerContext


def cannot_run() -> str | None:
    """It runs wherever torch does."""
    return None


@dataclass(slots=True)
class LastAverage:
    """What is remembered between calls.

    Args:
        average: after the last token, [batch, heads, head_dim].
        document: of the last token, [batch].
    """

    average: Tensor
    document: Tensor


class MovingAverage(nn.Module):
    """average[t] = decay * average[t - 1] + (1 - decay) * value[t], beginning with 0 in each document."""

    def __init__(self, context: LayerContext) -> None:
        super().__init__()
        width = context.model.hidden_size
        self.heads = context.resolved[MixerSettings].acme_ema_heads
        self.value = context.linear(width, width, bias=False, role="input")
        self.output = context.linear(width, width, bias=True, role="output")
        self.decay = nn.Parameter(torch.linspace(0.0, 2.0, self.heads))  # before the sigmoid

    def forward(self, x: Tensor, *, positions: Tensor, documents: Tensor | None, cache: LastAverage | None) -> Tensor:
        """[batch, seq, hidden] -> the same shape."""
        values = self.value(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [batch, heads, seq, head_dim]
        decay = self.decay.sigmoid()
        weights = self._weights(decay, x.shape[1], documents)
        averages = weights @ values
        if cache is not None:
            documents = torch.zeros_like(x[..., 0], dtype=torch.int64) if documents is None else documents
            steps = torch.arange(1, x.shape[1] + 1, device=x.device)
            same = (documents == cache.document[:, None])[:, None, :, None]
            averages = averages + same * (decay[:, None] ** steps)[..., None] * cache.average[:, :, None]
            cache.average, cache.document = averages[:, :, -1], documents[:, -1]
        out: Tensor = self.output(averages.transpose(1, 2).flatten(2))
        return out

    def _weights(self, decay: Tensor, seq: int, documents: Tensor | None) -> Tensor:
        """What each token takes from each earlier one, [batch or 1, heads, seq, seq]."""
        place = torch.arange(seq, device=decay.device)
        age = place[:, None] - place
        weights = ((1 - decay)[:, None, None] * decay[:, None, None] ** age.clamp(min=0)) * (age >= 0)
        if documents is None:
            return weights[None]
        return weights[None] * (documents[:, None, :, None] == documents[:, None, None, :])

    def new_cache(self, batch: int, length: int) -> LastAverage:
        """The average of nothing."""
        head_dim = self.output.weight.shape[0] // self.heads
        weight = self.output.weight
        return LastAverage(weight.new_zeros(batch, self.heads, head_dim), weight.new_zeros(batch, dtype=torch.int64))
