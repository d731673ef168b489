"""Positions that are added to attention scores, by how far the key is before the query."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from neox_core.config import ModelSettings
from neox_core.model.init import Named, tag
from neox_core.model.positions import Positions


class ALiBi(Positions):
    """A slope of each head times the distance is subtracted (Press, Smith and Lewis, "Train Short, Test Long", 2021).

    Slopes fall from 2^(-8/n) to 2^-8 for a power of two n; of other numbers of heads, those beyond it have slopes in between.
    """

    has_bias = True

    def __init__(self, model: ModelSettings) -> None:
        super().__init__(model)
        self.power = 2 ** math.floor(math.log2(model.num_attention_heads))

    def bias(self, heads: Tensor, distances: Tensor) -> Tensor:
        """Float32."""
        return -self.slope(heads) * distances

    def slope(self, heads: Tensor) -> Tensor:
        """Float32; arithmetic rather than a table, which a kernel would have to look up for each score."""
        place = torch.where(heads < self.power, heads + 1.0, heads - self.power + 0.5)
        return torch.exp2(-8 * place / self.power)


class RelativePositions(Positions):
    """A learned bias for each head and class of distances (Raffel et al., "T5", 2020), times the root of the head's width.

    The first half of the classes are single distances, those of the other half grow geometrically up to `rpe_max_distance`.
    """

    has_bias = True

    def __init__(self, model: ModelSettings) -> None:
        super().__init__(model)
        self.buckets, self.farthest = model.rpe_num_buckets, model.rpe_max_distance
        self.scale = math.sqrt(model.hidden_size // model.num_attention_heads)
        table = nn.Parameter(torch.empty(self.buckets, model.num_attention_heads))
        self.weight = tag(table, Named("xavier_normal", model))

    def bias(self, heads: Tensor, distances: Tensor) -> Tensor:
        """In the dtype of the weight."""
        return self.weight[self.classes(distances), heads] * self.scale

    def classes(self, distances: Tensor) -> Tensor:
        """The row of the table for each distance."""
        single = self.buckets // 2
        beyond = torch.log(distances.clamp(min=1).float() / single) / math.log(self.farthest / single)
        wide = single + (beyond * (self.buckets - single)).long()
        return torch.where(distances < single, distances, wide.clamp(max=self.buckets - 1))
