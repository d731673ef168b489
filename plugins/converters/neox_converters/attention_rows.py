"""Layouts of query, key and value weights. Ours has the rows grouped: [the queries that share a key | the key | the value] each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from neox_core.config import ModelSettings


@dataclass(frozen=True, slots=True)
class AttentionRows:
    """Cuts our rows apart and puts them together; for weights [rows, hidden] and biases [rows]."""

    heads: int
    kv_heads: int
    head_dim: int

    @classmethod
    def of(cls, model: ModelSettings) -> AttentionRows:
        """Those of an architecture."""
        heads = model.num_attention_heads
        return cls(heads, model.num_kv_heads or heads, model.hidden_size // heads)

    def apart(self, ours: Sequence[Tensor]) -> list[Tensor]:
        """One tensor -> rows of all queries, of all keys, of all values."""
        group = self.heads // self.kv_heads
        rows = ours[0]
        grouped = rows.view(self.kv_heads, group + 2, self.head_dim, *rows.shape[1:])
        return [part.flatten(0, 2) for part in torch.split(grouped, [group, 1, 1], 1)]

    def together(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """Rows of all queries, of all keys, of all values -> one tensor."""
        grouped = [part.reshape(self.kv_heads, -1, self.head_dim, *part.shape[1:]) for part in parts]
        return [torch.cat(grouped, 1).flatten(0, 2)]

    def split(self, stacked: Sequence[Tensor]) -> list[Tensor]:
        """Theirs, [all queries | all keys | all values] -> ours."""
        queries, keys = self.heads * self.head_dim, self.kv_heads * self.head_dim
        return self.together(torch.split(stacked[0], [queries, keys, keys]))

    def stack(self, ours: Sequence[Tensor]) -> list[Tensor]:
        """Ours -> [all queries | all keys | all values]."""
        return [torch.cat(self.apart(ours))]
