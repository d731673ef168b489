"""Attention of some tokens of a row to others: what each block of them adds to a softmax over all, and its gradients.

A block is a run of queries with a run of keys. What it mixes is joined to what other blocks do by the largest scores and the sums of
exponentials of their differences from those (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018). All of this
is in float32 at least.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from neox_core.parallel import Range

TILE = 512
"""Tokens of a tile: scores of so many queries and keys are in memory at once, for each sequence and head."""


class Block(NamedTuple):
    """Queries and keys, by their places in the row."""

    queries: Range
    keys: Range

    @property
    def nearest(self) -> int:
        """The smallest distance from a query back to a key; negative where a key comes after a query."""
        return self.queries[0] - self.keys[1] + 1

    @property
    def farthest(self) -> int:
        """The largest distance."""
        return self.queries[1] - 1 - self.keys[0]

    @property
    def is_diagonal(self) -> bool:
        """Whether queries and keys are of the same tokens."""
        return self.queries == self.keys

    def tiles(self) -> Iterator[Block]:
        """Smaller blocks that make it up."""
        for queries in _cut(self.queries):
            for keys in _cut(self.keys):
                yield Block(queries, keys)

    def within(self, whole: Block) -> tuple[slice, slice]:
        """Where its queries and keys are among those of a block that it is a part of."""
        first, second = (_offset(own, all_of) for own, all_of in zip(self, whole, strict=True))
        return first, second


def _cut(run: Range) -> list[Range]:
    return [(start, min(start + TILE, run[1])) for start in range(*run, TILE)]


def _offset(own: Range, whole: Range) -> slice:
    return slice(own[0] - whole[0], own[1] - whole[0])


@dataclass(frozen=True, slots=True)
class RowSight:
    """What tokens of a row see: those before them, of their own document, in the window; and how scores are made.

    Args:
        scale: what products of queries and keys are multiplied by.
        documents: of all tokens of the row, [batch, seq]; None for one document.
        window: tokens before its own that a token sees; None for all.
        biases: of each distance, [heads, seq] in float32 at least, added to scaled scores; None for none.
        in_tiles: whether scores are computed step by step, even where a kernel would do.
    """

    scale: float
    documents: Tensor | None = None
    window: int | None = None
    biases: Tensor | None = None
    in_tiles: bool = False

    def sees_nothing(self, block: Block) -> bool:
        """Whether all keys come after all queries, or before the window of each."""
        return block.farthest < 0 or (self.window is not None and block.nearest > self.window)

    def seen_tiles(self, block: Block) -> Iterator[Block]:
        """The parts of a block in which anything is seen, where documents are left out of account."""
        return (tile for tile in block.tiles() if not self.sees_nothing(tile))

    def sees_all_before(self, block: Block) -> bool:
        """Whether causality alone says what is seen."""
        return self.documents is None and (self.window is None or block.farthest <= self.window)

    def mask(self, block: Block, device: torch.device) -> Tensor | None:
        """Which keys are seen, [batch or 1, 1, queries, keys] bool; None for all of them."""
        if self.sees_all_before(block) and block.nearest >= 0:
            return None
        distances = self.distances(block, device)
        seen = distances >= 0 if self.window is None else (distances >= 0) & (distances <= self.window)
        if self.documents is not None:
            query, key = (self.documents[:, start:stop] for start, stop in block)
            seen = seen & (query[:, :, None] == key[:, None])
        return seen.expand(1, *seen.shape)[:, None] if seen.dim() == 2 else seen[:, None]

    def distances(self, block: Block, device: torch.device) -> Tensor:
        """How many tokens keys are before queries, [queries, keys]."""
        query, key = (torch.arange(start, stop, device=device) for start, stop in block)
        return query[:, None] - key

    def scores(self, query: Tensor, key: Tensor, block: Block) -> Tensor:
        """[batch, heads, queries, head_dim] and [batch, kv_heads, keys, head_dim] -> [batch, heads, queries, keys].

        Tokens that are not seen have the smallest number there is, so that nothing becomes NaN where none is seen.
        """
        scores = _unfolded(_folded(query, key) @ key.mT * self.scale, query)
        if self.biases is not None:
            scores = scores + self._bias(block)
        mask = self.mask(block, query.device)
        return scores if mask is None else scores.masked_fill(~mask, torch.finfo(scores.dtype).min)

    def _bias(self, block: Block) -> Tensor:
        assert self.biases is not None
        distances = self.distances(block, self.biases.device).clamp(min=0)
        return self.biases.index_select(1, distances.flatten()).view(-1, *distances.shape)


class Mixed(NamedTuple):
    """A softmax over keys, for some queries, to which blocks are added in place.

    Args:
        out: sums of values by their exponentials, [batch, heads, queries, head_dim] in float32 at least.
        most: the largest scores so far, [batch, heads, queries].
        sum: of the exponentials of scores less the largest, of the same shape.
    """

    out: Tensor
    most: Tensor
    sum: Tensor

    @classmethod
    def of_no_keys(cls, query: Tensor) -> Mixed:
        """Before the first block."""
        out = torch.zeros_like(query, dtype=torch.promote_types(query.dtype, torch.float32))
        rows = query.shape[:-1]
        return cls(out, out.new_full(rows, float("-inf")), out.new_zeros(rows))

    def rows(self, rows: slice) -> Mixed:
        """That of some of the queries."""
        return Mixed(*(part[:, :, rows] for part in self))

    def add(self, block: Mixed) -> None:
        """What a block mixes."""
        most = torch.maximum(self.most, block.most)
        kept, added = (torch.exp(part - most) for part in (self.most, block.most))
        self.out.mul_(kept[..., None]).add_(block.out * added[..., None])
        self.sum.mul_(kept).add_(block.sum * added)
        self.most.copy_(most)


class Queries(NamedTuple):
    """What the backward pass knows of queries.

    Args:
        query: [batch, heads, queries, head_dim].
        out: what they mixed, of the same shape.
        gradient: of that.
        most: their largest scores, [batch, heads, queries].
        sum: of the exponentials of scores less the largest, of the same shape.
        products: of what they mixed and its gradient, of the same shape.
    """

    query: Tensor
    out: Tensor
    gradient: Tensor
    most: Tensor
    sum: Tensor
    products: Tensor

    def rows(self, rows: slice) -> Queries:
        """Some of them."""
        return Queries(*(part[:, :, rows] for part in self))


class Gradients(NamedTuple):
    """Of queries, of keys and values (`pair`), and of the table of biases, where it is wanted. Blocks are added in place."""

    query: Tensor
    pair: Tensor
    biases: Tensor | None

    def part(self, rows: slice, others: slice) -> Gradients:
        """Those of some queries and some keys."""
        return Gradients(self.query[:, :, rows], self.pair[..., others, :], self.biases)


def mix_tiles(mixed: Mixed, query: Tensor, pair: Tensor, block: Block, sight: RowSight) -> None:
    """Add what the queries of a block mix of its keys and values, tile by tile.

    Args:
        mixed: of its queries.
        query: [batch, heads, queries, head_dim].
        pair: keys and values, [2, batch, kv_heads, keys, head_dim].
        block: which queries and keys they are.
        sight: what they see.
    """
    for tile in sight.seen_tiles(block):
        rows, others = tile.within(block)
        own, key, value = (part.to(mixed.out.dtype) for part in (query[:, :, rows], *pair[..., others, :]))
        scores = sight.scores(own, key, tile)
        most = scores.amax(-1)
        weights = scores.sub_(most[..., None]).exp_()
        out = _unfolded(_folded(weights, value) @ value, weights)
        mixed.rows(rows).add(Mixed(out, most, weights.sum(-1)))


def unmix_tiles(into: Gradients, queries: Queries, pair: Tensor, block: Block, sight: RowSight) -> None:
    """Add the gradients that come of a block, tile by tile (Dao et al., "FlashAttention", 2022, appendix B.2).

    Args:
        into: gradients of the queries and keys of the block.
        queries: of the block.
        pair: keys and values, [2, batch, kv_heads, keys, head_dim].
        block: which queries and keys they are.
        sight: what they see.
    """
    for tile in sight.seen_tiles(block):
        rows, others = tile.within(block)
        _unmix(into.part(rows, others), queries.rows(rows), pair[..., others, :], tile, sight)


def _unmix(into: Gradients, queries: Queries, pair: Tensor, tile: Block, sight: RowSight) -> None:
    query, gradient, key, value = (part.to(into.query.dtype) for part in (queries.query, queries.gradient, *pair))
    weights = sight.scores(query, key, tile).sub_(queries.most[..., None]).exp_().div_(queries.sum[..., None])
    gradient = _folded(gradient, value)
    into.pair[1].add_(_folded(weights, value).mT @ gradient)
    of_scores = _unfolded(gradient @ value.mT, weights).sub_(queries.products[..., None]).mul_(weights)
    if into.biases is not None:
        distances = sight.distances(tile, query.device).clamp(min=0)
        into.biases.index_add_(1, distances.flatten(), of_scores.sum(0).flatten(1))
    folded = _folded(of_scores, key)
    into.query.add_(_unfolded(folded @ key, query), alpha=sight.scale)
    into.pair[0].add_(folded.mT @ _folded(query, key), alpha=sight.scale)


def _folded(of_heads: Tensor, key: Tensor) -> Tensor:
    """[batch, heads, queries, n] -> [batch, kv_heads, those that share a key * queries, n]."""
    return torch.unflatten(of_heads, 1, (key.shape[1], -1)).flatten(2, 3)


def _unfolded(of_kv_heads: Tensor, like: Tensor) -> Tensor:
    """The other way."""
    return torch.unflatten(of_kv_heads, 2, (-1, like.shape[2])).flatten(1, 2)
