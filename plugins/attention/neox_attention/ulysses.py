"""Attention over rows that are cut over ranks: each has some tokens before and after, and some heads within."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from neox_attention.context_attention import ContextAttention, RowPart
from neox_attention.scores import Softmax
from neox_attention.visibility import Pattern, Visibility
from neox_core.parallel import Axis, SequenceLayout

HEADS, TOKENS = 1, 2
"""Dimensions of queries, keys and values."""


class UlyssesAttention(ContextAttention):
    """DeepSpeed-Ulysses (Jacobs et al., 2023): an exchange makes all heads of some tokens some heads of all tokens.

    Those are computed as on one rank, by any implementation, and another exchange gives each rank its tokens back. Heads must be a
    multiple of the ranks.
    """

    def attend_together(self, query: Tensor, key: Tensor, value: Tensor, part: RowPart) -> Tensor:
        """[batch, heads, tokens of this rank, head_dim] -> the same shape."""
        axis = part.layout.axis
        pairs = (repeated(of_tokens, axis.size) for of_tokens in (key, value))
        query, key, value = to_heads((query, *pairs), part.layout)
        first = axis.rank * query.shape[HEADS]
        return to_tokens(self.compute(query, key, value, row_sight(part, first), row_softmax(part, first)), part.layout)


def repeats(kv_heads: int, ranks: int) -> int:
    """How often each key/value head is sent, so that all ranks get equally many of them."""
    return ranks // math.gcd(kv_heads, ranks)


def repeated(of_tokens: Tensor, ranks: int) -> Tensor:
    """Keys or values, as often as they are sent: where the ranks do not divide their heads, neighbours get the same ones."""
    times = repeats(of_tokens.shape[HEADS], ranks)
    return of_tokens.repeat_interleave(times, HEADS) if times > 1 else of_tokens


def to_heads(parts: tuple[Tensor, ...], layout: SequenceLayout) -> list[Tensor]:
    """Each [batch, heads, tokens of this rank, head_dim] -> [batch, heads / ranks, all tokens, head_dim], in one exchange."""
    ranks = layout.axis.size
    shares = [torch.unflatten(part, HEADS, (ranks, -1)) for part in parts]
    exchanged = _exchanged(torch.cat(shares, HEADS + 1).flatten(HEADS, HEADS + 1), layout.axis, HEADS, TOKENS)
    return list(torch.split(layout.in_order(exchanged, TOKENS), [share.shape[HEADS + 1] for share in shares], HEADS))


def to_tokens(mixed: Tensor, layout: SequenceLayout) -> Tensor:
    """[batch, heads of this rank, all tokens, head_dim] -> [batch, heads, tokens of this rank, head_dim]."""
    return _exchanged(layout.by_rank(mixed, TOKENS), layout.axis, TOKENS, HEADS)


def row_sight(part: RowPart, first: int) -> Visibility:
    """What the heads from `first` on see of the whole row."""
    own, length = part.sight, part.layout.length
    return replace(
        own,
        positions=torch.arange(length, device=own.positions.device)[None] if own.pattern is None else part.positions,
        documents=part.documents,
        queries=length,
        heads=own.heads // part.layout.axis.size,
        pattern=None if own.pattern is None else _pattern_from(own.pattern, first),
    )


def _pattern_from(pattern: Pattern, first: int) -> Pattern:
    return lambda head, query, key: pattern(head + first, query, key)


def row_softmax(part: RowPart, first: int) -> Softmax:
    """That of the heads from `first` on."""
    softmax, bias = part.softmax, part.softmax.bias
    shifted = None if bias is None else lambda heads, distances: bias(heads + first, distances)
    return replace(softmax, bias=shifted, first_head=softmax.first_head + first)


def _exchanged(x: Tensor, axis: Axis, cut: int, join: int) -> Tensor:
    exchanged: Tensor = _Exchange.apply(x, axis, cut, join)  # type: ignore[no-untyped-call]
    return exchanged


class _Exchange(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, axis: Axis, cut: int, join: int) -> Tensor:
        ctx.axis, ctx.cut, ctx.join = axis, cut, join
        return axis.all_to_all(x, cut, join)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        return ctx.axis.all_to_all(gradient, ctx.join, ctx.cut), None, None, None
