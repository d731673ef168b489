"""Attention over rows that are cut over ranks: keys and values travel around them."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from neox_attention.context_attention import ContextAttention, RowPart
from neox_attention.ring_blocks import RowSight
from neox_attention.ring_pass import ring_attention
from neox_attention.scores import eager


class RingAttention(ContextAttention):
    """Ring attention (Liu, Zaharia and Abbeel, 2023): each rank keeps its queries, and the others' keys and values come by.

    No rank has the keys of a row, or the scores of more than some tokens, in memory at once.
    """

    def attend_together(self, query: Tensor, key: Tensor, value: Tensor, part: RowPart) -> Tensor:
        """[batch, heads, tokens of this rank, head_dim] -> the same shape."""
        biases, in_tiles = biases_by_distance(query, part), self.compute is eager
        sight = RowSight(_scale(query, part), part.documents, self.window, biases, in_tiles)
        return ring_attention(query, key, value, part.layout, sight)


def biases_by_distance(query: Tensor, part: RowPart) -> Tensor | None:
    """What is added to scores for each distance, [heads, seq] in float32 at least; None for nothing."""
    if part.softmax.bias is None:
        return None
    heads, far = (torch.arange(count, device=query.device) for count in (query.shape[1], part.layout.length))
    biases = part.softmax.bias(heads[:, None], far) * part.softmax.bias_factor
    return biases.to(torch.promote_types(query.dtype, torch.float32))


def _scale(query: Tensor, part: RowPart) -> float:
    return 1 / math.sqrt(query.shape[-1]) if part.softmax.scale is None else part.softmax.scale
