"""What all softmax attention has in common: projections, positions, cache, and what is seen."""

from __future__ import annotations

from torch import Tensor, nn

from neox_attention.scores import IMPLEMENTATIONS, Softmax
from neox_attention.settings.softmax import SoftmaxSettings
from neox_attention.settings.window import WindowSettings
from neox_attention.token_cache import TokenCache, Tokens
from neox_attention.visibility import Pattern, Visibility
from neox_core.model import LayerContext, of_weights


class SoftmaxAttention(nn.Module):
    """Causal attention (Vaswani et al., 2017), multi-head or with grouped queries (Ainslie et al., 2023).

    A variant overrides `pattern` (what is seen beside causality, window and documents) or `attend` (how it is computed).
    Rows of the query-key-value weight are grouped by key/value head: the queries that share it, then its key, then its value.
    """

    pattern: Pattern | None = None
    pattern_by_head = True

    def __init__(self, context: LayerContext) -> None:
        super().__init__()
        model = context.model
        self.heads = model.num_attention_heads
        self.kv_heads = model.num_kv_heads or self.heads
        self.head_dim = model.hidden_size // self.heads
        self.window = context.resolved[WindowSettings].sliding_window_width
        self.positions = [context.positions]  # in a list: shared with the embedding, not a sub-module of every layer
        rows, bias = (self.heads + 2 * self.kv_heads) * self.head_dim, model.use_bias_in_attn_linear
        self.query_key_value = context.linear(model.hidden_size, rows, bias=bias, role="input")
        sizes = [self.heads // self.kv_heads * self.head_dim, self.head_dim, self.head_dim]
        self.query_key_value.weight.row_parts = sizes  # type: ignore[attr-defined]
        self.norm = context.norm((self.heads, self.head_dim)) if model.use_qk_layernorm else None
        self.output = context.linear(self.heads * self.head_dim, model.hidden_size, bias=bias, role="output")
        self.compute = IMPLEMENTATIONS[context.resolved[SoftmaxSettings].attention_implementation]
        self.dropout = model.attention_dropout
        self.softmax = Softmax(
            bias=context.positions.bias if context.positions.has_bias else None,
            divisor=max(context.layer, 1) if model.apply_query_key_layer_scaling else 1,
            wide=model.attention_softmax_in_fp32,
            scale=context.attention_scale(self.head_dim),
            bias_after=context.resolved.reproduces("layer-scaling-of-biases"),
        )

    def forward(self, x: Tensor, *, positions: Tensor, documents: Tensor | None, cache: TokenCache | None) -> Tensor:
        """[batch, seq, hidden] -> the same shape."""
        query, key, value = self.project(x)
        query, key = self.positions[0].rotate(query, key, positions)
        known = Tokens((key, value), positions, documents)
        if cache is not None:
            known = cache.append(known)
        key, value = known.vectors
        sight = Visibility(
            known.positions, known.documents, x.shape[1], self.heads, self.window, self.pattern, self.pattern_by_head
        )
        mixed = self.attend(query, key, value, sight, self.softmax.with_dropout(self._rate()))
        out: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return out

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[batch, seq, hidden] -> queries [batch, heads, seq, head_dim], keys and values [batch, kv_heads, seq, head_dim].

        With a norm, which has weights for each query head, keys and values are as many as queries.
        """
        group = self.heads // self.kv_heads
        rows = self.query_key_value(x).unflatten(-1, (self.kv_heads, group + 2, self.head_dim))
        query, key, value = rows.split((group, 1, 1), dim=3)
        query, key, value = query.flatten(2, 3), key.squeeze(3), value.squeeze(3)
        if self.norm is not None:
            key, value = key.repeat_interleave(group, 2), value.repeat_interleave(group, 2)
            query, key = self.norm(query), self.norm(key)
        return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, sight: Visibility, softmax: Softmax) -> Tensor:
        """[batch, heads, queries, head_dim] -> the same shape."""
        return self.compute(query, key, value, sight, softmax)

    def flops_per_token(self, length: int) -> float:
        """Operations of a forward and backward pass; of full attention the half that causality takes away is counted, as usual."""
        return of_weights(self) + 12.0 * self.heads * self.head_dim * length * self.share_seen(length)

    def share_seen(self, length: int) -> float:
        """How much of what causality leaves of `length` x `length` tokens is seen."""
        beyond = 0 if self.window is None else max(length - self.window - 1, 0)
        return 1 - beyond * (beyond + 1) / (length * (length + 1))

    def _rate(self) -> float:
        return self.dropout if self.training else 0.0

    def new_cache(self, batch: int, length: int) -> TokenCache:
        """An empty cache for `length` tokens of `batch` sequences."""
        heads = self.kv_heads if self.norm is None else self.heads
        return TokenCache(batch, length, [(heads, self.head_dim)] * 2, self.output.weight)
