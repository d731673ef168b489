"""What all softmax attention has in common: projections, positions, cache, and what is seen."""

from __future__ import annotations

from torch import Tensor, nn

from neox_attention.heads import Heads
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
        all_heads, self.head_dim = model.num_attention_heads, model.hidden_size // model.num_attention_heads
        self.share = share = Heads(all_heads, model.num_kv_heads or all_heads, self.head_dim, context.tensor.axis)
        self.heads, self.kv_heads = share.own_queries, share.own_shared  # of this tensor-parallel rank
        self.window = context.resolved[WindowSettings].sliding_window_width
        self.positions = [context.positions]  # in a list: shared with the embedding, not a sub-module of every layer
        rows, bias = (all_heads + 2 * share.shared) * self.head_dim, model.use_bias_in_attn_linear
        self.query_key_value = context.linear(
            model.hidden_size, rows, bias=bias, role="input", cut="columns", pieces=share.row_pieces()
        )
        sizes = [all_heads // share.shared * self.head_dim, self.head_dim, self.head_dim]
        self.query_key_value.weight.row_parts = sizes  # type: ignore[attr-defined]
        self.norm = None
        if model.use_qk_layernorm:
            self.norm = context.head_norm(all_heads, self.head_dim, share.query_pieces())
        width, pieces = all_heads * self.head_dim, share.input_pieces()
        self.output = context.linear(width, model.hidden_size, bias=bias, role="output", cut="rows", pieces=pieces)
        self.compute = IMPLEMENTATIONS[context.resolved[SoftmaxSettings].attention_implementation]
        self.dropout = model.attention_dropout
        self.softmax = Softmax(
            bias=self._bias if context.positions.has_bias else None,
            first_head=share.first_query,
            all_heads=all_heads,
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
            known.positions,
            known.documents,
            query.shape[2],
            self.heads,
            self.window,
            None if self.pattern is None else self._pattern,
            self.pattern_by_head,
        )
        mixed = self.attend(query, key, value, sight, self.softmax.with_dropout(self._rate()))
        out: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return out

    @property
    def last(self) -> nn.Linear:
        """The layer that writes to the residual stream."""
        return self.output

    def _bias(self, heads: Tensor, distances: Tensor) -> Tensor:
        """What positions add, of heads by their numbers on this rank."""
        return self.positions[0].bias(heads + self.share.first_query, distances)

    def _pattern(self, head: Tensor, query: Tensor, key: Tensor) -> Tensor:
        """The pattern, of heads by their numbers on this rank."""
        assert self.pattern is not None
        return self.pattern(head + self.share.first_query, query, key)

    def project(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """[batch, seq, hidden] -> queries [batch, heads, seq, head_dim], keys and values [batch, kv_heads, seq, head_dim].

        Heads are this rank's, tokens all of the sequence's. With a norm, which has weights for each query head, keys and values are
        as many as queries.
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
        return of_weights(self) + 12.0 * self.share.queries * self.head_dim * length * self.share_seen(length)

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
