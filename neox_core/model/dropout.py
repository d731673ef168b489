"""Dropout whose units do not depend on the topology: drawn for the whole tensor, of which a rank uses its part."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from neox_core.parallel import Axis, SequenceLayout, TensorParallel


@dataclass(frozen=True, slots=True)
class HiddenDropout:
    """Of hidden states [batch, this rank's tokens, hidden].

    Args:
        tensor: over whose ranks tokens may be cut.
        context: over whose ranks they are cut too.
    """

    tensor: TensorParallel
    context: Axis

    def draw(self, like: Tensor, rate: float) -> Tensor | None:
        """What hidden states are multiplied by, in their number format; None where nothing is dropped."""
        if not rate:
            return None
        batch, tokens, width = like.shape
        layout = SequenceLayout.of_part(self.context, tokens * (self.tensor.size if self.tensor.cuts_tokens else 1))
        drawn = torch.rand(batch, layout.length, width, device=like.device)
        kept = self.tensor.own_tokens(layout.part(drawn)) >= rate
        return kept.to(like.dtype) / (1 - rate)


def dropped(x: Tensor, factors: Tensor | None) -> Tensor:
    """What is left of hidden states."""
    return x if factors is None else x * factors


def drop_weights(weights: Tensor, rate: float, first_head: int, heads: int) -> Tensor:
    """Attention weights [batch, this rank's heads, queries, keys] of which some are dropped.

    Args:
        weights: the weights.
        rate: probability of dropping.
        first_head: number of the first of them.
        heads: of all ranks.
    """
    if not rate:
        return weights
    batch, own, *shape = weights.shape
    drawn = torch.rand(batch, heads, *shape, device=weights.device)[:, first_head : first_head + own]
    return weights * (drawn >= rate).to(weights.dtype) / (1 - rate)
