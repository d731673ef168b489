"""Full causal attention (Vaswani et al., 2017), multi-head or with grouped queries (Ainslie et al., 2023)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from neox_attention.cache import KeyValueCache
from neox_core.model import LayerContext


class GlobalAttention(nn.Module):
    """Each token sees all earlier ones of its document.

    Rows of the query-key-value weight are grouped by key/value head: the queries that share it, then its key, then its value.
    """

    def __init__(self, context: LayerContext) -> None:
        super().__init__()
        model = context.model
        self.heads = model.num_attention_heads
        self.kv_heads = model.num_kv_heads or self.heads
        self.head_dim = model.hidden_size // self.heads
        self.dropout = model.attention_dropout
        self.positions = [context.positions]  # in a list: shared with the embedding, not a sub-module of every layer
        rows, bias = (self.heads + 2 * self.kv_heads) * self.head_dim, model.use_bias_in_attn_linear
        self.query_key_value = context.linear(model.hidden_size, rows, bias=bias, role="input")
        self.output = context.linear(self.heads * self.head_dim, model.hidden_size, bias=bias, role="output")

    def forward(self, x: Tensor, *, positions: Tensor, documents: Tensor | None, cache: KeyValueCache | None) -> Tensor:
        """[batch, seq, hidden] -> the same shape."""
        query, key, value = self._project(x)
        query, key = self.positions[0].rotate(query, key, positions)
        before = 0
        if cache is not None:
            before = cache.filled
            key, value = cache.append(key, value)
        mask = self._mask(x, before, documents)
        mixed = functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            dropout_p=self.dropout if self.training else 0.0,
            is_causal=mask is None and x.shape[1] > 1,
            enable_gqa=self.kv_heads != self.heads,
        )
        out: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return out

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[batch, seq, hidden] -> queries [batch, heads, seq, head_dim], keys and values [batch, kv_heads, seq, head_dim]."""
        group = self.heads // self.kv_heads
        rows = self.query_key_value(x).unflatten(-1, (self.kv_heads, group + 2, self.head_dim))
        query, key, value = rows.split((group, 1, 1), dim=3)
        return query.flatten(2, 3).transpose(1, 2), key.squeeze(3).transpose(1, 2), value.squeeze(3).transpose(1, 2)

    def _mask(self, x: Tensor, before: int, documents: Tensor | None) -> Tensor | None:
        """What may be seen, [batch or 1, 1, seq, before + seq] bool; None where plain causality says it all."""
        seq = x.shape[1]
        if documents is None and (before == 0 or seq == 1):
            return None
        here = torch.arange(before, before + seq, device=x.device)
        mask = torch.arange(before + seq, device=x.device) <= here[:, None]
        if documents is None:
            return mask[None, None]
        return (mask & (documents[:, :, None] == documents[:, None, :]))[:, None]

    def new_cache(self, batch: int, length: int) -> KeyValueCache:
        """An empty cache for `length` tokens of `batch` sequences."""
        return KeyValueCache.empty(batch, self.kv_heads, length, self.head_dim, self.output.weight)
